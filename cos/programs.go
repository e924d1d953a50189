package cos

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/pagecache"
)

// A ContainerProgram is a program that runs in a container, and whether it is of the container's image.
type ContainerProgram struct {
	Path  string    `json:"path"` // as the container sees it
	PIDs  []int32   `json:"pids"` // ascending
	Mtime time.Time `json:"mtime"`
	Layer Layer     `json:"layer" jsonx:"null"` // empty of what is mounted into the container, and where it is not known
	// Replaces says of one that was written that the image has a file of that name; Same, that this has the size and the time of
	// that: it was copied up, as chown does, and its contents are probably the image's.
	Replaces bool `json:"replaces"`
	Same     bool `json:"same"`
}

// A Layer says where a file of a container's root is from.
type Layer string

// The layers.
const (
	LayerImage   Layer = "image"   // it is the image's
	LayerWritten Layer = "written" // it was made, or changed, while the container was there
)

// programs says of the programs that run in a container, in the mount namespace of its first process, where they are from.
func (r *containerReader) programs(c *ContainerDetail, first *linux.Task, files *pagecache.FS) {
	home, err := first.Namespaces()
	if err != nil {
		return // it is told with the processes
	}
	found := map[string]*ContainerProgram{}
	for i := range r.report.Processes {
		p := &r.report.Processes[i]
		if p.ContainerID != c.ID || p.Exe == "" || p.Namespaces.Mnt != home.Mnt {
			continue
		}
		if known := found[p.Exe]; known != nil {
			known.PIDs = append(known.PIDs, p.PID)
			continue
		}
		f, err := files.Find(strings.TrimPrefix(p.Exe, "/"), true)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was deleted, or was never in a directory
		case err != nil:
			r.lose("program of "+r.tasks[i].String(), err)
		case f.IsRegular():
			one := programOf(p.Exe, f.Inode)
			one.PIDs = []int32{p.PID}
			found[p.Exe] = &one
		}
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		c.Programs = append(c.Programs, *found[path])
	}
}

func programOf(path string, n *pagecache.Inode) ContainerProgram {
	upper, lower := n.Layers()
	p := ContainerProgram{Path: path, Mtime: n.Mtime}
	switch {
	case upper != nil:
		p.Layer, p.Replaces = LayerWritten, lower != nil
		p.Same = lower != nil && upper.Size == lower.Size && upper.Mtime.Equal(lower.Mtime)
	case lower != nil:
		p.Layer = LayerImage
	}
	return p
}

package cos

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/pagecache"
)

// A WrittenFile is what a container has in the upper layer of its root: what was made, changed or deleted there since it was made
// from its image.
type WrittenFile struct {
	Path  string      `json:"path"` // from the container's root
	Kind  WrittenKind `json:"kind"`
	Mode  uint32      `json:"mode"` // with the type, as st_mode; 0 of one that was deleted, as what follows
	UID   uint32      `json:"uid"`
	Size  int64       `json:"size"`
	Mtime time.Time   `json:"mtime"`
	Whole bool        `json:"whole"` // all of a regular file's content is in memory
}

// A WrittenKind says what a file in the upper layer is to the image.
type WrittenKind string

// The kinds.
const (
	WrittenNew      WrittenKind = "new"      // the image has no file of that name
	WrittenReplaced WrittenKind = "replaced" // it has: that was written to, or another took its place
	WrittenDeleted  WrittenKind = "deleted"  // the image's is hidden
	WrittenUnknown  WrittenKind = "unknown"  // what the image has is not in memory
)

// maxWritten bounds the files of one container that are listed.
const maxWritten = 1 << 14

// written lists the upper layer of a container's root, as far as its names are in memory.
func (r *containerReader) written(c *ContainerDetail, files *pagecache.FS, root *pagecache.File) {
	if root.Super.FSType != "overlay" {
		return
	}
	object := "what container " + c.ID + " has written"
	layers, err := r.set.Layers(root.Super)
	if errors.Is(err, kstruct.ErrUnsupported) { // as of all containers: the types of overlayfs are not known
		if !r.layerless {
			r.layerless = true
			r.lose("layers of containers", err)
		}
		return
	}
	if err != nil {
		r.lose(object, err)
		return
	}
	if len(layers) == 0 || !layers[0].Upper {
		return // nothing can be written
	}
	upper, err := r.set.LayerFS(&layers[0])
	if err == nil {
		files, err = files.WithoutMounts()
	}
	if err != nil {
		r.lose(object, err)
		return
	}
	for f, err := range upper.Walk(r.ctx, ".") {
		switch {
		case r.ctx.Err() != nil:
			return
		case err != nil:
			r.lose(object, err)
		case len(c.Written) == maxWritten:
			r.lose(object, fmt.Errorf("%w: more than %d files", kstruct.ErrTooLong, maxWritten))
			return
		case f.Path != ".":
			r.writtenFile(c, files, f)
		}
	}
}

// writtenFile adds a file of the upper layer. Directories that the image has, too, are there for what is in them.
func (r *containerReader) writtenFile(c *ContainerDetail, files *pagecache.FS, f *pagecache.File) {
	if isWhiteout(f.Inode) {
		c.Written = append(c.Written, WrittenFile{Path: f.Path, Kind: WrittenDeleted})
		return
	}
	w := WrittenFile{Path: f.Path, Kind: WrittenUnknown, Mode: f.Mode, UID: f.UID, Size: f.Size, Mtime: f.Mtime}
	over, err := files.Find(f.Path, false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		r.lose("/"+f.Path+" of container "+c.ID, err)
	default:
		if upper, lower := over.Layers(); upper != nil && upper.Addr == f.Addr {
			w.Kind = WrittenNew
			if lower != nil {
				w.Kind = WrittenReplaced
			}
		}
	}
	if f.IsDir() && w.Kind != WrittenNew {
		return
	}
	if f.IsRegular() {
		content, err := f.Content(r.ctx)
		if err != nil {
			r.lose("/"+f.Path+" of container "+c.ID, err)
		} else {
			w.Whole = content.Whole()
		}
	}
	c.Written = append(c.Written, w)
}

// isWhiteout reports whether a file of a layer stands for none: a character device of the number 0 (Documentation/filesystems/overlayfs.rst).
func isWhiteout(n *pagecache.Inode) bool {
	return n.FileMode().Type() == fs.ModeDevice|fs.ModeCharDevice && n.Rdev == 0
}

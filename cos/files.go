package cos

import (
	"context"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/linux/pagecache"
	"github.com/nodelens/nodelens/vmem"
)

// Files are the file systems of the node and what in them has no name, without any contents: the section SectionFiles.
type Files struct {
	FileSystems []FileSystem   `json:"fileSystems"` // in the order of the kernel's list
	Nameless    []NamelessFile `json:"nameless"`    // by file system and number
}

// A FileSystem is a file system in use.
type FileSystem struct {
	pagecache.Super
	Inodes int `json:"inodes"` // those in memory
}

// A NamelessFile is a file that was deleted, or never had a name, and whose it is. Its Super is nil, as it is in a report that is read back.
type NamelessFile struct {
	pagecache.Nameless
	PodUID      string             `json:"podUID" jsonx:"null"` // of the first process in a pod that holds it, as is ContainerID
	ContainerID string             `json:"containerID" jsonx:"null"`
	Cached      []pagecache.Extent `json:"cached"`  // what of a regular file is in memory
	Missing     []pagecache.Extent `json:"missing"` // what of it can't be read
}

// Files reads the file systems of the node; beside them is what was lost. Only the end of ctx is an error.
func (n *Node) Files(ctx context.Context) (*Files, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readFiles(ctx, a)
}

// addFiles adds the section to the report.
func (a *analysis) addFiles(ctx context.Context) error {
	f, gaps, err := readFiles(ctx, a)
	if err != nil {
		return err
	}
	a.report.Files = f
	a.lose(gaps)
	return nil
}

func readFiles(ctx context.Context, a *analysis) (*Files, []vmem.Gap, error) {
	out := new(Files)
	set, err := a.fileSet(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return out, []vmem.Gap{vmem.NewGap("file systems", vmem.Place{}, err)}, nil
	}
	gaps := set.Gaps()[:len(set.Gaps()):len(set.Gaps())]
	for _, s := range set.Supers() {
		f := FileSystem{Super: *s}
		for _, err := range set.Inodes(ctx, s) {
			if err == nil {
				f.Inodes++
			} else if ctx.Err() == nil {
				gaps = append(gaps, vmem.NewGap("inodes", vmem.Place{}, err))
			}
		}
		out.FileSystems = append(out.FileSystems, f)
	}
	pods := indexPods(a.report)
	nameless, lost := set.Nameless(ctx)
	gaps = append(gaps, lost...)
	for _, n := range nameless {
		f := NamelessFile{Nameless: *n}
		for _, h := range n.Holders {
			if p := pods.processes[h.PID]; p != nil && p.PodUID != "" {
				f.PodUID, f.ContainerID = p.PodUID, p.ContainerID
				break
			}
		}
		if n.IsRegular() {
			c, err := set.Content(ctx, &n.Inode)
			if err != nil {
				gaps = append(gaps, vmem.NewGap("contents of "+n.Path, vmem.KernelPlace(n.Addr), err))
			} else {
				gaps = append(gaps, c.Gaps...)
				f.Cached, f.Missing = c.Cached(), c.Missing()
			}
		}
		f.Super = nil // FSType and Device tell it
		out.Nameless = append(out.Nameless, f)
	}
	limitSection(a, &gaps, "files without a name", &out.Nameless, func(f *NamelessFile) int {
		text, err := jsonx.Marshal(f)
		if err != nil {
			return 0
		}
		return len(text)
	})
	return out, gaps, ctx.Err()
}

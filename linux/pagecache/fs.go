package pagecache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// An FS is the files that a process sees, over the mounts of its namespace from its root. It is
// an [fs.FS], [fs.ReadDirFS], [fs.StatFS] and [fs.ReadLinkFS], as package os has them for a root that can't be left: links
// are followed inside of it. Names that are no UTF-8 are among those of a directory, and [FS.Find] takes them.
//
// A file of which a part is not in memory can be opened; reading that part is an error that wraps [ErrNotCached].
// A name that is not in memory is one that does not exist: [fs.ErrNotExist]. On file systems in memory these are all names there
// are, on disks those that were used.
//
// It is safe for concurrent use.
type FS struct {
	s    *Set
	tree *tree
	root place
}

var (
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
)

// FS returns the files that a task sees. The errors are those of [linux.Task.Namespaces] and [linux.Task.Root].
func (s *Set) FS(ctx context.Context, t *linux.Task) (*FS, error) {
	m, err := s.tree(ctx, t)
	if err != nil {
		return nil, err
	}
	root, err := t.RootRef()
	if err != nil {
		return nil, err
	}
	f := &FS{s: s, tree: m, root: place{s.v.vfs.Container(root.Mount), root.Dentry}}
	if m.mounts[f.root.mount] == nil {
		return f.WithoutMounts() // its root is in a mount of no namespace, such as one that was unmounted
	}
	return f, nil
}

// WithoutMounts returns the files of the file system that the root of f is on, as they are below what is mounted over them. The error
// says what was lost of its mount.
func (f *FS) WithoutMounts() (*FS, error) {
	one := &FS{s: f.s, tree: &tree{mounts: map[vmem.VirtAddr]*mounted{}, on: map[place]vmem.VirtAddr{}}, root: f.root}
	if f.s.addMount(one.tree, f.root.mount) == nil {
		return nil, one.tree.gaps[0]
	}
	return one, nil
}

// Gaps returns what was lost of the mounts.
func (f *FS) Gaps() []vmem.Gap { return f.tree.gaps }

// A File is a file with the name that it was found by.
type File struct {
	*Inode
	Path    string // from the root of the FS, without a slash at the beginning; "." for that itself
	MountID int32  // as in /proc/PID/mountinfo

	s     *Set
	place place
}

// maxLinks is how many links are followed on one way (MAXSYMLINKS of include/linux/namei.h).
const maxLinks = 40

// Find returns the file of a path, whose names may be of any bytes; a link at its end is followed only if follow is set. A slash at the beginning is the
// root of f, which ".." does not leave. The error is [fs.ErrNotExist] where a name is not in memory, and otherwise what was lost.
func (f *FS) Find(path string, follow bool) (*File, error) {
	at, err := f.walk(path, follow)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	at.Path = path
	return at, nil
}

// walk goes the way of a path. Links add their targets to what is left of it.
func (f *FS) walk(path string, follow bool) (*File, error) {
	at, links := f.root, 0
	rest := strings.Split(path, "/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			up, err := f.s.up(f.tree, at, f.root)
			if err != nil {
				return nil, err
			}
			at = up
			continue
		}
		next, n, err := f.step(at, part)
		if err != nil {
			return nil, err
		}
		if !n.IsLink() || len(rest) == 0 && !follow {
			if at = next; !n.IsDir() && len(rest) > 0 {
				return nil, errNotDir
			}
			continue
		}
		if links++; links > maxLinks {
			return nil, errLinks
		}
		target, err := f.s.Target(n)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(target, "/") {
			at = f.root
		}
		rest = append(strings.Split(target, "/"), rest...)
		if len(rest) > maxParts {
			return nil, kstruct.ErrTooLong
		}
	}
	return f.file(at)
}

var (
	errNotDir = errors.New("not a directory")
	errLinks  = errors.New("too many links")
)

// maxParts bounds the names of one path with its links.
const maxParts = 1 << 14

// step goes from a directory to an entry of it, and over what is mounted there.
func (f *FS) step(at place, part string) (place, *Inode, error) {
	e, ok := f.s.list(context.Background(), at.dentry).find(part)
	if !ok {
		return place{}, nil, fs.ErrNotExist
	}
	next := f.tree.down(place{at.mount, e.dentry})
	if next.dentry == e.dentry {
		n, err := f.s.inode(e.inode)
		return next, n, err
	}
	n, err := f.s.inodeAt(next.dentry)
	return next, n, err
}

// inodeAt reads the inode of a dentry that must have one.
func (s *Set) inodeAt(dentry vmem.VirtAddr) (*Inode, error) {
	n, err := s.inodeOfDentry(dentry)
	if err == nil && n == nil {
		err = fs.ErrNotExist
	}
	return n, err
}

func (f *FS) file(at place) (*File, error) {
	n, err := f.s.inodeAt(at.dentry)
	if err != nil {
		return nil, err
	}
	file := &File{Inode: n, s: f.s, place: at}
	if m := f.tree.mounts[at.mount]; m != nil {
		file.MountID = m.ID
	}
	return file, nil
}

// Content is [Set.Content] of the file.
func (f *File) Content(ctx context.Context) (*Content, error) { return f.s.Content(ctx, f.Inode) }

// Target is [Set.Target] of the file.
func (f *File) Target() (string, error) { return f.s.Target(f.Inode) }

// Xattrs is [Set.Xattrs] of the file.
func (f *File) Xattrs() (map[string][]byte, error) { return f.s.Xattrs(f.Inode) }

// List returns the entries of a directory that are in memory, by name, as they are seen over mounts; what was
// lost comes beside them.
func (f *FS) List(ctx context.Context, dir *File) ([]*File, []vmem.Gap) {
	c := f.s.list(ctx, dir.place.dentry)
	lost := losses{}
	all := make([]*File, 0, len(c.names))
	for _, e := range c.names {
		next := f.tree.down(place{dir.place.mount, e.dentry})
		n, err := f.s.inode(e.inode)
		if next.dentry != e.dentry {
			n, err = f.s.inodeAt(next.dentry)
		}
		if err != nil {
			lost.add("file "+e.text, e.inode, err)
			continue
		}
		file := &File{Inode: n, Path: join(dir.Path, e.text), s: f.s, place: next}
		if m := f.tree.mounts[next.mount]; m != nil {
			file.MountID = m.ID
		}
		all = append(all, file)
	}
	return all, slices.Concat(c.gaps, lost.gaps())
}

func join(dir, name string) string {
	if dir == "." || dir == "" {
		return name
	}
	return strings.TrimSuffix(dir, "/") + "/" + name
}

// Open implements [fs.FS].
func (f *FS) Open(path string) (fs.File, error) {
	if !fs.ValidPath(path) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrInvalid}
	}
	file, err := f.Find(path, true)
	if err != nil {
		return nil, err
	}
	o := &opened{f: f, file: file}
	if file.IsRegular() {
		c, err := file.Content(context.Background()) // the interface has none
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		o.r = io.NewSectionReader(c, 0, c.Size)
	}
	return o, nil
}

// ReadDir implements [fs.ReadDirFS]. With what could be read comes the first loss.
func (f *FS) ReadDir(path string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(path) {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: fs.ErrInvalid}
	}
	file, err := f.Find(path, true)
	if err != nil {
		return nil, err
	}
	return f.entries(file)
}

func (f *FS) entries(file *File) ([]fs.DirEntry, error) {
	if !file.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: file.Path, Err: errNotDir}
	}
	all, gaps := f.List(context.Background(), file)
	out := make([]fs.DirEntry, len(all))
	for i, e := range all {
		out[i] = fs.FileInfoToDirEntry(info{e})
	}
	if len(gaps) > 0 {
		return out, &fs.PathError{Op: "readdir", Path: file.Path, Err: gaps[0]}
	}
	return out, nil
}

// Stat implements [fs.StatFS]. Sys of what it returns is the [*Inode].
func (f *FS) Stat(path string) (fs.FileInfo, error) { return f.stat("stat", path, true) }

// Lstat implements [fs.ReadLinkFS].
func (f *FS) Lstat(path string) (fs.FileInfo, error) { return f.stat("lstat", path, false) }

func (f *FS) stat(op, path string, follow bool) (fs.FileInfo, error) {
	if !fs.ValidPath(path) {
		return nil, &fs.PathError{Op: op, Path: path, Err: fs.ErrInvalid}
	}
	file, err := f.Find(path, follow)
	if err != nil {
		return nil, err
	}
	return info{file}, nil
}

// ReadLink implements [fs.ReadLinkFS].
func (f *FS) ReadLink(path string) (string, error) {
	if !fs.ValidPath(path) {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: fs.ErrInvalid}
	}
	file, err := f.Find(path, false)
	if err != nil {
		return "", err
	}
	target, err := file.Target()
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return target, nil
}

// An info is what package fs shows of a file.
type info struct{ f *File }

func (i info) Name() string {
	if n := strings.LastIndexByte(i.f.Path, '/'); n >= 0 {
		return i.f.Path[n+1:]
	}
	return i.f.Path
}
func (i info) Size() int64        { return i.f.Size }
func (i info) Mode() fs.FileMode  { return i.f.FileMode() }
func (i info) ModTime() time.Time { return i.f.Mtime }
func (i info) IsDir() bool        { return i.f.IsDir() }
func (i info) Sys() any           { return i.f.Inode }

// An opened is an open file of an FS.
type opened struct {
	f    *FS
	file *File
	r    *io.SectionReader // of a regular file
	list []fs.DirEntry     // of a directory: what ReadDir has not given yet
	err  error
	read bool
}

var _ fs.ReadDirFile = (*opened)(nil)

func (o *opened) Stat() (fs.FileInfo, error) { return info{o.file}, nil }
func (o *opened) Close() error               { return nil }

func (o *opened) Read(p []byte) (int, error) {
	if o.r == nil {
		return 0, &fs.PathError{Op: "read", Path: o.file.Path, Err: fs.ErrInvalid}
	}
	return o.r.Read(p)
}

// ReadAt implements [io.ReaderAt].
func (o *opened) ReadAt(p []byte, off int64) (int, error) {
	if o.r == nil {
		return 0, &fs.PathError{Op: "read", Path: o.file.Path, Err: fs.ErrInvalid}
	}
	return o.r.ReadAt(p, off)
}

// ReadDir implements [fs.ReadDirFile].
func (o *opened) ReadDir(n int) ([]fs.DirEntry, error) {
	if !o.read {
		o.read = true
		o.list, o.err = o.f.entries(o.file)
	}
	out := o.list
	if n > 0 && n < len(out) {
		out = out[:n]
	}
	o.list = o.list[len(out):]
	switch {
	case n > 0 && len(out) == 0 && o.err == nil:
		return nil, io.EOF
	case n <= 0 || len(o.list) == 0:
		err := o.err
		o.err = nil
		return out, err
	}
	return out, nil
}

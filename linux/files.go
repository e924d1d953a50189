package linux

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// fmodeBacking marks the file below an overlay file, which keeps the path that the
// user sees beside it (FMODE_BACKING, include/linux/fs.h): bit 25 since 6.5, bit 24
// since 6.14. Both bits mean other things at other times.
const fmodeBacking = 1<<25 | 1<<24

// A fileStruct is struct file (include/linux/fs.h).
type fileStruct struct {
	Path path   `kernel:"f_path"`
	Mode uint32 `kernel:"f_mode"`
}

// A backingFile is struct backing_file of fs/file_table.c, a file below an overlay file.
type backingFile struct {
	UserPath path `kernel:"user_path"`
}

type fileViews struct {
	of    *kstruct.Field[vmem.VirtAddr] // the files of a task_struct
	files *kstruct.View[filesStruct]
	table *kstruct.View[fdTable]
	err   error

	file    *kstruct.View[fileStruct]
	inode   *kstruct.Field[vmem.VirtAddr] // of file
	fileErr error

	backing *kstruct.View[backingFile] // since 6.5 (62d53c4a1dfe)
	inner   kstruct.Member             // of backing_file: its struct file
}

func bindFiles(types *isf.File) (v fileViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "files")
	v.files = kstruct.Bind[filesStruct](b, "files_struct")
	v.table = kstruct.Bind[fdTable](b, "fdtable")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.file = kstruct.Bind[fileStruct](b, "file")
	v.fileErr = b.Err()
	v.inode = kstruct.BindOptionalField[vmem.VirtAddr](b, "file", "f_inode")
	b = kstruct.NewBinder(types)
	v.backing = kstruct.BindOptional[backingFile](b, "backing_file")
	v.inner = kstruct.BindOptionalMember(b, "backing_file", "file")
	return v
}

// An FD is an open file descriptor.
type FD struct {
	FD   int           `json:"fd"`
	Path string        `json:"path" jsonx:"null"` // as the link /proc/PID/fd/FD shows it
	Addr vmem.VirtAddr `json:"address"`           // of struct file
}

// fileAt reads the struct file at addr.
func (k *Kernel) fileAt(addr vmem.VirtAddr) (f fileStruct, err error) {
	if !plausible(addr) {
		return f, errPointer("file", addr)
	}
	err = k.views.files.file.Read(k.space, addr, &f)
	return f, cause(err, k.views.files.fileErr)
}

// filePath returns the path of the struct file at addr.
func (k *Kernel) filePath(addr vmem.VirtAddr) (string, error) {
	f, err := k.fileAt(addr)
	if err != nil {
		return "", err
	}
	return k.dPath(f.Path)
}

// userPath is filePath, but of a file below an overlay it is the overlay's path, as
// /proc/PID/maps shows it (file_user_path of include/linux/fs.h).
func (k *Kernel) userPath(addr vmem.VirtAddr) (string, error) {
	s, _, err := k.userFile(addr)
	return s, err
}

// userFile is userPath with the inode that goes with it, 0 where that can't be read (file_user_inode).
func (k *Kernel) userFile(addr vmem.VirtAddr) (name string, inode vmem.VirtAddr, err error) {
	v := &k.views.files
	f, err := k.fileAt(addr)
	if err != nil {
		return "", 0, err
	}
	at := f.Path
	if f.Mode&fmodeBacking != 0 && v.backing.Ok() {
		b, err := v.backing.Load(k.space, v.inner.Container(addr))
		if err == nil && k.consistent(b.UserPath) {
			at = b.UserPath
		}
	}
	if at == f.Path {
		inode, err = v.inode.Load(k.space, addr)
	} else {
		var d lastDentry
		d, err = k.views.paths.last.Load(k.space, at.Dentry)
		inode = d.Inode
	}
	if err != nil {
		inode = 0
	}
	name, err = k.dPath(at)
	return name, inode, err
}

// consistent reports whether p holds a mount and a dentry of one file system.
func (k *Kernel) consistent(p path) bool {
	v := &k.views.paths
	if !plausible(p.Mnt) || !plausible(p.Dentry) {
		return false
	}
	mnt, err := v.vfs.Load(k.space, p.Mnt)
	if err != nil || !plausible(mnt.Super) {
		return false
	}
	d, err := v.last.Load(k.space, p.Dentry)
	return err == nil && d.Super == mnt.Super
}

package linux

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxFDs bounds a descriptor table: far above any sysctl fs.nr_open in use.
const maxFDs = 1 << 24

// maxBadFDs is how many entries that lead to no file end a descriptor table: it is then
// taken to be overwritten.
const maxBadFDs = 64

// fmodeBacking marks the file below an overlay file, which keeps the path that the
// user sees beside it (FMODE_BACKING, include/linux/fs.h): bit 25 since 6.5, bit 24
// since 6.14. Both bits mean other things at other times.
const fmodeBacking = 1<<25 | 1<<24

// A filesStruct is struct files_struct (include/linux/fdtable.h).
type filesStruct struct {
	Table vmem.VirtAddr `kernel:"fdt"`
}

// An fdTable is struct fdtable.
type fdTable struct {
	Max   uint32        `kernel:"max_fds"`
	Files vmem.VirtAddr `kernel:"fd"` // an array of pointers
}

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

// Files yields the open files of the task by ascending descriptor (linux.lsof of
// Volatility shows the like). Errors are [vmem.Gap] and do not end the walk, but for the
// context's own. With the error for a file whose path can't be read comes the FD without
// its path; with others an FD without an address.
func (t *Task) Files(ctx context.Context) iter.Seq2[FD, error] {
	return func(yield func(FD, error) bool) {
		t.k.refresh()
		table, at, err := t.fdTable()
		switch {
		case err == ErrNone: //nolint:errorlint // it is never wrapped
		case err != nil:
			yield(FD{}, t.lost("open files", at, err))
		case table.Max > maxFDs:
			err := fmt.Errorf("%w: descriptor table of %d entries", kstruct.ErrCorrupt, table.Max)
			yield(FD{}, t.lost("open files", at, err))
		default:
			t.fdArray(ctx, table.Files, int(table.Max), yield)
		}
	}
}

// fdTable returns the task's descriptor table, and where it was read or lost. The error is
// ErrNone for a task that has exited.
func (t *Task) fdTable() (table fdTable, at vmem.VirtAddr, err error) {
	k, v := t.k, &t.k.views.files
	files, err := v.of.Load(k.space, t.Addr)
	switch {
	case err != nil:
		return table, t.Addr, cause(err, v.err)
	case files == 0:
		return table, t.Addr, ErrNone
	}
	f, err := v.files.Load(k.space, files)
	if err != nil {
		return table, files, cause(err, v.err)
	}
	table, err = v.table.Load(k.space, f.Table)
	return table, f.Table, cause(err, v.err)
}

// fdArray reads the n pointers of a descriptor table in pieces. It ends with the
// first piece that can't be read: what follows is as likely not the table.
func (t *Task) fdArray(ctx context.Context, array vmem.VirtAddr, n int, yield func(FD, error) bool) {
	var piece [512 * 8]byte
	bad := 0
	for first := 0; first < n; first += len(piece) / 8 {
		if err := ctx.Err(); err != nil {
			yield(FD{}, err)
			return
		}
		addr := array + vmem.VirtAddr(first*8)
		want := piece[:min(len(piece), (n-first)*8)]
		got, err := t.k.space.ReadVirt(want, addr)
		for i := range got / 8 {
			file := vmem.VirtAddr(binary.LittleEndian.Uint64(want[i*8:]))
			if file == 0 {
				continue
			}
			fd, err := t.fd(first+i, file)
			if !yield(fd, err) {
				return
			}
			if err == nil {
				continue
			}
			if bad++; bad == maxBadFDs {
				err := fmt.Errorf("%w: %d entries that are no files", kstruct.ErrCorrupt, bad)
				yield(FD{}, t.lost(fmt.Sprintf("open files from %d on", first+i+1), addr, err))
				return
			}
		}
		if err != nil {
			yield(FD{}, t.lost(fmt.Sprintf("open files from %d on", first+got/8), addr, err))
			return
		}
	}
}

func (t *Task) fd(n int, file vmem.VirtAddr) (FD, error) {
	p, err := t.k.filePath(file)
	if err != nil {
		err = t.lost(fmt.Sprintf("open file %d", n), file, err)
	}
	return FD{FD: n, Path: p, Addr: file}, err
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
	v := &k.views.files
	f, err := k.fileAt(addr)
	if err != nil {
		return "", err
	}
	if f.Mode&fmodeBacking != 0 && v.backing.Ok() {
		b, err := v.backing.Load(k.space, v.inner.Container(addr))
		if err == nil && k.consistent(b.UserPath) {
			return k.dPath(b.UserPath)
		}
	}
	return k.dPath(f.Path)
}

// consistent reports whether p holds a mount and a dentry of one file system.
func (k *Kernel) consistent(p path) bool {
	v := &k.views.paths
	if !plausible(p.Mnt) || !plausible(p.Dentry) {
		return false
	}
	super, err := v.super.Load(k.space, p.Mnt)
	if err != nil || !plausible(super) {
		return false
	}
	d, err := v.last.Load(k.space, p.Dentry)
	return err == nil && d.Super == super
}

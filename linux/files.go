package linux

import (
	"encoding/binary"
	"fmt"
	"iter"

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

type filesLayout struct {
	fdt, maxFDs, fd   field
	path, mode        field // file
	backing, userPath field // offsets inside backing_file
}

func newFilesLayout(r resolver) filesLayout {
	return filesLayout{
		fdt:      r.need("files_struct", "fdt"),
		maxFDs:   r.need("fdtable", "max_fds"),
		fd:       r.need("fdtable", "fd"),
		path:     r.need("file", "f_path"),
		mode:     r.opt("file", "f_mode"),
		backing:  r.opt("backing_file", "file"),
		userPath: r.opt("backing_file", "user_path"),
	}
}

// An FD is an open file descriptor.
type FD struct {
	FD   int           `json:"fd"`
	Path string        `json:"path,null"` // as the link /proc/PID/fd/FD shows it
	Addr vmem.VirtAddr `json:"address"`   // of struct file
}

// Files yields the open files of the task by ascending descriptor (linux.lsof of
// Volatility shows the like). Errors are [vmem.Gap] and do not end the walk.
func (t *Task) Files() iter.Seq2[FD, error] {
	return func(yield func(FD, error) bool) {
		l, r := &t.k.layout.files, t.k.fresh()
		files := r.ptr(t.Addr, t.k.layout.task.files)
		if files == 0 && r.err == nil { // exited
			return
		}
		fdt := r.ptr(files, l.fdt)
		n, array := r.u32(fdt, l.maxFDs), r.ptr(fdt, l.fd)
		if r.err != nil {
			yield(FD{}, t.lost("open files", files, r.err))
			return
		}
		if n > maxFDs {
			err := fmt.Errorf("%w: descriptor table of %d entries", kstruct.ErrCorrupt, n)
			yield(FD{}, t.lost("open files", fdt, err))
			return
		}
		t.fdArray(array, int(n), yield)
	}
}

// fdArray reads the n pointers of a descriptor table in pieces. It ends with the
// first piece that can't be read: what follows is as likely not the table.
func (t *Task) fdArray(array vmem.VirtAddr, n int, yield func(FD, error) bool) {
	var piece [512 * 8]byte
	bad := 0
	for first := 0; first < n; first += len(piece) / 8 {
		addr := array + vmem.VirtAddr(first*8)
		want := piece[:min(len(piece), (n-first)*8)]
		got, err := t.k.space.ReadVirt(want, addr)
		for i := range got / 8 {
			file := vmem.VirtAddr(binary.LittleEndian.Uint64(want[i*8:]))
			if file == 0 {
				continue
			}
			p, err := t.k.filePath(file)
			if !yield(FD{FD: first + i, Path: p, Addr: file}, t.lost(fmt.Sprintf("open file %d", first+i), file, err)) {
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

// filePath returns the path of the struct file at addr.
func (k *Kernel) filePath(addr vmem.VirtAddr) (string, error) {
	if !plausible(addr) {
		return "", errPointer("file", addr)
	}
	r := k.reader()
	p := r.path(addr+vmem.VirtAddr(k.layout.files.path), &k.layout.fs)
	if r.err != nil {
		return "", r.err
	}
	return k.dPath(p)
}

// userPath is filePath, but of a file below an overlay it is the overlay's path, as
// /proc/PID/maps shows it (file_user_path of include/linux/fs.h).
func (k *Kernel) userPath(addr vmem.VirtAddr) (string, error) {
	l, r := &k.layout.files, k.reader()
	if l.userPath.ok() && r.u32(addr, l.mode)&fmodeBacking != 0 {
		p := r.path(addr+vmem.VirtAddr(l.userPath-l.backing), &k.layout.fs)
		if k.consistent(p) {
			return k.dPath(p)
		}
	}
	return k.filePath(addr)
}

// consistent reports whether p holds a mount and a dentry of one file system.
func (k *Kernel) consistent(p path) bool {
	r := k.reader()
	if !plausible(p.mnt) || !plausible(p.dentry) {
		return false
	}
	sb := r.ptr(p.mnt, k.layout.mount.sb)
	return plausible(sb) && sb == r.ptr(p.dentry, k.layout.fs.sb) && r.err == nil
}

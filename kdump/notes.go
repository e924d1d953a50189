package kdump

import (
	"fmt"

	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// maxNotes bounds what is read of notes and of the information on erased memory, in
// bytes. QEMU writes about 1 KiB of notes a CPU.
const maxNotes = 16 << 20

// read reads a part of the image that a header points to, as far as it is there.
func (f *File) read(p place, what string) []byte {
	if p.off == 0 || p.size == 0 {
		return nil
	}
	off := int64(min(p.off, flatLimit))
	b := make([]byte, min(p.size, maxNotes, uint64(max(0, f.image.Size()-off))))
	n, err := f.image.ReadAt(b, off)
	if uint64(n) < p.size {
		f.lose(vmem.Range[vmem.PhysAddr]{}, off+int64(n), fmt.Errorf("%w: %s: %d of %d bytes: %w", ErrTruncated, what, n, p.size, unexpected(err)))
	}
	return b[:n]
}

// readNotes reads the notes.
func (f *File) readNotes() {
	b := f.read(f.header.notes, "notes")
	notes, used := vmcoreinfo.ParseNotes(b)
	f.notes = notes
	if used < len(b) && uint64(len(b)) == f.header.notes.size { // else it is known already
		f.lose(vmem.Range[vmem.PhysAddr]{}, int64(f.header.notes.off)+int64(used), fmt.Errorf("%w: notes: %d of %d bytes make sense", ErrDamaged, used, len(b)))
	}
}

// Notes returns the ELF notes, which have the registers of the CPUs, in the order of the
// file: of header version 4 and later. The caller must not change them.
func (f *File) Notes() []vmcoreinfo.Note { return f.notes }

// CPUs returns the states of virtual CPUs that QEMU wrote, or none.
func (f *File) CPUs() []vmcoreinfo.CPU { return vmcoreinfo.ParseCPUs(f.notes) }

// VMCoreInfo returns the VMCOREINFO that the sub header points to, or that of the notes.
// The error wraps [vmcoreinfo.ErrNoNote] where the image has none.
func (f *File) VMCoreInfo() (*vmcoreinfo.Info, error) {
	if p := f.header.vmcoreinfo; p.off != 0 && p.size != 0 {
		return vmcoreinfo.Parse(f.text(p))
	}
	for _, n := range f.notes {
		if n.Name == vmcoreinfo.NoteName {
			return vmcoreinfo.Parse(n.Desc)
		}
	}
	return nil, fmt.Errorf("kdump: %w: %s", vmcoreinfo.ErrNoNote, vmcoreinfo.NoteName)
}

// EraseInfo returns what makedumpfile says of memory that it erased (its -c FILE and
// makedumpfile.conf(5)): a line for each piece. It is empty where nothing was.
func (f *File) EraseInfo() string { return string(f.text(f.header.erase)) }

// text reads a part of the image that a header points to, as far as it is there.
func (f *File) text(p place) []byte {
	if p.off == 0 || p.off > flatLimit {
		return nil
	}
	b := make([]byte, min(p.size, maxNotes, uint64(max(0, f.image.Size()-int64(p.off)))))
	n, _ := f.image.ReadAt(b, int64(p.off))
	return b[:n]
}

package kcore

import (
	"fmt"

	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// maxNotes bounds all PT_NOTE segments together, in bytes: many may be of the same bytes of the
// file. QEMU writes about 1 KiB a CPU.
const maxNotes = 16 << 20

func (f *File) readNotes(s Segment, size int64) {
	have := min(s.FileSz, maxNotes-f.notesRead, uint64(max(0, size-int64(min(s.Offset, uint64(size))))))
	f.notesRead += have
	b := make([]byte, have)
	n, err := f.r.ReadAt(b, int64(min(s.Offset, uint64(size))))
	notes, used := vmcoreinfo.ParseNotes(b[:n])
	f.notes = append(f.notes, notes...)
	if uint64(used) < s.FileSz {
		if err == nil && f.notesRead == maxNotes {
			err = fmt.Errorf("%w: more than %d bytes of notes", ErrFormat, maxNotes)
		}
		at := int64(min(s.Offset, uint64(size))) + int64(used)
		f.gaps.Add(vmem.ImagePlace(at), fmt.Errorf("notes: %d of %d bytes: %w", used, s.FileSz, unexpected(err)))
	}
}

// VMCoreInfo returns what the note VMCOREINFO holds, or an error that wraps
// [vmcoreinfo.ErrNoNote] if the file has none.
func (f *File) VMCoreInfo() (*vmcoreinfo.Info, error) {
	for _, n := range f.notes {
		if n.Name == vmcoreinfo.NoteName {
			return vmcoreinfo.Parse(n.Desc)
		}
	}
	return nil, fmt.Errorf("kcore: %w: %s", vmcoreinfo.ErrNoNote, vmcoreinfo.NoteName)
}

// CPUs returns the states that QEMU wrote, one for each virtual CPU, or none.
func (f *File) CPUs() []vmcoreinfo.CPU { return vmcoreinfo.ParseCPUs(f.notes) }

package btfconv

import (
	"bytes"
	"context"
	"iter"

	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// maxNotes limits how many different copies of VMCOREINFO are tried.
const maxNotes = 16

// notesIn yields VMCOREINFO: that of the image's own notes, then each that the
// memory holds; equal ones once.
func notesIn(ctx context.Context, mem vmem.Memory) iter.Seq[*vmcoreinfo.Info] {
	return func(yield func(*vmcoreinfo.Info) bool) {
		seen := map[string]bool{}
		fresh := func(v *vmcoreinfo.Info) bool {
			text := v.Text()
			defer func() { seen[text] = true }()
			return !seen[text]
		}
		if m, ok := vmem.As[vmcoreinfo.Holder](mem); ok {
			if v, err := m.VMCoreInfo(); err == nil && fresh(v) && !yield(v) {
				return
			}
		}
		for found, err := range vmcoreinfo.Find(ctx, mem) {
			if err == nil && fresh(found.Info) && (len(seen) > maxNotes || !yield(found.Info)) {
				return
			}
		}
	}
}

// readNotes takes from VMCOREINFO where the kernel's image is.
func (s *search) readNotes() {
	s.report.FoundBy = "VMCOREINFO"
	s.report.Release = s.notes.Release()
	s.report.BuildID = s.notes.BuildID()
	text, err := s.notes.Symbol("_stext")
	if err != nil {
		return
	}
	base, err := s.notes.Number("phys_base")
	if err != nil {
		return
	}
	s.image.text = text
	s.image.phys = vmem.PhysAddr(text - startKernelMap + uint64(base))
}

// inPlace reports whether the kernel that VMCOREINFO describes is there: whether
// its release stands in init_uts_ns, or its page table maps the code to where it should be.
func (s *search) inPlace() bool {
	uts, err := s.notes.Symbol("init_uts_ns")
	if err != nil || s.image.text == 0 || s.report.Release == "" {
		return false
	}
	// struct uts_namespace starts with its name, after 4 bytes before 5.11.
	if bytes.Contains(s.image.window(uts, 512), append([]byte(s.report.Release), 0)) {
		return true
	}
	top, err := s.notes.Symbol("swapper_pg_dir")
	return err == nil && s.spaceOf(top) != nil
}

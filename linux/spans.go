package linux

import (
	"context"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// spans are what a process has mapped: an index of its mappings without their names, for
// asking often.
type spans struct {
	ranges []vmem.Range[vmem.VirtAddr] // normalized
	whole  bool                        // all mappings could be read
}

// mapped reports whether a mapping of the process holds addr; where the mappings can't
// be walked it may.
func (m *MM) mapped(ctx context.Context, addr vmem.VirtAddr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spans == nil {
		s := m.readSpans(ctx)
		if ctx.Err() != nil {
			return true
		}
		m.spans = s
	}
	_, found := vmem.SearchRanges(m.spans.ranges, addr)
	return found || !m.spans.whole
}

func (m *MM) readSpans(ctx context.Context) *spans {
	s := &spans{whole: true}
	m.eachArea(ctx, func(addr vmem.VirtAddr, err error) bool {
		var b areaBounds
		if err == nil {
			err = m.k.views.vma.bounds.Read(m.k.space, addr, &b)
		}
		if err == nil {
			err = m.valid(addr, &b)
		}
		if err != nil {
			s.whole = false
			return true
		}
		s.ranges = append(s.ranges, vmem.Range[vmem.VirtAddr]{Start: b.Start, Size: uint64(b.End - b.Start)})
		return true
	})
	s.ranges = vmem.NormalizeRanges(slices.Clip(s.ranges))
	return s
}

package memory

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Segment is a mapping of a process, and what of it is in memory.
type Segment struct {
	linux.VMA
	Runs []Run // by ascending address; what is in none is absent
}

// A Run is a part of a mapping that is in memory, or that should be and can't be read.
type Run struct {
	Range vmem.Range[vmem.VirtAddr]
	Dirty bool  // of a run that is there: all of its pages were written since they were mapped
	Err   error // why it can't be read: vmem.ErrSwapped and its like, vmem.ErrNotCaptured; nil for what is there
}

// Flags of mappings that are not memory of the process (include/linux/mm.h).
const (
	vmPFNMap = 0x400  // frames without a struct page, such as those of devices
	vmIO     = 0x4000 // memory of devices
)

// device reports whether a mapping is of what must not be read.
func device(v *linux.VMA) bool { return v.Flags&(vmPFNMap|vmIO) != 0 }

// Present returns how many bytes of the segment are in memory.
func (s *Segment) Present() (n uint64) {
	for _, r := range s.Runs {
		if r.Err == nil {
			n += r.Range.Size
		}
	}
	return n
}

// Segments returns the mappings of a task's process with what of each is in memory, by ascending address. What was lost is in the
// Runs, and of the mappings themselves a [vmem.Gap] in gaps. The error is [linux.ErrNone] for a task without memory of its own, the context's own, or that the
// memory can't be read at all.
func (r *Reader) Segments(ctx context.Context, t *linux.Task) (all []Segment, gaps []vmem.Gap, err error) {
	mm, err := t.MM()
	if err != nil {
		return nil, nil, err
	}
	for v, err := range mm.VMAs(ctx) {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			gaps = append(gaps, vmem.NewGap("mappings of "+t.String(), vmem.Place{}, err))
		}
		if v.Addr != 0 {
			all = append(all, Segment{v, r.runs(mm, &v)})
		}
	}
	return all, gaps, nil
}

// runs returns what of a mapping is in memory. Devices are not.
func (r *Reader) runs(mm *linux.MM, v *linux.VMA) (runs []Run) {
	if device(v) {
		return nil
	}
	captured := r.k.Physical().Ranges()
	for m, err := range mm.Space().Mappings(v.Range) {
		one := Run{Range: clip(m.Range, v.Range), Dirty: m.Dirty, Err: reason(err)}
		if one.Range.Size == 0 {
			continue
		}
		if err == nil {
			phys := m.At(one.Range.Start)
			i, ok := vmem.SearchRanges(captured, phys)
			if !ok || captured[i].Size-uint64(phys-captured[i].Start) < one.Range.Size {
				one.Err = vmem.ErrNotCaptured
			}
		}
		if n := len(runs); n > 0 && runs[n-1].joins(&one) {
			runs[n-1].Range.Size += one.Range.Size
			continue
		}
		runs = append(runs, one)
	}
	return runs
}

// joins reports whether another run goes on where this one ends.
func (a *Run) joins(b *Run) bool {
	return a.Range.Start+vmem.VirtAddr(a.Range.Size) == b.Range.Start && a.Dirty == b.Dirty && errors.Is(a.Err, b.Err) && errors.Is(b.Err, a.Err)
}

// reason returns why a page can't be read, without its place.
func reason(err error) error {
	if f, ok := errors.AsType[*vmem.Fault](err); ok {
		for _, known := range []error{vmem.ErrSwapped, vmem.ErrMigrating, vmem.ErrSpecialEntry, vmem.ErrBadEntry, vmem.ErrNotCaptured} {
			if errors.Is(f.Err, known) {
				return known
			}
		}
		return f.Err
	}
	return err
}

// clip returns what of a range is within another.
func clip(a, within vmem.Range[vmem.VirtAddr]) vmem.Range[vmem.VirtAddr] {
	if a.Size == 0 || within.Size == 0 || a.Last() < within.Start || within.Last() < a.Start {
		return vmem.Range[vmem.VirtAddr]{}
	}
	start, last := max(a.Start, within.Start), min(a.Last(), within.Last())
	return vmem.Range[vmem.VirtAddr]{Start: start, Size: uint64(last-start) + 1}
}

// String returns the range and what became of it.
func (a Run) String() string {
	if a.Err != nil {
		return fmt.Sprintf("%v+%#x: %v", a.Range.Start, a.Range.Size, a.Err)
	}
	return fmt.Sprintf("%v+%#x", a.Range.Start, a.Range.Size)
}

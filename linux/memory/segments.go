package memory

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
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
	Range   vmem.Range[vmem.VirtAddr]
	Dirty   bool  // of a run that is there: all of its pages were written since they were mapped
	Swapped bool  // of a run that is there: it was swapped out, and [Reader.ReadVirt] reads it from where it is now
	Err     error // why it can't be read: vmem.ErrSwapped and its like, vmem.ErrNotCaptured; nil for what is there
}

// Flags of mappings that are not memory of the process (include/linux/mm.h).
const (
	vmPFNMap = 0x400  // frames without a struct page, such as those of devices
	vmIO     = 0x4000 // memory of devices
)

// device reports whether a mapping is of what must not be read.
func device(v *linux.VMA) bool { return v.Flags&(vmPFNMap|vmIO) != 0 }

// Present returns how many bytes of the segment can be read, of memory and of where it was swapped out to.
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
	left := maxRuns
	for v, err := range mm.VMAs(ctx) {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			gaps = append(gaps, vmem.NewGap("mappings of "+t.String(), vmem.Place{}, err))
		}
		if v.Addr != 0 {
			s := Segment{VMA: v, Runs: r.runs(ctx, mm, &v, left)}
			left -= len(s.Runs)
			all = append(all, s)
		}
	}
	return all, gaps, ctx.Err()
}

// maxRuns bounds the runs of a process: page tables in which every second page is there make one of each.
const maxRuns = 1 << 20

// checkEvery is how many pages are looked at between two looks at the context.
const checkEvery = 4096

// runs returns what of a mapping is in memory, in about so many runs at most: of what follows they say that it is not known.
// Devices are not.
func (r *Reader) runs(ctx context.Context, mm *linux.MM, v *linux.VMA, most int) (runs []Run) {
	if device(v) {
		return nil
	}
	captured := r.k.Physical().Ranges()
	seen := 0
	for m, err := range mm.Space().Mappings(v.Range) {
		if seen++; seen%checkEvery == 0 && ctx.Err() != nil {
			break
		}
		one := Run{Range: clip(m.Range, v.Range), Dirty: m.Dirty, Err: reason(err)}
		if err != nil && r.swappedIn(err) {
			one.Dirty, one.Swapped, one.Err = true, true, nil // only what was written is swapped
		}
		if one.Range.Size == 0 {
			continue
		}
		if len(runs) >= most {
			one.Range.Size = uint64(v.Range.Last()-one.Range.Start) + 1
			one.Err = fmt.Errorf("%w: it is in more pieces than are told", kstruct.ErrTooMany)
			return append(runs, one)
		}
		if err != nil || covers(captured, m.At(one.Range.Start), one.Range.Size) {
			runs = appendRun(runs, one)
			continue
		}
		for _, piece := range split(captured, m.At(one.Range.Start), one) {
			runs = appendRun(runs, piece)
		}
	}
	return runs
}

// appendRun appends a run, or extends the last one by it.
func appendRun(runs []Run, one Run) []Run {
	if n := len(runs); n > 0 && runs[n-1].joins(&one) {
		runs[n-1].Range.Size += one.Range.Size
		return runs
	}
	return append(runs, one)
}

// covers reports whether memory was captured as a whole.
func covers(captured []vmem.Range[vmem.PhysAddr], phys vmem.PhysAddr, size uint64) bool {
	i, ok := vmem.SearchRanges(captured, phys)
	return ok && captured[i].Size-uint64(phys-captured[i].Start) >= size
}

// split returns the pieces of a run, which is at a physical address, that were captured, and those that were not: a huge
// page can be so in part.
func split(captured []vmem.Range[vmem.PhysAddr], phys vmem.PhysAddr, run Run) []Run {
	var pieces []Run
	whole := vmem.Range[vmem.PhysAddr]{Start: phys, Size: run.Range.Size}
	at := phys
	add := func(end vmem.PhysAddr, err error) { // from at on
		if end > at {
			piece := run
			piece.Range = vmem.Range[vmem.VirtAddr]{Start: run.Range.Start + vmem.VirtAddr(at-phys), Size: uint64(end - at)}
			piece.Err = err
			pieces = append(pieces, piece)
			at = end
		}
	}
	for i, _ := vmem.SearchRanges(captured, phys); i < len(captured) && captured[i].Start <= whole.Last(); i++ {
		part := captured[i].Intersect(whole)
		add(part.Start, vmem.ErrNotCaptured)
		add(part.Start+vmem.PhysAddr(part.Size), nil)
	}
	add(phys+vmem.PhysAddr(run.Range.Size), vmem.ErrNotCaptured)
	return pieces
}

// joins reports whether another run goes on where this one ends.
func (a *Run) joins(b *Run) bool {
	return a.Range.Start+vmem.VirtAddr(a.Range.Size) == b.Range.Start && a.Dirty == b.Dirty && a.Swapped == b.Swapped && errors.Is(a.Err, b.Err) && errors.Is(b.Err, a.Err)
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

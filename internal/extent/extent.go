// Package extent maps the physical memory of an image to where its bytes lie:
// one sorted table, built once, that every image format reads through.
//
// A format parser lists its records in the order of the file, each a range of
// physical addresses and the offset of the first of its bytes in some source: a
// file, or the decoded content of a compressed one. Records may be in any order
// and may overlap. Where they do, the record listed first has the byte: the
// formats say nothing of overlaps, their writers make them only by covering the
// same memory twice (the kernel's text is also part of its RAM), and a rule that
// depends on the order of the file alone gives the same bytes on every reading.
// A parser that knows a record to be damaged lists only the part that is there,
// so that a later whole copy fills the rest.
package extent

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/nodelens/nodelens/vmem"
)

// Limit is the first physical address that no extent may reach: x86-64 has at
// most 52 bits of physical address, and offsets into [vmem.Memory] fit an int64.
const Limit = 1 << 52

// An Extent says that the bytes of Range lie in the source from Offset on.
type Extent struct {
	Range  vmem.Range[vmem.PhysAddr]
	Offset int64
}

// A Table is a set of extents without overlaps. It is immutable and safe for
// concurrent use. The zero Table is empty.
type Table struct {
	extents []Extent // by Range.Start, disjoint, none empty
	ranges  []vmem.Range[vmem.PhysAddr]
	hidden  []Overlap
}

// An Overlap is a record of which bytes can't be read, because records before it have the
// same memory.
type Overlap struct {
	Record int    // its index
	Hidden uint64 // how many of its bytes those are
}

// New returns the table of records; the first record in the slice that has a
// byte keeps it. Empty records are left out. Every record must end at or below
// Limit and have an offset such that Offset+Size is an int64; New fails naming
// the first record that does not.
func New(records []Extent) (*Table, error) {
	for _, r := range records {
		if err := check(r); err != nil {
			return nil, err
		}
	}
	t := new(Table)
	var kept []uint64
	t.extents, kept = flatten(records)
	for i, r := range records {
		if hidden := r.Range.Size - kept[i]; hidden > 0 {
			t.hidden = append(t.hidden, Overlap{i, hidden})
		}
	}
	for _, e := range t.extents {
		t.ranges = append(t.ranges, e.Range)
	}
	t.ranges = slices.Clip(vmem.NormalizeRanges(t.ranges))
	return t, nil
}

func check(e Extent) error {
	end := uint64(e.Range.Start) + e.Range.Size
	if e.Range.Size > Limit || uint64(e.Range.Start) > Limit || end > Limit {
		return fmt.Errorf("extent %v: beyond the 52 bits of a physical address", e.Range)
	}
	if e.Offset < 0 || e.Offset+int64(e.Range.Size) < e.Offset {
		return fmt.Errorf("extent %v: source offset %d out of range", e.Range, e.Offset)
	}
	return nil
}

func end(r vmem.Range[vmem.PhysAddr]) vmem.PhysAddr { return r.Start + vmem.PhysAddr(r.Size) }

// Ranges returns what the table covers: ascending, disjoint, adjacent ranges
// merged. The caller must not change the slice.
func (t *Table) Ranges() []vmem.Range[vmem.PhysAddr] { return t.ranges }

// Overlaps returns the records that others hide, in part or as a whole, in their order.
// The caller must not change the slice.
func (t *Table) Overlaps() []Overlap { return t.hidden }

// Find returns the part of the table from physical address a on that is one
// extent, or false where the table does not have a.
func (t *Table) Find(a vmem.PhysAddr) (Extent, bool) {
	i := sort.Search(len(t.extents), func(i int) bool { return end(t.extents[i].Range) > a })
	if i == len(t.extents) || t.extents[i].Range.Start > a {
		return Extent{}, false
	}
	return t.extents[i].from(a), true
}

// from returns the part of e from a on, which lies inside e.
func (e Extent) from(a vmem.PhysAddr) Extent {
	d := uint64(a - e.Range.Start)
	e.Range.Start += vmem.PhysAddr(d)
	e.Range.Size -= d
	e.Offset += int64(d)
	return e
}

// ReadAt reads the memory at physical address off through src, the source that
// the table's offsets are of. It follows the rules of [vmem.Memory]: on reaching
// memory that the table does not have it returns the number of bytes before and
// an error that wraps [vmem.ErrNotCaptured]. Where src fails the error is that of
// src; where src ends early the bytes are as good as not captured.
func (t *Table) ReadAt(src io.ReaderAt, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		a := vmem.PhysAddr(off + int64(n))
		e, ok := t.Find(a)
		if off < 0 || !ok {
			return n, fmt.Errorf("physical address %v: %w", a, vmem.ErrNotCaptured)
		}
		want := p[n:]
		want = want[:min(uint64(len(want)), e.Range.Size)]
		m, err := src.ReadAt(want, e.Offset)
		n += m
		if m == len(want) {
			continue
		}
		return n, fmt.Errorf("physical address %v: %w", a+vmem.PhysAddr(m), sourceError(err))
	}
	return n, nil
}

// sourceError returns the reason for which a source gave too few bytes.
func sourceError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", vmem.ErrNotCaptured, io.ErrUnexpectedEOF)
	}
	return err
}

// Physical returns the physical memory whose bytes lie in the size bytes of the source
// from offset off on, in ascending order.
func (t *Table) Physical(off, size int64) []vmem.Range[vmem.PhysAddr] {
	var ranges []vmem.Range[vmem.PhysAddr]
	for _, e := range t.extents {
		first, last := max(off, e.Offset), min(off+size, e.Offset+int64(e.Range.Size))
		if first < last {
			ranges = append(ranges, vmem.Range[vmem.PhysAddr]{Start: e.Range.Start + vmem.PhysAddr(first-e.Offset), Size: uint64(last - first)})
		}
	}
	return ranges
}

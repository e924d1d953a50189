package vmem

import "fmt"

// A Range is Size bytes of address space from Start on. The zero Range is empty.
// A Range may end with the last address there is, where Start+Size wraps to 0;
// so containment is computed by subtraction and Last is what to print. A Range
// that goes on beyond the last address is not valid; [NormalizeRanges] cuts it.
type Range[A Addr] struct {
	Start A      `json:"start"` // the first address
	Size  uint64 `json:"size"`  // in bytes; 0 means empty
}

// Last returns the last address inside the range. It has no meaning for an empty
// range.
func (r Range[A]) Last() A { return r.Start + A(r.Size-1) }

// Contains reports whether a lies inside the range.
func (r Range[A]) Contains(a A) bool { return uint64(a-r.Start) < r.Size }

// ContainsRange reports whether all of s lies inside the range. An empty s lies
// inside if its Start does, or is the end of the range.
func (r Range[A]) ContainsRange(s Range[A]) bool {
	d := uint64(s.Start - r.Start)
	return d <= r.Size && s.Size <= r.Size-d
}

// Intersect returns the part that both ranges have, empty (the zero Range) where
// they have none.
func (r Range[A]) Intersect(s Range[A]) Range[A] {
	if r.Size == 0 || s.Size == 0 {
		return Range[A]{}
	}
	first, last := max(r.Start, s.Start), min(r.Last(), s.Last())
	if first > last {
		return Range[A]{}
	}
	return Range[A]{Start: first, Size: uint64(last-first) + 1}
}

// String returns the range as [first, last] in hexadecimal, both inclusive.
func (r Range[A]) String() string {
	if r.Size == 0 {
		return fmt.Sprintf("[%#x, empty]", uint64(r.Start))
	}
	return fmt.Sprintf("[%#x, %#x]", uint64(r.Start), uint64(r.Last()))
}

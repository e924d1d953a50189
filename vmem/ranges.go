package vmem

import (
	"cmp"
	"slices"
)

// NormalizeRanges returns the addresses that rs cover as ascending, disjoint
// ranges, with adjacent and overlapping ones merged, empty ones dropped, and what
// goes on beyond the last address cut off. It does not change rs.
//
// One case stays unmerged: the whole address space has a size that a Range can't
// express, so its last part remains a range of its own.
func NormalizeRanges[A Addr](rs []Range[A]) []Range[A] {
	sorted := make([]Range[A], 0, len(rs))
	for _, r := range rs {
		if r.Size > 0 {
			sorted = append(sorted, r.clip())
		}
	}
	slices.SortFunc(sorted, func(a, b Range[A]) int { return cmp.Compare(a.Start, b.Start) })
	out := sorted[:0]
	for _, r := range sorted {
		if len(out) == 0 {
			out = append(out, r)
			continue
		}
		if rest := out[len(out)-1].absorb(r); rest.Size > 0 {
			out = append(out, rest)
		}
	}
	return out
}

// SearchRanges returns the index of the range that contains a, and true; or the
// index at which the next range above a is, and false. rs must be ascending and
// disjoint, as NormalizeRanges and [Memory] give them.
func SearchRanges[A Addr](rs []Range[A], a A) (int, bool) {
	return slices.BinarySearchFunc(rs, a, func(r Range[A], a A) int {
		switch {
		case a < r.Start:
			return 1
		case r.Contains(a):
			return 0
		}
		return -1
	})
}

// SubtractRanges returns the parts of r that rs do not cover, ascending: the gaps.
// rs must be ascending and disjoint, as for SearchRanges.
func SubtractRanges[A Addr](r Range[A], rs []Range[A]) []Range[A] {
	var out []Range[A]
	r = r.clip()
	i, _ := SearchRanges(rs, r.Start)
	for ; r.Size > 0 && i < len(rs) && rs[i].Start <= r.Last(); i++ {
		if rs[i].Start > r.Start {
			out = append(out, Range[A]{r.Start, uint64(rs[i].Start - r.Start)})
		}
		if rs[i].Last() >= r.Last() {
			return out
		}
		r = Range[A]{rs[i].Last() + 1, uint64(r.Last() - rs[i].Last())}
	}
	if r.Size > 0 {
		out = append(out, r)
	}
	return out
}

// clip returns r without what goes on beyond the last address.
func (r Range[A]) clip() Range[A] {
	if r.Size > 0 && r.Last() < r.Start {
		r.Size = -uint64(r.Start)
	}
	return r
}

// absorb extends r by s, which starts no lower than r, where the two touch. It
// returns what it could not take.
func (r *Range[A]) absorb(s Range[A]) (rest Range[A]) {
	switch {
	case s.Last() <= r.Last():
		return Range[A]{}
	case s.Start > r.Last()+1:
		return s
	case r.Start == 0 && s.Last() == ^A(0):
		return Range[A]{r.Last() + 1, uint64(s.Last() - r.Last())}
	}
	r.Size = uint64(s.Last()-r.Start) + 1
	return Range[A]{}
}

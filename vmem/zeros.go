package vmem

import "slices"

// withZeros is a memory of which some is known to be zeros.
type withZeros struct {
	mem    Memory
	zeros  []Range[PhysAddr]
	ranges []Range[PhysAddr]
}

// WithZeros returns the memory m together with memory that is known to hold only zeros,
// though m does not have it: image formats leave such memory out. Where m has a byte, that
// counts. What m says of itself is there as before: see [As]. The caller answers for the zeros: what merely was not captured must not be
// among them. If there are none it returns m.
func WithZeros(m Memory, zeros []Range[PhysAddr]) Memory {
	if zeros = NormalizeRanges(zeros); len(zeros) == 0 {
		return m
	}
	return &withZeros{mem: m, zeros: zeros, ranges: NormalizeRanges(slices.Concat(m.Ranges(), zeros))}
}

// Unwrap implements [Wrapper].
func (z *withZeros) Unwrap() Memory { return z.mem }

// Ranges implements [Memory].
func (z *withZeros) Ranges() []Range[PhysAddr] { return z.ranges }

// ReadAt implements [Memory]. It asks the memory below for each piece once.
func (z *withZeros) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := z.mem.ReadAt(p[n:], off+int64(n))
		n += m
		if err == nil || n == len(p) {
			return n, nil
		}
		m = z.fill(p[n:], off+int64(n))
		if m == 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

// fill writes the zeros from offset off on, up to where the memory below has more.
func (z *withZeros) fill(p []byte, off int64) int {
	a := PhysAddr(off)
	i, ok := SearchRanges(z.zeros, a)
	have := z.mem.Ranges()
	k, inside := SearchRanges(have, a)
	if off < 0 || !ok || inside { // what can't be read there is not zeros
		return 0
	}
	n := min(uint64(len(p)), uint64(z.zeros[i].Last()-a)+1)
	if k < len(have) {
		n = min(n, uint64(have[k].Start-a))
	}
	clear(p[:n])
	return int(n)
}

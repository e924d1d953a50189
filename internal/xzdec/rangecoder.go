package xzdec

// The range decoder of LZMA: each bit splits the range in proportion to its
// probability of being 0, and the code says in which part it lies.
const (
	probBits  = 11 // of a probability
	probHalf  = 1 << (probBits - 1)
	probShift = 5 // how slowly probabilities adapt
	rangeMin  = 1 << 24
)

// A rangeCoder is a decoder's place in the packed bytes of a chunk. It is small and
// handed around by value, so that it stays in registers.
type rangeCoder struct {
	span, code uint32
	pos        int
}

// rangeHead is how many bytes a chunk's range coder begins with.
const rangeHead = 5

// fresh makes room for a bit.
func (r rangeCoder) fresh(in []byte) rangeCoder {
	if r.span < rangeMin {
		r.span <<= 8
		r.code = r.code<<8 | uint32(in[r.pos])
		r.pos++
	}
	return r
}

// bit decodes a bit on which a branch follows.
func (r rangeCoder) bit(in []byte, p *uint16) (rangeCoder, bool) {
	if r.span < rangeMin {
		r.span <<= 8
		r.code = r.code<<8 | uint32(in[r.pos])
		r.pos++
	}
	bound := r.span >> probBits * uint32(*p)
	if r.code < bound {
		r.span = bound
		*p += (1<<probBits - *p) >> probShift
		return r, false
	}
	r.span -= bound
	r.code -= bound
	*p -= *p >> probShift
	return r, true
}

// digit decodes a bit, 0 or 1, without a branch that depends on it: those of literals
// can't be predicted. There must be room for it: fresh is apart so that both are inlined.
func (r rangeCoder) digit(p *uint16) (rangeCoder, uint32) {
	prob := uint32(*p)
	bound := r.span >> probBits * prob
	zero := uint32(int64(uint64(r.code)-uint64(bound)) >> 63) // all ones if the bit is 0
	r.span = (r.span - bound) ^ ((r.span-bound)^bound)&zero
	r.code -= bound &^ zero
	// 0 makes p grow by (2048-p)/32, 1 makes it shrink by p/32.
	*p = uint16(prob - uint32(int32(prob-zero&(1<<probBits-1<<probShift+1))>>probShift))
	return r, zero + 1
}

// tree3, tree6 and tree8 decode a number of so many bits, the uppermost first.
func (r rangeCoder) tree3(in []byte, probs *[1 << 3]uint16) (rangeCoder, uint32) {
	n := uint32(1)
	for range 3 {
		var b uint32
		r, b = r.fresh(in).digit(&probs[n&(1<<3-1)])
		n = n<<1 | b
	}
	return r, n - 1<<3
}

func (r rangeCoder) tree6(in []byte, probs *[1 << 6]uint16) (rangeCoder, uint32) {
	n := uint32(1)
	for range 6 {
		var b uint32
		r, b = r.fresh(in).digit(&probs[n&(1<<6-1)])
		n = n<<1 | b
	}
	return r, n - 1<<6
}

func (r rangeCoder) tree8(in []byte, probs *[1 << 8]uint16) (rangeCoder, uint32) {
	n := uint32(1)
	for range 8 {
		var b uint32
		r, b = r.fresh(in).digit(&probs[n&(1<<8-1)])
		n = n<<1 | b
	}
	return r, n - 1<<8
}

// reverse decodes a number of so many bits, the lowest first.
func (r rangeCoder) reverse(in []byte, probs []uint16, count uint32) (rangeCoder, uint32) {
	n, v := uint32(1), uint32(0)
	for i := range count {
		var b uint32
		r, b = r.fresh(in).digit(&probs[n])
		n = n<<1 | b
		v |= b << i
	}
	return r, v
}

// direct decodes a number of so many bits that have no probabilities.
func (r rangeCoder) direct(in []byte, count uint32) (rangeCoder, uint32) {
	v := uint32(0)
	for range count {
		r = r.fresh(in)
		r.span >>= 1
		r.code -= r.span
		zero := -(r.code >> 31) // all ones if the bit is 0
		r.code += r.span & zero
		v = v<<1 + zero + 1
	}
	return r, v
}

// literal decodes a byte.
func (r rangeCoder) literal(in []byte, probs *literalProbs) (rangeCoder, byte) {
	n := uint32(1)
	for range 8 {
		var b uint32
		r, b = r.fresh(in).digit(&probs[n&0xff])
		n = n<<1 | b
	}
	return r, byte(n)
}

// matchedLiteral decodes a byte that differs from guess, the byte that a repetition of
// the last match would give.
func (r rangeCoder) matchedLiteral(in []byte, probs *literalProbs, guess byte) (rangeCoder, byte) {
	n, same, g := uint32(1), uint32(0x100), uint32(guess)<<1
	for range 8 {
		var b uint32
		bit := g & same
		r, b = r.fresh(in).digit(&probs[same+bit+n])
		n = n<<1 | b
		same &= bit ^ (b - 1) // stays as long as the guess is right
		g <<= 1
	}
	return r, byte(n)
}

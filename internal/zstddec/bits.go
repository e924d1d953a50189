package zstddec

import (
	"encoding/binary"
	"math/bits"
)

// A backward reads a bit stream from its last bit, which the highest bit set in its
// last byte precedes, to the lowest of its first byte. Before its beginning it reads
// something, as far as there is room.
type backward struct {
	buf   []byte
	first int // bit, counted from buf[0]
	pos   int // behind the next bit
}

// newBackward returns a reader of b, or false if b has no bit set in its last byte.
func newBackward(b body) (backward, bool) {
	if b.len() == 0 || b.buf[b.end-1] == 0 {
		return backward{}, false
	}
	return backward{b.buf, b.start * 8, (b.end-1)*8 + bits.Len8(b.buf[b.end-1]) - 1}, true
}

// left returns how many bits are left; less than 0 if too many were read.
func (r *backward) left() int { return r.pos - r.first }

// read reads n bits, up to 56.
func (r *backward) read(n int) int {
	r.pos -= n
	return int(binary.LittleEndian.Uint64(r.buf[r.pos>>3:]) >> (r.pos & 7) & (1<<n - 1))
}

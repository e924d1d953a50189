package xzdec

import (
	"encoding/binary"
	"math/bits"
)

// A filter undoes, after LZMA2, what made the content easier to compress.
type filter interface {
	// undo converts the beginning of b in place, and returns how long it is. The rest
	// needs the bytes behind it; at the end of a block it stays as it is.
	undo(b []byte) int
	clone() filter
}

// A stage is a filter with what it could not convert yet.
type stage struct {
	filter
	held []byte
	buf  []byte
}

// pass returns what comes of b, which is valid until the next call. last says that b
// ends the block.
func (s *stage) pass(b []byte, last bool) []byte {
	s.buf = append(append(s.buf[:0], s.held...), b...)
	n := s.undo(s.buf)
	s.held = append(s.held[:0], s.buf[n:]...)
	if last {
		s.held = s.held[:0]
		return s.buf
	}
	return s.buf[:n]
}

// delta is the filter of section 5.3.3: each byte is the difference to the one that
// is as many bytes before as last is long.
type delta struct {
	last []byte // a ring
	next int
}

func (f *delta) undo(b []byte) int {
	for i := range b {
		b[i] += f.last[f.next]
		f.last[f.next] = b[i]
		if f.next++; f.next == len(f.last) {
			f.next = 0
		}
	}
	return len(b)
}

func (f *delta) clone() filter { return &delta{last: append([]byte(nil), f.last...), next: f.next} }

// x86 is the BCJ filter of x86: the operands of CALL and JMP (E8 and E9) are absolute
// addresses if their uppermost byte is 00 or FF, and become relative ones.
type x86 struct {
	pos uint32 // of the next byte
	// opcodes tells which of the last three bytes are opcodes whose operand was left
	// alone, the last of them in the lowest bit: where operands overlap the filter is
	// careful, so that it can be undone.
	opcodes uint32
}

const x86Size = 5 // an opcode and its operand

func (f *x86) clone() filter { twin := *f; return &twin }

func (f *x86) undo(b []byte) int {
	i := 0
	for i+x86Size <= len(b) {
		if b[i]&0xfe != 0xe8 {
			f.opcodes = f.opcodes << 1 & 7
			i++
			continue
		}
		if !f.converts(b[i:]) {
			f.opcodes = (f.opcodes<<1 | 1) & 7
			i++
			continue
		}
		operand := b[i+1 : i+x86Size]
		binary.LittleEndian.PutUint32(operand, f.relative(binary.LittleEndian.Uint32(operand), f.pos+uint32(i)+x86Size))
		f.opcodes = 0
		i += x86Size
	}
	f.pos += uint32(i)
	return i
}

// converts reports whether the operand of the opcode that b begins with was converted.
func (f *x86) converts(b []byte) bool {
	switch bits.OnesCount32(f.opcodes) {
	case 0:
	case 1:
		if extends(b[x86Size-1-bits.Len32(f.opcodes)]) {
			return false
		}
	default:
		return false
	}
	return extends(b[x86Size-1])
}

// relative returns the operand relative to the instruction's end.
func (f *x86) relative(operand, end uint32) uint32 {
	to := operand - end
	if f.opcodes != 0 {
		shift := 8 * bits.Len32(f.opcodes)
		if extends(byte(to >> (24 - shift))) {
			to = (to ^ (1<<(32-shift) - 1)) - end
		}
	}
	return uint32(int32(to<<7) >> 7) // 25 bits with a sign
}

// extends reports whether b extends the sign of what is below it.
func extends(b byte) bool { return b == 0 || b == 0xff }

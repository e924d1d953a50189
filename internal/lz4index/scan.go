package lz4index

import "encoding/binary"

// A scan is what the sequences of a block add up to.
type scan struct {
	size     int  // bytes that the whole sequences decode to
	consumed int  // bytes that the whole sequences take up
	before   bool // a match reaches back before the block
	ok       bool // the block is well-formed and not longer than the limit
}

// scanBlock adds up the sequences of a compressed block (LZ4 Block Format
// Description) without decoding them. limit is the most that the block may
// decode to. Where the block is malformed or cut off, size and consumed are those
// of the whole sequences before that place.
func scanBlock(src []byte, limit int) scan {
	var s scan
	i, size := 0, 0
	for i < len(src) {
		token := src[i]
		i++
		literals := int(token >> 4)
		if literals == 15 {
			literals, i = extend(src, i, literals)
		}
		i += literals
		size += literals
		if i == len(src) && size <= limit && token&15 == 0 {
			// The last sequence is literals alone.
			return scan{size, i, s.before, true}
		}
		if i+2 > len(src) || size > limit {
			return s
		}
		offset := int(binary.LittleEndian.Uint16(src[i:]))
		i += 2
		match := int(token & 15)
		if match == 15 {
			match, i = extend(src, i, match)
		}
		before := s.before || offset > size
		size += match + 4
		if offset == 0 || i > len(src) || size > limit {
			return s
		}
		s = scan{size: size, consumed: i, before: before}
	}
	return s
}

// extend adds the bytes that follow a length of 15, up to and including the
// first that is not 255. Where src ends before that, the index returned is beyond
// its end.
func extend(src []byte, i, length int) (int, int) {
	for i < len(src) {
		b := src[i]
		i++
		length += int(b)
		if b != 255 {
			return length, i
		}
	}
	return length, len(src) + 1
}

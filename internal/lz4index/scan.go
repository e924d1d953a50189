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
//
// The loop runs for each of some millions of sequences of an image and waits for
// little but the load of the next token; hence the limit is checked behind it.
func scanBlock(src []byte, limit int) scan {
	var s scan
	i, size := 0, 0
	for size <= limit {
		s.consumed, s.size = i, size
		if i >= len(src) {
			return s
		}
		token := src[i]
		i++
		literals := int(token >> 4)
		if literals == 15 {
			literals, i = extend(src, i)
		}
		i += literals
		size += literals
		if i+2 > len(src) {
			return s.finish(i == len(src) && size <= limit && token&15 == 0, i, size)
		}
		offset := int(binary.LittleEndian.Uint16(src[i:]))
		i += 2
		// One comparison finds offsets of 0 and those that reach before the block.
		if uint(offset-1) >= uint(size) {
			if offset == 0 {
				return s
			}
			s.before = true
		}
		match := int(token & 15)
		if match == 15 {
			if match, i = extend(src, i); i > len(src) {
				return s
			}
		}
		size += match + 4
	}
	return s
}

// finish returns the scan of a block whose last sequence, which is literals alone,
// ends at the given places, if ok.
func (s scan) finish(ok bool, consumed, size int) scan {
	if ok {
		s.consumed, s.size, s.ok = consumed, size, true
	}
	return s
}

// maxRun is more bytes of 255 than any length of a block of 8 MiB has; fewer don't
// overflow an int of 32 bits.
const maxRun = 1 << 16

// extend returns 15 and the bytes from index i on added up, as far as the first
// that is not 255, and the index behind that. Where src ends before, or the length is
// beyond all blocks, the index is beyond the end of src.
func extend(src []byte, i int) (length, next int) {
	first := i
	for i < len(src) && src[i] == 255 {
		i++
	}
	if i == len(src) || i-first > maxRun {
		return 0, len(src) + 1
	}
	return 15 + 255*(i-first) + int(src[i]), i + 1
}

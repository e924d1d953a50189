package lz4index

import (
	"encoding/binary"
	"io"
)

// maxSkipped is how many skippable frames Detect passes over.
const maxSkipped = 16

// Detect reports whether r begins with an LZ4 frame, behind a few skippable frames
// perhaps, which other formats share.
func Detect(r io.ReaderAt) bool {
	b := make([]byte, 8)
	off := int64(0)
	for range maxSkipped + 1 {
		n, _ := r.ReadAt(b, off)
		if n < 4 {
			return false
		}
		magic := binary.LittleEndian.Uint32(b)
		if magic&^15 != magicSkippable || n < len(b) {
			return magic == magicFrame || magic == magicLegacy
		}
		off += int64(len(b)) + int64(binary.LittleEndian.Uint32(b[4:]))
	}
	return false
}

package lz4index

import (
	"encoding/binary"
	"io"
)

// maxSkipped is how many skippable frames Magic passes over.
const maxSkipped = 16

// Detect reports whether r begins with an LZ4 frame, behind a few skippable frames
// perhaps.
func Detect(r io.ReaderAt) bool {
	magic := Magic(r)
	return magic == magicFrame || magic == magicLegacy
}

// Magic returns the magic number that r begins with, behind a few skippable frames
// perhaps, which LZ4 and zstd share. It is 0 if r is too short.
func Magic(r io.ReaderAt) uint32 {
	b := make([]byte, 8)
	off := int64(0)
	for range maxSkipped + 1 {
		n, _ := r.ReadAt(b, off)
		if n < 4 {
			return 0
		}
		magic := binary.LittleEndian.Uint32(b)
		if magic&^15 != magicSkippable || n < len(b) {
			return magic
		}
		off += int64(len(b)) + int64(binary.LittleEndian.Uint32(b[4:]))
	}
	return 0
}

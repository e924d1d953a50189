package kdump

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// maxPiece bounds a piece that is searched for: writers have buffers of some MiB.
	maxPiece = 64 << 20
	// maxImage bounds where in the image it belongs.
	maxImage = 1 << 46
	// chain is how many headers must follow one another to be believed.
	chain = 8
	// searchWindow is how much is searched at once, in bytes.
	searchWindow = 1 << 20
)

// A hole is a part of a flattened file that belongs to no piece.
type hole struct {
	at, size int64
	err      error // why
}

// next returns the offset of the first piece from off on that others follow, or the size of
// the file. It is for what comes behind a header that is damaged.
func (f *flat) next(off int64) int64 {
	buf := make([]byte, searchWindow)
	head := new([pieceHeader]byte)
	for f.size-off >= pieceHeader {
		n, _ := f.r.ReadAt(buf[:min(searchWindow, f.size-off)], off)
		for i := 0; i+pieceHeader <= n; i++ {
			if likely(buf[i:]) && f.follows(off+int64(i), head) {
				return off + int64(i)
			}
		}
		off += max(int64(n)-pieceHeader+1, pieceHeader)
	}
	return f.size
}

// likely reports whether b begins with what can be the header of a piece.
func likely(b []byte) bool {
	if b[0]|b[1]|b[8]|b[9]|b[10]|b[11] != 0 {
		return false
	}
	off, size := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	return off < maxImage && size > 0 && size <= maxPiece
}

// follows reports whether there is a chain of pieces from offset at of the file on, or the
// last of it and the end mark.
func (f *flat) follows(at int64, head *[pieceHeader]byte) bool {
	for range chain {
		p, err := f.piece(at, head)
		switch {
		case errors.Is(err, io.EOF): // of which memory is full, too
			return f.size-at-pieceHeader < flatHeader
		case err != nil || p.have < p.size || !likely(head[:]):
			return false
		}
		at += pieceHeader + p.size
	}
	return true
}

// maxHoles bounds how often a file is searched.
const maxHoles = 1 << 10

// resync looks for the next piece where the header at an offset can't be one, or its piece
// ends behind the file. It may lie inside the piece before, whose header is then the damaged
// one. The hole between is noted, and returned.
func (f *flat) resync(at, before int64) (hole, bool) {
	if len(f.holes) == maxHoles {
		return hole{}, false
	}
	from := at
	if before >= 0 {
		from = before
	}
	next := f.next(from + 1)
	if next >= f.size {
		return hole{}, false
	}
	h := hole{at: at, size: next - at}
	if next < at {
		h = hole{at: before, size: next - before}
	}
	h.err = fmt.Errorf("%w: %d bytes behind a header of a piece that can't be one", ErrDamaged, h.size)
	f.holes = append(f.holes, h)
	return h, true
}

// end returns the offset behind the hole.
func (h *hole) end() int64 { return h.at + h.size }

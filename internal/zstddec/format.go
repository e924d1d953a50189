package zstddec

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// Format is Zstandard.
var Format checkpoint.Format = format{}

type format struct{}

// errState is of states that another format's decoder made.
var errState = errors.New("not a state of a zstd decoder")

func (format) NewDecoder(r io.ReaderAt, size int64, at *checkpoint.State) (checkpoint.Decoder, error) {
	d := &decoder{in: newSource(r, size)}
	if at == nil {
		return d, nil
	}
	s, ok := at.Rest.(*state)
	if !ok {
		return nil, errState
	}
	d.resume(s, at.Window)
	return d, nil
}

// Magic numbers: RFC 8878, Frames.
const (
	magicFrame     = 0xFD2FB528
	magicSkippable = 0x184D2A50 // to 0x184D2A5F
)

func skippable(magic uint32) bool { return magic&^15 == magicSkippable }

// Detect reports whether head is how a Zstandard file begins. Skippable frames, such
// as pzstd begins with, are passed over as far as head goes: they alone may be LZ4's.
func Detect(head []byte) bool {
	for len(head) >= 8 && skippable(binary.LittleEndian.Uint32(head)) {
		n := uint64(binary.LittleEndian.Uint32(head[4:]))
		head = head[min(8+n, uint64(len(head))):]
	}
	return len(head) >= 4 && binary.LittleEndian.Uint32(head) == magicFrame
}

package capture

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/blockcoder"
)

// Of the Zstandard Seekable Format: the skippable frame that is the seek table, and its end. A small frame makes random access cheap.
const (
	magicSeekTable = 0x184D2A5E
	magicSeekable  = 0x8F92EAB1
	zstdFrame      = 256 << 10
	zstdBound      = zstdFrame + 1024 // blocks that get no shorter are stored as they are
	zstdGather     = 4 * zstdFrame    // what is written piece by piece is coded when there is so much of it
)

// A zstdWriter writes zstd frames that are coded on their own, and a table that says where each is. Whoever can't read that table decodes one
// frame after the other.
type zstdWriter struct {
	w      io.Writer
	frames *blockcoder.Coder
	pieces *bufio.Writer
	table  []byte // entries so far
}

func newZstdWriter(w io.Writer) (*zstdWriter, error) {
	z := &zstdWriter{w: w}
	// The coder's workers share it: it has a state for each that encodes.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdFrame),
		zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	z.frames = blockcoder.New(zstdFrame, zstdBound, func() blockcoder.Func {
		return func(dst, block []byte) []byte { return encoder.EncodeAll(block, dst) }
	})
	z.pieces = bufio.NewWriterSize(frameWriter{z}, zstdGather)
	return z, nil
}

// Write implements [io.Writer].
func (z *zstdWriter) Write(data []byte) (int, error) { return z.pieces.Write(data) }

// A frameWriter makes frames of what it is given, of which the last may be short.
type frameWriter struct{ *zstdWriter }

func (f frameWriter) Write(data []byte) (int, error) {
	coded := f.frames.Encode(data)
	for left, sizes := len(data), f.frames.Sizes(); len(sizes) > 0; sizes = sizes[1:] {
		f.list(sizes[0], min(left, zstdFrame))
		left -= zstdFrame
	}
	if _, err := f.w.Write(coded); err != nil {
		return 0, err
	}
	return len(data), nil
}

// list adds a frame to the table.
func (z *zstdWriter) list(stored, content int) {
	le := binary.LittleEndian
	z.table = le.AppendUint32(le.AppendUint32(z.table, uint32(stored)), uint32(content))
}

// Flush writes what was gathered.
func (z *zstdWriter) Flush() error { return z.pieces.Flush() }

// Close writes a skippable frame, which decoders pass over, and the table.
func (z *zstdWriter) Close(skippable []byte) error {
	z.list(len(skippable), 0)
	le := binary.LittleEndian
	frames := len(z.table) / 8
	end := le.AppendUint32(skippable, magicSeekTable)
	end = le.AppendUint32(end, uint32(len(z.table)+9))
	end = append(end, z.table...)
	end = append(le.AppendUint32(end, uint32(frames)), 0) // without checksums: frames have their own
	_, err := z.w.Write(le.AppendUint32(end, magicSeekable))
	return err
}

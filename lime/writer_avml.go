package lime

import (
	"encoding/binary"
	"io"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/nodelens/nodelens/internal/blockcoder"
	"github.com/nodelens/nodelens/vmem"
)

func newSnappyCoder() *blockcoder.Coder {
	bound := chunkHeader + chunkSum + max(s2.MaxEncodedLen(maxContent), maxContent)
	return blockcoder.New(maxContent, bound, func() blockcoder.Func { return snappyChunk })
}

// compress writes the memory r, whose bytes come from src, as records of AVML.
func (w *Writer) compress(r vmem.Range[vmem.PhysAddr], src io.Reader) error {
	buf := make([]byte, min(r.Size, MaxAVMLRecord))
	for r.Size > 0 {
		b := buf[:min(r.Size, MaxAVMLRecord)]
		if n, err := io.ReadFull(src, b); err != nil {
			return w.fail("%d bytes into memory %v: %w", n, r, unexpected(err))
		}
		if err := w.block(r.Start, b); err != nil {
			return err
		}
		r.Start, r.Size = r.Start+vmem.PhysAddr(len(b)), r.Size-uint64(len(b))
	}
	return nil
}

// blocks writes the memory from start on as records of AVML.
func (w *Writer) blocks(start vmem.PhysAddr, data []byte) error {
	for part := range slices.Chunk(data, MaxAVMLRecord) {
		if err := w.block(start, part); err != nil {
			return err
		}
		start += vmem.PhysAddr(len(part))
	}
	return nil
}

// block writes one record of AVML: a header, the chunks of a Snappy stream, and how long
// that stream is.
func (w *Writer) block(start vmem.PhysAddr, data []byte) error {
	r := vmem.Range[vmem.PhysAddr]{Start: start, Size: uint64(len(data))}
	stream := w.chunks.Encode(data)
	head := append(header{memory: r, avml: true}.encode(), streamID...)
	size := binary.LittleEndian.AppendUint64(nil, uint64(len(streamID)+len(stream)))
	for _, b := range [][]byte{head, stream, size} {
		if _, err := w.w.Write(b); err != nil {
			return w.fail("memory %v: %w", r, err)
		}
	}
	return nil
}

// snappyChunk appends a chunk: compressed, or stored where that saves less than an
// eighth.
func snappyChunk(dst, data []byte) []byte {
	const top = chunkHeader + chunkSum
	at := len(dst)
	dst = dst[:at+top]
	coded := s2.EncodeSnappy(dst[len(dst):cap(dst)], data)
	kind := uint32(chunkCompressed)
	if len(coded) > len(data)-len(data)/8 {
		kind, coded = chunkStored, data
	}
	dst = append(dst, coded...) // in its place already, if compressed
	binary.LittleEndian.PutUint32(dst[at:], kind|uint32(len(coded)+chunkSum)<<8)
	binary.LittleEndian.PutUint32(dst[at+chunkHeader:], maskedSum(data))
	return dst
}

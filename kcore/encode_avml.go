package kcore

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"

	"github.com/nodelens/nodelens/vmem"
)

// Of the Snappy framing format (framing_format.txt): the stream identifier, the types of
// chunks, how many bytes a chunk stands for at most, and what is before its data: type,
// length and checksum.
const (
	snappyID       = "\xff\x06\x00\x00sNaPpY"
	snappyCoded    = 0x00
	snappyStored   = 0x01
	snappyChunk    = 64 << 10
	snappyChunkTop = 8
)

// An avmlEncoder writes records of a header, Snappy frames and their length.
type avmlEncoder struct {
	w      io.Writer
	chunks *blockCoder
}

func newAVMLEncoder(w io.Writer) *avmlEncoder {
	bound := snappyChunkTop + max(s2.MaxEncodedLen(snappyChunk), snappyChunk)
	return &avmlEncoder{w: w, chunks: newBlockCoder(snappyChunk, bound, func() codeFunc { return snappyFrame })}
}

func (e *avmlEncoder) record(r vmem.Range[vmem.PhysAddr], data []byte) error {
	stream := e.chunks.encode(data)
	head := append(recordHeader(magicAVML, 2, r), snappyID...)
	size := binary.LittleEndian.AppendUint64(nil, uint64(len(snappyID)+len(stream)))
	for _, b := range [][]byte{head, stream, size} {
		if _, err := e.w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func (e *avmlEncoder) close() error { return nil }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snappyFrame appends a chunk: compressed, or stored where that saves less than an
// eighth.
func snappyFrame(dst, data []byte) []byte {
	top := len(dst)
	dst = dst[:top+snappyChunkTop]
	coded := s2.EncodeSnappy(dst[len(dst):cap(dst)], data)
	kind := uint32(snappyCoded)
	if len(coded) > len(data)-len(data)/8 {
		kind, coded = snappyStored, data
	}
	dst = append(dst, coded...) // in its place already, if compressed
	sum := crc32.Checksum(data, castagnoli)
	binary.LittleEndian.PutUint32(dst[top:], kind|uint32(len(coded)+4)<<8)
	binary.LittleEndian.PutUint32(dst[top+4:], (sum>>15|sum<<17)+0xa282ead8) // masked, as the format has it
	return dst
}

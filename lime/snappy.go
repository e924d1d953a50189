package lime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"
)

// The Snappy framing format (framing_format.txt of Snappy): a stream begins with its
// identifier, and is chunks: a type, 3 bytes of length, and that many bytes.
const (
	streamID        = "\xff\x06\x00\x00sNaPpY"
	chunkCompressed = 0x00
	chunkStored     = 0x01
	chunkPadding    = 0xfe
	chunkStream     = 0xff // the identifier; what else is above 0x7f can be skipped, and AVML writes none of it

	chunkHeader = 4     // type and length
	chunkSum    = 4     // masked CRC-32C of the content, in chunks that have any
	maxContent  = 65536 // of a chunk
	maxChunk    = chunkSum + 32 + maxContent + maxContent/6
)

// The reasons for which a block of a compressed image can't be used.
var (
	errChunk    = errors.New("malformed chunk")
	errChecksum = errors.New("checksum mismatch")
	errTrailer  = errors.New("the length behind the block is another")
	errBudget   = errors.New("too much of the file is taken up by broken blocks")
)

// A chunk is a part of a compressed block.
type chunk struct {
	src     int64 // offset of its header in the file
	content int64 // offset of its bytes in the content
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedSum returns the checksum of a chunk's content, as the framing format masks it.
func maskedSum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// A chunkHead is what a chunk says of itself.
type chunkHead struct {
	kind byte
	size int64 // of all that follows the type and the length
}

// chunk returns the sizes of the chunk at offset off and of its content, which is 0 for
// chunks that have none.
func (p *parser) chunk(off int64) (size, content int64, err error) {
	b := p.buf[:chunkHeader+chunkSum+binary.MaxVarintLen32]
	n, err := p.r.ReadAt(b, off)
	if n < chunkHeader {
		return 0, 0, fmt.Errorf("%w: %w", errChunk, unexpected(err))
	}
	h := headOf(b)
	body := b[chunkHeader:n]
	switch {
	case !p.r.Reaches(off + chunkHeader + h.size):
		return 0, 0, fmt.Errorf("%w: %w", errChunk, io.ErrUnexpectedEOF)
	case h.kind == chunkPadding, h.kind == chunkStream && string(b[:min(n, len(streamID))]) == streamID:
		return chunkHeader + h.size, 0, nil
	case h.kind > chunkStored || h.size <= chunkSum || h.size > maxChunk || len(body) <= chunkSum:
		return 0, 0, fmt.Errorf("%w: type %#x, %d bytes", errChunk, h.kind, h.size)
	case h.kind == chunkStored:
		content = h.size - chunkSum
	default:
		v, _ := binary.Uvarint(body[chunkSum:])
		content = int64(min(v, maxContent+1))
	}
	if content == 0 || content > maxContent {
		return 0, 0, fmt.Errorf("%w: content of %d bytes", errChunk, content)
	}
	return chunkHeader + h.size, content, nil
}

func headOf(b []byte) chunkHead {
	return chunkHead{kind: b[0], size: int64(b[1]) | int64(b[2])<<8 | int64(b[3])<<16}
}

func unexpected(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A decoder decodes chunks, in one buffer.
type decoder struct{ buf []byte }

// decode decodes the chunk of r whose header is at offset off into dst, which is as long
// as its content, and verifies its checksum.
func (d *decoder) decode(r io.ReaderAt, off int64, dst []byte) error {
	if d.buf == nil {
		d.buf = make([]byte, chunkHeader+maxChunk)
	}
	if n, err := r.ReadAt(d.buf[:chunkHeader], off); n < chunkHeader {
		return unexpected(err)
	}
	h := headOf(d.buf)
	if h.kind > chunkStored || h.size <= chunkSum || h.size > maxChunk {
		return errChunk
	}
	b := d.buf[chunkHeader : chunkHeader+h.size]
	if n, err := r.ReadAt(b, off+chunkHeader); n < len(b) {
		return unexpected(err)
	}
	sum, data := binary.LittleEndian.Uint32(b), b[chunkSum:]
	if h.kind == chunkStored {
		if len(data) != len(dst) {
			return errChunk
		}
		copy(dst, data)
	} else if err := inflate(dst, data); err != nil {
		return err
	}
	if maskedSum(dst) != sum {
		return errChecksum
	}
	return nil
}

// inflate decodes a Snappy block whose content is as long as dst.
func inflate(dst, data []byte) error {
	if n, err := s2.DecodedLen(data); err != nil || n != len(dst) {
		return errChunk
	}
	if _, err := s2.Decode(dst, data); err != nil {
		return fmt.Errorf("%w: %w", errChunk, err)
	}
	return nil
}

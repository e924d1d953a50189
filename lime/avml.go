package lime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// maxZeros is the size of the blocks that AVML divides memory into (MAX_BLOCK_SIZE
	// in its src/image.rs).
	maxZeros    = 16 << 20
	trailerSize = 8
)

// isStream reports whether there is a Snappy stream at offset off.
func (p *parser) isStream(off int64) bool {
	b := p.buf[:len(streamID)]
	n, _ := p.r.ReadAt(b, off)
	return string(b[:n]) == streamID
}

// block lists the chunks of the compressed record at offset off, without decoding them.
// On an error it returns those before, and where they end.
func (p *parser) block(off int64, h header) (body, error) {
	rec := body{packed: true, end: off + headerSize + int64(len(streamID))}
	for rec.have < h.memory.Size {
		if p.budget < p.cost {
			return rec, errBudget
		}
		size, content, err := p.chunk(rec.end)
		if err == nil && uint64(content) > h.memory.Size-rec.have {
			err = fmt.Errorf("%w: %d bytes more than the block has", errChunk, uint64(content)-(h.memory.Size-rec.have))
		}
		if err != nil {
			return rec, err
		}
		if content > 0 {
			rec.chunks = append(rec.chunks, chunk{src: rec.end, content: int64(rec.have)})
			rec.solid = rec.end + size
		}
		rec.end += size
		rec.have += uint64(content)
		p.budget -= p.cost
	}
	return p.trailer(off, rec)
}

// trailer reads the length behind the chunks of the record at offset off.
func (p *parser) trailer(off int64, rec body) (body, error) {
	b := p.buf[:trailerSize]
	if n, err := p.r.ReadAt(b, rec.end); n < len(b) {
		return rec, unexpected(err)
	}
	length := uint64(rec.end - off - headerSize)
	if v := binary.LittleEndian.Uint64(b); v != length {
		rec.doubt = fmt.Errorf("%w: %w: %#x bytes instead of %#x", ErrDamaged, errTrailer, v, length)
	}
	rec.end += trailerSize
	if rec.doubt == nil {
		rec.solid = rec.end
	}
	return rec, nil
}

// zeros returns the record at offset off if it is a block of zeros that is a header and
// nothing more, as AVML 0.17.0 writes them. The next header must be there: at the end of
// the file the block may as well be cut off.
func (p *parser) zeros(off int64, h header) (body, header, error) {
	rec := body{packed: true, end: off + headerSize}
	next, err := p.header(rec.end)
	if err != nil || !next.plausibleAfter(h.memory) || h.memory.Size > maxZeros {
		return rec, header{}, fmt.Errorf("%w: neither a compressed stream nor memory", ErrDamaged)
	}
	rec.have = h.memory.Size
	rec.chunks = []chunk{{src: -1}}
	return rec, next, nil
}

// verify returns the broken record at offset off up to the first chunk that can't be
// decoded, and the reason for which it is broken.
func (p *parser) verify(off int64, rec body, reason error) (body, error) {
	var d decoder
	var buf [maxContent]byte
	for i, c := range rec.chunks {
		end := int64(rec.have)
		if i+1 < len(rec.chunks) {
			end = rec.chunks[i+1].content
		}
		if err := d.decode(p.r, c.src, buf[:end-c.content]); err != nil {
			rec.end, rec.have, rec.chunks, reason = c.src, uint64(c.content), rec.chunks[:i], err
			break
		}
	}
	rec.doubt = nil
	if rec.solid > 0 {
		rec.end = min(rec.end, rec.solid) // what comes behind may be no chunk but the next record
	}
	rec.end = min(max(rec.end, off+headerSize), p.r.Size())
	switch {
	case errors.Is(reason, io.ErrUnexpectedEOF):
		return rec, ErrTruncated
	case errors.Is(reason, ErrDamaged), errors.Is(reason, ErrNoHeader):
		return rec, reason
	}
	return rec, fmt.Errorf("%w: %w", ErrDamaged, reason)
}

package lime

import (
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

// maxRecords bounds the table that a hostile file can make; a machine has some dozens
// of ranges of RAM, and an image of 16 TiB in AVML's blocks has as many records as this.
const maxRecords = 1 << 20

// A parser goes over an image from header to header.
type parser struct {
	r       io.ReaderAt
	size    int64
	records []extent.Extent
	gaps    []vmem.Gap
	buf     [headerSize]byte
}

// parse lists the records of an image and what is lost of them. It fails if the image
// does not begin with a header.
func (p *parser) parse() error {
	h, err := p.header(0)
	for off := int64(0); err == nil; {
		if len(p.records) == maxRecords {
			p.lose(off, vmem.Range[vmem.PhysAddr]{}, ErrTooMany)
			return nil
		}
		end := off + headerSize + int64(h.memory.Size)
		next, nextErr := p.header(end)
		if end == p.size || nextErr == nil {
			p.add(off, h, end)
			off, h = end, next
		} else {
			off, h = p.resync(off, h, nextErr)
		}
		if off == p.size {
			return nil
		}
	}
	return err
}

// header reads the header at offset off.
func (p *parser) header(off int64) (header, error) {
	if p.size-off < headerSize {
		return header{}, fmt.Errorf("%w: %d bytes to the end of the file", ErrNoHeader, max(0, p.size-off))
	}
	if n, err := p.r.ReadAt(p.buf[:], off); n < headerSize {
		return header{}, err
	}
	return parseHeader(p.buf[:])
}

// add lists the record at offset off, whose content ends at offset end.
func (p *parser) add(off int64, h header, end int64) {
	have := h.memory
	have.Size = uint64(end - off - headerSize)
	p.records = append(p.records, extent.Extent{Range: have, Offset: off + headerSize})
}

// lose lists memory that the image says it has at offset off, and does not.
func (p *parser) lose(off int64, memory vmem.Range[vmem.PhysAddr], err error) {
	p.gaps = append(p.gaps, vmem.Gap{Range: memory, Offset: off, Err: err})
}

// resync lists what there is of the record at offset off, behind which no header was
// found for the reason given, and returns the next record; or the end of the file if
// there is none. The package comment says by what rules.
func (p *parser) resync(off int64, h header, reason error) (int64, header) {
	s := search{p: p, after: h.memory}
	s.run(off + headerSize)
	claimed := off + headerSize + int64(h.memory.Size)
	end := min(claimed, p.size)
	if p.size > claimed && p.size-claimed < headerSize {
		reason = fmt.Errorf("%w: %d bytes at the end of the file", ErrNoHeader, p.size-claimed)
	} else if end == p.size {
		reason = ErrTruncated
	}
	if s.found && s.plausible < end {
		end, reason = s.plausible, ErrAmbiguous
		if s.plausible == s.believed {
			reason = ErrShort
		}
	}
	p.add(off, h, end)
	lost := h.memory
	have := uint64(end - off - headerSize)
	lost.Start, lost.Size = lost.Start+vmem.PhysAddr(have), lost.Size-have
	switch {
	case lost.Size > 0:
		p.lose(end, lost, fmt.Errorf("%w: %w", vmem.ErrNotCaptured, reason))
	case end < s.believed:
		p.lose(end, vmem.Range[vmem.PhysAddr]{}, reason)
	}
	return s.believed, s.header
}

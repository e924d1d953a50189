package lime

import (
	"fmt"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/gaplist"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/vmem"
)

// maxRecords bounds the table that a hostile file can make; a machine has some dozens
// of ranges of RAM, and an image of 16 TiB in AVML's blocks has as many records as this.
const maxRecords = 1 << 20

// A parser goes over an image from header to header.
type parser struct {
	r       *source.Source
	records []extent.Extent
	heads   []int64 // offsets of their headers in the file
	chunks  []chunk // of compressed records
	content int64   // where the content of the next chunk goes
	gaps    gaplist.List
	broken  bool                        // a record is, or what follows one is none
	whole   []vmem.Range[vmem.PhysAddr] // of the records before that, in the order of the file
	avml    bool                        // there are AVML headers
	budget  int                         // of chunks that searches may still look at
	cost    int                         // of a chunk: 1 in a search, where chunks may be looked at again and again
	buf     [headerSize]byte
}

// packedBase is where the content of chunks goes: behind the end of any file.
const packedBase = 1 << 60

func newParser(s *source.Source) *parser {
	return &parser{r: s, content: packedBase, budget: maxRecords}
}

// ends reports whether the file ends at offset off. The size of a compressed file is known
// when all of it is decoded, so nothing asks for it before it has got there.
func (p *parser) ends(off int64) bool { return !p.r.Reaches(off+1) && off == p.r.Size() }

// A body is what follows the header of a record.
type body struct {
	end    int64   // offset in the file: of the next record
	data   int64   // offset in the file: of the memory, if it is not compressed
	have   uint64  // bytes of the memory that it has, from the first on
	packed bool    // what it has is in chunks
	chunks []chunk // with contents that begin at 0
	solid  int64   // offset in the file: behind the last of the chunks
	doubt  error   // what is odd, though all of the memory is there
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
		rec, next, recErr := p.body(off, h)
		if recErr == nil {
			p.add(off, h, rec)
			off, h = rec.end, next
		} else {
			off, h = p.resync(off, h, rec, recErr)
		}
		if p.ends(off) {
			return nil
		}
	}
	return err
}

// body reads the record at offset off as far as to find its end, and the header there,
// if it is not that of the file. On an error it returns what there is of the record.
func (p *parser) body(off int64, h header) (rec body, next header, err error) {
	if h.avml && p.isStream(off+headerSize) {
		if rec, err = p.block(off, h); err == nil {
			next, err = p.next(rec)
		}
		return rec, next, err
	}
	rec = body{end: off + headerSize + int64(h.memory.Size), data: off + headerSize, have: h.memory.Size}
	if next, err = p.next(rec); err == nil || !h.avml {
		return rec, next, err
	}
	return p.zeros(off, h)
}

// next reads the header behind a record, if the file does not end there.
func (p *parser) next(rec body) (header, error) {
	if p.ends(rec.end) {
		return header{}, nil
	}
	return p.header(rec.end)
}

// header reads the header at offset off.
func (p *parser) header(off int64) (header, error) {
	if !p.r.Reaches(off + headerSize) {
		return header{}, fmt.Errorf("%w: %d bytes to the end of the file", ErrNoHeader, max(0, p.r.Size()-off))
	}
	if n, err := p.r.ReadAt(p.buf[:], off); n < headerSize {
		return header{}, err
	}
	return parseHeader(p.buf[:])
}

// add lists a record, whose header is at offset off.
func (p *parser) add(off int64, h header, rec body) {
	have := h.memory
	have.Size = rec.have
	p.avml = p.avml || h.avml
	if p.broken = p.broken || rec.doubt != nil; !p.broken {
		p.whole = append(p.whole, have)
	}
	data := rec.data
	if rec.packed {
		data = p.content
		for _, c := range rec.chunks {
			c.content += data
			p.chunks = append(p.chunks, c)
		}
		p.content += int64(rec.have)
	}
	p.records, p.heads = append(p.records, extent.Extent{Range: have, Offset: data}), append(p.heads, off)
	if rec.doubt != nil {
		p.lose(off, vmem.Range[vmem.PhysAddr]{}, rec.doubt)
	}
}

// lose lists memory that the image says it has at offset off, and does not.
func (p *parser) lose(off int64, memory vmem.Range[vmem.PhysAddr], err error) {
	p.gaps.Add(vmem.PhysicalPlace(memory, off), err)
}

// overlaps lists what of the records a table hides.
func (p *parser) overlaps(t *extent.Table) {
	for _, o := range t.Overlaps() {
		p.lose(p.heads[o.Record], vmem.Range[vmem.PhysAddr]{}, fmt.Errorf("%d bytes of %d: %w", o.Hidden, p.records[o.Record].Range.Size, ErrOverlap))
	}
}

// resync lists what there is of the record at offset off, which is broken for the reason
// given, and returns the next record; or the end of the file if there is none. The
// package comment says by what rules.
func (p *parser) resync(off int64, h header, rec body, reason error) (int64, header) {
	p.broken = true
	s := search{p: p, after: h.memory}
	if h.avml {
		rec, reason = p.verify(off, rec, reason)
		if s.run(rec.end); s.believed == p.r.Size() {
			// It may be the range that is damaged: chunks say how much memory there is.
			again := search{p: p, after: vmem.Range[vmem.PhysAddr]{Start: h.memory.Start, Size: max(1, rec.have)}}
			if again.run(rec.end); again.believed < p.r.Size() {
				s = again
			}
		}
		if s.found && s.plausible != s.believed {
			reason = fmt.Errorf("%w: %w", reason, ErrAmbiguous)
		}
	} else {
		if s.claimed = rec.end; !s.near() {
			s.run(rec.data)
		}
		if s.believed == p.r.Size() {
			s = s.inside(h, rec)
		}
		rec, reason = p.cut(rec, s, reason)
	}
	p.add(off, h, rec)
	lost := h.memory
	lost.Start, lost.Size = lost.Start+vmem.PhysAddr(rec.have), lost.Size-rec.have
	if next := s.header.memory; s.believed < p.r.Size() && next.Start >= lost.Start && lost.Contains(next.Start) {
		lost.Size = uint64(next.Start - lost.Start) // the end is what is wrong
	}
	switch {
	case lost.Size > 0:
		p.lose(rec.end, lost, fmt.Errorf("%w: %w", vmem.ErrNotCaptured, reason))
	case rec.end < s.believed:
		p.lose(rec.end, vmem.Range[vmem.PhysAddr]{}, reason)
	}
	return s.believed, s.header
}

// cut returns what there is of a broken record that is not compressed, after a search for
// the next, and the reason for which it is broken.
func (p *parser) cut(rec body, s search, reason error) (body, error) {
	claimed, size := rec.end, p.r.Size()
	rec.end = min(claimed, size)
	if size > claimed && size-claimed < headerSize {
		reason = fmt.Errorf("%w: %d bytes at the end of the file", ErrNoHeader, size-claimed)
	} else if rec.end == size {
		reason = ErrTruncated
	}
	// Where the file is a byte from its claimed end, and no more, there is no record inside.
	byteOff := s.believed == size && (claimed-size == 1 || size-claimed == 1)
	if s.found && s.plausible < rec.end && !byteOff {
		rec.end, reason = s.plausible, ErrAmbiguous
		if s.plausible == s.believed {
			reason = ErrShort
		}
	}
	rec.have = uint64(rec.end - rec.data)
	return rec, reason
}

package lime

import (
	"bytes"
	"errors"
	"io"
	"sort"

	"github.com/nodelens/nodelens/vmem"
)

// A search looks for the header of a record behind a broken one.
type search struct {
	p         *parser
	after     vmem.Range[vmem.PhysAddr] // memory of the broken record
	claimed   int64                     // offset of its end, by its header; 0 if the header does not tell
	found     bool                      // a plausible header was
	plausible int64                     // offset of the first
	believed  int64                     // offset of the first that is believed; the size of the file if none is
	header    header                    // the one that is believed
	strict    *body                     // the broken record, if its claim is not believed
}

// inside searches anew for a record that the broken one claims to have the memory of, if that
// is because its end is damaged: one that fits, with a range that leaves room for what is
// before it in the file. It returns s if there is none.
func (s *search) inside(broken header, rec body) search {
	again := search{p: s.p, after: vmem.Range[vmem.PhysAddr]{Start: broken.memory.Start, Size: 1}, strict: &rec}
	if again.run(rec.data); again.believed == s.p.r.Size() {
		return *s
	}
	return again
}

// near looks whether the next header is one byte before or behind where it belongs, as all
// are where a tool mistook inclusive ends for exclusive ones, or the other way.
func (s *search) near() bool {
	for _, off := range []int64{s.claimed - 1, s.claimed + 1} {
		if h, err := s.p.header(off); err == nil && h.plausibleAfter(s.after) {
			s.found, s.plausible, s.believed, s.header = true, off, off, h
			return true
		}
	}
	return false
}

// placed reports whether a header at offset off is so many pages before the end that the
// broken record claims, or so many after it and one header, which was overwritten. So are
// true headers, where pages are missing; copies, in the page cache, are not: before them
// are as many headers as before the originals, and those of this file before the page.
func (s *search) placed(off int64) bool {
	if s.claimed == 0 {
		return false
	}
	missing := s.claimed - off
	if missing < 0 {
		missing += headerSize
		return missing < 0 && missing%vmem.PageSize == 0
	}
	return missing%vmem.PageSize == 0
}

// window is how much is searched at once, in bytes.
const window = 1 << 20

// run searches from offset off to the first header that is believed.
func (s *search) run(off int64) {
	size := s.p.r.Size()
	s.believed = size
	buf := make([]byte, max(0, min(window, size-off)))
	for size-off >= headerSize && s.p.r.Err() == nil {
		want := buf[:min(window, size-off)]
		n, _ := s.p.r.ReadAt(want, off)
		if s.scan(want[:n], off) {
			return
		}
		if n == len(want) {
			off += int64(n) - headerSize + 1
		} else {
			off = s.skip(off + int64(n))
		}
	}
}

// skip returns the offset of the next byte after off, which can't be read, that can:
// the image may be compressed, and a block of it damaged. It may pass over less than
// a page that can be read.
func (s *search) skip(off int64) int64 {
	unreadable := off
	for off < s.p.r.Size() && s.p.r.Err() == nil && !s.readable(off) {
		unreadable, off = off, off+vmem.PageSize
	}
	return unreadable + int64(sort.Search(int(off-unreadable), func(i int) bool { return s.readable(unreadable + int64(i)) }))
}

func (s *search) readable(off int64) bool {
	n, _ := s.p.r.ReadAt(s.p.buf[:1], off)
	return n == 1
}

// scan searches b, which is at offset off, and reports whether it has a header that is
// believed. Both magic numbers have an M.
func (s *search) scan(b []byte, off int64) bool {
	for m := 0; ; m++ {
		i := bytes.IndexByte(b[m:], 'M')
		if i < 0 {
			return false
		}
		m += i
		if at := m - 1; at >= 0 && IsLiME(b[at:]) && s.try(b[at:], off+int64(at)) {
			return true
		}
		if at := m - 2; at >= 0 && IsAVML(b[at:]) && s.try(b[at:], off+int64(at)) {
			return true
		}
	}
}

// try reports whether b, which is at offset off, begins with a header that is believed.
func (s *search) try(b []byte, off int64) bool {
	if len(b) < headerSize {
		return false
	}
	h, err := parseHeader(b)
	return err == nil && h.plausibleAfter(s.after) && s.consider(off, h)
}

// consider notes a plausible header at offset off, and reports whether it is believed.
func (s *search) consider(off int64, h header) bool {
	if s.strict != nil {
		if h.memory.Start-s.after.Start < vmem.PhysAddr(off-s.strict.data) || !s.fits(off, h) {
			return false
		}
		s.found, s.plausible, s.believed, s.header = true, off, off, h
		return true
	}
	if !s.found {
		s.found, s.plausible = true, off
	}
	if !s.fits(off, h) && !s.placed(off) {
		return false
	}
	s.believed, s.header = off, h
	return true
}

// fits reports whether the record at offset off ends where the file does, or at another
// plausible header. So does one in a run of headers alone before a record that fits, and
// one whose chunks reach to the end of the file.
func (s *search) fits(off int64, h header) bool {
	s.p.cost = 1
	defer func() { s.p.cost = 0 }()
	for ; s.p.budget > 0; s.p.budget-- {
		rec, next, err := s.p.body(off, h)
		if err == nil {
			return s.p.ends(rec.end) || next.plausibleAfter(h.memory)
		}
		if rec.packed && len(rec.chunks) > 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			return true
		}
		off += headerSize
		if next, err = s.p.header(off); h.avml || err != nil || !next.plausibleAfter(h.memory) {
			return false
		}
		h = next
	}
	return false
}

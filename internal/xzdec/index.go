package xzdec

import (
	"bufio"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
	"slices"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// Limits on what Index returns of a hostile file. Of more blocks only each second,
// fourth, ... is a place.
const (
	maxStreams = 1 << 20
	maxPlaces  = 1 << 16
	maxContent = 1 << 60
)

// A span is where a stream is in a file, by its index.
type span struct {
	start, index, end int64 // of the header, of the index, and behind the footer
	check             checkID
	content           int64
}

// Index implements [checkpoint.Indexed]. It reads the indexes, and the header and footer
// of each stream, and no block.
func (d *decoder) Index() (places []checkpoint.Place, size int64, ok bool) {
	if d.file == nil {
		return nil, 0, false
	}
	var spans []span // the last first
	for end := d.size; end > 0; {
		s, ok := d.span(end)
		if !ok || len(spans) == maxStreams || s.content > maxContent-size {
			return nil, 0, false
		}
		end = s.start
		size += s.content
		spans = append(spans, s)
	}
	if len(spans) == 0 {
		return nil, 0, false
	}
	places = []checkpoint.Place{{State: checkpoint.State{Rest: &progress{}}}}
	l := placeList{places: places, every: 1}
	for _, s := range slices.Backward(spans) {
		if s.content > 0 && !d.list(&l, s) {
			return nil, 0, false // it reads otherwise than before
		}
	}
	return l.places, size, true
}

// span finds the stream before end, and the padding behind it.
func (d *decoder) span(end int64) (span, bool) {
	end, ok := d.unpadded(end)
	if !ok || end < headerSize+footerSize {
		return span{}, false
	}
	var b [footerSize]byte
	if n, _ := d.file.ReadAt(b[:], end-footerSize); n < len(b) {
		return span{}, false
	}
	check, size, ok := parseFooter(b[:])
	s := span{index: end - footerSize - size, end: end, check: check}
	if !ok || s.index < headerSize {
		return span{}, false
	}
	blocks := int64(0)
	ok = d.records(s, func(r record) bool {
		blocks += r.unpadded + int64(padding(r.unpadded))
		s.content += r.content
		return blocks <= s.index-headerSize && s.content <= maxContent
	})
	s.start = s.index - blocks - headerSize
	if n, _ := d.file.ReadAt(b[:], max(0, s.start)); !ok || s.start < 0 || n < len(b) {
		return span{}, false
	}
	head, err := parseHeader(b[:])
	return s, err == nil && head == check
}

// unpadded returns the end without stream padding.
func (d *decoder) unpadded(end int64) (int64, bool) {
	buf := make([]byte, 4096)
	for end > 0 && end%4 == 0 {
		b := buf[:min(end, int64(len(buf)))]
		if n, _ := d.file.ReadAt(b, end-int64(len(b))); n < len(b) {
			return 0, false
		}
		for len(b) > 0 && isZero(b[len(b)-4:]) {
			b = b[:len(b)-4]
			end -= 4
		}
		if len(b) > 0 {
			return end, true
		}
	}
	return 0, false
}

// records calls f for each record of a stream's index, and reports whether the index
// is well-formed and f always returned true.
func (d *decoder) records(s span, f func(record) bool) bool {
	size := s.end - footerSize - s.index
	r := indexReader{
		r:   bufio.NewReader(io.NewSectionReader(d.file, s.index, size-4)),
		crc: crc32.NewIEEE(),
	}
	if b := r.byte(); b != 0 {
		return false
	}
	count := r.number()
	for i := int64(0); i < count && !r.bad; i++ {
		rec := record{unpadded: r.number(), content: r.number()}
		if r.bad || rec.unpadded < minUnpadded || rec.unpadded > maxContent || rec.content > maxContent || !f(rec) {
			return false
		}
	}
	for range padding(r.n) {
		r.bad = r.byte() != 0 || r.bad
	}
	var stored [4]byte
	n, _ := d.file.ReadAt(stored[:], s.index+size-4)
	return !r.bad && r.n == size-4 && n == len(stored) && r.crc.Sum32() == binary.LittleEndian.Uint32(stored[:])
}

// minUnpadded is the least unpadded size that the format allows: section 4.3.
const minUnpadded = 5

// An indexReader reads the fields of an index. bad says that it could not.
type indexReader struct {
	r   *bufio.Reader
	crc hash.Hash32
	n   int64
	bad bool
	buf [maxNumber]byte
}

func (r *indexReader) byte() byte {
	b, err := r.r.ReadByte()
	if err != nil {
		r.bad = true
		return 0
	}
	r.n++
	r.buf[0] = b
	r.crc.Write(r.buf[:1])
	return b
}

func (r *indexReader) number() int64 {
	b, _ := r.r.Peek(maxNumber)
	v, n := number(b)
	if n == 0 {
		r.bad = true
		return 0
	}
	r.n += int64(n)
	r.crc.Write(b[:n])
	if _, err := r.r.Discard(n); err != nil {
		r.bad = true
	}
	return v
}

// A placeList is thinned out when it gets too long.
type placeList struct {
	places []checkpoint.Place
	size   int64 // of the content so far
	every  int   // which blocks become a place
	blocks int   // since the last that did
}

// list adds the blocks of a stream that hold content, and reports whether its index
// could be read.
func (d *decoder) list(l *placeList, s span) bool {
	at := progress{phase: atBlock, off: s.start + headerSize, stream: stream{check: s.check}}
	return d.records(s, func(r record) bool {
		at.block.said = r
		if r.content > 0 {
			l.add(&at)
		}
		l.size += r.content
		at.stream.content += r.content
		at.stream.add(r)
		at.off += r.unpadded + int64(padding(r.unpadded))
		return true
	})
}

func (l *placeList) add(at *progress) {
	if l.size == 0 {
		return // the beginning of the file is a place
	}
	if l.blocks++; l.blocks < l.every {
		return
	}
	l.blocks = 0
	if len(l.places) == maxPlaces {
		for i := range maxPlaces / 2 {
			l.places[i] = l.places[2*i]
		}
		clear(l.places[maxPlaces/2:])
		l.places = l.places[:maxPlaces/2]
		l.every *= 2
	}
	rest := at.clone()
	l.places = append(l.places, checkpoint.Place{Offset: l.size, State: checkpoint.State{Rest: &rest}})
}

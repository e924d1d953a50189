package kdump

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"
)

// The flattened form (makedumpfile -F; makedumpfile_header and
// makedumpfile_data_header of its makedumpfile.h): a header of 4096 bytes, then pieces
// of the image in the order in which they were written, each behind its offset in the
// image and its size, 8 bytes each and big-endian; at the end both are -1. A later piece
// overwrites an earlier one.
const (
	flatSignature = "makedumpfile"
	flatType      = 1 // as is the version
	flatHeader    = 4096
	pieceHeader   = 16
	flatLimit     = 1 << 60 // of offsets in the image
)

// An index entry for each piece would be a good part of QEMU's images, whose pieces
// have at most 4 KiB. So there is one for what a group of successive pieces covers; the
// piece itself is found by going from header to header.
const (
	groupPieces = 8
	groupBytes  = 1 << 20
	groupSpans  = 3
	maxSpans    = 1 << 22
)

// A flat is an image in the flattened form. It is safe for concurrent use.
type flat struct {
	r     io.ReaderAt
	size  int64     // of the file
	end   int64     // of the image
	spans []span    // by start, disjoint
	cut   int64     // offset in the file where its pieces end without an end mark; 0 if they do not
	err   error     // why they do
	holes []hole    // before that, of which nothing is known
	heads sync.Pool // of *[pieceHeader]byte
}

// A span is a part of the image, which the pieces of one group have.
type span struct {
	start, end int64 // in the image
	group      int64 // offset in the file of the group's first piece
	pieces     int64 // how many the group has
}

func isFlat(b []byte) bool {
	return len(b) >= len(flatSignature) && string(b[:len(flatSignature)]) == flatSignature
}

// newFlat lists the pieces of a flattened file.
func newFlat(r io.ReaderAt, size int64) (*flat, error) {
	var b [2 * 8]byte
	if n, err := r.ReadAt(b[:], 16); n < len(b) {
		return nil, fmt.Errorf("%w: flattened header: %w", ErrFormat, unexpected(err))
	}
	be := binary.BigEndian
	if t, v := be.Uint64(b[:]), be.Uint64(b[8:]); t != flatType || v != flatType {
		return nil, fmt.Errorf("%w: flattened type %d, version %d, not 1 and 1", ErrFormat, t, v)
	}
	f := &flat{r: r, size: size}
	var g grouper
	f.pieces(&g)
	g.close()
	f.spans = overlay(g.spans)
	return f, nil
}

// pieces goes from piece to piece, and gives each to g once it is known where the next one
// begins. Where that is no header, this one or that before it is damaged: what is between
// the one before and the next that there is belongs to no piece that is known.
func (f *flat) pieces(g *grouper) {
	head := new([pieceHeader]byte)
	at, last, lastAt := int64(flatHeader), piece{}, int64(-1)
	take := func() {
		if lastAt < 0 {
			return
		}
		if g.add(last, lastAt); last.have > 0 {
			f.end = max(f.end, last.off+last.have)
		}
		lastAt = -1
	}
	for {
		p, err := f.piece(at, head)
		if err == nil && len(g.spans) > maxSpans {
			err = ErrTooMany
		}
		if errors.Is(err, ErrDamaged) || err == nil && p.have < p.size {
			if next, ok := f.resync(at, lastAt); ok {
				if next.at >= at {
					take()
				}
				lastAt = -1
				g.close()
				at = next.end()
				continue
			}
		}
		take()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			f.cut, f.err = at, err
			return
		}
		last, lastAt = p, at
		if at += pieceHeader + p.size; p.have < p.size {
			take()
			f.cut, f.err = f.size, ErrTruncated
			return
		}
	}
}

// A piece is a piece of the image.
type piece struct {
	off, size int64 // in the image
	have      int64 // how much of it is in the file
}

// piece reads the header of the piece at offset at of the file, into b. At the end mark
// the error is io.EOF.
func (f *flat) piece(at int64, b *[pieceHeader]byte) (piece, error) {
	if n, err := f.r.ReadAt(b[:], at); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrTruncated
		}
		return piece{}, err
	}
	p := piece{off: int64(binary.BigEndian.Uint64(b[:])), size: int64(binary.BigEndian.Uint64(b[8:]))}
	switch {
	case p.off == -1 && p.size == -1:
		return piece{}, io.EOF
	case p.off < 0 || p.size < 0 || p.off == 0 && p.size == 0 || p.off > flatLimit || p.size > flatLimit:
		return piece{}, fmt.Errorf("%w: a piece of %d bytes at %d", ErrDamaged, p.size, p.off)
	}
	p.have = min(p.size, f.size-at-pieceHeader)
	return p, nil
}

// A grouper makes spans of successive pieces.
type grouper struct {
	spans  []span
	open   []span // of the group that is not complete
	first  int64  // where it begins
	pieces int64
	bytes  int64
}

// add adds the piece at offset at of the file.
func (g *grouper) add(p piece, at int64) {
	if g.pieces >= groupPieces || g.bytes+p.have > groupBytes {
		g.close()
	}
	i := slices.IndexFunc(g.open, func(s span) bool { return s.end == p.off })
	switch {
	case p.have == 0 && len(g.open) == 0:
		return
	case p.have == 0:
		g.pieces++
		return
	case i < 0 && len(g.open) == groupSpans:
		g.close()
		fallthrough
	case i < 0:
		if i = len(g.open); i == 0 {
			g.first = at
		}
		g.open = append(g.open, span{start: p.off, end: p.off, group: g.first})
	}
	g.open[i].end += p.have
	g.pieces++
	g.bytes += p.have
}

// close ends the group.
func (g *grouper) close() {
	for _, s := range g.open {
		s.pieces = g.pieces
		g.spans = append(g.spans, s)
	}
	g.open, g.pieces, g.bytes = g.open[:0], 0, 0
}

// overlay returns the spans, which are in the order of the file, by start and without
// overlaps: where there are some the last in the file has the bytes.
func overlay(spans []span) []span {
	order := make([]int32, len(spans))
	edges := make([]int64, 0, 2*len(spans))
	for i, s := range spans {
		order[i] = int32(i)
		edges = append(edges, s.start, s.end)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(spans[a].start, spans[b].start) })
	slices.Sort(edges)
	edges = slices.Compact(edges)
	out := make([]span, 0, len(spans))
	var open latest
	for i := 0; i+1 < len(edges); i++ {
		for len(order) > 0 && spans[order[0]].start == edges[i] {
			heap.Push(&open, order[0])
			order = order[1:]
		}
		for len(open) > 0 && spans[open[0]].end <= edges[i] {
			heap.Pop(&open)
		}
		if len(open) == 0 {
			continue
		}
		s := spans[open[0]]
		s.start, s.end = edges[i], edges[i+1]
		if n := len(out); n > 0 && out[n-1].end == s.start && out[n-1].group == s.group {
			out[n-1].end = s.end
		} else {
			out = append(out, s)
		}
	}
	return out
}

// latest is a heap of indexes, the greatest first.
type latest []int32

func (h latest) Len() int           { return len(h) }
func (h latest) Less(i, j int) bool { return h[i] > h[j] }
func (h latest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *latest) Push(x any)        { *h = append(*h, x.(int32)) }

func (h *latest) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// Size returns the size of the image.
func (f *flat) Size() int64 { return f.end }

// find returns the span of the image that has offset off.
func (f *flat) find(off int64) (span, bool) {
	i := sort.Search(len(f.spans), func(i int) bool { return f.spans[i].end > off })
	if i == len(f.spans) || f.spans[i].start > off {
		return span{}, false
	}
	return f.spans[i], true
}

// covers reports whether the file has all bytes of a part of the image.
func (f *flat) covers(off, size int64) bool {
	for end := off + size; off < end; {
		s, ok := f.find(off)
		if !ok {
			return false
		}
		off = s.end
	}
	return true
}

// ReadAt reads the image. Where no piece has it the error is io.EOF.
func (f *flat) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		s, ok := f.find(off + int64(n))
		if !ok {
			return n, io.EOF
		}
		m, err := f.readGroup(p[n:], off+int64(n), s)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readGroup reads what the span has of p, up to the end of the piece that begins it.
func (f *flat) readGroup(p []byte, off int64, s span) (int, error) {
	p = p[:min(int64(len(p)), s.end-off)]
	at, from, have := s.group, int64(0), int64(0)
	head, ok := f.heads.Get().(*[pieceHeader]byte)
	if !ok {
		head = new([pieceHeader]byte)
	}
	defer f.heads.Put(head)
	for range s.pieces {
		h, err := f.piece(at, head)
		if err != nil {
			return 0, unexpected(err)
		}
		switch {
		case h.off <= off && off < h.off+h.have:
			from, have = at+pieceHeader+off-h.off, h.off+h.have-off
		case h.off > off && h.off < off+have: // overwritten from there on
			have = h.off - off
		}
		at += pieceHeader + h.size
	}
	if have == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	p = p[:min(int64(len(p)), have)]
	n, err := f.r.ReadAt(p, from)
	if n == len(p) {
		return n, nil
	}
	return n, unexpected(err)
}

func unexpected(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

package seekable

import (
	"bytes"
	"slices"
	"sort"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

const (
	// minGap is the least distance of points in the content, windowGap how many windows
	// it is at least: packing a window takes about as long as decoding as much.
	minGap    = 1 << 20
	windowGap = 2

	// pointSize stands for what a point takes besides its window.
	pointSize = 1 << 10
)

// A point is where decoding can begin.
type point struct {
	off    int64 // in the content
	rest   any
	window []byte // packed, if it is shorter than size
	size   int
	shared bool // the window is in the packed content
	place  bool // the file itself says so
}

// states are the points where decoding can begin, in ascending order. As their windows
// take more than the budget, every other one is dropped, and those to come have twice the
// distance. They are safe for concurrent use.
type states struct {
	budget int64

	mu     sync.Mutex // guards all below
	gap    int64
	used   int64
	points []point // the first is the beginning
}

// add takes the places that a file tells of.
func (s *states) add(places []checkpoint.Place) {
	for _, p := range places[1:] {
		if p.Offset > s.points[len(s.points)-1].off {
			s.points = append(s.points, point{off: p.Offset, rest: &p.State, place: true})
		}
	}
}

// find returns the number of points at off and before. s.mu is held.
func (s *states) find(off int64) int {
	return sort.Search(len(s.points), func(i int) bool { return s.points[i].off > off })
}

// nearest returns the last point at or before off.
func (s *states) nearest(off int64) point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.points[s.find(off)-1]
}

// placeAfter returns the next place after off, and end where there is none.
func (s *states) placeAfter(off, end int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.points[s.find(off):] {
		if p.place {
			return p.off
		}
	}
	return end
}

// wants reports whether a point at off would be far enough from others.
func (s *states) wants(off int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(off)
	return off-s.points[i-1].off >= s.gap && (i == len(s.points) || s.points[i].off-off >= s.gap/2)
}

// offer makes a point of the state that d is in, at off in the content, if one is wanted
// there. shared says that its window is in the packed content.
func (s *states) offer(off int64, d checkpoint.Decoder, shared bool) {
	if !s.wants(off) {
		return
	}
	at := d.State()
	if at == nil {
		return
	}
	p := point{off: off, rest: at.Rest, size: len(at.Window), shared: shared && len(at.Window) > 0}
	if !p.shared {
		p.window = pack(at.Window)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap = max(s.gap, windowGap*int64(p.size))
	i := s.find(off)
	if s.points[i-1].off == off {
		return
	}
	s.points = slices.Insert(s.points, i, p)
	s.used += p.memory()
	for s.used > s.budget && s.thin() {
		s.gap *= 2
	}
}

// thin drops the points that are nearer to the one before than twice the gap, and
// reports whether there are others than places left.
func (s *states) thin() (more bool) {
	last := int64(0)
	s.points = slices.DeleteFunc(s.points, func(p point) bool {
		if !p.place && p.off-last < 2*s.gap {
			s.used -= p.memory()
			return true
		}
		more = more || !p.place
		last = p.off
		return false
	})
	return more
}

func (p *point) memory() int64 { return pointSize + int64(cap(p.window)) }

// state returns what a Decoder goes on from; nil at the beginning of the file.
func (p *point) state(packed *packs) (*checkpoint.State, error) {
	if p.off == 0 {
		return nil, nil
	}
	if at, ok := p.rest.(*checkpoint.State); ok && p.place {
		return at, nil
	}
	if p.shared {
		w, err := packed.window(p.off, p.size)
		return &checkpoint.State{Window: w, Rest: p.rest}, err
	}
	w := p.window
	if len(w) < p.size {
		w = make([]byte, p.size)
		if err := unpack(w, p.window); err != nil {
			return nil, err
		}
	}
	return &checkpoint.State{Window: w, Rest: p.rest}, nil
}

// pack compresses a part of the content, if that makes it shorter: by S2, which is the
// fastest in both directions.
func pack(p []byte) []byte {
	room, _ := packRoom.Get().(*[]byte)
	if room == nil || len(*room) < s2.MaxEncodedLen(len(p)) {
		b := make([]byte, s2.MaxEncodedLen(len(p)))
		room = &b
	}
	defer packRoom.Put(room)
	packed := s2.Encode(*room, p)
	if len(packed) >= len(p) {
		return p
	}
	return bytes.Clone(packed)
}

// packRoom is of *[]byte.
var packRoom sync.Pool

// unpack unpacks what pack made of len(p) bytes into p.
func unpack(p, packed []byte) error {
	if len(packed) == len(p) {
		copy(p, packed)
		return nil
	}
	_, err := s2.Decode(p, packed)
	return err
}

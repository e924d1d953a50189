package btfconv

import (
	"context"
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// Kernels before 6.0 do not say where their kallsyms is, and names of which a page was
// overwritten are no way from its beginning to its end. Then the tables are found from their end: the
// token index is 256 numbers that nothing else is like, before it are the tokens, before them
// the markers, which descend to 0, and these say how long the names are.

const (
	// shapeBefore is how much before the token index the rest of kallsyms begins, at most.
	shapeBefore = 16 << 20
	// shapeAfter is as much as what comes behind it.
	shapeAfter = 4 << 20
	// tokenIndexSize is the size of kallsyms_token_index.
	tokenIndexSize = 512
	// usualNames is more than 256 compressed names have, in bytes.
	usualNames = 256 * 64
)

// remainsByShape returns kallsyms where a token index in the kernel's image leads to markers and a number of symbols
// that fit each other, nil where none does.
func (s *search) remainsByShape(ctx context.Context) *remains {
	if s.image.text == 0 {
		return nil
	}
	image := vmem.Range[vmem.PhysAddr]{Start: s.image.phys, Size: kernelImageMax}
	for at, b := range capturedPages(s.mem, image, 2) {
		if ctx.Err() != nil {
			return nil
		}
		for i := 0; i < vmem.PageSize && i+tokenIndexSize <= len(b); i += 8 {
			if !isTokenIndex(b[i:]) {
				continue
			}
			if r := s.shapeAt(at + vmem.PhysAddr(i)); r != nil {
				return r
			}
		}
	}
	return nil
}

// shapeAt returns kallsyms if it is before what looks like its token index.
func (s *search) shapeAt(index vmem.PhysAddr) *remains {
	low := index - min(index-s.image.phys, shapeBefore)
	r := &remains{addr: s.windowAddr(low), phys: low}
	r.window, _ = readHoles(s.mem, low, int(index-low)+shapeAfter)
	if !r.locate(int(index - low)) {
		return nil
	}
	s.report.Kallsyms = Table{Addr: low + vmem.PhysAddr(r.names), Size: uint64(r.index + tokenIndexSize - r.names), FoundBy: "the shape of its tokens"}
	return r
}

// isTokenIndex reports whether b begins with the places of 256 tokens one behind the other, of which
// none is empty or longer than a name.
func isTokenIndex(b []byte) bool {
	last := binary.LittleEndian.Uint16(b)
	if last != 0 {
		return false
	}
	for i := 1; i < 256; i++ {
		v := binary.LittleEndian.Uint16(b[2*i:])
		if v < last+2 || v > last+maxToken {
			return false
		}
		last = v
	}
	return true
}

// locate finds the other tables before the token index that is at an index of the window.
func (r *remains) locate(index int) bool {
	r.spots = spots{names: -1, markers: -1, tokens: -1, index: index, seqs: -1}
	last := int(binary.LittleEndian.Uint16(r.window[index+2*255:]))
	for at := (index - last - 2) &^ 3; at >= 0 && at > index-last-maxToken; at -= 4 {
		if r.endsAt(at, index) > 200 {
			r.tokens = at
			break
		}
	}
	if r.tokens < 0 || !r.findNames() {
		return false
	}
	before, after := r.names-16, align(index+tokenIndexSize, 8)
	r.tables = []offsetSpot{{before - align(4*r.num, 8), before}, {after, after + align(4*r.num, 8)}, {align(index+tokenIndexSize, 4), -1}}
	r.readable = r.findTokens()
	return r.readable
}

// endsAt returns how many tokens of a table begin right behind the end of another.
func (r *remains) endsAt(table, index int) (n int) {
	for i := 1; i < 256; i++ {
		if at := table + int(binary.LittleEndian.Uint16(r.window[index+2*i:])); at < index && r.window[at-1] == 0 && r.window[at] != 0 {
			n++
		}
	}
	return n
}

// findNames finds the names by the markers right before the tokens.
func (r *remains) findNames() bool {
	at := r.tokens - 4
	if r.word(at, 0) == 0 { // padding
		at -= 4
	}
	length := int(r.word(at, 0)) // of all names up to the last marker
	count := 1
	for ; r.word(at, 0) != 0; at -= 4 {
		if count++; at < 8 || r.word(at-4, 0) >= r.word(at, 0) {
			return false
		}
	}
	found := false
	for names := (at - length - minNameSize) &^ 7; names >= 8 && names > at-length-usualNames; names -= 8 {
		num := int(r.word(names-8, 0))
		if num <= 256*(count-1) || num > 256*count || r.word(names-4, 0) != 0 {
			continue
		}
		before := r.spots
		r.names, r.num = names, num
		if r.isNumber() {
			return true
		}
		if found { // the first of them is the nearest to the names that there must be
			r.spots = before
		}
		found = true
	}
	return found
}

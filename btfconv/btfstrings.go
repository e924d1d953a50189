package btfconv

import (
	"encoding/binary"
	"slices"
	"sort"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// A span is a part of a section, by offset, without its end.
type span struct{ start, end uint32 }

// checkStrings sets the strings aside that are not text, and that which does not end.
func (t *btfTypes) checkStrings() {
	n := len(t.strs)
	cut := n > 0 && t.strs[n-1] != 0
	if cut {
		t.strs = t.strs[:n-1] + "\x00"
	}
	if t.setAsideStrings(); cut {
		t.setAside(span{uint32(strings.LastIndexByte(t.strs[:n-1], 0) + 1), uint32(n)})
	}
}

// setAsideStrings finds the strings that are not text, and runs of zeros with the string
// before: no string but the first is empty, so that the end of that one was overwritten.
func (t *btfTypes) setAsideStrings() {
	for last, at := 0, 0; at < len(t.strs); {
		n := strings.IndexByte(t.strs[at:], 0)
		end := at + n + 1
		switch {
		case n == 0 && at > 0:
			t.setAside(span{uint32(last), uint32(end)})
		case !isText(t.strs[at : at+n]):
			t.setAside(span{uint32(at), uint32(end)})
		}
		last, at = at, end
	}
}

func isText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// setAside makes the strings of a part of the section no names.
func (t *btfTypes) setAside(s span) {
	if n := len(t.badStrs); n > 0 && s.start <= t.badStrs[n-1].end {
		t.badStrs[n-1].end = max(t.badStrs[n-1].end, s.end)
		return
	}
	t.badStrs = append(t.badStrs, s)
}

// isAside reports whether the string at an index of the section was set aside.
func (t *btfTypes) isAside(i uint32) bool {
	n := sort.Search(len(t.badStrs), func(k int) bool { return t.badStrs[k].end > i })
	return n < len(t.badStrs) && t.badStrs[n].start <= i
}

// findBadStrings sets the strings aside where several names that records have are none:
// there the section was overwritten, and what is there by chance, or reaches into it, is
// no name either.
func (t *btfTypes) findBadStrings() {
	uses := t.nameUses()
	var found []span
	for i := 0; i < len(uses.offsets); {
		page := t.strPage(uses.offsets[i])
		k, wrong := i, 0
		for ; k < len(uses.offsets) && t.strPage(uses.offsets[k]) == page; k++ {
			wrong += b2i(uses.wrong[k])
		}
		found = t.addBadStrings(found, uses.offsets[i:k], uses.wrong[i:k], wrong)
		i = k
	}
	t.badStrs = append(t.badStrs, found...)
	slices.SortFunc(t.badStrs, func(a, b span) int { return int(int64(a.start) - int64(b.start)) })
	all := t.badStrs
	t.badStrs = nil
	for _, s := range all {
		t.setAside(s)
	}
}

// addBadStrings adds what was overwritten of a page of names, of which some are wrong.
func (t *btfTypes) addBadStrings(found []span, offsets []uint32, wrong []bool, n int) []span {
	const several, around = 3, 512
	start, end := t.strPage(offsets[0]), t.strPage(offsets[0])+vmem.PageSize
	switch {
	case n == 0 || n < several && n < len(offsets):
		return found
	case n < len(offsets)/4: // a part of the page
		first, last := slices.Index(wrong, true), len(wrong)-1
		for !wrong[last] {
			last--
		}
		start, end = max(start, int(offsets[first])-around), min(end, int(offsets[last])+around)
	}
	start = strings.LastIndexByte(t.strs[:max(start, 0)], 0) + 1 // of the name that reaches into it
	return append(found, span{uint32(start), uint32(min(end, len(t.strs)))})
}

// strPage returns where the page begins that an offset in the string section is on.
func (t *btfTypes) strPage(off uint32) int {
	return int(off) - (int(off)+t.strPhase)%vmem.PageSize
}

// nameUses are the places in the string section where records have names, in order.
type nameUses struct {
	offsets []uint32
	wrong   []bool // it is none
}

func (t *btfTypes) nameUses() nameUses {
	var all []uint32
	for _, off := range t.offsets {
		if off < oddRecord {
			r := t.record(off)
			all = t.names(all, &r)
		}
	}
	slices.Sort(all)
	uses := nameUses{offsets: slices.Compact(all)}
	uses.wrong = make([]bool, len(uses.offsets))
	for i, off := range uses.offsets {
		uses.wrong[i] = !t.validName(t.strBase + off)
	}
	return uses
}

// names appends where in the string section the names of a record are.
func (t *btfTypes) names(names []uint32, r *btfType) []uint32 {
	add := func(off uint32) {
		if off != 0 && off >= t.strBase && off < t.strEnd() {
			names = append(names, off-t.strBase)
		}
	}
	add(r.name)
	switch r.kind {
	case kindStruct, kindUnion:
		for i := range r.vlen {
			if !t.badMember(r, i) {
				add(r.member(i).name)
			}
		}
	case kindFuncProto:
		for i := 0; i < len(r.extra) && !t.isBad(int(r.off), int(r.off)+btfRecordSize+len(r.extra)); i += 8 {
			add(binary.LittleEndian.Uint32(r.extra[i:]))
		}
	case kindEnum, kindEnum64:
		for i := range r.vlen {
			if !t.badEnumerator(r, i) {
				add(r.enumerator(i))
			}
		}
	}
	return names
}

// badEnumerator reports whether the i-th constant of an enumeration is lost.
func (t *btfTypes) badEnumerator(r *btfType, i uint32) bool {
	size := int(knownLayouts[r.kind].elem)
	at := int(r.off) + btfRecordSize + size*int(i)
	return len(t.badData) > 0 && t.isBad(at, at+size)
}

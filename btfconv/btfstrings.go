package btfconv

import (
	"slices"
	"sort"
	"strings"
)

// A span is a part of the string section, by offset, without its end.
type span struct{ start, end uint32 }

// checkStrings checks that the string section is names that end. Those that are not text
// are set aside.
func (t *btfTypes) checkStrings() error {
	if len(t.strs) == 0 && t.base != nil {
		return nil
	}
	if len(t.strs) == 0 || t.strs[len(t.strs)-1] != 0 || t.base == nil && t.strs[0] != 0 {
		return damaged("string section", 0, "not terminated")
	}
	t.setAsideStrings()
	if len(t.badStrs) > maxBadStrings {
		return damaged("string section", int(t.badStrs[0].start), "no text, nor in %d other places", maxBadStrings)
	}
	return nil
}

// maxBadStrings is more than the names on a page or two.
const maxBadStrings = 4096

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
	if len(t.badStrs) <= maxBadStrings {
		t.badStrs = append(t.badStrs, s)
	}
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
	const margin, page, several = 512, 4096, 3
	var failing []uint32
	for _, off := range t.offsets {
		if off < oddRecord {
			failing = t.failingNames(failing, t.record(off))
		}
	}
	slices.Sort(failing)
	failing = slices.Compact(failing)
	var found []span
	for i := 0; i < len(failing); {
		k := i + 1
		for k < len(failing) && failing[k]-failing[k-1] < page {
			k++
		}
		if k-i >= several {
			found = append(found, span{failing[i] - min(failing[i], margin), failing[k-1] + margin})
		}
		i = k
	}
	all := slices.Concat(found, t.badStrs)
	slices.SortFunc(all, func(a, b span) int { return int(int64(a.start) - int64(b.start)) })
	t.badStrs = nil
	for _, s := range all {
		t.setAside(s)
	}
}

// failingNames appends the offsets in the string section of names of a record that are none.
func (t *btfTypes) failingNames(names []uint32, r btfType) []uint32 {
	add := func(off uint32) {
		if off >= t.strBase && off < t.strEnd() && !t.validName(off) {
			names = append(names, off-t.strBase)
		}
	}
	add(r.name)
	switch r.kind {
	case kindStruct, kindUnion:
		for i := range r.vlen {
			add(r.member(i).name)
		}
	case kindEnum, kindEnum64:
		for i := range r.vlen {
			add(r.enumerator(i))
		}
	}
	return names
}

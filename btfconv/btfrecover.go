package btfconv

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// A damaged record of BTF costs that type and what is made of it, not the types around
// it. Records have no marks, and a type's id is its number; so where one has a size that
// can't be known, the next is found by a chain of records that make sense, and its number
// by what refers to it (btfnumber.go).
//
// Damage comes in pages, and what is on a page then may make sense by itself: it can be
// another page of the same BTF. So nothing is believed of a record that reaches into a page
// that is damaged, but for the members of a struct that are on others.

const (
	kindLost btfKind = 0x80 // of a record that is damaged, or whose place is unknown
	kindOdd  btfKind = 0x81 // of one that is of no known kind

	lostRecord = ^uint32(0) // in place of the offsets of those
	oddRecord  = lostRecord - 1

	// In runs, the offsets of records, which are multiples of 4, have marks instead.
	markLost    = 1
	markOdd     = 2
	recordMarks = markLost | markOdd

	// chainShort is how many records that make sense show that records begin, or go on. Words
	// inside of records have none of the kinds where a record has its kind.
	chainShort = 8
	// borderZone is how far behind the border of a page what makes no sense speaks against what
	// is between, in bytes: it may make sense by chance. The same holds before a border.
	borderZone = 256

	maxVlen     = 0xffff // BTF_MAX_VLEN in include/uapi/linux/btf.h
	maxNewKinds = 32     // more kinds than there will be for long
)

// A run is records one behind the other.
type run struct {
	offsets    []uint32 // of the records, with markLost or markOdd where only that is known
	first      uint32   // id of the first record
	start, end int      // in the type section
	sure       bool     // first is known
}

// next returns the id after the last.
func (r *run) next() uint32 { return r.first + uint32(len(r.offsets)) }

// recoverTypes indexes BTF that has damaged records.
func (t *btfTypes) recoverTypes() {
	if t.recovered {
		return
	}
	t.recovered, t.losses, t.lost = true, nil, 0
	if t.work == 0 {
		t.work = maxRecoverWork
	}
	t.limit = t.first + uint32(len(t.data)/btfRecordSize)
	t.badData = append([]span(nil), t.holes...)
	t.copies = t.twins()
	runs := t.findRuns()
	runs = t.numberRuns(runs)
	t.placeRuns(runs)
	t.findBadStrings()
	t.repairNames()
}

// maxRecoverWork is how many steps a recovery may take: a second, and enough for BTF of
// which each tenth page is damaged. What is left to do then is lost.
const maxRecoverWork = 1 << 29

// spend takes steps from what a recovery may take, and reports whether there are some left.
func (t *btfTypes) spend(n int) bool {
	t.work -= int64(n)
	return t.work > 0
}

// findRuns finds the records.
func (t *btfTypes) findRuns() []run {
	runs := []run{{first: t.first, sure: !t.headless}}
	for off := 0; off < len(t.data) && t.work > 0; {
		s := &runs[len(runs)-1]
		if size, ok := t.sound(off); ok {
			s.offsets = append(s.offsets, uint32(off))
			off += size
			s.end = off
			continue
		}
		if size, ok := t.oddSize(off); ok {
			s.offsets = append(s.offsets, t.cut(off, size))
			off += size
			s.end = off
			continue
		}
		next := t.resume(off + 4)
		t.breakRun(s, off, next)
		runs = append(runs, run{start: next, end: next})
		off = next
	}
	for i := range runs[1:] {
		t.doubtStart(&runs[i+1])
	}
	return runs
}

// doubtStart takes the first records of a run for lost if they are right before the border of
// a page: what overwrote the page may reach into them.
func (t *btfTypes) doubtStart(s *run) {
	border := t.pageStart(s.start) + vmem.PageSize
	for i := 0; i < len(s.offsets) && border-s.start < borderZone && int(s.offsets[i]) < border; i++ {
		s.offsets[i] |= markLost
	}
}

// sound reports whether a record of a known kind may be at an offset, and its size. Its
// name need not be one: the names may be what is damaged.
func (t *btfTypes) sound(off int) (int, bool) {
	size, ok := t.headerSize(off)
	if !ok || !t.spend(1+size/16) {
		return 0, false
	}
	r := recordAt(t.data[off : off+size])
	return size, r.kind >= numKinds || t.wrongShape(r) == ""
}

// headerSize returns the size of the record that begins with a record header.
func (t *btfTypes) headerSize(off int) (int, bool) {
	if len(t.data)-off < btfRecordSize {
		return 0, false
	}
	size, ok := t.sizeAt(off)
	if !ok {
		return 0, false
	}
	r := recordAt(t.data[off : off+btfRecordSize])
	return size, r.vlen <= maxVlen && r.name < t.strEnd()
}

// wrongShape returns what is wrong with a record of a known kind, its names left aside. It
// says more than shapeChecks, which is for BTF as a whole: what no tool writes, and what
// other data often is.
func (t *btfTypes) wrongShape(r btfType) string {
	switch r.kind {
	case kindStruct, kindUnion:
		for i := range r.vlen {
			if m := r.member(i); m.name == 0 && m.typ == 0 {
				return "member without name and type"
			}
		}
	case kindFuncProto:
		for i := 0; i+8 < len(r.extra); i += 8 {
			if binary.LittleEndian.Uint64(r.extra[i:]) == 0 {
				return "parameters behind the last"
			}
		}
	case kindFunc:
		if r.vlen > 2 || r.size == 0 {
			return "malformed function"
		}
	case kindFwd, kindTypedef, kindVar, kindInt, kindFloat:
		if r.vlen != 0 || r.kind == kindFwd && r.size != 0 {
			return "elements of what has none"
		}
	}
	if r.flag && r.kind < kindDeclTag && r.kind != kindStruct && r.kind != kindUnion && r.kind != kindEnum && r.kind != kindFwd {
		return "flag of what has none"
	}
	return shapeChecks[r.kind](t, r)
}

// oddSize returns the size of a record that is not sound, if it can be told: records that
// are follow where it says that it ends, or, if its kind is newer than this package,
// behind one of the forms that kinds have had.
func (t *btfTypes) oddSize(off int) (int, bool) {
	if len(t.data)-off < btfRecordSize {
		return 0, false
	}
	if size, ok := t.headerSize(off); ok {
		return size, t.chain(off + size)
	}
	info := binary.LittleEndian.Uint32(t.data[off+4:])
	if kind := int(info >> 24 & 0x7f); kind < len(t.layouts) || kind >= maxNewKinds || info&0xffffff > maxVlen ||
		!t.validName(binary.LittleEndian.Uint32(t.data[off:])) {
		return 0, false
	}
	for _, l := range []btfLayout{{0, 0}, {4, 0}, {12, 0}, {0, 4}, {0, 8}, {0, 12}, {0, 16}, {4, 4}, {4, 8}, {4, 12}, {8, 0}} {
		size := btfRecordSize + int(l.info) + int(l.elem)*int(info&0xffffff)
		if t.chain(off + size) {
			return size, true
		}
	}
	return 0, false
}

// chain reports whether chainShort sound records follow each other from an offset, or as
// many as there are before the section ends with the last.
func (t *btfTypes) chain(off int) bool {
	for n := chainShort; n > 0 && off < len(t.data); n-- {
		size, ok := t.sound(off)
		if !ok {
			return false
		}
		off += size
	}
	return off <= len(t.data)
}

// resume returns the offset at which records begin again, from an offset on; the end of
// the section if they don't.
func (t *btfTypes) resume(off int) int {
	for ; off+btfRecordSize <= len(t.data) && t.spend(1); off += 4 {
		if t.chain(off) {
			return off
		}
	}
	return len(t.data)
}

// breakRun ends a run before what makes no sense, from off to where records begin again.
// Pages that are most of it are damaged. What makes sense on the same page before it is
// not believed where that is little.
func (t *btfTypes) breakRun(s *run, off, next int) {
	border := t.pageStart(t.failing(off))
	damaged := false
	for p := border; p < next; p += vmem.PageSize {
		if min(next, p+vmem.PageSize)-max(off, p) >= vmem.PageSize*3/4 {
			t.markBad(p, p+vmem.PageSize)
			damaged = true
		}
	}
	if size, ok := t.headerSize(off); ok && off+size <= next && off+btfRecordSize <= border {
		s.offsets = append(s.offsets, t.cut(off, size))
		s.end = off + size
		return
	}
	if n := len(s.offsets); off > border && n > 0 { // what overwrote it may begin in the one before
		s.offsets[n-1] |= markLost
	}
	if !damaged && off-border >= borderZone {
		return
	}
	for n := len(s.offsets) - 1; n >= 0 && s.end > border; n-- {
		s.end = int(s.offsets[n] &^ recordMarks)
		s.offsets = s.offsets[:n]
	}
}

// cut returns the mark of a record that makes no sense, but whose size does. What has
// elements keeps those that are on other pages than what makes no sense.
func (t *btfTypes) cut(off, size int) uint32 {
	r := recordAt(t.data[off : off+size])
	step := t.elemSize(r.kind)
	switch {
	case r.kind >= numKinds || r.kind == kindFunc || r.kind == kindDeclTag:
		return uint32(off) | markOdd
	case r.kind == kindFuncProto && r.size < t.limit:
		return uint32(off) // whose parameters nobody asks for
	case step == 0 || !t.spend(size) || r.name >= t.strEnd():
		return uint32(off) | markLost
	}
	first, page := off+btfRecordSize, 0
	last, before := uint32(0), uint32(0) // offsets of members: of the one before, and of the last on the page before
	for i := uint32(0); i < r.vlen; i++ {
		at := first + int(i)*step
		if p := t.pageStart(at + step - 1); p != page {
			page, before = p, last
		}
		if !t.wrongElem(&r, i, &last) {
			continue
		}
		if page < first {
			return uint32(off) | markLost
		}
		t.markBad(page, min(page+vmem.PageSize, off+size))
		for last = before; i < r.vlen && first+int(i)*step < page+vmem.PageSize; i++ {
		}
		i--
	}
	return uint32(off)
}

// wrongElem reports whether an element of a record makes no sense. last is the offset of the
// member before it.
func (t *btfTypes) wrongElem(r *btfType, i uint32, last *uint32) bool {
	b := r.extra[int(i)*t.elemSize(r.kind):]
	name, typ := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	switch r.kind {
	case kindStruct, kindUnion:
		m := r.member(i)
		wrong := name >= t.strEnd() || typ >= t.limit || name|typ == 0 || m.bit < *last || (uint64(m.bit)+7)/8 > uint64(r.size)
		if !wrong {
			*last = m.bit
		}
		return wrong
	case kindEnum, kindEnum64:
		return name == 0 || name >= t.strEnd()
	case kindDatasec:
		return name == 0 || name >= t.limit
	}
	return name >= t.strEnd() || typ >= t.limit
}

// failing returns the offset of what makes no sense in the record at off, as far as it can
// be told.
func (t *btfTypes) failing(off int) int {
	size, ok := t.headerSize(off)
	if !ok || !t.spend(size) {
		return off
	}
	r := recordAt(t.data[off : off+size])
	step, last := t.elemSize(r.kind), uint32(0)
	for i := uint32(0); step > 0 && i < r.vlen; i++ {
		if t.wrongElem(&r, i, &last) {
			return off + btfRecordSize + int(i+1)*step - 1
		}
	}
	return off
}

// elemSize returns the size of the elements of a kind that has nothing else behind its record.
func (t *btfTypes) elemSize(kind btfKind) int {
	if int(kind) >= len(t.layouts) || t.layouts[kind].info != 0 {
		return 0
	}
	return int(t.layouts[kind].elem)
}

// pageStart returns the offset at which the page begins that an offset is on.
func (t *btfTypes) pageStart(off int) int {
	return off - (off+t.phase)%vmem.PageSize
}

package btfconv

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// A demand is what all references to an id say of the type that it must be.
type demand struct {
	proto, variable, value, other uint8  // how many say so; value: something that has a size
	bits                          uint32 // the most that it may have, as a member
}

// anyBits is no demand on the size.
const anyBits = ^uint32(0)

// A recordShape is what demands are held against.
type recordShape struct {
	index uint32 // in its run
	kind  btfKind
	bits  uint32 // its size; 0 where it is that of another type
}

// fits reports whether a type may be of that shape.
func (d *demand) fits(s *recordShape) bool {
	switch s.kind {
	case kindFuncProto:
		return d.variable|d.value == 0
	case kindVar:
		return d.proto|d.value|d.other == 0
	case kindFunc, kindDatasec, kindDeclTag:
		return d.proto|d.variable|d.value|d.other == 0
	case kindFwd:
		return d.proto|d.variable|d.value == 0
	}
	return d.proto|d.variable == 0 && s.bits <= d.bits
}

// empty reports whether nothing refers to the id.
func (d *demand) empty() bool { return d.proto|d.variable|d.value|d.other == 0 }

// numberRuns finds the number of the first record of each run. A page whose records are not
// what the others refer to is one of other records: then it is taken for damaged, and the
// records behind it are numbered anew.
func (t *btfTypes) numberRuns(runs []run) []run {
	const passes = 16
	for range passes {
		runs = t.dropBad(runs)
		demands := t.demands(runs)
		t.vote(runs, demands)
		split, found := t.checkRuns(runs, demands)
		if !found {
			break
		}
		runs = split
	}
	t.dropTwins()
	runs = t.dropBad(runs)
	t.dropMisfits(runs, t.demands(runs))
	return runs
}

// dropTwins takes pages for damaged that are there twice, where nothing says which of them is the copy.
func (t *btfTypes) dropTwins() {
	t.sortBad()
	for page, other := range t.copies {
		const within = vmem.PageSize / 2
		if !t.isBad(page+within, page+within+1) && !t.isBad(other+within, other+within+1) {
			t.markPage(page)
			t.markPage(other)
			t.sortBad()
		}
	}
}

// dropBad marks the records that are on damaged pages, all but those that only have elements there.
func (t *btfTypes) dropBad(runs []run) []run {
	t.sortBad()
	for i := range runs {
		s := &runs[i]
		for k, off := range s.offsets {
			if off&recordMarks != 0 {
				continue
			}
			end := s.end
			if k+1 < len(s.offsets) {
				end = int(s.offsets[k+1] &^ recordMarks)
			}
			if !t.isBad(int(off), end) {
				continue
			}
			kind := recordKind(t.data[off:])
			if t.elemSize(kind) == 0 || t.isBad(int(off), int(off)+btfRecordSize) {
				s.offsets[k] |= markLost
			}
		}
	}
	return runs
}

// demands returns what records say of the types they refer to, by id.
func (t *btfTypes) demands(runs []run) []demand {
	demands := make([]demand, t.limit-t.first)
	for i := range demands {
		demands[i].bits = anyBits
	}
	d := demander{t: t, demands: demands}
	for i := range runs {
		for _, off := range runs[i].offsets {
			if off&recordMarks == 0 {
				r := t.record(off)
				d.add(&r)
			}
		}
	}
	return demands
}

// A demander collects demands.
type demander struct {
	t       *btfTypes
	demands []demand
}

func (d *demander) at(id uint32) *demand {
	if i := id - d.t.first; id >= d.t.first && i < uint32(len(d.demands)) {
		return &d.demands[i]
	}
	return &demand{}
}

func (d *demander) add(r *btfType) {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(r.extra[4*i:]) }
	switch r.kind {
	case kindFunc:
		count(&d.at(r.size).proto)
	case kindDatasec:
		for i := 0; 4*i < len(r.extra); i += 3 {
			if !d.t.isBad(int(r.off)+btfRecordSize+4*i, int(r.off)+btfRecordSize+4*i+12) {
				count(&d.at(word(i)).variable)
			}
		}
	case kindVar:
		count(&d.at(r.size).value)
	case kindArray:
		count(&d.at(word(0)).value)
		count(&d.at(word(1)).value)
	case kindPtr, kindTypedef, kindConst, kindVolatile, kindRestrict, kindTypeTag:
		count(&d.at(r.size).other)
	case kindFuncProto:
		count(&d.at(r.size).other)
		if !d.t.isBad(int(r.off), int(r.off)+btfRecordSize+len(r.extra)) {
			for i := 1; 4*i < len(r.extra); i += 2 {
				count(&d.at(word(i)).other)
			}
		}
	case kindStruct, kindUnion:
		d.addMembers(r)
	}
}

// addMembers adds that members are of types that have sizes, and at most the room up to the
// next member.
func (d *demander) addMembers(r *btfType) {
	end := uint64(r.size) * 8
	for i := r.vlen; i > 0; i-- {
		m := r.member(i - 1)
		if d.t.badMember(r, i-1) {
			end = uint64(r.size) * 8
			continue
		}
		demand := d.at(m.typ)
		count(&demand.value)
		if m.width == 0 && end >= uint64(m.bit) {
			demand.bits = uint32(min(uint64(demand.bits), end-uint64(m.bit)))
		}
		if r.kind == kindStruct {
			end = uint64(m.bit)
		}
	}
}

func count(n *uint8) {
	if *n < 255 {
		*n++
	}
}

// shapes returns what is known of the records from one to another of a run, by themselves.
func (t *btfTypes) shapes(s *run, from, to int) []recordShape {
	out := make([]recordShape, 0, to-from)
	for i := from; i < to; i++ {
		off := s.offsets[i]
		if off&recordMarks != 0 {
			continue
		}
		r := recordAt(t.data[off : off+btfRecordSize])
		shape := recordShape{index: uint32(i), kind: r.kind}
		switch r.kind {
		case kindInt, kindStruct, kindUnion, kindEnum, kindEnum64, kindFloat:
			shape.bits = uint32(min(uint64(r.size)*8, uint64(anyBits)))
		case kindPtr:
			shape.bits = 64
		}
		out = append(out, shape)
	}
	return out
}

// sampled is by how many records at each end of a run its number is found.
const sampled = 512

// vote finds the numbers of runs that are not sure: those with which the records are what is
// referred to. Where they are too low or high, records on the last page before are of another
// page, or those on the first page of the run are.
func (t *btfTypes) vote(runs []run, demands []demand) {
	const most = vmem.PageSize / btfRecordSize
	last := &run{first: t.first}
	for i := range runs {
		s := &runs[i]
		if i == 0 && s.sure {
			last = s
			continue
		}
		low := last.next()
		high := low + uint32((s.start-last.end)/btfRecordSize)
		more := uint32(len(last.offsets) - t.pageBefore(last, len(last.offsets)) + t.pageAfter(s, 0))
		if s.first, s.sure = t.numberOf(s, demands, max(t.first, low-min(low, more)), high+most); !s.sure {
			continue
		}
		if s.first < low || s.first > high {
			if n := t.pageAfter(s, 0); t.foreign(s, 0, n, demands) {
				t.markPage(s.start)
				s.offsets, s.first = s.offsets[n:], s.first+uint32(n)
			} else {
				n := t.pageBefore(last, len(last.offsets))
				t.markPage(last.end - 1)
				last.offsets = last.offsets[:n]
			}
		}
		if s.sure = s.first >= last.next(); s.sure {
			last = s
		}
	}
}

// pageBefore returns the index of the first of the records that are on one page with the one
// before an index.
func (t *btfTypes) pageBefore(s *run, i int) int {
	if i == 0 {
		return 0
	}
	page := t.pageStart(int(s.offsets[i-1] &^ recordMarks))
	for i > 0 && int(s.offsets[i-1]) >= page {
		i--
	}
	return i
}

// pageAfter returns the index after the last of the records that are on one page with the one
// at an index.
func (t *btfTypes) pageAfter(s *run, i int) int {
	if i == len(s.offsets) {
		return i
	}
	page := t.pageStart(int(s.offsets[i] &^ recordMarks))
	for i < len(s.offsets) && int(s.offsets[i]) < page+vmem.PageSize {
		i++
	}
	return i
}

// markPage takes the page of the type section that an offset is on for damaged.
func (t *btfTypes) markPage(off int) {
	page := t.pageStart(max(off, 0))
	t.markBad(page, page+vmem.PageSize)
}

// minVotes is how many references have to confirm the number of a run.
const minVotes = 8

// numberOf returns the number of the first record of a run, between two, with which the
// records are what is referred to, if there is only one. As some of them may be none of
// this run, one part of it is asked after the other.
func (t *btfTypes) numberOf(s *run, demands []demand, low, high uint32) (uint32, bool) {
	n := len(s.offsets)
	if n < minVotes || uint64(low)+uint64(n) > uint64(t.limit) {
		return 0, false
	}
	high = min(high, t.limit-uint32(n))
	parts := [][2]int{{0, n}}
	if n > sampled {
		parts = [][2]int{{0, sampled}, {n - sampled, n}, {0, sampled / 4}, {n / 2, min(n, n/2+sampled)}}
	}
	for _, p := range parts {
		if first, ok := t.elect(t.shapes(s, p[0], p[1]), demands, low, high); ok {
			return first, true
		}
	}
	return 0, false
}

// A score says of how many records something is known, and how many are not that.
type score struct{ tested, wrong int }

// elect returns the number of a run with which some of its records are what is referred to.
func (t *btfTypes) elect(shapes []recordShape, demands []demand, low, high uint32) (first uint32, ok bool) {
	if high < low || !t.spend((len(shapes)+1)*int(high-low+1)) {
		return 0, false
	}
	scores := make([]score, high-low+1)
	best := score{wrong: len(shapes) + 1}
	for i := range scores {
		sc := &scores[i]
		for k := range shapes {
			if d := &demands[low-t.first+uint32(i)+shapes[k].index]; !d.empty() {
				sc.tested++
				sc.wrong += b2i(!d.fits(&shapes[k]))
			}
		}
		if sc.tested >= minVotes && sc.wrong < best.wrong {
			best, first = *sc, low+uint32(i)
		}
	}
	if best.tested < minVotes || best.wrong > best.tested/64 {
		return 0, false
	}
	for i, sc := range scores {
		if low+uint32(i) != first && sc.tested >= best.tested/2 && sc.wrong <= 2*best.wrong+2 {
			return 0, false
		}
	}
	return first, true
}

// checkRuns looks for pages of records that are not what is referred to, one a run. It
// returns the runs without them, and whether there was one.
func (t *btfTypes) checkRuns(runs []run, demands []demand) ([]run, bool) {
	var out []run
	found := false
	for i := range runs {
		s := runs[i]
		from, to := t.foreignPage(&s, demands)
		if from == to {
			out = append(out, s)
			continue
		}
		found = true
		t.markPage(int(s.offsets[from]))
		before, after := s, run{offsets: s.offsets[to:], end: s.end}
		before.offsets, before.end = s.offsets[:from], int(s.offsets[from]&^recordMarks)
		if out = append(out, before); to < len(s.offsets) {
			after.start = int(s.offsets[to] &^ recordMarks)
			out = append(out, after)
		}
	}
	return out, found
}

// foreignPage returns the records on the first page of a run whose records are not what is
// referred to; nothing if there is none.
func (t *btfTypes) foreignPage(s *run, demands []demand) (from, to int) {
	if !s.sure {
		return 0, 0
	}
	for ; from < len(s.offsets); from = to {
		if to = t.pageAfter(s, from); t.foreign(s, from, to, demands) {
			return from, to
		}
	}
	return 0, 0
}

// foreign reports whether records of a run, those on one page, are not what is referred to. Of
// a page next to where records break off, more is asked: most types are used, and most members
// leave no room behind them.
func (t *btfTypes) foreign(s *run, from, to int, demands []demand) bool {
	tested, wrong, types, unused, sized, loose := 0, 0, 0, 0, 0, 0
	for _, shape := range t.shapes(s, from, to) {
		d := &demands[s.first-t.first+shape.index]
		tested += b2i(!d.empty())
		wrong += b2i(!d.fits(&shape))
		if shape.kind == kindStruct || shape.kind == kindTypedef || shape.kind == kindFwd {
			types++
			unused += b2i(d.empty())
		}
		if shape.bits > 0 && d.bits != anyBits {
			sized++
			loose += b2i(shape.bits != d.bits)
		}
	}
	if wrong > 1 && wrong > tested/50 || wrong > 0 && wrong > tested/4 {
		return true
	}
	edge := from == 0 && s.start > 0 || to == len(s.offsets) && s.end < len(t.data)
	return edge && (unused > 2 && unused > types/2 || sized > 2 && loose > sized/2)
}

// dropMisfits marks the records that are not what is referred to.
func (t *btfTypes) dropMisfits(runs []run, demands []demand) {
	for i := range runs {
		s := &runs[i]
		if !s.sure {
			continue
		}
		for _, shape := range t.shapes(s, 0, len(s.offsets)) {
			if d := &demands[s.first-t.first+shape.index]; !d.fits(&shape) {
				s.offsets[shape.index] |= markLost
			}
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

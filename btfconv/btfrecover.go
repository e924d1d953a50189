package btfconv

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// A damaged record of BTF costs that type and what is made of it, not the types around
// it. Records have no marks, and a type's id is its number; so where one has a size that
// can't be known, the next is found by a chain of records that make sense, and its number
// by what refers to it.

const (
	kindLost btfKind = 0x80 // of a record that is damaged, or whose place is unknown
	kindOdd  btfKind = 0x81 // of one that is of no known kind

	lostRecord = ^uint32(0) // in place of the offsets of those
	oddRecord  = lostRecord - 1

	chainShort = 8  // how many records that make sense show that the one before them ends there
	chainLong  = 32 // how many show that records begin again
	maxLosses  = 64 // how many losses are told one by one
)

// lose notes that what is at an offset of the type section is lost.
func (t *btfTypes) lose(off int, format string, args ...any) {
	t.note(off, damaged("type section", off, format, args...))
}

func (t *btfTypes) note(off int, err error) {
	t.lost++
	if len(t.losses) < maxLosses {
		t.losses = append(t.losses, vmem.Gap{Object: objectBTF, Place: vmem.ImagePlace(t.place + int64(off)), Err: err})
	}
}

const objectBTF = "types of BTF"

// loseOdd notes that the record at an offset, of a size that is known, is lost, and returns
// what it leaves in place of its offset. Nothing is damaged if it is of a kind that databases
// have nothing of, or of which this package knows nothing.
func (t *btfTypes) loseOdd(off int, id uint32) uint32 {
	switch kind := recordKind(t.data[off:]); {
	case kind == kindUnknown:
		t.lose(off, "type %d makes no sense", id)
	case kind >= numKinds, kind == kindFunc, kind == kindFuncProto, kind == kindDeclTag:
		t.note(off, fmt.Errorf("type %d, kind %d: %w", id, kind, ErrUnknown))
		return oddRecord
	default:
		t.lose(off, "type %d makes no sense, kind %d", id, kind)
	}
	return lostRecord
}

// A btfSegment is a run of records one behind the other.
type btfSegment struct {
	offsets    []uint32
	first      uint32 // id of the first record
	start, end int    // in the type section
	sure       bool   // first is known
}

// recoverTypes indexes BTF that has damaged records. It fails if less than half is left.
func (t *btfTypes) recoverTypes() error {
	t.work = cmp.Or(t.work, maxVoteWork)
	t.limit = t.first + uint32(len(t.data)/btfRecordSize)
	segments := t.segments()
	t.number(segments)
	t.findBadStrings()
	kept := 0
	for i, off := range t.offsets {
		if off >= oddRecord {
			continue
		}
		if wrong := t.wrong(t.at(i)); wrong != "" {
			t.offsets[i] = lostRecord
			t.lose(int(off), "type %d: %s", t.first+uint32(i), wrong)
			continue
		}
		kept++
	}
	if kept <= len(t.offsets)/2 || int(t.limit-t.first) > 8*len(t.offsets) {
		return damaged("type section", 0, "%d types are left", kept)
	}
	return nil
}

// segments finds the records.
func (t *btfTypes) segments() []btfSegment {
	segments := []btfSegment{{first: t.first, sure: true}}
	for off := 0; off < len(t.data); {
		s := &segments[len(segments)-1]
		if size, ok := t.sound(off); ok {
			s.offsets = append(s.offsets, uint32(off))
			off += size
			s.end = off
			continue
		}
		if size, ok := t.oddSize(off); ok {
			odd := t.loseOdd(off, s.first+uint32(len(s.offsets)))
			if recordKind(t.data[off:]) == kindUnknown { // no kind at all: zeros
				t.doubtLast(s)
			}
			s.offsets = append(s.offsets, odd)
			off += size
			s.end = off
			continue
		}
		next := t.resume(off + 4)
		t.lose(off, "%d bytes that are no records", next-off)
		t.doubtLast(s)
		segments = append(segments, btfSegment{start: next, end: next})
		off = next
	}
	return segments
}

// doubtLast takes the last record for lost: what overwrote the one behind it may reach into it.
func (t *btfTypes) doubtLast(s *btfSegment) {
	if n := len(s.offsets); n > 0 && s.offsets[n-1] < oddRecord {
		t.lose(int(s.offsets[n-1]), "type %d is before what makes no sense", s.first+uint32(n)-1)
		s.offsets[n-1] = lostRecord
	}
}

// sound reports whether a record of a known kind may be at an offset, and its size. Its
// name need not be one: the names may be what is damaged.
func (t *btfTypes) sound(off int) (int, bool) {
	if len(t.data)-off < btfRecordSize {
		return 0, false
	}
	size, err := t.recordSize(off)
	if err != nil {
		return 0, false
	}
	r := recordAt(t.data[off : off+size])
	if r.name >= t.strEnd() {
		return 0, false
	}
	return size, r.kind >= numKinds || shapeChecks[r.kind](t, r) == ""
}

// oddSize returns the size of a record that is not sound, if it can be told: records that
// are follow where it says that it ends, or, if its kind is newer than this package,
// behind one of the forms that kinds have had.
func (t *btfTypes) oddSize(off int) (int, bool) {
	if len(t.data)-off < btfRecordSize {
		return 0, false
	}
	if size, err := t.recordSize(off); err == nil && t.chain(off+size, chainShort) {
		return size, true
	}
	info := binary.LittleEndian.Uint32(t.data[off+4:])
	if kind := int(info >> 24 & 0x7f); kind < len(t.layouts) || kind >= maxNewKinds || info&0xffffff > 0xffff ||
		!t.validName(binary.LittleEndian.Uint32(t.data[off:])) {
		return 0, false
	}
	for _, l := range []btfLayout{{0, 0}, {4, 0}, {12, 0}, {0, 4}, {0, 8}, {0, 12}, {0, 16}, {4, 4}, {4, 8}, {4, 12}, {8, 0}} {
		size := btfRecordSize + int(l.info) + int(l.elem)*int(info&0xffffff)
		if t.chain(off+size, chainShort) {
			return size, true
		}
	}
	return 0, false
}

// maxNewKinds is more kinds than there will be for long.
const maxNewKinds = 32

// chain reports whether n sound records follow each other from an offset, or as many as
// there are before the section ends with the last.
func (t *btfTypes) chain(off, n int) bool {
	for ; n > 0 && off < len(t.data); n-- {
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
	for ; off+btfRecordSize <= len(t.data); off += 4 {
		if t.chain(off, chainLong) {
			return off
		}
	}
	return len(t.data)
}

// number sets the offsets by id. The records of a segment whose number no reference
// confirms are lost.
func (t *btfTypes) number(segments []btfSegment) {
	last := &segments[0]
	for i := range segments[1:] {
		s := &segments[i+1]
		if s.first, s.sure = t.vote(segments, s, last); !s.sure {
			if len(s.offsets) > 0 {
				t.lose(s.start, "%d types whose numbers are not known", len(s.offsets))
			}
			continue
		}
		// Damage comes in pages. Where less is no records, the page is one of other records.
		if s.start-last.end < vmem.PageSize*3/4 {
			t.dropEnd(last, max(0, int(last.first)+len(last.offsets)-int(s.first)))
		}
		last = s
	}
	t.offsets = make([]uint32, last.first+uint32(len(last.offsets))-t.first)
	for i := range t.offsets {
		t.offsets[i] = lostRecord
	}
	for _, s := range segments {
		if s.sure {
			copy(t.offsets[s.first-t.first:], s.offsets)
		}
	}
}

// dropEnd drops the last n records of a segment, which are too many, and takes those on the
// page before its end for lost.
func (t *btfTypes) dropEnd(s *btfSegment, n int) {
	lost := 0
	s.offsets = s.offsets[:max(0, len(s.offsets)-n)]
	for i := len(s.offsets) - 1; i >= 0 && (s.offsets[i] >= oddRecord || int(s.offsets[i])+2*vmem.PageSize > s.end); i-- {
		lost += b2i(s.offsets[i] < oddRecord)
		s.offsets[i] = lostRecord
	}
	t.lose(s.end, "%d types before it that may be others", lost)
}

// vote finds the id of the first record of s: the one with which functions refer to
// prototypes, and sections to variables. last is the last segment before it that is sure;
// what is between, and perhaps a page before, was overwritten. Where what is
// left of the work is not enough, no id is sure.
func (t *btfTypes) vote(segments []btfSegment, s, last *btfSegment) (uint32, bool) {
	const page = vmem.PageSize / btfRecordSize
	next := last.first + uint32(len(last.offsets))
	low, high := max(last.first, next-min(next, page)), next+page+uint32((s.start-last.end)/btfRecordSize)
	if t.work -= int64(len(t.data) / btfRecordSize); t.work < 0 {
		return 0, false
	}
	refs := t.kindReferences(segments, low)
	if t.work -= int64(len(refs)) * int64(high-low+1); t.work < 0 {
		return 0, false
	}
	best, most := uint32(0), 0
	for first := low; first <= high; first++ {
		right, tested := 0, 0
		for _, ref := range refs {
			if i := ref.id - first; ref.id >= first && i < uint32(len(s.offsets)) && s.offsets[i] < oddRecord {
				tested++
				right += b2i(recordKind(t.data[s.offsets[i]:]) == ref.kind)
			}
		}
		if right > most && right >= tested-tested/16 {
			best, most = first, right
		}
	}
	return best, most >= minVotes
}

// maxVoteWork is how many comparisons all numbers of records may take: seconds, and enough
// for a hundred damaged pages.
const maxVoteWork = 1 << 33

// minVotes is how many references have to confirm the number of a record.
const minVotes = 8

// A kindReference is an id that must be of a record of a certain kind.
type kindReference struct {
	id   uint32
	kind btfKind
}

// kindReferences returns the references to ids from one on that say a kind.
func (t *btfTypes) kindReferences(segments []btfSegment, from uint32) []kindReference {
	var refs []kindReference
	add := func(id uint32, kind btfKind) {
		if id >= from {
			refs = append(refs, kindReference{id, kind})
		}
	}
	for _, s := range segments {
		for _, off := range s.offsets {
			if off >= oddRecord {
				continue
			}
			switch r := t.record(off); r.kind {
			case kindFunc:
				add(r.size, kindFuncProto)
			case kindDatasec:
				for ; len(r.extra) > 0; r.extra = r.extra[12:] {
					add(binary.LittleEndian.Uint32(r.extra), kindVar)
				}
			}
		}
	}
	return refs
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// gaps lists the losses, and says how many are not listed.
func (t *btfTypes) gaps() []vmem.Gap {
	if more := t.lost - len(t.losses); more > 0 {
		err := fmt.Errorf("%d more damaged records: %w", more, ErrDamaged)
		return append(slices.Clip(t.losses), vmem.Gap{Object: objectBTF, Err: err})
	}
	return t.losses
}

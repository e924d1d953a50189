package btfconv

import (
	"fmt"
	"slices"
	"sort"

	"github.com/nodelens/nodelens/vmem"
)

const (
	objectBTF = "types of BTF"
	maxLosses = 64 // how many losses are told one by one
)

// markBad notes that a part of the type section is no records.
func (t *btfTypes) markBad(from, to int) {
	t.badData = append(t.badData, span{uint32(max(from, 0)), uint32(min(to, len(t.data)))})
}

// sortBad makes isBad know what was marked.
func (t *btfTypes) sortBad() {
	slices.SortFunc(t.badData, func(a, b span) int { return int(int64(a.start) - int64(b.start)) })
	merged := t.badData[:0]
	for _, s := range t.badData {
		if n := len(merged); n > 0 && s.start <= merged[n-1].end {
			merged[n-1].end = max(merged[n-1].end, s.end)
		} else {
			merged = append(merged, s)
		}
	}
	t.badData = merged
}

// isBad reports whether some of a part of the type section is marked.
func (t *btfTypes) isBad(from, to int) bool {
	n := sort.Search(len(t.badData), func(i int) bool { return int(t.badData[i].end) > from })
	return n < len(t.badData) && int(t.badData[n].start) < to
}

// badMember reports whether the i-th element of 12 bytes of a record, a member, is lost.
func (t *btfTypes) badMember(r *btfType, i uint32) bool {
	return len(t.badData) > 0 && t.isBad(int(r.off)+btfRecordSize+12*int(i), int(r.off)+btfRecordSize+12*int(i)+12)
}

// note adds a loss.
func (t *btfTypes) note(off int, err error) {
	t.lost++
	if len(t.losses) < maxLosses {
		t.losses = append(t.losses, vmem.Gap{Object: objectBTF, Place: vmem.ImagePlace(t.place + int64(off)), Err: err})
	}
}

// A lostRun is types that are lost, one behind the other.
type lostRun struct {
	start, end   int    // in the type section
	first, after uint32 // ids
	count        uint32
}

// placeRuns sets the offsets by id, and notes what is lost.
func (t *btfTypes) placeRuns(runs []run) {
	end := t.first
	for i := range runs {
		if runs[i].sure {
			end = max(end, runs[i].next())
		}
	}
	t.offsets = make([]uint32, end-t.first)
	for i := range t.offsets {
		t.offsets[i] = lostRecord
	}
	t.firstLost = end
	lost := lostRun{first: t.first, after: t.first}
	for i := range runs {
		if s := &runs[i]; s.sure {
			lost = t.extendLoss(lost, lost.end, s.start, lost.after, s.first)
			lost = t.placeRun(s, lost)
		}
	}
	if len(t.data) > lost.end {
		lost = t.extendLoss(lost, lost.end, len(t.data), lost.after, lost.after)
	}
	t.tell(lost)
	if i := slices.IndexFunc(t.offsets, func(off uint32) bool { return off >= oddRecord }); i >= 0 {
		t.firstLost = t.first + uint32(i)
	}
}

// placeRun places the records of a run, and returns the last loss, up to its end.
func (t *btfTypes) placeRun(s *run, lost lostRun) lostRun {
	for k, off := range s.offsets {
		at, end := int(off&^recordMarks), s.end
		if k+1 < len(s.offsets) {
			end = int(s.offsets[k+1] &^ recordMarks)
		}
		id := s.first + uint32(k)
		switch {
		case off&markLost != 0:
			lost = t.extendLoss(lost, at, end, id, id+1)
		case off&markOdd != 0:
			t.note(at, fmt.Errorf("type %d, kind %d: %w", id, recordKind(t.data[at:]), ErrUnknown))
			t.offsets[id-t.first] = oddRecord
		default:
			t.offsets[id-t.first] = off
		}
	}
	if len(s.offsets) > 0 && s.offsets[len(s.offsets)-1]&markLost == 0 {
		t.tell(lost)
		return lostRun{start: s.end, end: s.end, first: s.next(), after: s.next()}
	}
	return lost
}

// extendLoss adds what is lost from one offset to another to the loss before it, if that is
// on the same page or the one before; else it tells of that, and begins anew.
func (t *btfTypes) extendLoss(lost lostRun, from, to int, first, after uint32) lostRun {
	if lost.count > 0 && t.pageStart(from)-t.pageStart(lost.end) > vmem.PageSize {
		t.tell(lost)
		lost = lostRun{}
	}
	if lost.count == 0 && lost.start == lost.end {
		lost.start, lost.first = from, first
	}
	lost.end, lost.after = to, after
	lost.count += after - first
	return lost
}

// tell notes a loss, if it is one.
func (t *btfTypes) tell(l lostRun) {
	switch {
	case l.count == 1:
		t.note(l.start, damaged("type section", l.start, "type %d makes no sense", l.first))
	case l.count > 1:
		t.note(l.start, damaged("type section", l.start, "%d types of %d to %d, in %d bytes", l.count, l.first, l.after-1, l.end-l.start))
	case l.end > l.start:
		t.note(l.start, damaged("type section", l.start, "%d bytes that are no records", l.end-l.start))
	}
}

// gaps lists the losses, and says how many are not listed.
func (t *btfTypes) gaps() []vmem.Gap {
	if more := t.lost - len(t.losses); more > 0 {
		err := fmt.Errorf("%d more damaged places: %w", more, ErrDamaged)
		return append(slices.Clip(t.losses), vmem.Gap{Object: objectBTF, Err: err})
	}
	return t.losses
}

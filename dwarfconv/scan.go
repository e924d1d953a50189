package dwarfconv

import (
	"errors"
	"fmt"
)

var (
	errNoUnit  = errors.New("entry of a unit expected")
	errAbbrev  = errors.New("undefined abbreviation")
	errNesting = errors.New("entries nested too deep")
	errSplit   = errors.New("the rest is in another file (.dwo, .dwp or a dwz supplement)")
)

// Bounds far above what compilers write, so that a hostile unit ends.
const (
	maxNesting = 1 << 12
	maxDies    = 1 << 21
)

// A scanner reads units into their entries. It belongs to one worker.
type scanner struct {
	file    *debugFile
	tables  tableCache
	foreign foreignCache
	table   *abbrevTable // of the unit at hand
	stack   []frame
	vals    [slots]uint64 // of the entry at hand: the values of the slots
	have    uint32        // and which of them it has

	wantFunctions bool
}

// A frame is an entry whose children are being read.
type frame struct {
	die  int32 // its index, or -1 if it was not recorded
	last int32 // index of its latest child; 0: none
}

// scan reads the entries of the loaded unit u.
func (s *scanner) scan(u *unit) error {
	var err error
	if s.table, err = s.tables.get(u); err != nil {
		return err
	}
	if !u.sparse && len(u.at) < u.end {
		u.at = make([]uint32, u.end+u.end/4)
	}
	s.stack = s.stack[:0]
	pos, err := s.first(u)
	for err == nil && len(s.stack) > 0 && pos < u.end {
		pos, err = s.next(u, pos)
	}
	if err != nil {
		return fmt.Errorf("at %#x: %w", u.off+uint64(pos), err)
	}
	return nil
}

// first reads the unit's own entry.
func (s *scanner) first(u *unit) (int, error) {
	pos, err := s.next(u, u.first)
	if err != nil {
		return pos, err
	}
	if len(u.dies) != 1 || u.dies[0].kind != kindUnit {
		return u.first, errNoUnit
	}
	return pos, nil
}

// next reads the entry at pos and returns the position of the one after it.
func (s *scanner) next(u *unit, pos int) (int, error) {
	start := pos
	code, pos := uleb(u.data, pos)
	if code == 0 {
		s.stack = s.stack[:max(len(s.stack)-1, 0)]
		return pos, nil
	}
	a := s.table.lookup(code)
	if a == nil {
		return start, fmt.Errorf("%w %d", errAbbrev, code)
	}
	s.have = 0
	if a.first == a.last {
		pos += a.tail
	} else {
		var err error
		if pos, err = s.attrs(u, a, pos); err != nil {
			return start, err
		}
	}
	if pos > u.end {
		return start, errTruncated
	}
	index := int32(-1)
	if a.kind > kindSkip {
		var err error
		if index, err = s.record(u, a.kind, start); err != nil {
			return start, err
		}
	}
	if !a.children {
		return pos, nil
	}
	return s.enter(u, a.kind, index, pos)
}

// enter goes on to the children of an entry, or past them.
func (s *scanner) enter(u *unit, k kind, index int32, pos int) (int, error) {
	if k == kindSkip || k == kindFunction {
		end := s.vals[slotSibling] & refMask
		if s.has(slotSibling) && end >= uint64(pos) && end <= uint64(u.end) {
			return int(end), nil
		}
	}
	if u.rust {
		return u.end, nil
	}
	if len(s.stack) == maxNesting {
		return pos, errNesting
	}
	s.stack = append(s.stack, frame{die: index})
	return pos, nil
}

func (s *scanner) has(x slot) bool { return s.have&(1<<x) != 0 }

// get returns the value of x, 0 where the entry at hand does not have it.
func (s *scanner) get(x slot) uint64 {
	if s.has(x) {
		return s.vals[x]
	}
	return 0
}

// record adds the entry at hand, which starts at pos, to the unit. It returns
// its index, -1 if it is of no interest after all.
func (s *scanner) record(u *unit, k kind, pos int) (int32, error) {
	if s.has(slotSplit) {
		return -1, errSplit
	}
	if len(u.dies) == maxDies {
		return -1, errLimit
	}
	d := die{off: uint32(pos), kind: k, name: nameRef(s.get(slotName)), typ: typeRef(s.get(slotType))}
	keep, err := true, error(nil)
	switch k {
	case kindMember:
		err = s.member(u, &d)
	case kindUnit:
		if keep = len(u.dies) == 0; keep { // not one inside the unit
			s.unitEntry(u)
		}
	case kindStruct, kindUnion, kindClass, kindEnum:
		d.val, d.aux = s.get(slotByteSize), s.get(slotSignature)
		d.declare(s.get(slotDeclaration))
	case kindBase:
		d.val, d.aux = s.get(slotByteSize), s.get(slotEncoding)
	case kindEnumerator:
		d.val = s.get(slotValue)
	case kindDimension:
		d.val = s.elements()
	case kindVariable:
		keep = s.variable(u, &d)
	case kindSubprogram:
		keep = s.wantFunctions && s.function(u, &d)
	}
	if err != nil || !keep {
		return -1, err
	}
	index := int32(len(u.dies))
	u.dies = append(u.dies, d)
	if !u.sparse {
		u.at[pos] = uint32(index)
	}
	s.link(u, k, index)
	return index, nil
}

// link adds a new entry to the children of the one that it stands in, if that
// is made of such.
func (s *scanner) link(u *unit, k kind, index int32) {
	if k != kindMember && k != kindEnumerator && k != kindDimension || len(s.stack) == 0 {
		return
	}
	f := &s.stack[len(s.stack)-1]
	if f.die < 0 {
		return
	}
	if f.last == 0 {
		u.dies[f.die].first = uint32(index)
	} else {
		u.dies[f.last].next = uint32(index)
	}
	f.last = index
}

func (d *die) declare(v uint64) {
	if v != 0 {
		d.flags |= isDeclared
	}
}

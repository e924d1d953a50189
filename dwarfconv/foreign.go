package dwarfconv

import (
	"errors"
	"fmt"
	"slices"
)

var (
	errReference = errors.New("reference to nothing")
	errSignature = errors.New("no type with this signature")
)

// A foreignCache keeps units that others refer to: type units, and partial units
// as dwz makes them.
type foreignCache struct {
	units map[foreignKey]*unit
	bytes uint64
	fresh uint64 // bytes read for the sake of the unit at hand, which keeps what it refers to
	dies  []die  // of the unit being read, for reuse
}

type foreignKey struct {
	types bool
	off   uint64
}

// Bounds of the bytes of units in a foreignCache, and of those that one unit may have
// read. In memory units take up to some fifteen times as much.
const (
	maxForeign = 16 << 20
	maxFresh   = 2 * maxForeign
)

// resolve returns the entry that ref, found in u, refers to: its unit and index.
func (s *scanner) resolve(u *unit, ref typeRef) (*unit, int, error) {
	off := uint64(ref) & refMask
	switch ref >> refBits {
	case refGlobal:
		return s.resolveGlobal(u, off)
	case refSignature:
		return s.resolveSignature(u, off)
	}
	if i := u.find(off); i >= 0 {
		return u, i, nil
	}
	return nil, 0, fmt.Errorf("%w at %#x", errReference, u.off+off)
}

func (s *scanner) resolveGlobal(u *unit, off uint64) (*unit, int, error) {
	start, ok := s.file.info.unitAt(off)
	if !ok {
		return nil, 0, fmt.Errorf("%w at %#x", errReference, off)
	}
	return s.foreignEntry(u, s.file.info, start, off-start)
}

func (s *scanner) resolveSignature(u *unit, pos uint64) (*unit, int, error) {
	sig := u.order.u64(u.data, int(pos))
	t, ok := s.file.signatures[sig]
	if !ok {
		return nil, 0, fmt.Errorf("%w %#x", errSignature, sig)
	}
	return s.foreignEntry(u, t.section, t.off, t.typeOff)
}

// foreignEntry returns the entry at off of the unit at start of a section, for
// the sake of u, which may be that unit itself.
func (s *scanner) foreignEntry(u *unit, section *infoSection, start, off uint64) (*unit, int, error) {
	target := u
	if section != u.section || start != u.off {
		var err error
		if target, err = s.foreignUnit(section, start); err != nil {
			return nil, 0, fmt.Errorf("unit at %#x: %w", start, err)
		}
	}
	if i := target.find(off); i >= 0 {
		return target, i, nil
	}
	return nil, 0, fmt.Errorf("%w at %#x", errReference, start+off)
}

func (s *scanner) foreignUnit(section *infoSection, start uint64) (*unit, error) {
	key := foreignKey{section.types, start}
	if u, ok := s.foreign.units[key]; ok {
		return u, nil
	}
	u := &unit{sparse: true}
	if err := u.load(s.file, section, start); err != nil {
		return nil, err
	}
	if s.foreign.fresh += u.size; s.foreign.fresh > maxFresh || s.file.foreignBudget.Add(-int64(u.size)) < 0 {
		return nil, fmt.Errorf("references to other units: %w", errLimit)
	}
	u.dies = s.foreign.dies[:0]
	err := s.scan(u)
	s.foreign.dies = u.dies
	if err != nil {
		return nil, err
	}
	u.dies = slices.Clone(u.dies)
	if s.foreign.units == nil || s.foreign.bytes+u.size > maxForeign {
		s.foreign.units, s.foreign.bytes = make(map[foreignKey]*unit), 0
	}
	s.foreign.units[key] = u
	s.foreign.bytes += u.size
	return u, nil
}

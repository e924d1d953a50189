package dwarfconv

import "errors"

var errBitfield = errors.New("malformed bit field")

// languageRust is DW_LANG_Rust. Rust's types are not C's, and their names are
// often the same, so units in Rust are left out.
const languageRust = 0x1c

// unitEntry takes from the unit's own entry what reading the others needs.
func (s *scanner) unitEntry(u *unit) {
	u.rust = s.get(slotLanguage) == languageRust
	if s.has(slotStrOffsets) {
		u.strOffsets = s.vals[slotStrOffsets]
	}
	if s.has(slotAddrBase) {
		u.addrBase = s.vals[slotAddrBase]
	}
}

// member fills in where a member is.
func (s *scanner) member(u *unit, d *die) error {
	switch {
	case s.has(slotDataBitOffset):
		d.val = s.vals[slotDataBitOffset]
		d.flags |= fromStart
	case s.has(slotMember):
		d.val = s.vals[slotMember]
	case s.has(slotMemberExpr):
		var err error
		if d.val, err = u.memberOffset(s.vals[slotMemberExpr]); err != nil {
			return err
		}
	}
	if s.have&(1<<slotBitSize|1<<slotBitOffset) == 0 {
		return nil
	}
	if s.has(slotBitOffset) {
		d.flags |= hasBitOffset
	}
	m, err := newMemberBits(s.get(slotBitSize), s.get(slotBitOffset), s.get(slotByteSize))
	d.aux = uint64(m)
	return err
}

// elements returns how many elements a dimension of an array has. C's arrays
// start at 0. A flexible one has no bound, or -1.
func (s *scanner) elements() uint64 {
	switch {
	case s.has(slotCount):
		return s.vals[slotCount]
	case s.has(slotUpper):
		return s.vals[slotUpper] + 1
	}
	return 0
}

// variable fills in a variable's address. It reports whether the variable is of
// interest: those on the stack and in registers are not.
func (s *scanner) variable(u *unit, d *die) bool {
	d.aux = s.get(slotOrigin)
	d.declare(s.get(slotDeclaration))
	if len(s.stack) == 1 {
		d.flags |= isTop
		if !s.has(slotLocation) {
			d.declare(s.get(slotExternal)) // an alias of another variable
		}
	}
	if s.has(slotLocation) {
		d.val, d.flags = u.static(s.vals[slotLocation], d.flags)
	}
	return d.flags != 0
}

// function fills in a function's address, and reports whether it has one.
func (s *scanner) function(u *unit, d *die) bool {
	d.aux = s.get(slotOrigin)
	switch {
	case s.has(slotLowPC):
		d.val = s.vals[slotLowPC]
	case s.has(slotLowPCx):
		addr, err := u.address(s.vals[slotLowPCx])
		if err != nil {
			return false
		}
		d.val = addr
	default:
		return false
	}
	d.flags |= isStatic
	if len(s.stack) == 1 {
		d.flags |= isTop
	}
	return true
}

package dwarfconv

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// The unit types of DWARF 5, section 7.5.1, that matter here.
const (
	unitType      = 0x02
	unitSkeleton  = 0x04
	unitSplit     = 0x05
	unitSplitType = 0x06
)

var (
	errVersion = errors.New("unknown DWARF version")
	errHeader  = errors.New("malformed unit header")
)

// A header is the start of a unit.
type header struct {
	encoding
	size      uint64 // of the whole unit in bytes, from the start of its header
	abbrevs   uint64 // offset in .debug_abbrev
	first     int    // of the first entry, from the start of the header
	isType    bool
	signature uint64 // of the type, in type units
	typeOff   uint64 // of the type, from the start of the header, in type units
}

// headerSize is that of the longest header: a type unit's in the 64-bit format.
const headerSize = 12 + 2 + 1 + 1 + 8 + 8 + 8

// parseHeader parses the header at the start of b, which is followed by slack.
// In .debug_types, which DWARF 5 no longer has, every unit is a type unit.
func parseHeader(b []byte, o byteOrder, inTypes bool) (header, error) {
	h := header{encoding: encoding{offSize: 4}, isType: inTypes}
	pos := 4
	h.size = o.u32(b, 0)
	switch {
	case h.size == 0xffffffff:
		h.offSize = 8
		h.size = o.u64(b, 4)
		pos = 12
	case h.size >= 0xfffffff0:
		return h, errHeader
	}
	if h.size > 1<<40 {
		return h, errHeader
	}
	h.size += uint64(pos)
	version := o.u16(b, pos)
	if version < 2 || version > 5 {
		return h, fmt.Errorf("%w %d", errVersion, version)
	}
	h.version = uint8(version)
	pos = h.fields(b, o, pos+2)
	if h.isType {
		h.signature = o.u64(b, pos)
		h.typeOff = h.offset(b, o, pos+8)
		pos += 8 + int(h.offSize)
	}
	h.first = pos
	if h.addrSize != 4 && h.addrSize != 8 || uint64(h.first) > h.size {
		return h, errHeader
	}
	return h, nil
}

// fields reads what follows the version, up to what only type units have.
func (h *header) fields(b []byte, o byteOrder, pos int) int {
	if h.version < 5 {
		h.abbrevs = h.offset(b, o, pos)
		pos += int(h.offSize)
		h.addrSize = b[pos]
		return pos + 1
	}
	typ := b[pos]
	h.addrSize = b[pos+1]
	h.abbrevs = h.offset(b, o, pos+2)
	pos += 2 + int(h.offSize)
	switch typ {
	case unitType, unitSplitType:
		h.isType = true
	case unitSkeleton, unitSplit:
		pos += 8 // the id that both halves have
	}
	return pos
}

// offset reads an offset of the unit's format.
func (e encoding) offset(b []byte, o byteOrder, pos int) uint64 {
	if e.offSize == 8 {
		return o.u64(b, pos)
	}
	return o.u32(b, pos)
}

// A unit is one unit of .debug_info or .debug_types, with the entries of it that
// matter once it has been scanned.
type unit struct {
	header
	file    *debugFile
	section *infoSection
	off     uint64 // of the header in the section
	order   byteOrder
	data    []byte // the whole unit, followed by slack
	buf     []byte // what data may be a part of
	end     int    // of the unit in data

	rust       bool
	strOffsets uint64 // where the unit's part of .debug_str_offsets starts
	addrBase   uint64 // the same of .debug_addr

	dies []die // the first is the unit's own
	// at has the index in dies of the entry at each position. It is never
	// cleared: an index counts only if the entry there is at that position.
	at     []uint32
	sparse bool // there is no at: few entries will be looked up, by searching
}

// maxUnit bounds a unit's size; the largest of a kernel have about a megabyte.
const maxUnit = 1 << 26

// load reads the unit at off of section s into u, whose buffers are used again.
func (u *unit) load(f *debugFile, s *infoSection, off uint64) error {
	u.file, u.section, u.off, u.order = f, s, off, f.order
	u.rust, u.dies = false, u.dies[:0]
	head, err := s.read(off, min(headerSize, s.size-off), &u.buf)
	if err != nil {
		return err
	}
	if u.header, err = parseHeader(head, f.order, s.types); err != nil {
		return err
	}
	if u.size > min(maxUnit, s.size-off) {
		return fmt.Errorf("unit of %d bytes: %w", u.size, errLimit)
	}
	u.end = int(u.size)
	if u.data, err = s.read(off, u.size, &u.buf); err != nil {
		return err
	}
	u.strOffsets, u.addrBase = u.defaultBases()
	return nil
}

// defaultBases returns where the unit's parts of .debug_str_offsets and
// .debug_addr start if the unit does not say: behind their headers, which came
// with DWARF 5.
func (u *unit) defaultBases() (strOffsets, addrBase uint64) {
	switch {
	case u.version < 5:
		return 0, 0
	case u.offSize == 8:
		return 16, 16
	}
	return 8, 8
}

// find returns the index of the entry at off of the unit, and -1 if that is none
// of those that were recorded.
func (u *unit) find(off uint64) int {
	if u.sparse {
		i, found := slices.BinarySearchFunc(u.dies, off, func(d die, off uint64) int { return cmp.Compare(uint64(d.off), off) })
		if !found {
			return -1
		}
		return i
	}
	if off >= uint64(len(u.at)) {
		return -1
	}
	i := int(u.at[off])
	if i >= len(u.dies) || u.dies[i].off != uint32(off) {
		return -1
	}
	return i
}

package dwarfconv

import (
	"bytes"
	"debug/dwarf"
)

// attrs reads the attributes of an entry, which start at base, into s.vals, and
// sets the bits of s.have. It returns the position after the entry. That and
// every base in between are checked against the unit's end, so that a read stays
// within the slack.
func (s *scanner) attrs(u *unit, a *abbrev, base int) (int, error) {
	data, order, have := u.data, u.order, uint32(0)
	steps := s.table.steps[a.first:a.last]
	for i := range steps {
		o := &steps[i]
		pos := base + int(o.rel)
		var v uint64
		switch o.code {
		case stepU8:
			v = uint64(data[pos])
		case stepU16:
			v = order.u16(data, pos)
		case stepU32:
			v = order.u32(data, pos)
		case stepU64:
			v = order.u64(data, pos)
		case stepImplicit:
			v = s.table.consts[o.arg]
		case stepULEB:
			v, base = uleb(data, pos)
		case stepU24:
			v = order.u24(data, pos)
		case stepInPlace:
			v = uint64(pos)
		default:
			var err error
			if v, base, err = s.long(u, o, pos, a.kind); err != nil {
				return base, err
			}
			if o.code == stepIndirect {
				have |= s.have
				continue
			}
		}
		if base > u.end {
			return base, errTruncated
		}
		if o.tag != 0 {
			v = v&refMask | uint64(o.tag)<<refBits
		}
		s.vals[o.slot] = v
		have |= 1 << o.slot
	}
	s.have = have
	return base + a.tail, nil
}

// long reads a value that is seldom wanted or seldom met.
func (s *scanner) long(u *unit, o *step, pos int, k kind) (v uint64, base int, err error) {
	switch o.code {
	case stepAdvance:
		return 0, pos + int(o.arg), nil
	case stepSLEB:
		n, base := sleb(u.data, pos)
		return uint64(n), base, nil
	case stepCStr:
		n := bytes.IndexByte(u.data[pos:], 0)
		if n < 0 {
			return 0, pos, errTruncated
		}
		return uint64(pos), pos + n + 1, nil
	case stepBlock:
		return u.block(pos, int(o.arg))
	}
	return s.indirect(u, o, pos, k)
}

// block reads the length of size bytes at pos. It returns the block's position,
// shifted left by 32 bits, with its length, and where the block ends.
func (u *unit) block(pos, size int) (v uint64, base int, err error) {
	var n uint64
	switch size {
	case 0:
		n, pos = uleb(u.data, pos)
	case 1:
		n = uint64(u.data[pos])
	case 2:
		n = u.order.u16(u.data, pos)
	default:
		n = u.order.u32(u.data, pos)
	}
	pos += size
	if pos > u.end || n > uint64(u.end-pos) {
		return 0, pos, errTruncated
	}
	return uint64(pos)<<32 | n, pos + int(n), nil
}

// indirect reads a value whose form stands before it. It sets s.have to the bit
// of the slot that it fills.
func (s *scanner) indirect(u *unit, o *step, pos int, k kind) (v uint64, base int, err error) {
	f, pos := uleb(u.data, pos)
	if pos > u.end {
		return 0, pos, errTruncated
	}
	if form(f) == formIndirect || form(f) == formImplicitConst {
		return 0, pos, errForm
	}
	c := compiler{encoding: u.encoding, abbrevTable: &abbrevTable{}}
	if _, err := c.attribute(u.data, pos, dwarf.Attr(o.arg), form(f), k); err != nil {
		return 0, pos, err
	}
	table := s.table
	s.table = c.abbrevTable
	defer func() { s.table = table }()
	base, err = s.attrs(u, &abbrev{last: int32(len(c.steps)), tail: c.rel, kind: k}, pos)
	if err == nil && base > u.end {
		err = errTruncated
	}
	return 0, base, err
}

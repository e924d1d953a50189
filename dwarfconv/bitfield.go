package dwarfconv

import "github.com/nodelens/nodelens/isf"

// bitfield makes f, the member that d is, a bit field. Little-endian fields
// start in the byte that their lowest bit is in, as dwarf2json has them.
// Big-endian ones start with their storage unit, for bits are counted from the
// least significant of that.
func (c *collector) bitfield(u *unit, d *die, f *isf.Field) error {
	if f.Type.Kind != isf.KindBase && f.Type.Kind != isf.KindEnum {
		return errBitfield
	}
	m := memberBits(d.aux)
	length := int64(m.size())
	storage := m.storage()
	if storage == 0 {
		storage = c.sizeOf(u, d.typ, 0)
	}
	var pos int64 // of the lowest bit in the storage unit, if that is read as a number
	switch {
	case d.flags&fromStart == 0 && (d.flags&hasBitOffset != 0 || m.storage() != 0):
		pos = 8*int64(storage) - m.offset() - length
	case !bool(u.order):
		f.Offset, pos = 0, int64(d.val)
		if d.flags&fromStart == 0 {
			f.Offset, pos = d.val, 0
		}
	default:
		f.Offset, pos = bigEndianBits(d, length, storage)
	}
	if !bool(u.order) && pos >= 0 {
		f.Offset += uint64(pos) / 8
		pos %= 8
	}
	if pos < 0 || pos > 255 {
		return errBitfield
	}
	f.Type = &isf.Type{Kind: isf.KindBitfield, Elem: f.Type, BitPosition: uint8(pos), BitLength: uint8(length)}
	return nil
}

// bigEndianBits places a big-endian bit field that is counted from the start of
// its type, in an aligned storage unit if it fits into one.
func bigEndianBits(d *die, length int64, storage uint64) (offset uint64, pos int64) {
	start := d.val // of the highest bit, in bits
	if d.flags&fromStart == 0 {
		start *= 8
	}
	storage = max(storage, 1)
	offset = start / 8 / storage * storage
	if start-8*offset+uint64(length) > 8*storage {
		offset = start / 8
	}
	return offset, int64(8*storage) - int64(start-8*offset) - length
}

// sizeOf returns the size in bytes of a scalar type, 0 if it is none.
func (c *collector) sizeOf(u *unit, ref typeRef, depth int) uint64 {
	if ref == 0 || depth == maxChain {
		return 0
	}
	u, i, err := c.resolve(u, ref)
	if err != nil {
		return 0
	}
	switch d := &u.dies[i]; d.kind {
	case kindBase, kindEnum:
		return d.val
	case kindTypedef, kindQualifier:
		return c.sizeOf(u, d.typ, depth+1)
	case kindPointer:
		return uint64(u.addrSize)
	}
	return 0
}

package kstruct

import (
	"fmt"
	"math/bits"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A number is how an integer lies in memory.
type number struct {
	size      uint64 // in bytes: 1, 2, 4 or 8
	shift     uint8  // of a bit field: its lowest bit
	bits      uint8  // how many there are
	signed    bool
	bigEndian bool
}

// numberOf returns how values of type t lie in memory, with ErrType for what is no integer.
func (s *Space) numberOf(t *isf.Type) (number, error) {
	size, err := s.types.SizeOf(t)
	if err != nil {
		return number{}, err
	}
	c := number{size: size, bits: uint8(min(size*8, 128))}
	unit := t
	if t.Kind == isf.KindBitfield {
		unit = t.Elem
		c.shift, c.bits = t.BitPosition, t.BitLength
	}
	if err := s.setSign(&c, unit); err != nil {
		return number{}, err
	}
	switch {
	case size != 1 && size != 2 && size != 4 && size != 8:
		return number{}, fmt.Errorf("%w: %s has %d bytes", ErrType, t, size)
	case c.bits == 0 || uint64(c.shift)+uint64(c.bits) > size*8:
		return number{}, fmt.Errorf("%w: %s begins at bit %d of %d", ErrType, t, c.shift, size*8)
	}
	return c, nil
}

// setSign says what the bits of an integer of type t mean.
func (s *Space) setSign(c *number, t *isf.Type) error {
	switch t.Kind {
	case isf.KindPointer:
		return nil
	case isf.KindEnum:
		e, err := s.types.Enum(t.Name)
		if err != nil {
			return err
		}
		c.signed = s.signedEnum(e)
		return nil
	case isf.KindBase:
		b, err := s.types.BaseType(t.Name)
		if err != nil {
			return err
		}
		if b.Kind == isf.BaseInt || b.Kind == isf.BaseChar || b.Kind == isf.BaseBool {
			c.signed, c.bigEndian = b.Signed && b.Kind != isf.BaseBool, b.BigEndian
			return nil
		}
	}
	return fmt.Errorf("%w: %s is no integer", ErrType, t)
}

// signedEnum goes by the base type of an enumeration, and where that is not known by
// whether it has negative constants, as C compilers do.
func (s *Space) signedEnum(e *isf.Enum) bool {
	if b, err := s.types.BaseType(e.Base); err == nil && b.Kind != isf.BaseVoid {
		return b.Signed
	}
	return len(e.Constants) > 0 && e.Constants[0].Value < 0
}

// integer reads an integer of any kind, with its sign extended.
func (v Value) integer() (uint64, error) {
	c, err := v.space.numberOf(v.typ)
	if err != nil {
		return 0, err
	}
	return v.read(c)
}

func (v Value) read(c number) (uint64, error) {
	x, err := v.word(c.size)
	if err != nil {
		return 0, err
	}
	if c.bigEndian != v.bigEndian {
		x = bits.ReverseBytes64(x) >> (64 - c.size*8)
	}
	unused := 64 - c.bits
	x = x >> c.shift << unused
	if c.signed {
		return uint64(int64(x) >> unused), nil
	}
	return x >> unused, nil
}

// word reads the 1, 2, 4 or 8 bytes at v.
func (v Value) word(size uint64) (uint64, error) {
	switch size {
	case 1:
		x, err := v.space.mem.Uint8(v.addr)
		return uint64(x), err
	case 2:
		x, err := v.space.mem.Uint16(v.addr)
		return uint64(x), err
	case 4:
		x, err := v.space.mem.Uint32(v.addr)
		return uint64(x), err
	}
	return v.space.mem.Uint64(v.addr)
}

// Uint returns an integer, a pointer, or the value of an enumeration or a bit field. The
// error wraps [ErrRange] for a negative one, and [ErrType] for what is no integer of at
// most 64 bits. It allocates nothing.
func (v Value) Uint() (uint64, error) {
	if err := v.Err(); err != nil {
		return 0, err
	}
	c, err := v.space.numberOf(v.typ)
	if err != nil {
		return 0, v.lost(err)
	}
	x, err := v.read(c)
	if err == nil && c.signed && int64(x) < 0 {
		err = fmt.Errorf("%w: %d is negative", ErrRange, int64(x))
	}
	if err != nil {
		return 0, v.lost(err)
	}
	return x, nil
}

// Int is Uint for integers that may be negative. The error wraps [ErrRange] for one above
// the largest int64.
func (v Value) Int() (int64, error) {
	if err := v.Err(); err != nil {
		return 0, err
	}
	c, err := v.space.numberOf(v.typ)
	if err != nil {
		return 0, v.lost(err)
	}
	x, err := v.read(c)
	if err == nil && !c.signed && int64(x) < 0 {
		err = fmt.Errorf("%w: %d exceeds an int64", ErrRange, x)
	}
	if err != nil {
		return 0, v.lost(err)
	}
	return int64(x), nil
}

// Bool reports whether an integer is not zero. It allocates nothing.
func (v Value) Bool() (bool, error) {
	if err := v.Err(); err != nil {
		return false, err
	}
	x, err := v.integer()
	if err != nil {
		return false, v.lost(err)
	}
	return x != 0, nil
}

// Pointer returns the address that a pointer holds, or an unsigned integer of a pointer's
// size, as which the kernel keeps the addresses of user space. It may be 0. It allocates
// nothing.
func (v Value) Pointer() (vmem.VirtAddr, error) {
	if err := v.Err(); err != nil {
		return 0, err
	}
	c, err := v.space.numberOf(v.typ)
	if err == nil && (c.size != 8 || c.bits != 64 || c.signed) {
		err = fmt.Errorf("%w: %s is no pointer", ErrType, v.typ)
	}
	if err != nil {
		return 0, v.lost(err)
	}
	x, err := v.read(c)
	if err != nil {
		return 0, v.lost(err)
	}
	return vmem.VirtAddr(x), nil
}

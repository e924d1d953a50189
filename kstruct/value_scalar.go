package kstruct

import (
	"fmt"
	"math/bits"

	"github.com/nodelens/nodelens/vmem"
)

// scalar returns how the number that v is lies in memory, with ErrType for what is none.
func (v Value) scalar() (scalar, error) {
	k, note := scalarOf(v.space.types, v.typ, v.bigEndian)
	if note != "" {
		return k, fmt.Errorf("%w: %s: %s", ErrType, v.typ, note)
	}
	return k, nil
}

// integer reads an integer of any kind, with its sign extended.
func (v Value) integer() (uint64, error) {
	k, err := v.scalar()
	if err != nil {
		return 0, err
	}
	return v.read(k)
}

func (v Value) read(k scalar) (uint64, error) {
	x, err := v.word(k.size)
	if err != nil {
		return 0, err
	}
	if k.big {
		x = bits.ReverseBytes64(x) >> (64 - k.size*8)
	}
	unused := 64 - k.bits
	x = x >> k.shift << unused
	if k.signed {
		return uint64(int64(x) >> unused), nil
	}
	return x >> unused, nil
}

// word reads the 1, 2, 4 or 8 bytes at v.
func (v Value) word(size uint32) (uint64, error) {
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
	k, err := v.scalar()
	if err != nil {
		return 0, v.lost(err)
	}
	x, err := v.read(k)
	if err == nil && k.signed && int64(x) < 0 {
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
	k, err := v.scalar()
	if err != nil {
		return 0, v.lost(err)
	}
	x, err := v.read(k)
	if err == nil && !k.signed && int64(x) < 0 {
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
	k, err := v.scalar()
	if err == nil && (k.size != 8 || !k.whole() || k.signed) {
		err = fmt.Errorf("%w: %s is no pointer", ErrType, v.typ)
	}
	if err != nil {
		return 0, v.lost(err)
	}
	x, err := v.read(k)
	if err != nil {
		return 0, v.lost(err)
	}
	return vmem.VirtAddr(x), nil
}

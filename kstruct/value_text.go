package kstruct

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// Limits of what one call returns.
const (
	maxCString = 1 << 16
	maxBytes   = 1 << 20
)

// CString returns the text of an array of bytes, or of what a pointer to bytes leads to,
// up to the first NUL, which is left out. An array need not hold one; behind a pointer, or
// in a flexible array, it must come within 64 KiB, or the error wraps [ErrTooLong]. With an
// error it returns the text before the first byte that can't be read.
//
// The text is whatever was in memory, with any bytes.
func (v Value) CString() (string, error) {
	if err := v.Err(); err != nil {
		return "", err
	}
	at, limit, err := v.text()
	if err != nil {
		return "", v.lost(err)
	}
	s, err := v.space.mem.CString(at.addr, int(min(limit, maxCString+1)))
	if err == nil && len(s) > maxCString {
		s, err = s[:maxCString], fmt.Errorf("%w: text without an end", ErrTooLong)
	}
	if err != nil {
		return s, v.lost(err)
	}
	return s, nil
}

// text returns where the text of v is, and how many bytes it can have.
func (v Value) text() (at Value, limit uint64, err error) {
	t := v.typ
	if t.Kind != isf.KindArray && t.Kind != isf.KindPointer || !v.space.isChar(t.Elem) {
		return v, 0, fmt.Errorf("%w: %s is no text", ErrType, t)
	}
	if t.Kind == isf.KindPointer {
		at, err = v.deref()
		return at, maxCString + 1, err
	}
	if t.Count == 0 {
		return v, maxCString + 1, nil
	}
	return v, t.Count, nil
}

// isChar reports whether t is a char, signed or not.
func (s *Space) isChar(t *isf.Type) bool {
	if t == nil || t.Kind != isf.KindBase {
		return false
	}
	b, err := s.types.BaseType(t.Name)
	return err == nil && b.Size == 1 && (b.Kind == isf.BaseChar || b.Kind == isf.BaseInt)
}

// Bytes returns the bytes of the object as they are in memory; of a pointer, its own. The
// error wraps [ErrTooLong] for more than 1 MiB. With another error it returns those before
// the first that can't be read.
func (v Value) Bytes() ([]byte, error) {
	size, err := v.size()
	if err != nil {
		return nil, v.lost(err)
	}
	if size > maxBytes {
		return nil, v.lost(fmt.Errorf("%w: %d bytes", ErrTooLong, size))
	}
	b := make([]byte, size)
	n, err := v.space.mem.ReadVirt(b, v.addr)
	if err != nil {
		return b[:n], v.lost(err)
	}
	return b, nil
}

// Enum returns the name of the value of an enumeration: the first one in alphabetical
// order where several are equal. The error wraps [isf.ErrNotFound] where there is none.
func (v Value) Enum() (string, error) {
	if err := v.Err(); err != nil {
		return "", err
	}
	t := v.typ
	if t.Kind == isf.KindBitfield {
		t = t.Elem
	}
	if t.Kind != isf.KindEnum {
		return "", v.lost(fmt.Errorf("%w: %s is no enumeration", ErrType, v.typ))
	}
	x, err := v.integer()
	if err != nil {
		return "", v.lost(err)
	}
	e, err := v.space.types.Enum(t.Name)
	if err != nil {
		return "", v.lost(unknown(err))
	}
	if name, ok := constantOf(e, x); ok {
		return name, nil
	}
	return "", v.lost(&isf.LookupError{In: "enum " + t.Name, Object: fmt.Sprintf("constant of value %d", int64(x))})
}

// constantOf returns the name of a value of an enumeration.
func constantOf(e *isf.Enum, x uint64) (string, bool) {
	for i := range e.Constants {
		if uint64(e.Constants[i].Value) == x {
			return e.Constants[i].Name, true
		}
	}
	return "", false
}

// Flags returns the names of the flags that are set in an integer, by an enumeration of
// their values, such as enum bpf_map_flags. What is set beyond them is the last element,
// as a hexadecimal number. See [Value.Bits] for enumerations that count bits.
func (v Value) Flags(enum string) ([]string, error) {
	return v.flags(enum, func(value int64) uint64 { return uint64(value) })
}

// Bits is Flags for an enumeration of the numbers of bits, as enum pageflags is one. Bit 0
// is the least significant.
func (v Value) Bits(enum string) ([]string, error) {
	return v.flags(enum, func(value int64) uint64 {
		if value < 0 || value > 63 {
			return 0
		}
		return 1 << value
	})
}

func (v Value) flags(enum string, mask func(int64) uint64) ([]string, error) {
	if err := v.Err(); err != nil {
		return nil, err
	}
	k, err := v.scalar()
	if err != nil {
		return nil, v.lost(err)
	}
	x, err := v.read(k)
	if err != nil {
		return nil, v.lost(err)
	}
	e, err := v.space.types.Enum(strings.TrimPrefix(enum, "enum "))
	if err != nil {
		return nil, v.lost(unknown(err))
	}
	var names []string
	width := uint64(1)<<k.bits - 1 // without the bits that are the sign again
	x &= width
	rest := x
	for i := range e.Constants {
		if m := mask(e.Constants[i].Value) & width; m != 0 && x&m == m {
			names = append(names, e.Constants[i].Name)
			rest &^= m
		}
	}
	if rest != 0 {
		names = append(names, fmt.Sprintf("%#x", rest))
	}
	return names, nil
}

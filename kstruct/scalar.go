package kstruct

import (
	"fmt"
	"math"
	"reflect"

	"github.com/nodelens/nodelens/isf"
)

// A scalar says how the kernel stores a number.
type scalar struct {
	size        uint32 // in bytes, of the unit that is loaded: 1, 2, 4 or 8
	shift, bits uint8  // of the unit
	signed, big bool
	pointer     bool
	boolean     bool      // _Bool
	char        bool      // plain char, whose sign has no meaning
	enum        *isf.Enum // nil where it is none, or where its type is known to be signed or unsigned
}

// whole reports whether the number is all of its unit, and so no bit field.
func (k scalar) whole() bool { return uint32(k.bits) == 8*k.size }

// scalar returns how a value of type t is stored, or why it is no number.
func (f *fitter) scalar(t *isf.Type) (k scalar, note string) {
	return scalarOf(f.binder.types, t, f.big)
}

// scalarOf returns how a value of type t is stored, in network order if big says so, or why
// it is no number.
func scalarOf(types *isf.File, t *isf.Type, big bool) (k scalar, note string) {
	switch t.Kind {
	case isf.KindBase:
		k, note = baseScalar(types, t)
	case isf.KindPointer:
		k.pointer = true
	case isf.KindEnum:
		k, note = enumScalar(types, t)
	case isf.KindBitfield:
		return bitfieldScalar(types, t, big)
	default:
		note = "it is no number"
	}
	if note != "" {
		return k, note
	}
	size, err := types.SizeOf(t)
	if size == 0 && t.Kind == isf.KindEnum {
		size = 4 // it is declared there and no more, as that of a module can be in the kernel: an int
	}
	switch {
	case err != nil:
		return k, err.Error()
	case size != 1 && size != 2 && size != 4 && size != 8, k.pointer && size != 8:
		return k, fmt.Sprintf("it has %d bytes", size)
	}
	k.size, k.bits = uint32(size), uint8(8*size)
	k.big = (k.big || big) && size > 1
	return k, ""
}

func baseScalar(types *isf.File, t *isf.Type) (k scalar, note string) {
	b, err := types.BaseType(t.Name)
	switch {
	case err != nil:
		return k, err.Error()
	case b.Kind == isf.BaseFloat || b.Kind == isf.BaseVoid:
		return k, "it is no integer"
	}
	return scalar{signed: b.Signed && b.Kind != isf.BaseBool, big: b.BigEndian, boolean: b.Kind == isf.BaseBool, char: b.Name == "char"}, ""
}

// enumScalar takes the sign of an enumeration from its base type. Where that is not known,
// the constants have to do.
func enumScalar(types *isf.File, t *isf.Type) (k scalar, note string) {
	e, err := types.Enum(t.Name)
	if err != nil {
		return k, err.Error()
	}
	k.enum = e
	if b, err := types.BaseType(e.Base); err == nil && b.Kind == isf.BaseInt {
		k.signed, k.big = b.Signed, b.BigEndian
		return k, ""
	}
	for i := range e.Constants {
		k.signed = k.signed || e.Constants[i].Value < 0
	}
	return k, ""
}

func bitfieldScalar(types *isf.File, t *isf.Type, big bool) (k scalar, note string) {
	k, note = scalarOf(types, t.Elem, big)
	switch {
	case note != "":
		return k, note
	case k.big:
		return k, "bit fields in network order are not supported"
	case t.BitLength == 0 || uint32(t.BitPosition)+uint32(t.BitLength) > 8*k.size:
		return k, "it reaches beyond its unit"
	}
	k.shift, k.bits, k.char = t.BitPosition, t.BitLength, false
	return k, ""
}

// fits returns what keeps a Go integer type from holding all values of the number, "" if
// nothing does.
func (k scalar) fits(typ reflect.Type) string {
	size := uint32(typ.Size())
	switch {
	case k.pointer && typ != addressType:
		return "a pointer is read as " + addressType.String()
	case typ == addressType && (k.size != 8 || !k.whole() || k.signed):
		return "an address is a pointer, or unsigned and of 8 bytes"
	case k.char && size == 1, k.enum != nil && size == k.size && k.enumFits():
		return ""
	case !holds(typ, k.signed, uint32(k.bits)):
		return "it does not hold all values"
	}
	return ""
}

// enumFits reports whether the sign makes no difference to any of the constants.
func (k scalar) enumFits() bool {
	limit := int64(math.MaxInt64)
	if k.size < 8 {
		limit = 1<<(8*k.size-1) - 1
	}
	for _, c := range k.enum.Constants {
		if c.Value < 0 || c.Value > limit {
			return false
		}
	}
	return k.whole()
}

// holds reports whether a Go integer type holds every number of so many bits.
func holds(typ reflect.Type, signed bool, bits uint32) bool {
	room := 8 * uint32(typ.Size())
	switch typ.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return room > bits || signed && room == bits
	}
	return !signed && room >= bits
}

package isf

import "math/bits"

// SizeOf returns the size of a value of type t in bytes: 0 for void and for a
// flexible array, and for a bitfield the size of the unit it lies in. The error is
// a [*LookupError] for a function, for a type that the database does not have, and
// for one that does not fit in 64 bits.
func (f *File) SizeOf(t *Type) (uint64, error) {
	count := uint64(1)
	elem := t
	for range MaxTypeDepth {
		if elem == nil {
			break
		}
		switch elem.Kind {
		case KindArray:
			count = mulCapped(count, elem.Count)
		case KindBitfield:
		default:
			size, err := f.sizeOfElem(elem)
			if err != nil {
				return 0, err
			}
			if size = mulCapped(size, count); size == tooBig {
				return 0, noSize(t, "it exceeds 64 bits")
			}
			return size, nil
		}
		elem = elem.Elem
	}
	return 0, noSize(t, "it nests without end")
}

// tooBig stands for sizes that do not fit in 64 bits.
const tooBig = 1<<64 - 1

// mulCapped returns a*b, at most tooBig.
func mulCapped(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return tooBig
	}
	return lo
}

// addCapped returns a+b, at most tooBig.
func addCapped(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return tooBig
	}
	return sum
}

func noSize(t *Type, note string) error {
	return &LookupError{In: t.String(), Object: "size", Note: note}
}

// sizeOfElem is SizeOf for what is no array and no bitfield.
func (f *File) sizeOfElem(t *Type) (uint64, error) {
	switch t.Kind {
	case KindVoid:
		return 0, nil
	case KindPointer:
		return f.sizeOfBase(pointerBase(t))
	case KindBase:
		return f.sizeOfBase(t.Name)
	case KindEnum:
		e, err := f.Enum(t.Name)
		if err != nil {
			return 0, err
		}
		return e.Size, nil
	case KindStruct, KindUnion, KindClass:
		u, err := f.UserType(t.Name)
		if err != nil {
			return 0, err
		}
		return u.Size, nil
	}
	return 0, noSize(t, "")
}

func (f *File) sizeOfBase(name string) (uint64, error) {
	b, err := f.BaseType(name)
	if err != nil {
		return 0, err
	}
	return b.Size, nil
}

// pointerBase returns the name of the base type that gives the size of a pointer.
func pointerBase(t *Type) string {
	if t.Name != "" {
		return t.Name
	}
	return "pointer"
}

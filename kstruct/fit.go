package kstruct

import (
	"fmt"
	"reflect"

	"github.com/nodelens/nodelens/isf"
)

// A fitter compiles one member and says where a Go type does not fit it.
type fitter struct {
	*compiler
	owner *isf.UserType
	path  string // of the member in owner
	big   bool   // the tag says that the bytes are in network order
}

// value compiles a part of the Go value that is read from a value of type t.
func (f *fitter) value(s spot, t *isf.Type) {
	switch s.typ.Kind() {
	case reflect.Struct:
		f.embedded(s, t)
	case reflect.Array:
		f.array(s, t)
	case reflect.Bool:
		f.boolean(s, t)
	default:
		f.integer(s, t)
	}
}

// embedded compiles a Go struct that views a structure inside the structure.
func (f *fitter) embedded(s spot, t *isf.Type) {
	if t.Kind != isf.KindStruct && t.Kind != isf.KindUnion && t.Kind != isf.KindClass {
		f.mismatch(s, t, "only a structure or union is read as a struct")
		return
	}
	u, err := f.binder.types.UserType(t.Name)
	f.note(err)
	f.structure(s, u)
}

// array compiles a Go array. It may be longer than the kernel's: what the kernel does not
// have is zero.
func (f *fitter) array(s spot, t *isf.Type) {
	elem := s.typ.Elem()
	if elem.Kind() == reflect.Uint8 {
		f.bytes(s, t)
		return
	}
	switch {
	case t.Kind != isf.KindArray:
		f.mismatch(s, t, "it is no array")
		return
	case t.Count == 0:
		f.mismatch(s, t, "it does not say how long it is; read it by &")
		return
	case t.Count > uint64(s.typ.Len()):
		f.mismatch(s, t, "the Go array is shorter")
		return
	}
	size, err := f.binder.types.SizeOf(t.Elem)
	if err != nil {
		f.mismatch(s, t, err.Error())
		return
	}
	if whole, err := f.binder.types.SizeOf(t); err != nil || whole >= isf.Absent-s.from {
		f.mismatch(s, t, "it is too long")
		return
	}
	n, failed := uint64(0), f.failed
	f.elements(s, 0, int(t.Count), func(e spot) {
		if f.failed == failed { // what is wrong is so with all elements
			e.from = s.from + n*size
			f.value(e, t.Elem)
		}
		n++
	})
	f.elements(s, int(t.Count), s.typ.Len(), f.zero)
}

// bytes compiles a byte array: an array of bytes that is no longer, or the bytes of
// anything that has the same size.
func (f *fitter) bytes(s spot, t *isf.Type) {
	size, err := f.binder.types.SizeOf(t)
	room := uint64(s.typ.Len())
	switch {
	case err != nil:
		f.mismatch(s, t, err.Error())
	case size == 0:
		f.mismatch(s, t, "it has no size; read it by &")
	case size > room || size < room && !f.isText(t):
		f.mismatch(s, t, fmt.Sprintf("it has %d bytes", size))
	case size > 1<<31:
		f.mismatch(s, t, "it is too long")
	default:
		f.add(op{kind: opBytes, from: s.from, size: uint32(size), to: s.to, room: uint32(room)})
	}
}

// isText reports whether t is an array of bytes.
func (f *fitter) isText(t *isf.Type) bool {
	if t.Kind != isf.KindArray || t.Elem.Kind != isf.KindBase {
		return false
	}
	size, err := f.binder.types.SizeOf(t.Elem)
	return err == nil && size == 1
}

// boolean compiles a bool.
func (f *fitter) boolean(s spot, t *isf.Type) {
	k, note := f.scalar(t)
	switch {
	case note != "":
		f.mismatch(s, t, note)
	case k.boolean && k.whole():
		f.add(op{kind: opBool, from: s.from, size: k.size, to: s.to, room: 1})
	case k.bits == 1 && !k.whole():
		f.add(op{kind: opLoad, from: s.from, size: k.size, shift: k.shift, bits: 1, to: s.to, room: 1})
	default:
		f.mismatch(s, t, "only _Bool and a bit field of one bit are read as bool")
	}
}

// copies are the operations for values that have the same size in Go.
var copies = [9]opKind{1: opCopy1, 2: opCopy2, 4: opCopy4, 8: opCopy8}

// integer compiles an integer or an address.
func (f *fitter) integer(s spot, t *isf.Type) {
	k, note := f.scalar(t)
	if note == "" {
		note = k.fits(s.typ)
	}
	size := uint32(s.typ.Size())
	switch {
	case note != "":
		f.mismatch(s, t, note)
	case k.whole() && k.size == size && !k.big:
		f.add(op{kind: copies[size], from: s.from, size: size, to: s.to, room: size})
	default:
		f.add(op{kind: opLoad, from: s.from, size: k.size, shift: k.shift, bits: k.bits,
			signed: k.signed, big: k.big, to: s.to, room: size})
	}
}

func (f *fitter) mismatch(s spot, t *isf.Type, note string) {
	f.failed = true
	f.binder.err.Mismatches = append(f.binder.err.Mismatches, &MismatchError{
		Type: f.owner.Name, Member: f.path, Kernel: t.String(), Go: s.typ.String(), View: f.view, Note: note,
	})
}

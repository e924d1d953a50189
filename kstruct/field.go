package kstruct

import (
	"reflect"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A Number is what a [Field] may be read as.
type Number interface {
	~bool | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// A Field reads one member of a structure: a View without a Go struct, for a pointer that
// is followed, or a count. It is bound by [BindField], and is immutable and safe for
// concurrent use. The zero Field reads nothing.
type Field[T Number] struct {
	ok bool
	op [1]op
}

// BindField binds the member of the structure typ that path names, or the first of the
// older paths there is. T has to hold all values of the member, as [View] says.
func BindField[T Number](b *Binder, typ, path string, older ...string) *Field[T] {
	u, err := b.userType(typ, nil)
	b.note(err)
	return bindField[T](b, u, tag{paths: append([]string{path}, older...)})
}

// BindOptionalField is [BindField] for a member that need not exist, nor need the
// structure. Where it does not, the Field is not Ok.
func BindOptionalField[T Number](b *Binder, typ, path string, older ...string) *Field[T] {
	u, _ := b.userType(typ, nil)
	return bindField[T](b, u, tag{paths: append([]string{path}, older...), optional: true})
}

func bindField[T Number](b *Binder, u *isf.UserType, t tag) *Field[T] {
	c := compiler{binder: b, view: "the field"}
	c.field(spot{typ: reflect.TypeFor[T]()}, t, u)
	f := &Field[T]{ok: !c.failed && len(c.ops) == 1 && !c.ops[0].kind.local()}
	if f.ok {
		f.op[0] = c.ops[0]
	}
	return f
}

// Ok reports whether the field was bound. One that was not reads nothing.
func (f *Field[T]) Ok() bool { return f != nil && f.ok }

// Load returns the member of the structure at addr in mem. It allocates nothing. The error
// is that of [View.Read].
func (f *Field[T]) Load(mem *vmem.AddressSpace, addr vmem.VirtAddr) (T, error) {
	var out T
	if !f.Ok() {
		return out, ErrUnsupported
	}
	err := readInto(f.op[:], mem, addr, &out)
	return out, err
}

// Offset returns the offset of the member in its structure in bytes, [isf.Absent] where
// it is not Ok.
func (f *Field[T]) Offset() uint64 {
	if !f.Ok() {
		return isf.Absent
	}
	return f.op[0].from
}

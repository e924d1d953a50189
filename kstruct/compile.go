package kstruct

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// maxOps bounds the scalars of one view, array elements among them.
const maxOps = 1 << 14

// A compiler makes the operations that read a structure into a Go value.
type compiler struct {
	binder *Binder
	view   string // the Go type, for errors
	ops    []op
	steps  int  // array elements so far
	failed bool // something does not fit
	fields []viewField
}

// A viewField is where a Go field of a view is read from.
type viewField struct {
	name   string // such as "Outer.Inner"
	offset uint64 // from the start of the kernel's structure; isf.Absent where it has none
}

// compile makes the operations for t, a Go struct. u is nil where the kernel has no such
// structure: the mistakes of t are found all the same.
func (c *compiler) compile(t reflect.Type, u *isf.UserType) {
	if t.Kind() != reflect.Struct {
		c.tagError("", t.String()+" is no struct")
		return
	}
	c.structure(spot{typ: t}, u)
	if len(c.ops) >= maxOps || c.steps >= maxOps {
		c.tagError("", "more than "+strconv.Itoa(maxOps)+" members and elements")
		c.ops = nil
	}
	slices.SortStableFunc(c.ops, func(a, b op) int {
		if a.kind.local() != b.kind.local() { // those that read no memory come first
			return cmp.Compare(a.kind, b.kind)
		}
		return cmp.Compare(a.from, b.from)
	})
}

// A spot is a part of the Go value, and where in the kernel's structure it comes from.
type spot struct {
	typ  reflect.Type
	to   uintptr // offset in the Go value
	from uint64  // offset in the kernel's structure, once it is known
	name string  // of the Go field, as in viewField
}

// structure compiles the fields of a Go struct that is read from u.
func (c *compiler) structure(s spot, u *isf.UserType) {
	for f := range s.typ.Fields() {
		at := spot{typ: f.Type, to: s.to + f.Offset, from: s.from, name: joinName(s.name, f.Name)}
		t, tagged, err := fieldTag(f)
		switch {
		case err != nil:
			c.tagError(at.name, err.Error())
		case !tagged && f.Anonymous && f.Type.Kind() == reflect.Struct && f.Tag.Get(tagKey) != "-":
			at.name = s.name
			c.structure(at, u)
		case tagged && !f.IsExported():
			c.tagError(at.name, "a field with a tag must be exported")
		case tagged:
			c.field(at, t, u)
		}
	}
}

func joinName(outer, name string) string {
	if outer == "" {
		return name
	}
	return outer + "." + name
}

// field compiles one Go field. s.from is that of the structure u.
func (c *compiler) field(s spot, t tag, u *isf.UserType) {
	if note := checkGo(s.typ, t); note != "" {
		c.tagError(s.name, note)
		return
	}
	m, found := c.find(t, u)
	c.fields = append(c.fields, viewField{s.name, isf.Absent})
	if !found {
		c.zero(s)
		return
	}
	f := fitter{compiler: c, owner: u, path: t.pathOf(c.binder, u), big: t.big}
	if m.Offset >= isf.Absent-s.from {
		f.mismatch(s, m.Type, "it is too far from the start of the structure")
		return
	}
	s.from += m.Offset
	c.fields[len(c.fields)-1].offset = s.from
	if t.address {
		c.add(op{kind: opAddress, from: s.from, to: s.to})
		return
	}
	f.value(s, m.Type)
}

// find returns the member that the tag names, and notes that it is missing.
func (c *compiler) find(t tag, u *isf.UserType) (isf.Field, bool) {
	if u == nil {
		return isf.Field{}, false
	}
	if t.paths[0] == "" {
		return isf.Field{Type: &isf.Type{}}, true
	}
	m, err := c.binder.member(u, t.paths[0], t.paths[1:])
	if err != nil && !t.optional {
		c.note(err)
	}
	return m, err == nil
}

// pathOf returns the path that find took.
func (t tag) pathOf(b *Binder, u *isf.UserType) string {
	for _, p := range t.paths {
		if _, err := b.types.FieldOf(u, p); err == nil {
			return p
		}
	}
	return t.paths[0]
}

var addressType = reflect.TypeFor[vmem.VirtAddr]()

// checkGo returns what keeps the Go type of a field with the given tag from being read,
// whatever the kernel has.
func checkGo(typ reflect.Type, t tag) string {
	if t.address {
		if typ != addressType {
			return "an address needs " + addressType.String() + ", not " + typ.String()
		}
		return ""
	}
	elem := typ
	for elem.Kind() == reflect.Array {
		elem = elem.Elem()
	}
	switch elem.Kind() {
	case reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if t.big && elem == addressType {
			return "an address has no byte order"
		}
		return ""
	case reflect.Bool, reflect.Struct, reflect.Int8, reflect.Uint8:
		if t.big {
			return typ.String() + " has no byte order"
		}
		return ""
	}
	return typ.String() + " can't be read: only bool, sized integers, arrays and structs can"
}

// zero compiles a part of the Go value that the kernel has nothing for.
func (c *compiler) zero(s spot) {
	switch s.typ.Kind() {
	case reflect.Struct:
		c.structure(s, nil)
	case reflect.Array:
		c.elements(s, 0, s.typ.Len(), c.zero)
	default:
		c.add(op{kind: opZero, to: s.to, room: uint32(s.typ.Size())})
	}
}

// elements compiles the elements of a Go array from index first up to last, exclusive.
func (c *compiler) elements(s spot, first, last int, each func(spot)) {
	for i := first; i < last && c.steps < maxOps; i++ {
		c.steps++
		e := s
		e.typ = s.typ.Elem()
		e.to += uintptr(i) * e.typ.Size()
		e.name += "[" + strconv.Itoa(i) + "]"
		each(e)
	}
}

func (c *compiler) add(o op) {
	if len(c.ops) < maxOps {
		c.ops = append(c.ops, o)
	}
}

// note remembers that something is missing.
func (c *compiler) note(err error) {
	c.failed = c.failed || err != nil
	c.binder.note(err)
}

func (c *compiler) tagError(field, note string) {
	c.failed = true
	c.binder.err.Tags = append(c.binder.err.Tags, &TagError{View: c.view, Field: field, Note: note})
}

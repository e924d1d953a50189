package layouts

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// Extract returns the part of a kernel's types and symbols that u names: small enough to be
// carried along. Its types have all their members, for these are what a layout is told by to
// be, or not to be, that of a kernel; of what they contain, and u does not name, the size alone is kept,
// unless it has no name of its own.
func Extract(f *isf.File, u *isf.Usage) (*isf.File, error) {
	x := extractor{file: f, types: map[string]isf.UserType{}, enums: map[string]isf.Enum{}, bases: map[string]isf.BaseType{}}
	for _, name := range u.Types() {
		x.addType(name, true)
	}
	for _, name := range u.Enums() {
		x.addEnum(name)
	}
	c := isf.Contents{Metadata: f.Metadata()}
	for _, name := range u.Symbols() {
		if s, err := f.Symbol(name); err == nil {
			x.addOf(s.Type)
			c.Symbols = append(c.Symbols, *s)
		}
	}
	c.Types = slices.Collect(maps.Values(x.types))
	c.Enums = slices.Collect(maps.Values(x.enums))
	c.Bases = slices.Collect(maps.Values(x.bases))
	small, err := isf.New(c)
	if err != nil {
		return nil, fmt.Errorf("layouts: %w", err)
	}
	return small, nil
}

// An extractor collects what types are made of.
type extractor struct {
	file  *isf.File
	types map[string]isf.UserType
	enums map[string]isf.Enum
	bases map[string]isf.BaseType
}

// addType adds a type by name, with its members or as a size.
func (x *extractor) addType(name string, whole bool) {
	have, ok := x.types[name]
	if ok && (!whole || len(have.Fields) > 0) {
		return
	}
	u, err := x.file.UserType(name)
	if err != nil {
		return
	}
	t := *u
	if !whole && !strings.HasPrefix(name, "unnamed_") {
		t.Fields = nil
		x.types[name] = t
		return
	}
	x.types[name] = t
	for i := range t.Fields {
		x.addOf(t.Fields[i].Type)
	}
}

func (x *extractor) addEnum(name string) {
	if e, err := x.file.Enum(name); err == nil {
		x.enums[name] = *e
		x.addBase(e.Base)
	}
}

func (x *extractor) addBase(name string) {
	if b, err := x.file.BaseType(name); err == nil {
		x.bases[name] = *b
	}
}

// addOf adds what a value of type t is made of. What pointers lead to is not a part of it.
func (x *extractor) addOf(t *isf.Type) {
	for ; t != nil; t = t.Elem {
		switch t.Kind {
		case isf.KindPointer:
			x.addBase(t.Name)
			return
		case isf.KindBase:
			x.addBase(t.Name)
		case isf.KindEnum:
			x.addEnum(t.Name)
		case isf.KindStruct, isf.KindUnion, isf.KindClass:
			x.addType(t.Name, false)
		}
	}
}

package dwarfconv

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/isf"
)

// A harvest is what all units of a file define.
type harvest struct {
	types     []isf.UserType
	enums     []isf.Enum
	bases     []isf.BaseType
	declared  map[string]*isf.Type // variables without an address
	ambiguous map[string]bool      // those of them that are also defined somewhere
	variables []variable           // by address, then by name
}

// merge joins what the workers found. The result does not depend on which worker
// read what. What of it can't be kept is noted among the damage.
func merge(collectors []*collector, lost *damage) *harvest {
	h := &harvest{declared: make(map[string]*isf.Type), ambiguous: make(map[string]bool)}
	for _, v := range chosen(joined(collectors)) {
		switch def := v.def.(type) {
		case *isf.UserType:
			def.Name = v.name
			def.Fields = onlyLast(def.Fields, func(f isf.Field) string { return f.Name }, func(name string) {
				lost.loss(kindNames[def.Kind]+" "+def.Name, fmt.Errorf("%w member %q", errTwice, name))
			})
			h.types = append(h.types, *def)
		case *isf.Enum:
			def.Name = v.name
			def.Constants = onlyLast(def.Constants, func(c isf.Constant) string { return c.Name }, func(name string) {
				lost.loss("enum "+def.Name, fmt.Errorf("%w constant %q", errTwice, name))
			})
			h.enums = append(h.enums, *def)
		case *isf.BaseType:
			def.Name = v.name
			h.bases = append(h.bases, *def)
		case *isf.Type:
			h.declared[v.name] = def
		}
	}
	pointer := uint64(8)
	for _, c := range collectors {
		h.variables = append(h.variables, c.variables...)
		if c.pointer != 0 {
			pointer = uint64(c.pointer)
		}
	}
	slices.SortFunc(h.variables, func(a, b variable) int {
		return cmp.Or(compareVariables(a, b), cmp.Compare(a.pos, b.pos))
	})
	for _, v := range h.variables {
		if h.declared[v.name] != nil {
			h.ambiguous[v.name] = true
		}
	}
	h.implied(pointer)
	return h
}

var errTwice = errors.New("more than one")

// onlyLast returns s with only the last of several elements of one name, as isf wants it
// and dwarf2json has it, and calls twice for each of the others. C has no such types.
func onlyLast[T any](s []T, name func(T) string, twice func(name string)) []T {
	if len(s) <= fewNames && distinct(s, name) {
		return s
	}
	seen := make(map[string]bool, len(s))
	kept := len(s) // where those kept begin
	for _, v := range slices.Backward(s) {
		n := name(v)
		if seen[n] {
			twice(n)
			continue
		}
		seen[n] = true
		kept--
		s[kept] = v
	}
	return s[kept:]
}

// fewNames is how many names are told apart the fastest by comparing each with each.
const fewNames = 24

// distinct reports whether no two of a few elements have the same name.
func distinct[T any](s []T, name func(T) string) bool {
	var names [fewNames]string
	for i := range s {
		names[i] = name(s[i])
		if slices.Contains(names[:i], names[i]) {
			return false
		}
	}
	return true
}

// joined returns every distinct variant once, with the units of all workers.
func joined(collectors []*collector) []*variant {
	byKey := make(map[uint64]*variant)
	for _, c := range collectors {
		for key, v := range c.variants {
			w, ok := byKey[key]
			if !ok {
				byKey[key] = v
				continue
			}
			w.units += v.units
			w.first = min(w.first, v.first)
		}
	}
	all := make([]*variant, 0, len(byKey))
	for _, v := range byKey {
		all = append(all, v)
	}
	return all
}

// chosen returns one variant of each name, in the order of names: the one that
// most units agree on, and of several such the one that comes first in the file.
func chosen(all []*variant) []*variant {
	slices.SortFunc(all, func(a, b *variant) int {
		return cmp.Or(cmp.Compare(a.space, b.space), cmp.Compare(a.name, b.name),
			cmp.Compare(b.units, a.units), cmp.Compare(a.first, b.first))
	})
	return slices.CompactFunc(all, func(a, b *variant) bool { return a.space == b.space && a.name == b.name })
}

// implied adds the base types that DWARF has no entry for, and gives those
// enumerations a base type that do not name one.
func (h *harvest) implied(pointer uint64) {
	big := len(h.bases) > 0 && h.bases[0].BigEndian
	add := func(b isf.BaseType) {
		i, found := slices.BinarySearchFunc(h.bases, b.Name, byName)
		if !found {
			h.bases = slices.Insert(h.bases, i, b)
		}
	}
	add(isf.BaseType{Name: "void", Kind: isf.BaseVoid, BigEndian: big})
	add(isf.BaseType{Name: "pointer", Size: pointer, Kind: isf.BaseInt, BigEndian: big})
	for i := range h.enums {
		if e := &h.enums[i]; e.Base == "" {
			e.Base = h.enumBase(e)
		}
	}
}

// enumBase returns the first integer type by name of the size and signedness
// that e needs, "void" where there is none.
func (h *harvest) enumBase(e *isf.Enum) string {
	signed := slices.ContainsFunc(e.Constants, func(c isf.Constant) bool { return c.Value < 0 })
	for _, b := range h.bases {
		if b.Kind == isf.BaseInt && b.Size == e.Size && b.Signed == signed && b.Name != "pointer" {
			return b.Name
		}
	}
	return "void"
}

func byName(b isf.BaseType, name string) int { return cmp.Compare(b.Name, name) }

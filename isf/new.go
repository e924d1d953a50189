package isf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// version is the one that Encode writes.
const version = "6.2.0"

// unnamedPrefix, with a hexadecimal number, is what dwarf2json calls members that
// have no name.
const unnamedPrefix = "unnamed_field_"

// New makes a database of what a producer found. It takes the slices over: the
// caller must not use them afterwards.
//
// Members without a name are called unnamed_field_0 and so on, counted in each
// type in hexadecimal, as dwarf2json does it. The base types "void" and "pointer",
// which ISF needs, are added where missing; the pointer has 8 bytes. An empty
// Metadata.Format becomes the version that Encode writes.
//
// Two entries of one kind, two members of one type or two constants of one
// enumeration with the same name are an error, and so are types that nest without
// end, and kinds that can't stand where they stand: they are mistakes of the
// producer.
func New(c Contents) (*File, error) {
	var p problems
	p.check(&c)
	if err := p.err(); err != nil {
		return nil, err
	}
	for i := range c.Types {
		nameUnnamed(c.Types[i].Fields)
	}
	f := build(c, func(in, name string) { p.add("%s called %s more than once", in, name) })
	f.addBase(BaseType{Name: "void"})
	f.addBase(BaseType{Name: "pointer", Size: 8, Kind: BaseInt})
	if err := p.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// build makes the database of contents whose types are sound. Of entries with the
// same name it keeps the last, and calls twice for the others.
func build(c Contents, twice func(in, name string)) *File {
	f := &File{metadata: c.Metadata, bases: c.Bases, types: c.Types, enums: c.Enums, symbols: c.Symbols, lost: c.Lost}
	f.metadata.Format = cmp.Or(f.metadata.Format, version)
	f.bases = byName("", "base types", f.bases, func(b BaseType) string { return b.Name }, twice)
	f.types = byName("", "user types", f.types, func(u UserType) string { return u.Name }, twice)
	f.enums = byName("", "enums", f.enums, func(e Enum) string { return e.Name }, twice)
	f.symbols = byName("", "symbols", f.symbols, func(s Symbol) string { return s.Name }, twice)
	for i := range f.types {
		u := &f.types[i]
		u.Fields = byName(u.Name, ": members", u.Fields, func(m Field) string { return m.Name }, twice)
		slices.SortFunc(u.Fields, compareFields)
	}
	for i := range f.enums {
		e := &f.enums[i]
		e.Base = cmp.Or(e.Base, "void")
		e.Constants = byName(e.Name, ": constants", e.Constants, func(c Constant) string { return c.Name }, twice)
		slices.SortFunc(e.Constants, compareConstants)
	}
	return f
}

// byName sorts s, most often sorted already, and drops all but the last of
// elements with one name. It returns what is left, and calls twice for each that
// is not, with owner and what joined.
func byName[T any](owner, what string, s []T, name func(T) string, twice func(in, name string)) []T {
	i := 1
	for i < len(s) && name(s[i-1]) < name(s[i]) {
		i++
	}
	if i >= len(s) {
		return s
	}
	s = sortedBy(s, name)
	kept := s[:0]
	for i := range s {
		if i+1 < len(s) && name(s[i]) == name(s[i+1]) {
			twice(owner+what, name(s[i]))
			continue
		}
		kept = append(kept, s[i])
	}
	clear(s[len(kept):])
	return kept
}

// maxInserted is the number of elements up to which a stable sort, which inserts, is
// the fastest.
const maxInserted = 16

// sortedBy returns the elements of s by name, and those of one name in the order they
// have. It may use s for that.
func sortedBy[T any](s []T, name func(T) string) []T {
	if len(s) <= maxInserted {
		slices.SortStableFunc(s, func(a, b T) int { return strings.Compare(name(a), name(b)) })
		return s
	}
	type key struct {
		name string
		i    int
	}
	keys := make([]key, len(s))
	for i := range s {
		keys[i] = key{name(s[i]), i}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return cmp.Compare(a.i, b.i)
	})
	sorted := make([]T, len(s))
	for i, k := range keys {
		sorted[i] = s[k.i]
	}
	return sorted
}

func compareFields(a, b Field) int {
	if c := cmp.Compare(a.Offset, b.Offset); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Type.BitPosition, b.Type.BitPosition); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

func compareConstants(a, b Constant) int {
	if c := cmp.Compare(a.Value, b.Value); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// addBase adds b where there is no base type of its name.
func (f *File) addBase(b BaseType) {
	i, found := f.findBase(b.Name)
	if !found {
		f.bases = slices.Insert(f.bases, i, b)
	}
}

func nameUnnamed(fields []Field) {
	n := int64(0)
	for i := range fields {
		if fields[i].Name == "" {
			fields[i].Name = unnamedPrefix + strconv.FormatInt(n, 16)
			n++
		}
	}
}

// maxProblems is how many mistakes New lists.
const maxProblems = 10

// problems collects the first mistakes that a producer made.
type problems []error

func (p *problems) add(format string, args ...any) {
	if len(*p) < maxProblems {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

// err returns nil where there are none.
func (p *problems) err() error {
	if len(*p) == 0 {
		return nil
	}
	return fmt.Errorf("isf: bad contents: %w", errors.Join(*p...))
}

func (p *problems) check(c *Contents) {
	for i := range c.Bases {
		if b := &c.Bases[i]; int(b.Kind) >= len(baseKindNames) {
			p.add("base type %s is a %v", b.Name, b.Kind)
		}
	}
	for i := range c.Types {
		u := &c.Types[i]
		if !u.Kind.aggregate() {
			p.add("user type %s is a %v", u.Name, u.Kind)
		}
		for j := range u.Fields {
			if !isSound(u.Fields[j].Type) {
				p.add("%s.%s has a broken type", u.Name, u.Fields[j].Name)
			}
		}
	}
	for i := range c.Symbols {
		if t := c.Symbols[i].Type; t != nil && !isSound(t) {
			p.add("symbol %s has a broken type", c.Symbols[i].Name)
		}
	}
}

// isSound reports whether all that ISF needs of t is there, and no deeper than
// MaxTypeDepth.
func isSound(t *Type) bool {
	for range MaxTypeDepth {
		switch {
		case t == nil || int(t.Kind) >= len(kindNames):
			return false
		case t.Kind == KindBitfield:
			return t.Elem != nil && (t.Elem.Kind <= KindBase || t.Elem.Kind == KindEnum)
		case t.Kind != KindPointer && t.Kind != KindArray:
			return true
		}
		t = t.Elem
	}
	return false
}

package isf

import (
	"slices"
	"strconv"
	"strings"
)

// maxFlattened is how many unnamed structs and unions a search for one member
// looks into. The largest kernel types have some fifty; the limit and the cycle
// check keep a hostile file in bounds.
const maxFlattened = 1000

// Field returns the member of the user type called typeName that path names. Its
// Offset counts from the start of that type.
//
// A path is a member's name, or several joined by dots to go into structs and
// unions that are members: "thread_node.next". An element of an array is named by
// its index: "numbers[0].ns"; a flexible array takes any index. Members of
// unnamed structs and unions are members of what surrounds them, as in C, at any
// depth. Pointers are not followed.
//
// The error is a [*LookupError].
func (f *File) Field(typeName, path string) (Field, error) {
	u, err := f.UserType(typeName)
	if err != nil {
		return Field{}, err
	}
	return f.FieldOf(u, path)
}

// HasField reports whether Field finds the path.
func (f *File) HasField(typeName, path string) bool {
	_, err := f.Field(typeName, path)
	return err == nil
}

// FieldOf is Field for a user type at hand.
func (f *File) FieldOf(u *UserType, path string) (Field, error) {
	var at Field
	owner, rest := u, path
	for more := true; more; {
		if at.Type != nil {
			if owner = f.aggregate(at.Type); owner == nil {
				return Field{}, f.noField(u, path, at.Name+" is "+at.Type.String())
			}
			f.usage.addType(owner.Name, "")
		}
		var step string
		step, rest, more = strings.Cut(rest, ".")
		next, note := f.step(owner, step)
		if next.Type == nil {
			return Field{}, f.noField(u, path, note)
		}
		next.Offset = addCapped(next.Offset, at.Offset)
		at = next
	}
	if at.Offset == tooBig {
		return Field{}, f.noField(u, path, "offset exceeds 64 bits")
	}
	f.usage.addType(u.Name, path)
	return at, nil
}

// noField returns the error for a path that leads nowhere in u.
func (f *File) noField(u *UserType, path, note string) error {
	if note == "" {
		note = f.malformedNote(sectionTypes, u.Name, "fields", path)
	}
	return &LookupError{In: u.Kind.String() + " " + u.Name, Object: "field " + path, Note: note}
}

// aggregate returns the user type that t names, nil where t is none or it is
// unknown.
func (f *File) aggregate(t *Type) *UserType {
	if !t.Kind.aggregate() {
		return nil
	}
	return f.userType(t.Name)
}

// step takes one part of a path, a name with or without indexes. A zero Type says
// that there is no such member, and note why.
func (f *File) step(u *UserType, step string) (at Field, note string) {
	name, indexes, indexed := strings.Cut(step, "[")
	at, ok := f.member(u, name)
	if !ok || !indexed {
		return at, ""
	}
	for index := range strings.SplitSeq(indexes, "[") {
		if at, note = f.element(at, index); note != "" {
			return Field{}, note
		}
	}
	return at, ""
}

// element takes the element of the array at that index names, which ends with
// the closing bracket.
func (f *File) element(at Field, index string) (_ Field, note string) {
	n, err := strconv.ParseUint(strings.TrimSuffix(index, "]"), 10, 64)
	if err != nil || !strings.HasSuffix(index, "]") {
		return at, "bad index [" + index
	}
	t := at.Type
	if t.Kind != KindArray || t.Count != 0 && n >= t.Count {
		return at, at.Name + " is " + t.String()
	}
	size, err := f.SizeOf(t.Elem)
	if err != nil {
		return at, err.Error()
	}
	at.Type = t.Elem
	at.Offset = addCapped(at.Offset, mulCapped(n, size))
	return at, ""
}

// member finds a member of u by its name, in u itself or in its unnamed structs
// and unions.
func (f *File) member(u *UserType, name string) (Field, bool) {
	s := flatSearch{file: f}
	return s.find(u, name)
}

// A flatSearch is one search for a member. It remembers the types it went into,
// for in a broken file they may contain one another.
type flatSearch struct {
	file *File
	seen []*UserType
}

func (s *flatSearch) find(u *UserType, name string) (Field, bool) {
	for i := range u.Fields {
		if u.Fields[i].Name == name {
			return u.Fields[i], true
		}
	}
	for i := range u.Fields {
		m := &u.Fields[i]
		if !m.Anonymous {
			continue
		}
		inner := s.file.aggregate(m.Type)
		if inner == nil || len(s.seen) == maxFlattened || slices.Contains(s.seen, inner) {
			continue
		}
		s.seen = append(s.seen, inner)
		if found, ok := s.find(inner, name); ok {
			found.Offset = addCapped(found.Offset, m.Offset)
			return found, true
		}
	}
	return Field{}, false
}

package isf

import (
	"fmt"
	"slices"
	"strconv"
)

// maxMergeDepth is how deep types without a name are compared that lie in one another.
const maxMergeDepth = 32

// merge adds to u, a type of own, the members that it lacks and v of other has. path is what
// u is called in Origins and conflicts. It reports whether the two agree; if not, nothing
// is added.
func (c *completer) merge(u, v *UserType, path string) bool {
	if seen, ok := c.pairs[[2]string{u.Name, v.Name}]; ok {
		return seen
	}
	c.pairs[[2]string{u.Name, v.Name}] = true // of what contains itself
	m := merger{completer: c}
	if !m.compare(u, v, path, maxMergeDepth) {
		c.pairs[[2]string{u.Name, v.Name}] = false
		return false
	}
	for _, l := range m.lacks {
		c.addFields(l)
	}
	return true
}

// A merger compares two types, with what lies in them without a name.
type merger struct {
	*completer
	lacks []lacking
}

// lacking are members that a type of own lacks.
type lacking struct {
	typ    *UserType
	path   string
	fields []Field // of other
}

// compare reports whether all that u has is as v has it, and notes what it lacks.
func (m *merger) compare(u, v *UserType, path string, depth int) bool {
	object := u.Kind.String() + " " + path
	if u.Kind != v.Kind || u.Size != v.Size {
		m.conflict(object, fmt.Sprintf("%v of %d bytes", u.Kind, u.Size), fmt.Sprintf("%v of %d bytes", v.Kind, v.Size))
		return false
	}
	if len(v.Fields) == 0 || depth == 0 {
		return true // its size is all that is known
	}
	found := make([]bool, len(v.Fields))
	for i := range u.Fields {
		own := &u.Fields[i]
		j := m.counterpart(own, v, found)
		if j < 0 {
			m.conflict(object, describeField(own), "no such member")
			return false
		}
		found[j] = true
		if !m.agree(own, &v.Fields[j], path, depth) {
			return false
		}
	}
	var lacks []Field
	for j, ok := range found {
		if !ok {
			lacks = append(lacks, v.Fields[j])
		}
	}
	if len(lacks) > 0 {
		m.lacks = append(m.lacks, lacking{typ: u, path: path, fields: lacks})
	}
	return true
}

// counterpart returns the index of the member of v that own is, -1 where there is none.
// One without a name is told by its place.
func (m *merger) counterpart(own *Field, v *UserType, found []bool) int {
	for j := range v.Fields {
		f := &v.Fields[j]
		switch {
		case found[j] || own.Anonymous != f.Anonymous:
		case !own.Anonymous && own.Name == f.Name:
			return j
		case own.Anonymous && own.Offset == f.Offset && m.sameShape(own.Type, f.Type):
			return j
		}
	}
	return -1
}

// agree reports whether two members of one name are one, and compares what lies in them
// without a name of its own.
func (m *merger) agree(own, other *Field, path string, depth int) bool {
	if own.Offset != other.Offset || !m.sameShape(own.Type, other.Type) {
		m.conflict("field "+path+"."+own.Name, describeField(own), describeField(other))
		return false
	}
	u, v := m.own.aggregate(own.Type), m.other.aggregate(other.Type)
	if u == nil || v == nil || !isPrivate(u.Name) || !isPrivate(v.Name) {
		return true
	}
	return m.compare(u, v, path+"."+own.Name, depth-1)
}

func describeField(f *Field) string { return fmt.Sprintf("%s %s at %d", f.Type, f.Name, f.Offset) }

// sameShape reports whether values of two types, of own and of other, look the same. What
// pointers lead to does not matter, nor what structures are called.
func (m *merger) sameShape(own, other *Type) bool {
	for range MaxTypeDepth {
		if own.Kind != other.Kind || own.Count != other.Count || own.BitPosition != other.BitPosition || own.BitLength != other.BitLength {
			return false
		}
		if own.Kind != KindArray && own.Kind != KindBitfield {
			break
		}
		own, other = own.Elem, other.Elem
	}
	a, err := m.own.SizeOf(own)
	b, err2 := m.other.SizeOf(other)
	return err != nil || err2 != nil || a == b // what is lost is no argument
}

// addFields adds members to a type of own.
func (c *completer) addFields(l lacking) {
	u, ok := c.changed[l.typ.Name]
	if !ok {
		clone := *l.typ
		clone.Fields = slices.Clone(l.typ.Fields)
		u = &clone
		c.changed[u.Name] = u
	}
	for _, f := range l.fields {
		f.Type = c.typ(f.Type, false)
		if f.Anonymous {
			f.Name = freeField(u)
		}
		u.Fields = append(u.Fields, f)
		c.added("field %s.%s", l.path, f.Name)
	}
}

// freeField returns a name for a member without one.
func freeField(u *UserType) string {
	for n := int64(0); ; n++ {
		name := unnamedPrefix + strconv.FormatInt(n, 16)
		if !slices.ContainsFunc(u.Fields, func(f Field) bool { return f.Name == name }) {
			return name
		}
	}
}

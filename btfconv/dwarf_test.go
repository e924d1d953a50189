package btfconv

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// Every struct, union and enumeration that both BTF and DWARF have of one kernel
// is the same, to the last member. What DWARF-made databases have on top is listed.
func TestTypesEqualDWARF(t *testing.T) {
	t.Parallel()
	eachImage(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		dwarf := openISF(t, image)
		btf, _, err := openWhole(t, image).database()
		if err != nil {
			t.Fatal(err)
		}
		c := &comparison{dwarf: dwarf, btf: btf, several: severalNamed(btf)}
		c.userTypes(t)
		c.enums(t)
		c.baseTypes(t)
		t.Logf("%d user types and %d enumerations are equal, %d names stand for several types", c.types, c.enumerations, len(c.several))
		t.Logf("BTF lacks the inner dimensions of %s", strings.Join(slices.Sorted(maps.Keys(c.flattened)), ", "))
		t.Logf("BTF lacks the constants of %s", strings.Join(slices.Sorted(maps.Keys(c.cut)), ", "))
		if len(c.lacking) > 0 {
			t.Errorf("BTF lacks %s", strings.Join(slices.Sorted(maps.Keys(c.lacking)), ", "))
		}
		if c.types < 5000 || c.enumerations < 500 {
			t.Error("too few")
		}
	})
}

// severalNamed returns the names that several different types have, in different
// files of the kernel: a database made from DWARF keeps any one of them.
func severalNamed(f *isf.File) map[string]bool {
	names := map[string]bool{}
	for u := range f.UserTypes() {
		if name, _, ok := strings.Cut(u.Name, "___"); ok {
			names[name] = true
		}
	}
	for e := range f.Enums() {
		if name, _, ok := strings.Cut(e.Name, "___"); ok {
			names[name] = true
		}
	}
	return names
}

// A comparison compares the types of one kernel from two sources.
type comparison struct {
	dwarf, btf          *isf.File
	several             map[string]bool
	flattened, cut      map[string]bool
	lacking             map[string]bool
	types, enumerations int
}

func unnamed(name string) bool { return strings.HasPrefix(name, "unnamed_") }

func (c *comparison) userTypes(t *testing.T) {
	c.flattened, c.cut, c.lacking = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for d := range c.dwarf.UserTypes() {
		if unnamed(d.Name) || c.several[d.Name] {
			continue
		}
		b, err := c.btf.UserType(d.Name)
		if err != nil {
			if d.Size > 0 { // else a forward declaration
				c.lacking[d.Name] = true
			}
			continue
		}
		if wrong := c.userType(d, b, 4); wrong != "" && d.Size > 0 {
			t.Errorf("%s: %s", d.Name, wrong)
		}
		c.types++
	}
}

// userType returns how two user types differ, or "".
func (c *comparison) userType(d, b *isf.UserType, depth int) string {
	if d.Size != b.Size || d.Kind != b.Kind || len(d.Fields) != len(b.Fields) {
		return fmt.Sprintf("%v of %d bytes with %d members, %v of %d bytes with %d", d.Kind, d.Size, len(d.Fields), b.Kind, b.Size, len(b.Fields))
	}
	members := map[string]isf.Field{}
	for _, f := range b.Fields {
		members[f.Name] = f
	}
	for _, f := range d.Fields {
		g, ok := members[f.Name]
		if !ok || f.Offset != g.Offset || f.Anonymous != g.Anonymous {
			return fmt.Sprintf("%s at %d, %s at %d", f.Name, f.Offset, g.Name, g.Offset)
		}
		if wrong := c.typ(d.Name+"."+f.Name, f.Type, g.Type, depth); wrong != "" {
			return f.Name + ": " + wrong
		}
	}
	return ""
}

// typ returns how two types differ, or "".
func (c *comparison) typ(where string, d, b *isf.Type, depth int) string {
	if d.Kind != b.Kind {
		return fmt.Sprintf("%v %s, %v %s", d.Kind, d.Name, b.Kind, b.Name)
	}
	switch d.Kind {
	case isf.KindPointer:
		return c.typ(where, d.Elem, b.Elem, depth)
	case isf.KindArray:
		return c.array(where, d, b, depth)
	case isf.KindBitfield:
		if d.BitPosition != b.BitPosition || d.BitLength != b.BitLength {
			return fmt.Sprintf("bits %d+%d, %d+%d", d.BitPosition, d.BitLength, b.BitPosition, b.BitLength)
		}
		return c.typ(where, d.Elem, b.Elem, depth)
	case isf.KindStruct, isf.KindUnion:
		return c.reference(d.Name, b.Name, depth)
	case isf.KindEnum:
		return c.enum(d.Name, b.Name)
	}
	if d.Name != b.Name {
		return d.Name + ", " + b.Name
	}
	return ""
}

// array compares arrays of arrays by the number of all elements: pahole makes one
// array of them.
func (c *comparison) array(where string, d, b *isf.Type, depth int) string {
	dn, bn := d.Count, b.Count
	for d = d.Elem; d.Kind == isf.KindArray; d = d.Elem {
		dn *= d.Count
		c.flattened[where] = true
	}
	for b = b.Elem; b.Kind == isf.KindArray; b = b.Elem {
		bn *= b.Count
	}
	if dn != bn {
		return fmt.Sprintf("%d elements, %d", dn, bn)
	}
	return c.typ(where, d, b, depth)
}

// reference compares what two members are of: by name, or, where a type has no
// name or two, by what is in it.
func (c *comparison) reference(d, b string, depth int) string {
	tag, _, _ := strings.Cut(b, "___")
	if d == b || c.several[tag] || c.several[d] || depth == 0 {
		return ""
	}
	dt, err := c.dwarf.UserType(d)
	if err != nil || dt.Size == 0 {
		return "" // only declared; by the name of a typedef, in one
	}
	bt, err := c.btf.UserType(b)
	if err != nil {
		return fmt.Sprintf("struct %s: %v", d, err)
	}
	return c.userType(dt, bt, depth-1)
}

func (c *comparison) enums(t *testing.T) {
	for d := range c.dwarf.Enums() {
		if unnamed(d.Name) || c.several[d.Name] || d.Size == 0 {
			continue
		}
		if wrong := c.enum(d.Name, d.Name); wrong != "" {
			t.Error(wrong)
		}
		c.enumerations++
	}
}

func (c *comparison) enum(d, b string) string {
	if c.several[d] {
		return ""
	}
	de, err := c.dwarf.Enum(d)
	be, err2 := c.btf.Enum(b)
	if err != nil || err2 != nil {
		return fmt.Sprintf("enum %s, %s: %v, %v", d, b, err, err2)
	}
	if de.Size == 0 {
		return "" // only declared
	}
	if be.Size == 8 && len(be.Constants) == 0 {
		c.cut[d] = true // 64-bit values came with 6.0
		return ""
	}
	if de.Size != be.Size || !maps.Equal(values(de), values(be)) {
		return fmt.Sprintf("enum %s: %d bytes %v, %d bytes %v", d, de.Size, de.Constants, be.Size, be.Constants)
	}
	return ""
}

// values returns the constants of an enumeration, cut to its size: whether they
// are signed differs between tools.
func values(e *isf.Enum) map[string]uint64 {
	v := map[string]uint64{}
	for _, c := range e.Constants {
		v[c.Name] = uint64(c.Value) & (1<<(8*min(e.Size, 8)) - 1)
	}
	return v
}

func (c *comparison) baseTypes(t *testing.T) {
	for d := range c.dwarf.BaseTypes() {
		b, err := c.btf.BaseType(d.Name)
		if err != nil {
			t.Logf("BTF lacks the base type %s", d.Name)
			continue
		}
		want := *d
		if want.Kind == isf.BaseBool {
			want.Signed = b.Signed // signed by the word of dwarf2json
		}
		if want != *b {
			t.Errorf("base type %+v, want %+v", *b, want)
		}
	}
}

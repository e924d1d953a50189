package dwarfconv

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/isf"
)

// TestVariables compares the type of every object with what debug/dwarf, read entry by
// entry, says of the variable that is at its address and has its name; and the
// other way round, every variable that the symbol table has must have its type.
func TestVariables(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute for each kernel")
	}
	onKernels(t, func(t *testing.T, k kernel) {
		file, err := elf.Open(k.vmlinux)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got := convertKernel(t, k)
		at := map[uint64][]*isf.Symbol{}
		for s := range got.Symbols() {
			at[s.Address] = append(at[s.Address], s)
		}
		checked := map[string]bool{}
		o := newOracle(t, file)
		for v := range o.variables() {
			for _, s := range at[v.addr] {
				if !slices.Contains(strings.Split(s.Name, "."), v.name) {
					continue
				}
				want := o.typ(v)
				if have := shallow(got, s.Type); have == want {
					checked[s.Name] = true
				} else if v.whole && !checked[s.Name] {
					t.Errorf("%s at %#x: got %s, want %s", s.Name, v.addr, have, want)
				}
			}
		}
		for s := range got.Symbols() {
			if s.Type != nil && s.Type.Kind != isf.KindFunction && !checked[s.Name] && !o.declared[s.Name] {
				t.Errorf("%s at %#x is a %s, but no variable", s.Name, s.Address, shallow(got, s.Type))
			}
		}
		t.Logf("%d objects have the type of their variable", len(checked))
	})
}

// An oracle reads DWARF with debug/dwarf.
type oracle struct {
	t        *testing.T
	file     *elf.File
	data     *dwarf.Data
	addr     []byte
	types    int // read since data was made: it remembers all, which takes gigabytes
	declared map[string]bool
}

type oracleVariable struct {
	name  string
	addr  uint64
	typ   dwarf.Offset
	whole bool // the location is the address alone, so all of the object is there
}

func newOracle(t *testing.T, file *elf.File) *oracle {
	o := &oracle{t: t, file: file, declared: map[string]bool{}}
	if s := file.Section(".debug_addr"); s != nil {
		b, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		o.addr = b
	}
	o.reset()
	return o
}

func (o *oracle) reset() {
	d, err := o.file.DWARF()
	if err != nil {
		o.t.Fatal(err)
	}
	o.data, o.types = d, 0
}

// variables yields the variables that have an address.
func (o *oracle) variables() func(func(oracleVariable) bool) {
	return func(yield func(oracleVariable) bool) {
		data := o.data // the reader must not remember types
		r := data.Reader()
		var base int64
		for depth := 0; ; {
			e, err := r.Next()
			if err != nil {
				o.t.Fatal(err)
			}
			if e == nil {
				return
			}
			if e.Tag == 0 {
				depth--
				continue
			}
			switch e.Tag {
			case dwarf.TagCompileUnit:
				base, _ = e.Val(dwarf.AttrAddrBase).(int64)
			case dwarf.TagVariable:
				v, ok := o.variable(data, e, base)
				switch {
				case ok && !yield(v):
					return
				case !ok && (depth == 1 || e.Val(dwarf.AttrDeclaration) != nil):
					o.declared[v.name] = true
				}
			}
			if e.Children {
				depth++
			}
		}
	}
}

func (o *oracle) variable(data *dwarf.Data, e *dwarf.Entry, base int64) (oracleVariable, bool) {
	var v oracleVariable
	v.name, _ = e.Val(dwarf.AttrName).(string)
	v.typ, _ = e.Val(dwarf.AttrType).(dwarf.Offset)
	for _, attr := range []dwarf.Attr{dwarf.AttrSpecification, dwarf.AttrAbstractOrigin} {
		off, ok := e.Val(attr).(dwarf.Offset)
		if !ok {
			continue
		}
		r := data.Reader()
		r.Seek(off)
		spec, err := r.Next()
		if err != nil {
			o.t.Fatal(err)
		}
		v.name, _ = spec.Val(dwarf.AttrName).(string)
		if v.typ == 0 {
			v.typ, _ = spec.Val(dwarf.AttrType).(dwarf.Offset)
		}
	}
	loc, _ := e.Val(dwarf.AttrLocation).([]byte)
	if v.name == "" {
		loc = nil // a string literal
	}
	switch {
	case len(loc) >= 9 && loc[0] == 3:
		v.addr = binary.LittleEndian.Uint64(loc[1:])
		v.whole = len(loc) == 9
	case len(loc) >= 2 && loc[0] == opAddrx:
		i, n := binary.Uvarint(loc[1:])
		v.addr = binary.LittleEndian.Uint64(o.addr[uint64(base)+8*i:])
		v.whole = len(loc) == 1+n
	default:
		return v, false
	}
	return v, true
}

// typ returns the type of v as shallow writes it.
func (o *oracle) typ(v oracleVariable) string {
	if o.types++; o.types > 2000 {
		o.reset()
	}
	if v.typ == 0 {
		return "void"
	}
	t, err := o.data.Type(v.typ)
	if err != nil {
		o.t.Fatal(err)
	}
	return shallowDWARF(t)
}

func shallowDWARF(t dwarf.Type) string {
	switch t := t.(type) {
	case *dwarf.PtrType:
		return "*" + shallowDWARF(t.Type)
	case *dwarf.ArrayType:
		return fmt.Sprintf("[%d]%s", max(t.Count, 0), shallowDWARF(t.Type))
	case *dwarf.QualType:
		return shallowDWARF(t.Type)
	case *dwarf.TypedefType:
		if s, ok := t.Type.(*dwarf.StructType); ok {
			return s.Kind + " " + t.Name
		}
		return shallowDWARF(t.Type)
	case *dwarf.StructType:
		if t.StructName != "" {
			return t.Kind + " " + t.StructName
		}
		var names []string
		for _, f := range t.Field {
			names = append(names, f.Name)
		}
		slices.Sort(names)
		return fmt.Sprintf("%s %d %v", t.Kind, t.ByteSize, names)
	case *dwarf.EnumType:
		if t.EnumName != "" {
			return "enum " + t.EnumName
		}
		var names []string
		for _, v := range t.Val {
			names = append(names, v.Name)
		}
		slices.Sort(names)
		return fmt.Sprintf("enum %d %v", t.ByteSize, names)
	case *dwarf.FuncType:
		return "func"
	case *dwarf.VoidType, *dwarf.UnspecifiedType:
		return "void"
	}
	return t.Common().Name
}

// shallow writes a type as shallowDWARF does.
func shallow(f *isf.File, t *isf.Type) string {
	switch {
	case t == nil:
		return "?"
	case t.Kind == isf.KindPointer:
		return "*" + shallow(f, t.Elem)
	case t.Kind == isf.KindArray:
		return fmt.Sprintf("[%d]%s", t.Count, shallow(f, t.Elem))
	case t.Kind == isf.KindFunction:
		return "func"
	case t.Kind == isf.KindVoid:
		return "void"
	case t.Kind == isf.KindBase:
		return t.Name
	}
	var size uint64
	var names []string
	if e, err := f.Enum(t.Name); err == nil && t.Kind == isf.KindEnum && isUnnamed(t.Name) {
		size = e.Size
		for _, c := range e.Constants {
			names = append(names, c.Name)
		}
	} else if u, err := f.UserType(t.Name); err == nil && t.Kind != isf.KindEnum && isUnnamed(t.Name) {
		size = u.Size
		for _, m := range u.Fields {
			names = append(names, strings.TrimRight(strings.TrimPrefix(m.Name, "unnamed_field"), "_0123456789abcdef"))
			if !strings.HasPrefix(m.Name, "unnamed_field") {
				names[len(names)-1] = m.Name
			}
		}
	} else {
		return kindNames[t.Kind] + " " + t.Name
	}
	slices.Sort(names)
	return fmt.Sprintf("%s %d %v", kindNames[t.Kind], size, names)
}

package btfconv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// maxDepth limits chains of pointers, arrays, typedefs and qualifiers, which in
// damaged BTF may be circular. The kernel's own limit (MAX_RESOLVE_DEPTH) is 32.
const maxDepth = 64

// Types that many fields share.
var (
	typeVoid     = &isf.Type{Kind: isf.KindVoid}
	typeFunction = &isf.Type{Kind: isf.KindFunction}
)

// A typeConverter turns BTF records into the types of a database.
type typeConverter struct {
	btf    *btfTypes
	under  *typeConverter // of the BTF that this is split from, whose types are not added; nil: all are
	first  uint32         // the id of the first of memo
	names  *typeNamer     // of struct, union, enumeration and forward records
	memo   []typeMemo
	types  slab[isf.Type]
	fields slab[isf.Field]
	consts slab[isf.Constant]
	signed bool // enumerations carry their sign in kind_flag
	sorted []uint32
	out    isf.Contents
	more   int  // losses that are not told one by one
	wrong  bool // types contradict each other
}

// A typeMemo is what a type id resolved to.
type typeMemo struct {
	typ  *isf.Type
	size uint64
}

// A slab hands out elements of slices that it allocates in large pieces: one
// conversion makes more than 100,000 small objects, all of the same life.
type slab[T any] struct{ free []T }

func (s *slab[T]) take(n int) []T {
	if n > len(s.free) {
		s.free = make([]T, max(n, 4096))
	}
	t := s.free[:n:n]
	s.free = s.free[n:]
	return t
}

// convertTypes returns the base types, user types and enumerations of t, and of
// the BTF it is split from, and the types of the variables that t has: those in
// the per-CPU section, and in BTF from pahole 1.28 on possibly all global ones. Members
// whose types are lost are left out. All that is lost is listed. Where types contradict
// each other, some of them are not those that were there: then t is searched for them.
func convertTypes(t *btfTypes) (isf.Contents, map[string]*isf.Type) {
	c, vars := convertAll(t, nil)
	return c.contents(), vars
}

// convertAll returns a converter that has added all types. Where under is not nil, these are
// those of t itself, and under has converted the BTF that t is split from.
func convertAll(t *btfTypes, under *typeConverter) (*typeConverter, map[string]*isf.Type) {
	c := newConverter(t, under)
	vars := c.addAll()
	if c.wrong && !t.recovered {
		t.recoverTypes()
		c = newConverter(t, under)
		vars = c.addAll()
	}
	return c, vars
}

// contents returns what was added.
func (c *typeConverter) contents() isf.Contents {
	if c.more > 0 {
		err := fmt.Errorf("%d more members, variables and names: %w", c.more, ErrDamaged)
		c.out.Lost = append(c.out.Lost, vmem.Gap{Object: objectBTF, Err: err})
	}
	slices.SortFunc(c.out.Types, func(a, b isf.UserType) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.out.Enums, func(a, b isf.Enum) int { return strings.Compare(a.Name, b.Name) })
	return c.out
}

func newConverter(t *btfTypes, under *typeConverter) *typeConverter {
	c := &typeConverter{btf: t, under: under}
	if under == nil {
		c.names = nameTypes(t, nil)
	} else {
		c.first, c.names = t.first, nameTypes(t, under.names)
	}
	c.memo, c.signed = make([]typeMemo, t.end()-c.first), under != nil && under.signed || c.hasSignedEnums()
	return c
}

// addAll converts all types, and returns those of variables.
func (c *typeConverter) addAll() map[string]*isf.Type {
	for b := c.btf; b != nil && (b == c.btf || c.under == nil); b = b.base {
		for _, gap := range b.gaps() {
			c.out.Lost = append(c.out.Lost, gap)
		}
	}
	c.addBases()
	if c.btf.recovered && c.under == nil {
		c.addWitnessed()
	}
	vars := map[string]*isf.Type{}
	for id := max(c.first, 1); id < c.btf.end(); id++ {
		c.add(id, vars)
	}
	return vars
}

// add converts the type of one id, if it is one that a database holds by name.
func (c *typeConverter) add(id uint32, vars map[string]*isf.Type) {
	r, _ := c.btf.lookup(id)
	if c.btf.recovered && r.name != 0 && (isNamed(r.kind) || r.kind == kindTypedef || r.kind == kindFwd) && c.btf.name(r.name) == "" {
		c.lose("name of type %d: %w", id, ErrDamaged)
	}
	switch r.kind {
	case kindStruct:
		c.addUser(id, &r, isf.KindStruct)
	case kindUnion:
		c.addUser(id, &r, isf.KindUnion)
	case kindEnum, kindEnum64:
		c.addEnum(id, &r)
	case kindTypedef:
		c.addAlias(id, &r)
	case kindVar:
		name := c.btf.name(r.name)
		typ, _, err := c.resolve(r.size, maxDepth)
		if name == "" {
			err = damaged("string section", int(r.name), "no name")
		}
		if err != nil {
			c.lose("variable %s: %w", name, err)
			return
		}
		vars[name] = typ
	}
}

// lose notes what is left out.
func (c *typeConverter) lose(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	c.wrong = c.wrong || errors.Is(err, ErrDamaged)
	if len(c.out.Lost) >= maxLosses {
		c.more++
		return
	}
	c.out.Lost = append(c.out.Lost, vmem.Gap{Object: objectBTF, Err: err})
}

// addBases adds the scalars. One that BTF has more than once is one; of different
// ones with one name, which no C has, all but the first get a suffix, as other types.
func (c *typeConverter) addBases() {
	seen := map[string]int{}
	for id := max(c.first, 1); id < c.btf.end(); id++ {
		r, _ := c.btf.lookup(id)
		if r.kind != kindInt && r.kind != kindFloat {
			continue
		}
		b := baseType(c.btf.name(r.name), &r)
		if b.Name == "" {
			c.lose("name of type %d, a scalar: %w", id, ErrDamaged)
			b = lostName(b)
		}
		if !slices.Contains(c.out.Bases, b) && !c.under.hasBase(b) {
			own := b.Name
			for seen[own]++; c.under.namesBase(numbered(own, seen[own])); {
				seen[own]++
			}
			b.Name = numbered(own, seen[own])
			c.out.Bases = append(c.out.Bases, b)
		}
		c.memo[id-c.first] = typeMemo{typ: c.newType(isf.Type{Kind: isf.KindBase, Name: b.Name}), size: b.Size}
	}
	c.correctSigns()
	if c.btf.recovered && c.under == nil {
		c.addABI()
	}
}

// hasBase reports whether a scalar of a module is one that its kernel has, but for its sign,
// which correctSigns may have changed. A nil converter has none.
func (c *typeConverter) hasBase(b isf.BaseType) bool {
	return c != nil && slices.ContainsFunc(c.out.Bases, func(o isf.BaseType) bool {
		return o.Name == b.Name && o.Size == b.Size && o.Kind == b.Kind
	})
}

// namesBase reports whether a scalar of the kernel has a name. A nil converter has none.
func (c *typeConverter) namesBase(name string) bool {
	return c != nil && slices.ContainsFunc(c.out.Bases, func(o isf.BaseType) bool { return o.Name == name })
}

// correctSigns marks the characters as signed that are so, if "signed char" is
// not: early pahole wrote that a type is a character or that it is signed, not
// both. Kernels have been built with an unsigned char since 6.2 only.
func (c *typeConverter) correctSigns() {
	signed := func(b isf.BaseType) bool { return b.Name == "signed char" && b.Signed }
	if slices.ContainsFunc(c.out.Bases, signed) {
		return
	}
	for i := range c.out.Bases {
		if b := &c.out.Bases[i]; b.Kind == isf.BaseChar {
			b.Signed = b.Name != "unsigned char"
		}
	}
}

// The bits of BTF_INT_ENCODING in the word after a BTF_KIND_INT record.
const (
	intSigned = 1 << 24
	intChar   = 1 << 25
	intBool   = 1 << 26
)

func baseType(name string, r *btfType) isf.BaseType {
	b := isf.BaseType{Name: name, Size: uint64(r.size), Kind: isf.BaseFloat, Signed: true}
	switch name {
	case "float", "double", "long double":
		return b // BTF_KIND_FLOAT came with 5.13
	}
	if r.kind == kindFloat {
		return b
	}
	encoding := binary.LittleEndian.Uint32(r.extra)
	b.Signed = encoding&intSigned != 0
	switch {
	case encoding&intBool != 0:
		b.Kind = isf.BaseBool
	case encoding&intChar != 0 || name == "char" || name == "signed char" || name == "unsigned char":
		b.Kind = isf.BaseChar
	default:
		b.Kind = isf.BaseInt
	}
	return b
}

// resolve returns the type and the size in bytes that an id stands for, without
// typedefs, qualifiers and tags. Functions, void and types that are only
// declared have size 0.
func (c *typeConverter) resolve(id uint32, depth int) (*isf.Type, uint64, error) {
	if id < c.first {
		return c.under.resolve(id, depth)
	}
	if id-c.first >= uint32(len(c.memo)) {
		return nil, 0, fmt.Errorf("type %d is lost: %w", id, ErrDamaged)
	}
	if m := &c.memo[id-c.first]; m.typ != nil {
		return m.typ, m.size, nil
	}
	if depth == 0 {
		return nil, 0, damaged("type section", 0, "type %d is circular", id)
	}
	typ, size, err := c.resolveRecord(id, depth)
	if err != nil {
		return nil, 0, err
	}
	c.memo[id-c.first] = typeMemo{typ: typ, size: size}
	return typ, size, nil
}

func (c *typeConverter) resolveRecord(id uint32, depth int) (*isf.Type, uint64, error) {
	r, _ := c.btf.lookup(id)
	switch r.kind {
	case kindPtr:
		elem, _, err := c.resolve(r.size, depth-1)
		if err != nil {
			elem = typeVoid
		}
		return c.newType(isf.Type{Kind: isf.KindPointer, Elem: elem}), 8, nil
	case kindArray:
		return c.resolveArray(&r, depth)
	case kindStruct:
		return c.newType(isf.Type{Kind: isf.KindStruct, Name: c.names.of(id)}), uint64(r.size), nil
	case kindUnion:
		return c.newType(isf.Type{Kind: isf.KindUnion, Name: c.names.of(id)}), uint64(r.size), nil
	case kindEnum, kindEnum64:
		return c.newType(isf.Type{Kind: isf.KindEnum, Name: c.names.of(id)}), uint64(r.size), nil
	case kindFwd:
		if c.names.of(id) == "" {
			return typeVoid, 0, nil
		}
		kind := isf.KindStruct
		if r.flag {
			kind = isf.KindUnion
		}
		return c.newType(isf.Type{Kind: kind, Name: c.names.of(id)}), 0, nil
	case kindTypedef:
		return c.resolveTypedef(id, r.size, depth)
	case kindVolatile, kindConst, kindRestrict, kindTypeTag, kindVar:
		return c.resolve(r.size, depth-1)
	case kindFunc, kindFuncProto:
		return typeFunction, 0, nil
	case kindUnknown:
		return typeVoid, 0, nil
	}
	if r.kind != kindLost {
		return nil, 0, fmt.Errorf("type %d: %w", id, ErrUnknown)
	}
	return nil, 0, fmt.Errorf("type %d is lost: %w", id, ErrDamaged)
}

func (c *typeConverter) resolveArray(r *btfType, depth int) (*isf.Type, uint64, error) {
	n := uint64(binary.LittleEndian.Uint32(r.extra[8:]))
	elem, size, err := c.resolve(binary.LittleEndian.Uint32(r.extra), depth-1)
	if err != nil {
		return nil, 0, err
	}
	if size > 0 && n > maxObject/size {
		return nil, 0, damaged("type section", 0, "array of %d times %d bytes", n, size)
	}
	return c.newType(isf.Type{Kind: isf.KindArray, Elem: elem, Count: n}), size * n, nil
}

// maxObject is larger than anything in a kernel can be, in bytes.
const maxObject = 1 << 40

// resolveTypedef returns the type behind a typedef; for one that has a name of
// its own in the database, that.
func (c *typeConverter) resolveTypedef(id, target uint32, depth int) (*isf.Type, uint64, error) {
	typ, size, err := c.resolve(target, depth-1)
	if err == nil && c.names.of(id) != "" {
		typ = c.newType(isf.Type{Kind: typ.Kind, Name: c.names.of(id)})
	}
	return typ, size, err
}

func (c *typeConverter) newType(t isf.Type) *isf.Type {
	p := &c.types.take(1)[0]
	*p = t
	return p
}

func (c *typeConverter) addUser(id uint32, r *btfType, kind isf.Kind) {
	u := isf.UserType{Name: c.names.of(id), Kind: kind, Size: uint64(r.size), Fields: c.fields.take(int(r.vlen))[:0]}
	end := uint64(0) // of the member before, in bits
	for i := range r.vlen {
		if c.btf.badMember(r, i) {
			c.lose("member %d of %s: %w", i, u.Name, ErrDamaged)
			continue
		}
		m := r.member(i)
		f, size, err := c.field(&u, m)
		if err == nil && kind == isf.KindStruct && uint64(m.bit) < end {
			err = damaged("type section", 0, "%s is inside of the member before it", f.Name)
		}
		if overwritten := m.name == 0 && m.typ == 0; err != nil && (f.Type != nil || overwritten) {
			u.Fields = u.Fields[:max(0, len(u.Fields)-1)] // it may be what is not where it should be
		}
		if err != nil {
			c.lose("member %d of %s: %w", i, u.Name, err)
			continue
		}
		u.Fields = append(u.Fields, f)
		end = uint64(m.bit) + size
	}
	if c.btf.recovered || c.twice(int(r.vlen), func(i int) uint32 { return r.member(uint32(i)).name }) {
		c.dropTwice(&u)
	}
	if r.vlen > 0 && len(u.Fields) == 0 && u.Size == 0 {
		return // its size was overwritten with its members
	}
	c.out.Types = append(c.out.Types, u)
}

// twice reports whether two of n names are the same, which are there once in the string section.
// Those of 0 are none.
func (c *typeConverter) twice(n int, name func(i int) uint32) bool {
	c.sorted = c.sorted[:0]
	for i := range n {
		if at := name(i); at != 0 {
			c.sorted = append(c.sorted, at)
		}
	}
	slices.Sort(c.sorted)
	for i := 1; i < len(c.sorted); i++ {
		if c.sorted[i] == c.sorted[i-1] {
			return true
		}
	}
	return false
}

// dropTwice drops the members of one name, which no C has: one has another's.
func (c *typeConverter) dropTwice(u *isf.UserType) {
	seen := map[string]int{}
	for i := range u.Fields {
		seen[u.Fields[i].Name]++
	}
	u.Fields = slices.DeleteFunc(u.Fields, func(f isf.Field) bool {
		n := seen[f.Name]
		if f.Name != "" && n > 1 {
			c.lose("%s.%s: there are %d: %w", u.Name, f.Name, n, ErrDamaged)
			seen[f.Name] = -n
		}
		return f.Name != "" && (n > 1 || n < 0)
	})
}

// addAlias adds a struct or union a second time, under the name of a typedef.
func (c *typeConverter) addAlias(id uint32, typedef *btfType) {
	if c.names.of(id) == "" {
		return
	}
	target, _ := c.btf.lookup(typedef.size)
	if target.kind == kindUnion {
		c.addUser(id, &target, isf.KindUnion)
	} else {
		c.addUser(id, &target, isf.KindStruct)
	}
}

// field converts a member, and returns its size in bits.
func (c *typeConverter) field(u *isf.UserType, m btfMember) (f isf.Field, bits uint64, err error) {
	if !c.btf.validName(m.name) {
		return f, 0, damaged("string section", int(m.name), "no name")
	}
	typ, size, err := c.resolve(m.typ, maxDepth)
	if err != nil {
		return f, 0, err
	}
	f = isf.Field{Offset: uint64(m.bit / 8), Type: typ, Anonymous: m.name == 0}
	if m.name != 0 {
		f.Name = c.btf.string(m.name)
	}
	switch {
	case typ.Kind == isf.KindVoid: // pahole writes so what it does not know
		return isf.Field{}, 0, fmt.Errorf("%s has no type: %w", f.Name, ErrUnknown)
	case (typ.Kind == isf.KindStruct || typ.Kind == isf.KindUnion) && typ.Name == u.Name:
		return isf.Field{}, 0, damaged("type section", 0, "%s is all of what it is in", f.Name)
	case f.Anonymous && typ.Kind != isf.KindStruct && typ.Kind != isf.KindUnion:
		return f, 0, damaged("type section", 0, "no name, and no struct or union")
	case uint64(m.width) > 8*size:
		return f, 0, damaged("type section", 0, "%s has %d bits of %d bytes", f.Name, m.width, size)
	}
	bits = 8 * size
	if m.width != 0 {
		f.Type = c.newType(isf.Type{Kind: isf.KindBitfield, Elem: typ, BitPosition: uint8(m.bit % 8), BitLength: uint8(m.width)})
		bits = uint64(m.width)
	}
	if uint64(m.bit)+bits > 8*u.Size || m.width == 0 && m.bit%8 != 0 {
		return f, 0, damaged("type section", 0, "%s passes the end of %d bytes", f.Name, u.Size)
	}
	return f, bits, nil
}

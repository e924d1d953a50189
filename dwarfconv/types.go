package dwarfconv

import (
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// typeOf returns the type that ref in u refers to. Equal types are one.
func (c *collector) typeOf(u *unit, ref typeRef) (*isf.Type, error) {
	h, err := c.typeHash(u, ref, 0)
	if err != nil {
		return nil, err
	}
	if t, ok := c.types[h]; ok {
		return t, nil
	}
	t, err := c.newType(u, ref)
	if err != nil {
		return nil, err
	}
	c.types[h] = t
	return t, nil
}

var isfKinds = [kinds]isf.Kind{
	kindBase:   isf.KindBase,
	kindStruct: isf.KindStruct,
	kindUnion:  isf.KindUnion,
	kindClass:  isf.KindClass,
	kindEnum:   isf.KindEnum,
}

// newType is typeOf for a type that has not come up yet. Its hash is known, so it does
// not nest without end.
func (c *collector) newType(u *unit, ref typeRef) (*isf.Type, error) {
	u, i, err := c.aliased(u, ref)
	if err != nil || u == nil {
		return &isf.Type{}, err
	}
	d := &u.dies[i]
	switch d.kind {
	case kindBase:
		name, err := u.optionalName(d.name)
		if name == "void" {
			return &isf.Type{}, err
		}
		return &isf.Type{Kind: isf.KindBase, Name: name}, err
	case kindStruct, kindUnion, kindClass, kindEnum:
		return c.newUserType(u, i)
	case kindTypedef:
		k, err := c.aliasKind(u, d)
		if err != nil {
			return nil, err
		}
		name, err := u.name(d.name)
		return &isf.Type{Kind: isfKinds[k], Name: name}, err
	case kindPointer:
		elem, err := c.typeOf(u, d.typ)
		return &isf.Type{Kind: isf.KindPointer, Elem: elem}, err
	case kindArray:
		return c.newArray(u, d)
	case kindFunction:
		return &isf.Type{Kind: isf.KindFunction}, nil
	}
	return &isf.Type{}, nil
}

// aliased returns the entry that ref in u refers to behind what makes no type of its
// own: typedefs that name none, qualifiers, references to type units. The unit is nil
// where that is void.
func (c *collector) aliased(u *unit, ref typeRef) (*unit, int, error) {
	for ref != 0 {
		var i int
		var err error
		if u, i, err = c.resolve(u, ref); err != nil {
			return nil, 0, err
		}
		d := &u.dies[i]
		switch {
		case d.kind == kindQualifier:
			ref = d.typ
		case d.isUser() && d.name == 0 && d.isStub():
			ref = typeRef(d.aux)
		case d.kind == kindTypedef:
			k, err := c.aliasKind(u, d)
			if err != nil || k != kindOther {
				return u, i, err
			}
			ref = d.typ
		default:
			return u, i, nil
		}
	}
	return nil, 0, nil
}

func (c *collector) newUserType(u *unit, i int) (*isf.Type, error) {
	d := &u.dies[i]
	if d.name != 0 {
		name, err := u.name(d.name)
		return &isf.Type{Kind: isfKinds[d.kind], Name: name}, err
	}
	name, err := c.anonymousName(u, i)
	return &isf.Type{Kind: isfKinds[d.kind], Name: name}, err
}

// newArray nests one array type for each dimension, the first outermost.
func (c *collector) newArray(u *unit, d *die) (*isf.Type, error) {
	t, err := c.typeOf(u, d.typ)
	if err != nil {
		return nil, err
	}
	var counts []uint64
	for j := d.first; j != 0; j = u.dies[j].next {
		counts = append(counts, u.dies[j].val)
	}
	if len(counts) == 0 {
		counts = []uint64{0}
	}
	for len(counts) > 0 {
		last := len(counts) - 1
		t = &isf.Type{Kind: isf.KindArray, Elem: t, Count: counts[last]}
		counts = counts[:last]
	}
	return t, nil
}

// optionalName returns the name at ref, "" where there is none.
func (u *unit) optionalName(ref nameRef) (string, error) {
	if ref == 0 {
		return "", nil
	}
	return u.name(ref)
}

// userType returns the definition that entry i of u is, without its name.
func (c *collector) userType(u *unit, i int) (*isf.UserType, error) {
	d := &u.dies[i]
	t := &isf.UserType{Kind: isfKinds[d.kind], Size: d.val}
	for j := d.first; j != 0; j = u.dies[j].next {
		f, err := c.field(u, &u.dies[j])
		if err != nil {
			return nil, err
		}
		t.Fields = append(t.Fields, f)
	}
	nameUnnamed(t.Fields)
	return t, nil
}

const unnamedPrefix = "unnamed_field_"

// nameUnnamed gives names to members without, by counting: those that dwarf2json gives
// unless C has such a name there, when dwarf2json loses one of the two.
func nameUnnamed(fields []isf.Field) {
	var taken map[string]bool
	for i := range fields {
		if strings.HasPrefix(fields[i].Name, unnamedPrefix) {
			if taken == nil {
				taken = make(map[string]bool)
			}
			taken[fields[i].Name] = true
		}
	}
	unnamed := int64(0)
	for i := range fields {
		f := &fields[i]
		if f.Name != "" {
			continue
		}
		for f.Name == "" || taken[f.Name] {
			f.Name = unnamedPrefix + strconv.FormatInt(unnamed, 16)
			unnamed++
		}
		f.Anonymous = isUser(f.Type)
	}
}

func isUser(t *isf.Type) bool {
	return t.Kind == isf.KindStruct || t.Kind == isf.KindUnion || t.Kind == isf.KindClass
}

func (c *collector) field(u *unit, d *die) (isf.Field, error) {
	name, err := u.optionalName(d.name)
	if err != nil {
		return isf.Field{}, err
	}
	t, err := c.typeOf(u, d.typ)
	if err != nil {
		return isf.Field{}, err
	}
	f := isf.Field{Name: name, Offset: d.val, Type: t}
	if m := memberBits(d.aux); m.size() != 0 {
		return f, c.bitfield(u, d, &f)
	}
	if d.flags&fromStart != 0 {
		f.Offset = d.val / 8
	}
	return f, nil
}

// enum returns the enumeration that entry i of u is, without its name.
func (c *collector) enum(u *unit, i int) (*isf.Enum, error) {
	d := &u.dies[i]
	e := &isf.Enum{Size: d.val}
	if d.typ != 0 {
		t, err := c.typeOf(u, d.typ)
		if err != nil {
			return nil, err
		}
		if t.Kind == isf.KindBase {
			e.Base = t.Name
		}
		if e.Size == 0 {
			e.Size = c.sizeOf(u, d.typ, 0)
		}
	}
	for j := d.first; j != 0; j = u.dies[j].next {
		name, err := u.optionalName(u.dies[j].name)
		if err != nil {
			return nil, err
		}
		e.Constants = append(e.Constants, isf.Constant{Name: name, Value: int64(u.dies[j].val)})
	}
	return e, nil
}

// The encodings of base types (DWARF 5, section 7.8).
const (
	encodingAddress      = 0x01
	encodingBoolean      = 0x02
	encodingComplexFloat = 0x03
	encodingFloat        = 0x04
	encodingSigned       = 0x05
	encodingSignedChar   = 0x06
	encodingUnsigned     = 0x07
	encodingUnsignedChar = 0x08
)

// base returns the base type that entry i of u is, without its name.
func (c *collector) base(u *unit, i int) *isf.BaseType {
	d := &u.dies[i]
	b := &isf.BaseType{Size: d.val, Kind: isf.BaseInt, BigEndian: bool(u.order)}
	switch d.aux {
	case encodingBoolean:
		b.Kind = isf.BaseBool
	case encodingFloat, encodingComplexFloat:
		b.Kind, b.Signed = isf.BaseFloat, true
	case encodingSigned:
		b.Signed = true
	case encodingSignedChar:
		b.Kind, b.Signed = isf.BaseChar, true
	case encodingUnsignedChar:
		b.Kind = isf.BaseChar
	}
	return b
}

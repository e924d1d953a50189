package isf

// A typeText is what the description of a type says, of whatever kind it turns out to be.
type typeText struct {
	kind           Kind
	name, base     string
	subtype, typ   *Type
	count          uint64
	position, bits uint8
	has            struct{ name, count, position, bits bool } // which keys there are
}

// typ decodes the description of a type. It complains and returns nil where that is
// none.
func (d *decoder) typ() *Type {
	var x typeText
	for ok := d.object("type"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "kind":
			x.kind = kindNamed(d.text("kind"))
		case "name":
			x.name, x.has.name = d.intern(d.text("name")), true
		case "base":
			x.base = d.intern(d.text("base"))
		case "subtype":
			x.subtype = d.typ()
		case "type":
			x.typ = d.typ()
		case "count":
			x.count, x.has.count = d.uint("count"), true
		case "bit_position":
			x.position, x.has.position = d.byte("bit_position"), true
		case "bit_length":
			x.bits, x.has.bits = d.byte("bit_length"), true
		default:
			d.skip()
		}
	}
	if d.bad != nil || d.err != nil {
		return nil
	}
	return d.typeOf(&x)
}

// typeOf makes a type of what is said of one of its kind, and ignores the rest.
func (d *decoder) typeOf(x *typeText) *Type {
	t := Type{Kind: x.kind}
	whole := true
	switch t.Kind {
	case KindVoid:
		d.complain("type without a kind that ISF has")
		return nil
	case KindBase:
		if t.Name, whole = x.name, x.has.name; t.Name == "void" {
			t = Type{}
		}
	case KindStruct, KindUnion, KindClass, KindEnum:
		t.Name, whole = x.name, x.has.name
	case KindPointer:
		t.Name, t.Elem, whole = x.base, x.subtype, x.subtype != nil
	case KindArray:
		t.Elem, t.Count, whole = x.subtype, x.count, x.subtype != nil && x.has.count
	case KindBitfield:
		t.Elem, t.BitPosition, t.BitLength = x.typ, x.position, x.bits
		whole = x.typ != nil && x.has.position && x.has.bits
	}
	if !whole {
		d.complain("incomplete type of kind %v", t.Kind)
		return nil
	}
	if t.depth() > MaxTypeDepth {
		d.complain("type nested deeper than %d", MaxTypeDepth)
		return nil
	}
	return d.internType(t)
}

func (d *decoder) byte(what string) uint8 {
	n := d.uint(what)
	if n > 255 {
		d.complain("%s is %d", what, n)
	}
	return uint8(n)
}

// kindNamed returns the kind that ISF calls name, or KindVoid, which has no name there.
func kindNamed(name []byte) Kind {
	for k := KindBase; k <= KindBitfield; k++ {
		if string(name) == kindNames[k] {
			return k
		}
	}
	return KindVoid
}

func (d *decoder) internType(t Type) *Type {
	if p := d.types[t]; p != nil {
		return p
	}
	p := new(Type) // and not &t, which would make a copy of each t that is asked for
	*p = t
	d.types[t] = p
	return p
}

package isf

// typ decodes the description of a type. It complains and returns nil where that is
// none.
func (d *decoder) typ() *Type {
	var t Type
	named, kinded, inner, count, length := false, false, false, false, false
	for ok := d.object("type"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "kind":
			t.Kind, kinded = kindNamed(d.text("kind")), true
		case "name", "base":
			t.Name, named = d.intern(d.text("name")), true
		case "subtype", "type":
			t.Elem, inner = d.typ(), true
		case "count":
			t.Count, count = d.uint("count"), true
		case "bit_position":
			t.BitPosition = d.bits("bit_position")
		case "bit_length":
			t.BitLength, length = d.bits("bit_length"), true
		default:
			d.skip()
		}
	}
	if !kinded || d.bad != nil {
		d.complain("type without kind")
		return nil
	}
	whole := true
	switch t.Kind {
	case KindVoid:
		whole = false
	case KindBase:
		whole = named
		if t.Name == "void" {
			t = Type{}
		}
	case KindStruct, KindUnion, KindClass, KindEnum:
		whole = named
	case KindPointer:
		whole = inner
	case KindArray:
		whole = inner && count
	case KindBitfield:
		whole = inner && length
	}
	if !whole {
		d.complain("incomplete type of kind %v", t.Kind)
		return nil
	}
	return d.internType(t)
}

func (d *decoder) bits(what string) uint8 {
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
	d.types[t] = &t
	return &t
}

package btfconv

import "strings"

// layouts answers where members of structs are, from BTF.
type layouts struct {
	btf *btfTypes
	ids map[string]uint32 // of structs and unions, by tag
}

func newLayouts(t *btfTypes) *layouts {
	l := &layouts{btf: t, ids: make(map[string]uint32, 16384)}
	for id := t.first; id < t.end(); id++ {
		r, _ := t.lookup(id)
		if (r.kind == kindStruct || r.kind == kindUnion) && r.name != 0 {
			if name := t.name(r.name); l.ids[name] == 0 {
				l.ids[name] = id
			}
		}
	}
	return l
}

// size returns the size of a struct or union in bytes.
func (l *layouts) size(typ string) (uint64, bool) {
	id, ok := l.ids[typ]
	r, _ := l.btf.lookup(id)
	return uint64(r.size), ok
}

// offset returns the offset in bytes of a member, which may be a dotted path,
// from the start of a struct or union. Unnamed members are looked into.
func (l *layouts) offset(typ, path string) (uint64, bool) {
	id, ok := l.ids[typ]
	if !ok {
		return 0, false
	}
	sum := uint64(0)
	for name := range strings.SplitSeq(path, ".") {
		off, member, ok := l.member(l.strip(id), name, maxDepth)
		if !ok {
			return 0, false
		}
		sum += off
		id = member
	}
	return sum, true
}

// member finds one member of a struct or union by name; it returns its offset
// and its type.
func (l *layouts) member(id uint32, name string, depth int) (uint64, uint32, bool) {
	r, _ := l.btf.lookup(id)
	if r.kind != kindStruct && r.kind != kindUnion || depth == 0 {
		return 0, 0, false
	}
	for i := range r.vlen {
		m := r.member(i)
		if l.btf.badMember(&r, i) {
			continue
		}
		if m.name != 0 && l.btf.string(m.name) == name && l.btf.validName(m.name) {
			return uint64(m.bit / 8), m.typ, true
		}
		if m.name != 0 {
			continue
		}
		if off, typ, ok := l.member(l.strip(m.typ), name, depth-1); ok {
			return uint64(m.bit/8) + off, typ, true
		}
	}
	return 0, 0, false
}

// strip returns the id of the type behind typedefs and qualifiers.
func (l *layouts) strip(id uint32) uint32 {
	for range maxDepth {
		r, _ := l.btf.lookup(id)
		switch r.kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id = r.size
		default:
			return id
		}
	}
	return 0
}

// drop forgets a struct or union.
func (l *layouts) drop(typ string) { delete(l.ids, typ) }

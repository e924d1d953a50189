package btfconv

import "encoding/binary"

// A check of one record returns what is wrong with it, or "".
type recordCheck func(t *btfTypes, r btfType) string

// shapeChecks are what can be said of a record by itself, without its names.
var shapeChecks = [numKinds]recordCheck{
	kindInt: checkInt, kindPtr: checkRef, kindArray: checkArray, kindStruct: checkMembers, kindUnion: checkMembers,
	kindEnum: checkEnum, kindFwd: checkNamed, kindTypedef: checkNamedRef, kindVolatile: checkRef, kindConst: checkRef,
	kindRestrict: checkRef, kindFunc: checkNamedRef, kindFuncProto: checkProto, kindVar: checkNamedRef,
	kindDatasec: checkDatasec, kindFloat: checkNamed, kindDeclTag: checkNamedRef, kindTypeTag: checkNamedRef,
	kindEnum64: checkEnum,
}

// check verifies every reference of every record, and what the kernel verifies
// itself before it uses BTF (btf_check_all_metas in kernel/bpf/btf.c). So BTF
// with a page of other data in it doesn't pass.
func (t *btfTypes) check() bool {
	for i := range t.offsets {
		if t.wrong(t.at(i)) != "" {
			return false
		}
	}
	return true
}

// wrong returns what is wrong with a record, or "". Members that have no type, or no name
// by its place in the section, are not: they are lost alone.
func (t *btfTypes) wrong(r btfType) string {
	if !t.validName(r.name) {
		return "it has no name where its name should be"
	}
	if r.kind >= numKinds {
		return "" // newer than this package; its layout is all that is known
	}
	if wrong := shapeChecks[r.kind](t, r); wrong != "" {
		return wrong
	}
	switch r.kind {
	case kindEnum, kindEnum64:
		return t.wrongEnumerators(r)
	case kindDatasec:
		return t.wrongSection(r)
	}
	return ""
}

func checkInt(_ *btfTypes, r btfType) string {
	// Integers of fewer bits were the bitfields of pahole before 1.13, older than any kernel this package reads.
	bits := binary.LittleEndian.Uint32(r.extra) & 0xff
	if r.name == 0 || r.size == 0 || r.size > 16 || r.size&(r.size-1) != 0 || bits != r.size*8 {
		return "malformed integer"
	}
	return ""
}

func checkNamed(_ *btfTypes, r btfType) string {
	if r.name == 0 {
		return "type without a name"
	}
	return ""
}

func checkRef(t *btfTypes, r btfType) string {
	if r.name != 0 || r.size >= t.limit || r.vlen != 0 {
		return "malformed reference"
	}
	return ""
}

// checkNamedRef checks what has a name and a type. The vlen of a function is
// its linkage.
func checkNamedRef(t *btfTypes, r btfType) string {
	if r.name == 0 || r.size >= t.limit {
		return "malformed named reference"
	}
	return ""
}

func checkArray(t *btfTypes, r btfType) string {
	elem, index := binary.LittleEndian.Uint32(r.extra), binary.LittleEndian.Uint32(r.extra[4:])
	if r.name != 0 || r.size != 0 || r.vlen != 0 || elem-1 >= t.limit-1 || index-1 >= t.limit-1 {
		return "malformed array"
	}
	return ""
}

// checkMembers checks that members are of types that there can be, inside the struct, and
// in ascending order of their offsets.
func checkMembers(t *btfTypes, r btfType) string {
	last := uint32(0)
	for i := range r.vlen {
		m := r.member(i)
		if m.name >= t.strEnd() || m.typ >= t.limit {
			return "member of an unknown name or type"
		}
		if m.bit < last || (uint64(m.bit)+7)/8 > uint64(r.size) {
			return "member out of place"
		}
		last = m.bit
	}
	return ""
}

func checkEnum(t *btfTypes, r btfType) string {
	if r.size == 0 || r.size > 8 || r.size&(r.size-1) != 0 {
		return "malformed enumeration"
	}
	for i := range r.vlen {
		if name := r.enumerator(i); name == 0 || name >= t.strEnd() {
			return "enumerator without a name"
		}
	}
	return ""
}

// wrongEnumerators checks the names of enumerators.
func (t *btfTypes) wrongEnumerators(r btfType) string {
	for i := range r.vlen {
		if !t.validName(r.enumerator(i)) {
			return "enumerator without a name"
		}
	}
	return ""
}

// enumerator returns the name of the i-th constant of an enumeration.
func (r *btfType) enumerator(i uint32) uint32 {
	return binary.LittleEndian.Uint32(r.extra[i*uint32(knownLayouts[r.kind].elem):])
}

func checkProto(t *btfTypes, r btfType) string {
	for i := 0; i < len(r.extra); i += 8 {
		name, typ := binary.LittleEndian.Uint32(r.extra[i:]), binary.LittleEndian.Uint32(r.extra[i+4:])
		if name >= t.strEnd() || typ >= t.limit {
			return "parameter of an unknown name or type"
		}
	}
	if r.size >= t.limit {
		return "unknown return type"
	}
	return ""
}

func checkDatasec(t *btfTypes, r btfType) string {
	for i := 0; i < len(r.extra); i += 12 {
		if v := binary.LittleEndian.Uint32(r.extra[i:]); v == 0 || v >= t.limit {
			return "section of something other than variables"
		}
	}
	return ""
}

// wrongSection checks that a section is of variables.
func (t *btfTypes) wrongSection(r btfType) string {
	for i := 0; i < len(r.extra); i += 12 {
		if v, _ := t.lookup(binary.LittleEndian.Uint32(r.extra[i:])); v.kind != kindVar && v.kind < kindLost {
			return "section of something other than variables"
		}
	}
	return ""
}

// A btfMember is a member of a struct or union: struct btf_member.
type btfMember struct {
	name, typ uint32
	bit       uint32 // offset in bits from the start of the struct
	width     uint32 // of a bitfield, in bits; 0 for other members
}

func (r *btfType) member(i uint32) btfMember {
	b := r.extra[12*i:]
	m := btfMember{
		name: binary.LittleEndian.Uint32(b), typ: binary.LittleEndian.Uint32(b[4:]), bit: binary.LittleEndian.Uint32(b[8:]),
	}
	if r.flag {
		m.width, m.bit = m.bit>>24, m.bit&0xffffff
	}
	return m
}

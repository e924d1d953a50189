package btfconv

import "encoding/binary"

// A check of one record returns what is wrong with it, or "".
type recordCheck func(t *btfTypes, r btfType) string

var recordChecks = [numKinds]recordCheck{
	kindInt: checkInt, kindPtr: checkRef, kindArray: checkArray, kindStruct: checkMembers, kindUnion: checkMembers,
	kindEnum: checkEnum, kindFwd: checkNamed, kindTypedef: checkNamedRef, kindVolatile: checkRef, kindConst: checkRef,
	kindRestrict: checkRef, kindFunc: checkNamedRef, kindFuncProto: checkProto, kindVar: checkNamedRef,
	kindDatasec: checkDatasec, kindFloat: checkNamed, kindDeclTag: checkNamedRef, kindTypeTag: checkNamedRef,
	kindEnum64: checkEnum,
}

// check verifies every reference of every record, and what the kernel verifies
// itself before it uses BTF (btf_check_all_metas in kernel/bpf/btf.c). So BTF
// with a page of other data in it doesn't pass.
func (t *btfTypes) check() error {
	for i := range t.offsets {
		r := t.at(i)
		if !t.validName(r.name) {
			return damaged("type section", int(t.offsets[i]), "name at %#x", r.name)
		}
		if r.kind >= numKinds {
			continue // newer than this package; its layout is all that is known
		}
		if wrong := recordChecks[r.kind](t, r); wrong != "" {
			return damaged("type section", int(t.offsets[i]), "%s", wrong)
		}
	}
	return nil
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
	if r.name != 0 || r.size >= t.end() || r.vlen != 0 {
		return "malformed reference"
	}
	return ""
}

// checkNamedRef checks what has a name and a type. The vlen of a function is
// its linkage.
func checkNamedRef(t *btfTypes, r btfType) string {
	if r.name == 0 || r.size >= t.end() {
		return "malformed named reference"
	}
	return ""
}

func checkArray(t *btfTypes, r btfType) string {
	elem, index := binary.LittleEndian.Uint32(r.extra), binary.LittleEndian.Uint32(r.extra[4:])
	if r.name != 0 || r.size != 0 || r.vlen != 0 || elem-1 >= t.end()-1 || index-1 >= t.end()-1 {
		return "malformed array"
	}
	return ""
}

// checkMembers checks that members are named in the string section, of known
// types, inside the struct, and in ascending order of their offsets.
func checkMembers(t *btfTypes, r btfType) string {
	last := uint32(0)
	for i := range r.vlen {
		m := r.member(i)
		if !t.validName(m.name) || m.typ >= t.end() || m.typ == 0 {
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
	step := int(knownLayouts[r.kind].elem)
	for i := 0; i < len(r.extra); i += step {
		if name := binary.LittleEndian.Uint32(r.extra[i:]); name == 0 || !t.validName(name) {
			return "enumerator without a name"
		}
	}
	return ""
}

func checkProto(t *btfTypes, r btfType) string {
	for i := 0; i < len(r.extra); i += 8 {
		name, typ := binary.LittleEndian.Uint32(r.extra[i:]), binary.LittleEndian.Uint32(r.extra[i+4:])
		if !t.validName(name) || typ >= t.end() {
			return "parameter of an unknown name or type"
		}
	}
	if r.size >= t.end() {
		return "unknown return type"
	}
	return ""
}

func checkDatasec(t *btfTypes, r btfType) string {
	for i := 0; i < len(r.extra); i += 12 {
		if v, ok := t.lookup(binary.LittleEndian.Uint32(r.extra[i:])); !ok || v.kind != kindVar {
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

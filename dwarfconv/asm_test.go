package dwarfconv

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
)

// An assembler makes DWARF by hand, for what no compiler writes.
type assembler struct {
	b []byte
}

func (a *assembler) u8(v ...byte) *assembler { a.b = append(a.b, v...); return a }

func (a *assembler) u16(v uint16) *assembler {
	a.b = binary.LittleEndian.AppendUint16(a.b, v)
	return a
}

func (a *assembler) u32(v uint32) *assembler {
	a.b = binary.LittleEndian.AppendUint32(a.b, v)
	return a
}

func (a *assembler) u64(v uint64) *assembler {
	a.b = binary.LittleEndian.AppendUint64(a.b, v)
	return a
}

func (a *assembler) uleb(v uint64) *assembler {
	a.b = binary.AppendUvarint(a.b, v)
	return a
}

func (a *assembler) str(s string) *assembler {
	a.b = append(append(a.b, s...), 0)
	return a
}

// The abbreviations that handmade units use.
const (
	abbrevUnit      = 1 + iota
	abbrevTypedef   // name, type
	abbrevPointer   // type
	abbrevStruct    // name, size; children
	abbrevMember    // name, type, offset
	abbrevAnonymous // a struct: size; children
	abbrevUnnamed   // a member: type, offset
	abbrevBase      // name, size, encoding
	abbrevArray     // type; children
	abbrevDimension // count
	abbrevConst     // type
	abbrevBlock     // children
	abbrevFar       // a pointer: type in any unit
	abbrevLong      // a member: name in .debug_str, type, offset
	abbrevUnion     // type by signature
	abbrevEnum      // name, size; children
	abbrevConstant  // name, value
)

// handmadeAbbrevs returns the table with these.
func handmadeAbbrevs() []byte {
	const name, size, typ, offset = uint64(dwarf.AttrName), uint64(dwarf.AttrByteSize), uint64(dwarf.AttrType), uint64(dwarf.AttrDataMemberLoc)
	str, udata, ref := uint64(formString), uint64(formUdata), uint64(formRef4)
	var a assembler
	for i, x := range []struct {
		tag      dwarf.Tag
		children byte
		attrs    []uint64
	}{
		{dwarf.TagCompileUnit, 1, nil},
		{dwarf.TagTypedef, 0, []uint64{name, str, typ, ref}},
		{dwarf.TagPointerType, 0, []uint64{typ, ref}},
		{dwarf.TagStructType, 1, []uint64{name, str, size, udata}},
		{dwarf.TagMember, 0, []uint64{name, str, typ, ref, offset, udata}},
		{dwarf.TagStructType, 1, []uint64{size, udata}},
		{dwarf.TagMember, 0, []uint64{typ, ref, offset, udata}},
		{dwarf.TagBaseType, 0, []uint64{name, str, size, udata, uint64(dwarf.AttrEncoding), udata}},
		{dwarf.TagArrayType, 1, []uint64{typ, ref}},
		{dwarf.TagSubrangeType, 0, []uint64{uint64(dwarf.AttrCount), udata}},
		{dwarf.TagConstType, 0, []uint64{typ, ref}},
		{dwarf.TagLexDwarfBlock, 1, nil},
		{dwarf.TagPointerType, 0, []uint64{typ, uint64(formRefAddr)}},
		{dwarf.TagMember, 0, []uint64{name, uint64(formStrp), typ, ref, offset, udata}},
		{dwarf.TagUnionType, 0, []uint64{uint64(dwarf.AttrSignature), uint64(formRefSig8)}},
		{dwarf.TagEnumerationType, 1, []uint64{name, str, size, udata}},
		{dwarf.TagEnumerator, 0, []uint64{name, str, uint64(dwarf.AttrConstValue), udata}},
	} {
		a.uleb(uint64(i + 1)).uleb(uint64(x.tag)).u8(x.children)
		for _, v := range x.attrs {
			a.uleb(v)
		}
		a.u8(0, 0)
	}
	return a.u8(0).b
}

// A handmadeUnit is a unit of DWARF 4 in the making.
type handmadeUnit struct {
	assembler
}

// newUnit begins a unit: what follows stands in its compile unit.
func newUnit() *handmadeUnit {
	u := &handmadeUnit{}
	u.u32(0).u16(4).u32(0).u8(8).uleb(abbrevUnit)
	return u
}

// here returns the reference to the entry that comes next.
func (u *handmadeUnit) here() uint32 { return uint32(len(u.b)) }

// base adds int and returns where it is.
func (u *handmadeUnit) base() uint32 {
	at := u.here()
	u.uleb(abbrevBase).str("int").uleb(4).uleb(encodingSigned)
	return at
}

// end ends the unit.
func (u *handmadeUnit) end() []byte {
	u.u8(0)
	return u.cut()
}

// cut ends the unit where it is.
func (u *handmadeUnit) cut() []byte {
	binary.LittleEndian.PutUint32(u.b, uint32(len(u.b)-4))
	return u.b
}

// A handmadeSection is a section of a handmade file.
type handmadeSection struct {
	elf.Section64
	name string
	data []byte
}

// debugSections are those of a file whose units are given.
func debugSections(units ...[]byte) []handmadeSection {
	return []handmadeSection{
		{name: ".debug_abbrev", data: handmadeAbbrevs()},
		{name: ".debug_info", data: bytes.Join(units, nil)},
	}
}

// handmadeELF returns a file with these sections, which are numbered from 1 on. One
// without data has its place and size already.
func handmadeELF(typ elf.Type, sections ...handmadeSection) []byte {
	var file, names assembler
	sections = append([]handmadeSection{{}}, append(sections, handmadeSection{name: ".shstrtab", Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB)}})...)
	for i := range sections {
		s := &sections[i]
		s.Name = uint32(len(names.b))
		names.str(s.name)
	}
	last := &sections[len(sections)-1]
	last.data = names.b
	file.b = make([]byte, 64)
	for i := range sections {
		s := &sections[i]
		if s.Type == 0 && i > 0 {
			s.Type = uint32(elf.SHT_PROGBITS)
		}
		if s.data != nil {
			s.Off, s.Size = uint64(len(file.b)), uint64(len(s.data))
			file.b = append(file.b, s.data...)
		}
	}
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(typ), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Ehsize: 64,
		Shoff: uint64(len(file.b)), Shentsize: sectionHeaderSize, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1),
	}
	if _, err := binary.Encode(file.b, binary.LittleEndian, &h); err != nil {
		panic(err)
	}
	for i := range sections {
		var err error
		if file.b, err = binary.Append(file.b, binary.LittleEndian, &sections[i].Section64); err != nil {
			panic(err)
		}
	}
	return file.b
}

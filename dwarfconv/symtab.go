package dwarfconv

import (
	"debug/elf"
	"fmt"
)

// A symbol is an entry of the ELF symbol table.
type symbol struct {
	name  string
	value uint64 // as the table has it
	key   uint64 // the address that DWARF has for it: not the same in relocatable objects
	size  uint64
	typ   elf.SymType
	bind  elf.SymBind
	twin  bool // there are others of the name
}

// symSize is that of an Elf64_Sym.
const symSize = 24

// readSymtab reads the symbols that stand for something at an address: not those of
// files, sections and what other files define. The names share memory with one
// string.
func (c *conversion) readSymtab() {
	f := c.elf
	s := f.SectionByType(elf.SHT_SYMTAB)
	if s == nil || s.Size == 0 {
		return
	}
	b, names, err := symtabData(f, s, c.size)
	if err != nil {
		c.damage.loss("section "+s.Name, err)
		return
	}
	order := byteOrder(f.ByteOrder == elfBigEndian)
	syms := make([]symbol, 0, (len(b)-slack)/symSize)
	for pos := 0; pos+symSize <= len(b)-slack; pos += symSize {
		sym := symbol{
			value: order.u64(b, pos+8),
			size:  order.u64(b, pos+16),
			typ:   elf.ST_TYPE(b[pos+4]),
			bind:  elf.ST_BIND(b[pos+4]),
		}
		section := elf.SectionIndex(order.u16(b, pos+6))
		if sym.typ == elf.STT_SECTION || sym.typ == elf.STT_FILE || !inMemory(f, section) {
			continue
		}
		if sym.name, err = cstring(names, order.u32(b, pos)); err != nil {
			c.damage.loss(fmt.Sprintf("symbol %d of %s", pos/symSize, s.Name), err)
			continue
		}
		sym.key = sectionBase(f, section) + sym.value
		if sym.name != "" {
			syms = append(syms, sym)
		}
	}
	c.syms = syms
}

// inMemory reports whether the symbols of a section are of something at an address: the
// signatures of section groups are not, and what other files define.
func inMemory(f *elf.File, section elf.SectionIndex) bool {
	if section == elf.SHN_UNDEF || section == elf.SHN_COMMON {
		return false
	}
	return int(section) >= len(f.Sections) || f.Sections[section].Flags&elf.SHF_ALLOC != 0
}

func symtabData(f *elf.File, s *elf.Section, size int64) (b []byte, names string, err error) {
	if int(s.Link) >= len(f.Sections) {
		return nil, "", errSection
	}
	if b, err = inflateSection(s, size); err != nil {
		return nil, "", err
	}
	n, err := inflateSection(f.Sections[s.Link], size)
	if err != nil {
		return nil, "", err
	}
	return b, string(n[:len(n)-slack]), nil
}

// sectionBase returns an address for a section, so that those of its symbols
// are not mistaken for others'. Sections of relocatable objects have no address
// yet, so each gets 1 TiB of its own. The offsets between debug sections, which
// are relocated as well, count from 0.
func sectionBase(f *elf.File, i elf.SectionIndex) uint64 {
	if f.Type != elf.ET_REL || int(i) >= len(f.Sections) || f.Sections[i].Flags&elf.SHF_ALLOC == 0 {
		return 0
	}
	return uint64(i) << sectionShift
}

const sectionShift = 40

// symbolValues returns the values that relocations against the symbol table
// with the given section index use.
func symbolValues(f *elf.File, link uint32, size int64) ([]uint64, error) {
	b, err := inflateSection(f.Sections[link], size)
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", f.Sections[link].Name, err)
	}
	order := byteOrder(f.ByteOrder == elfBigEndian)
	var values []uint64
	for pos := 0; pos+symSize <= len(b)-slack; pos += symSize {
		base := sectionBase(f, elf.SectionIndex(order.u16(b, pos+6)))
		values = append(values, base+order.u64(b, pos+8))
	}
	return values, nil
}

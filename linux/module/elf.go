package module

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxImage is the size above which a module is not extracted, in bytes: the largest have some
// 10 MB.
const maxImage = 128 << 20

// WriteELF writes a module as it is in memory, relocated, as an ELF file that readelf, nm, objdump and gdb
// read: its areas, with its sections where the kernel still has their names, its
// symbols at the addresses at which they run, and its types (.BTF, which is split from
// those of the kernel).
//
// What could not be read of it is zero, and is returned. The error is that of w, or
// wraps [kstruct.ErrTooLong].
func (s *Set) WriteELF(w io.Writer, m *Module) ([]vmem.Gap, error) {
	size := uint64(0)
	for _, a := range m.Areas {
		size += a.Range.Size
	}
	if size > maxImage {
		return nil, vmem.NewGap("module "+m.Name, vmem.KernelPlace(m.Address), fmt.Errorf("%w: %d bytes", kstruct.ErrTooLong, size))
	}
	e := &elfWriter{set: s, module: m, sections: []elfSection{{}}}
	e.addAreas()
	symbols, gaps := s.partsOf(m).symbols()
	e.gaps = append(e.gaps, gaps...)
	e.addSymbols(symbols)
	e.addTypes()
	_, err := w.Write(e.file())
	return e.gaps, err
}

// An elfSection is a section of the file that is written.
type elfSection struct {
	name string
	elf.Section64
}

type elfWriter struct {
	set      *Set
	module   *Module
	sections []elfSection
	segments []elf.Prog64
	body     bytes.Buffer // what follows the headers of the file and of the segments
	gaps     []vmem.Gap
}

// elfHeaders is the size of the headers before the body: that of the file, and those of
// at most 8 areas.
const elfHeaders = 64 + 8*56

// offset returns where in the file the next byte of the body is, a multiple of 16.
func (e *elfWriter) offset() uint64 {
	for (elfHeaders+e.body.Len())%16 != 0 {
		e.body.WriteByte(0)
	}
	return elfHeaders + uint64(e.body.Len())
}

// addAreas adds the areas as segments, with their sections.
func (e *elfWriter) addAreas() {
	sections, sizes := e.module.loaded()
	for _, a := range e.module.Areas {
		off := e.offset()
		data, holes := e.set.bytes(a.Range.Start, int(a.Range.Size))
		for _, h := range holes {
			e.gaps = append(e.gaps, vmem.NewGap("module "+e.module.Name, vmem.KernelPlace(a.Range.Start+vmem.VirtAddr(h.Start)), vmem.ErrNotCaptured))
		}
		e.body.Write(data)
		flags, sectionFlags := areaFlags(a.Kind)
		e.segments = append(e.segments, elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(flags), Off: off, Vaddr: uint64(a.Range.Start),
			Filesz: a.Range.Size, Memsz: a.Range.Size, Align: 1,
		})
		add := func(name string, at vmem.VirtAddr, size uint64) {
			typ := elf.SHT_PROGBITS
			if strings.HasPrefix(name, ".note") {
				typ = elf.SHT_NOTE
			}
			e.sections = append(e.sections, elfSection{name: name, Section64: elf.Section64{
				Type: uint32(typ), Flags: uint64(sectionFlags), Addr: uint64(at), Off: off + uint64(at-a.Range.Start), Size: size, Addralign: 1,
			}})
		}
		end := a.Range.Start
		for i, sec := range sections {
			if !a.Range.Contains(sec.Address) {
				continue
			}
			if sec.Address > end {
				add("."+a.Kind.String(), end, uint64(sec.Address-end))
			}
			add(sec.Name, sec.Address, sizes[i])
			end = sec.Address + vmem.VirtAddr(sizes[i])
		}
		if end == a.Range.Start {
			add("."+a.Kind.String(), end, a.Range.Size)
		}
	}
}

func areaFlags(k AreaKind) (elf.ProgFlag, elf.SectionFlag) {
	switch k {
	case Text, InitText:
		return elf.PF_R | elf.PF_X, elf.SHF_ALLOC | elf.SHF_EXECINSTR
	case ReadOnly, InitReadOnly:
		return elf.PF_R, elf.SHF_ALLOC
	}
	return elf.PF_R | elf.PF_W, elf.SHF_ALLOC | elf.SHF_WRITE
}

// addSymbols adds the symbols, local ones first as ELF wants them.
func (e *elfWriter) addSymbols(symbols []Symbol) {
	names := []byte{0}
	table := make([]byte, elfSymbolSize, elfSymbolSize*(len(symbols)+1))
	locals := 1
	for _, global := range []bool{false, true} {
		for i := range symbols {
			if symbols[i].Global != global {
				continue
			}
			locals += b2i(!global)
			table, _ = binary.Append(table, binary.LittleEndian, e.symbol(&symbols[i], uint32(len(names))))
			names = append(append(names, symbols[i].Name...), 0)
		}
	}
	e.add(".symtab", elf.Section64{Type: uint32(elf.SHT_SYMTAB), Link: uint32(len(e.sections) + 1), Info: uint32(locals), Entsize: elfSymbolSize, Addralign: 8}, table)
	e.add(".strtab", elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1}, names)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (e *elfWriter) symbol(s *Symbol, name uint32) elf.Sym64 {
	out := elf.Sym64{Name: name, Value: uint64(s.Addr), Size: s.Size, Shndx: uint16(elf.SHN_ABS), Info: elf.ST_INFO(elf.STB_LOCAL, elf.STT_OBJECT)}
	if s.Type|0x20 == 't' {
		out.Info = elf.ST_INFO(elf.STB_LOCAL, elf.STT_FUNC)
	}
	if s.Global {
		out.Info |= byte(elf.STB_GLOBAL) << 4
	}
	for i := 1; i < len(e.sections); i++ {
		if sec := &e.sections[i]; uint64(s.Addr)-sec.Addr < sec.Size {
			out.Shndx = uint16(i)
		}
	}
	return out
}

// addTypes adds the module's BTF.
func (e *elfWriter) addTypes() {
	list, _ := e.set.entries()
	b, ok := list[e.module.Address]
	if !ok {
		return
	}
	data, holes := e.set.bytes(b.Data, int(min(b.Size, maxBTF)))
	for _, h := range holes {
		e.gaps = append(e.gaps, vmem.NewGap("types of module "+e.module.Name, vmem.KernelPlace(b.Data+vmem.VirtAddr(h.Start)), vmem.ErrNotCaptured))
	}
	e.add(".BTF", elf.Section64{Type: uint32(elf.SHT_PROGBITS), Addralign: 1}, data)
}

// add adds a section with data that is not in an area.
func (e *elfWriter) add(name string, header elf.Section64, data []byte) {
	header.Off, header.Size = e.offset(), uint64(len(data))
	e.body.Write(data)
	e.sections = append(e.sections, elfSection{name: name, Section64: header})
}

// file returns the file.
func (e *elfWriter) file() []byte {
	names := []byte{0}
	e.sections = append(e.sections, elfSection{name: ".shstrtab", Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1}})
	for i := 1; i < len(e.sections); i++ {
		e.sections[i].Name = uint32(len(names))
		names = append(append(names, e.sections[i].name...), 0)
	}
	last := &e.sections[len(e.sections)-1]
	last.Off, last.Size = e.offset(), uint64(len(names))
	e.body.Write(names)
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Entry: uint64(e.module.Init),
		Phoff: 64, Shoff: e.offset(), Ehsize: 64, Phentsize: 56, Phnum: uint16(len(e.segments)),
		Shentsize: 64, Shnum: uint16(len(e.sections)), Shstrndx: uint16(len(e.sections) - 1),
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	out, _ := binary.Append(nil, binary.LittleEndian, h)
	out, _ = binary.Append(out, binary.LittleEndian, e.segments)
	out = append(out, make([]byte, elfHeaders-len(out))...)
	out = append(out, e.body.Bytes()...)
	for i := range e.sections {
		out, _ = binary.Append(out, binary.LittleEndian, e.sections[i].Section64)
	}
	return out
}

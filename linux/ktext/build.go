package ktext

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ErrNotVmlinux says that a file is not the vmlinux of a kernel for x86-64.
var ErrNotVmlinux = errors.New("not a vmlinux of x86-64")

// maxSection is the size up to which a section of a file is read, in bytes.
const maxSection = 256 << 20

// A Build is the vmlinux of a kernel: its code as it was linked, and what says where it patches itself. It is immutable and
// safe for concurrent use.
type Build struct {
	sections []section // as linked
	names    names
	buildID  string
	banner   string
	perCPU   uint64
	relocs   map[string]relocations // by section
	sites    *sites
}

// BuildID returns the build id in hexadecimal, empty where the file has none.
func (b *Build) BuildID() string { return b.buildID }

// Banner returns linux_banner without the newline, empty where the file does not name it.
func (b *Build) Banner() string { return b.banner }

// NewBuild reads the vmlinux of a kernel. It need not have types, but symbols. The file is not used after that. The
// error wraps [ErrNotVmlinux], or is that of reading.
func NewBuild(r io.ReaderAt) (*Build, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotVmlinux, err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("%w: %v for %v", ErrNotVmlinux, f.Type, f.Machine)
	}
	b := new(Build)
	if err := b.readSections(f); err != nil {
		return nil, err
	}
	if err := b.readSymbols(f); err != nil {
		return nil, err
	}
	if err := b.readRelocations(f); err != nil {
		return nil, err
	}
	c := b.code(0)
	b.sites = newSites(c, false)
	if at, ok := c.names.address("linux_banner"); ok {
		if s := c.find(at); s != nil {
			text, _, _ := bytes.Cut(s.data[at-s.addr:min(at-s.addr+1024, uint64(len(s.data)))], []byte{'\n'})
			b.banner = string(text)
		}
	}
	return b, nil
}

// readSections reads what is loaded, but for data that is written.
func (b *Build) readSections(f *elf.File) error {
	for _, s := range f.Sections {
		if s.Name == ".data..percpu" && s.Addr == 0 {
			b.perCPU = s.Size
		}
		if s.Type != elf.SHT_PROGBITS && s.Type != elf.SHT_NOTE || s.Flags&elf.SHF_ALLOC == 0 || s.Addr == 0 || s.Name == ".init.scratch" {
			continue
		}
		if s.Size > maxSection {
			return fmt.Errorf("%w: section %q has %d bytes", ErrNotVmlinux, s.Name, s.Size)
		}
		data, err := s.Data()
		if err != nil {
			return fmt.Errorf("section %q of the vmlinux: %w", s.Name, err)
		}
		b.sections = append(b.sections, section{name: s.Name, addr: s.Addr, data: data, exec: s.Flags&elf.SHF_EXECINSTR != 0})
		if s.Name == ".notes" {
			b.buildID = buildID(data, f.ByteOrder.Uint32)
		}
	}
	slices.SortStableFunc(b.sections, func(x, y section) int { return cmp.Compare(x.addr, y.addr) })
	return nil
}

// buildID returns the build id of notes.
func buildID(notes []byte, word func([]byte) uint32) string {
	const typ = 3 // NT_GNU_BUILD_ID
	for len(notes) >= 12 {
		n, d := (uint64(word(notes))+3)&^3, (uint64(word(notes[4:]))+3)&^3
		if 12+n+d > uint64(len(notes)) {
			return ""
		}
		if word(notes[8:]) == typ && strings.HasPrefix(string(notes[12:12+n]), "GNU\x00") {
			return hex.EncodeToString(notes[12+n : 12+n+uint64(word(notes[4:]))])
		}
		notes = notes[12+n+d:]
	}
	return ""
}

// relocations are the fields of a section that KASLR changes.
type relocations struct {
	add, subtract []uint32 // offsets of fields of 32 bits, the lower ones of addresses of 64
}

// apply returns what a section becomes where the kernel is moved. The kernel moves by less than 2 GiB, so the upper halves of
// addresses stay.
func (r *relocations) apply(data []byte, slide uint64) []byte {
	out := slices.Clone(data)
	for _, o := range r.add {
		binary.LittleEndian.PutUint32(out[o:], binary.LittleEndian.Uint32(out[o:])+uint32(slide))
	}
	for _, o := range r.subtract {
		binary.LittleEndian.PutUint32(out[o:], binary.LittleEndian.Uint32(out[o:])-uint32(slide))
	}
	return out
}

// readRelocations reads the relocations that the linker left in the file (--emit-relocs), as arch/x86/tools/relocs.c takes them. Where there
// are none for a section, what KASLR changed is told by the addresses there.
func (b *Build) readRelocations(f *elf.File) error {
	b.relocs = map[string]relocations{}
	var symbols []elf.Symbol
	for _, s := range f.Sections {
		if s.Type != elf.SHT_RELA || int(s.Info) >= len(f.Sections) || s.Size > maxSection {
			continue
		}
		target := f.Sections[s.Info]
		if target.Name != ".text" && target.Name != ".rodata" && target.Name != ".altinstr_replacement" {
			continue // in others there are none that is compared
		}
		data, err := s.Data()
		if err == nil && symbols == nil {
			symbols, err = f.Symbols()
		}
		if err != nil {
			return fmt.Errorf("section %q of the vmlinux: %w", s.Name, err)
		}
		b.relocs[target.Name] = b.relocationsOf(data, target, symbols, f)
	}
	return nil
}

const relaSize = 24

func (b *Build) relocationsOf(data []byte, target *elf.Section, symbols []elf.Symbol, f *elf.File) (r relocations) {
	le := binary.LittleEndian
	for ; len(data) >= relaSize; data = data[relaSize:] {
		off := le.Uint64(data) - target.Addr
		n := uint64(le.Uint32(data[12:]))
		if off+4 > target.Size || off > target.Size || n == 0 || n > uint64(len(symbols)) {
			continue
		}
		s := &symbols[n-1]
		perCPU := s.Value <= b.perCPU && int(s.Section) < len(f.Sections) && f.Sections[s.Section].Name == ".data..percpu"
		switch elf.R_X86_64(le.Uint32(data[8:])) {
		case elf.R_X86_64_64, elf.R_X86_64_32, elf.R_X86_64_32S:
			if !perCPU && (s.Section != elf.SHN_ABS || b.relative(s)) {
				r.add = append(r.add, uint32(off))
			}
		case elf.R_X86_64_PC32, elf.R_X86_64_PLT32:
			if perCPU {
				r.subtract = append(r.subtract, uint32(off))
			}
		}
	}
	return r
}

// relative reports whether a symbol that is absolute in the file is moved with the kernel all the same: one that the linker script defines
// within it.
func (b *Build) relative(s *elf.Symbol) bool {
	return s.Value >= b.names.byName["_text"] && s.Value <= b.names.byName["_end"]
}

// readSymbols reads the symbols. Of several of one name the first that is not local counts.
func (b *Build) readSymbols(f *elf.File) error {
	all, err := f.Symbols()
	if err != nil {
		return fmt.Errorf("%w: it has no symbols: %w", ErrNotVmlinux, err)
	}
	b.names = newNames(all, b.sections)
	if _, ok := b.names.byName["_text"]; !ok {
		return fmt.Errorf("%w: it has no symbol _text", ErrNotVmlinux)
	}
	return nil
}

// newNames makes names of the symbols of a file, whose sections say which are of code.
func newNames(all []elf.Symbol, sections []section) names {
	n := names{byName: make(map[string]uint64, len(all))}
	local := map[string]bool{}
	c := code{sections: sections}
	for i := range all {
		s := &all[i]
		if s.Name == "" || s.Section == elf.SHN_UNDEF || elf.ST_TYPE(s.Info) == elf.STT_FILE || elf.ST_TYPE(s.Info) == elf.STT_SECTION {
			continue
		}
		isLocal := elf.ST_BIND(s.Info) == elf.STB_LOCAL
		if _, have := n.byName[s.Name]; !have || local[s.Name] && !isLocal {
			n.byName[s.Name] = s.Value
			local[s.Name] = isLocal
		}
		if sec := c.find(s.Value); sec != nil && sec.exec && !strings.HasPrefix(s.Name, "__pfx_") {
			n.list = append(n.list, name{s.Value, s.Name})
		}
	}
	slices.SortStableFunc(n.list, func(a, b name) int { return cmp.Compare(a.addr, b.addr) })
	return n
}

// code returns the code of a kernel that KASLR moved by slide.
func (b *Build) code(slide uint64) *code {
	c := &code{slide: slide, names: b.names, sections: slices.Clone(b.sections)}
	c.names.slide = slide
	for i := range c.sections {
		s := &c.sections[i]
		if r, ok := b.relocs[s.name]; ok && slide != 0 {
			s.data, s.exact = r.apply(s.data, slide), true
		}
		s.addr += slide
	}
	c.low = b.names.byName["_text"]
	c.high = max(b.names.byName["_end"], c.low)
	if b.perCPU > 0 {
		c.perCPU = b.perCPU + 8 // an immediate can follow the address
	}
	return c
}

package dwarfconv

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// elfBigEndian is the byte order of big-endian ELF files.
var elfBigEndian binary.ByteOrder = binary.BigEndian

// maxSections is the number of sections beyond which a file is refused. A kernel
// has less than a hundred, a module with a section for each function some
// thousands.
const maxSections = 1 << 16

var (
	errClass = errors.New("32-bit ELF files are not supported")
	errELF   = errors.New("malformed ELF header")
)

// openELF opens a 64-bit ELF file. It looks first at what debug/elf takes on
// trust: the number of sections and the size of their names.
func openELF(r io.ReaderAt, size int64) (*elf.File, error) {
	var h elf.Header64
	order, err := readHeader(r, &h)
	if err != nil {
		return nil, err
	}
	if h.Shoff == 0 || h.Shentsize != sectionHeaderSize {
		return nil, ErrNoDWARF
	}
	var first, names elf.Section64
	if err := readSectionHeader(r, size, order, &h, 0, &first); err != nil {
		return nil, err
	}
	count, index := uint64(h.Shnum), uint32(h.Shstrndx)
	if count == 0 {
		count = first.Size
	}
	if elf.SectionIndex(index) == elf.SHN_XINDEX {
		index = first.Link
	}
	if err := readSectionHeader(r, size, order, &h, uint64(index), &names); err != nil {
		return nil, err
	}
	if count > maxSections || elf.SectionFlag(names.Flags)&elf.SHF_COMPRESSED != 0 || names.Size > maxSections<<10 {
		return nil, fmt.Errorf("%w: %w", errELF, errLimit)
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errELF, err)
	}
	return f, nil
}

func readHeader(r io.ReaderAt, h *elf.Header64) (binary.ByteOrder, error) {
	b := make([]byte, binary.Size(h))
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if !bytes.HasPrefix(b, []byte(elf.ELFMAG)) {
		return nil, ErrFormat
	}
	if elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, errClass
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	_, err := binary.Decode(b, order, h)
	return order, err
}

// sectionHeaderSize is that of an Elf64_Shdr.
const sectionHeaderSize = 64

func readSectionHeader(r io.ReaderAt, size int64, order binary.ByteOrder, h *elf.Header64, i uint64, s *elf.Section64) error {
	off := h.Shoff + i*sectionHeaderSize
	if h.Shoff > uint64(size) || i > maxSections || off+sectionHeaderSize > uint64(size) {
		return errELF
	}
	b := make([]byte, sectionHeaderSize)
	if _, err := r.ReadAt(b, int64(off)); err != nil && err != io.EOF {
		return err
	}
	_, err := binary.Decode(b, order, s)
	return err
}

// isKernel reports whether the file is a kernel, a module or an object of one,
// as far as symbols and sections tell.
func isKernel(f *elf.File, syms []symbol) bool {
	for _, s := range f.Sections {
		if s.Name == ".modinfo" || s.Name == ".gnu.linkonce.this_module" || strings.HasPrefix(s.Name, "__ksymtab") {
			return true
		}
	}
	for i := range syms {
		if syms[i].name == bannerName {
			return true
		}
	}
	return false
}

// constantData returns the first size bytes of the object that s is as the file has
// them, nil where it does not: in files with debug information alone, sections have
// no contents, and no compressed section (ReaderAt is nil) holds objects.
func constantData(f *elf.File, s symbol, size uint64) ([]byte, error) {
	section, off := holder(f, s)
	if section == nil || section.ReaderAt == nil || section.Type == elf.SHT_NOBITS || size == 0 {
		return nil, nil
	}
	if off > section.Size || size > min(section.Size-off, maxConstant) {
		return nil, fmt.Errorf("%d bytes: %w", size, errLimit)
	}
	b := make([]byte, size)
	if _, err := section.ReadAt(b, int64(off)); err != nil {
		return nil, err
	}
	return b, nil
}

// holder returns the section that the object s is in, and its offset there.
func holder(f *elf.File, s symbol) (section *elf.Section, off uint64) {
	if f.Type == elf.ET_REL {
		if i := s.key >> sectionShift; i < uint64(len(f.Sections)) {
			return f.Sections[i], s.value
		}
		return nil, 0
	}
	for _, section := range f.Sections {
		if section.Flags&elf.SHF_ALLOC != 0 && s.value-section.Addr < section.Size {
			return section, s.value - section.Addr
		}
	}
	return nil, 0
}

// maxConstant bounds the size of an object whose bytes are kept.
const maxConstant = 1 << 16

// noDWARF is ErrNoDWARF with what else the file may be good for.
func (c *conversion) noDWARF() error {
	if c.elf.Section(".BTF") != nil {
		return fmt.Errorf("%w; its BTF can be converted", ErrNoDWARF)
	}
	return ErrNoDWARF
}

package dwarfconv

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
)

// A reloc puts value into size bytes at off of a section.
type reloc struct {
	off   uint64
	value uint64
	size  uint8
}

var errReloc = errors.New("unknown relocation")

// relocSize returns how many bytes a relocation of debug sections fills: those
// are absolute, of 4 or 8 bytes. 0 means that there is nothing to do.
func relocSize(m elf.Machine, typ uint32) (uint8, error) {
	switch {
	case typ == 0: // R_*_NONE
		return 0, nil
	case m == elf.EM_X86_64:
		switch elf.R_X86_64(typ) {
		case elf.R_X86_64_64:
			return 8, nil
		case elf.R_X86_64_32, elf.R_X86_64_32S:
			return 4, nil
		}
	case m == elf.EM_AARCH64:
		switch elf.R_AARCH64(typ) {
		case elf.R_AARCH64_ABS64:
			return 8, nil
		case elf.R_AARCH64_ABS32:
			return 4, nil
		}
	case m == elf.EM_S390:
		switch elf.R_390(typ) {
		case elf.R_390_64:
			return 8, nil
		case elf.R_390_32:
			return 4, nil
		}
	}
	return 0, fmt.Errorf("%w of type %d for %v", errReloc, typ, m)
}

// A relocator finds what has to be put into the sections of a file. That is nothing
// unless the file is a relocatable object, such as a module: the linker leaves the
// relocations of an executable in it if told to (Debian's kernels), but has applied
// them.
type relocator struct {
	file   *elf.File
	size   int64                     // of the file
	tables map[uint32][]*elf.Section // of relocations, by the index of the section that they are for
	values map[uint32][]uint64       // of symbols, by the index of their table
	rest   uint64                    // bytes of tables that may still be read: in a sound file they do not overlap
}

func newRelocator(f *elf.File, size int64) *relocator {
	r := &relocator{file: f, size: size, tables: make(map[uint32][]*elf.Section), values: make(map[uint32][]uint64), rest: uint64(size)}
	if f.Type != elf.ET_REL {
		return r
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_RELA {
			r.tables[s.Info] = append(r.tables[s.Info], s)
		}
	}
	return r
}

// of returns what has to be put into the section with the given index.
func (r *relocator) of(index int) ([]reloc, error) {
	var all []reloc
	for _, table := range r.tables[uint32(index)] {
		syms, err := r.symbols(table.Link)
		if err == nil {
			err = r.take(table)
		}
		if err == nil {
			all, err = appendRela(all, r.file, table, syms, r.size)
		}
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", table.Name, err)
		}
	}
	byOffset := func(a, b reloc) int { return cmp.Compare(a.off, b.off) }
	if !slices.IsSortedFunc(all, byOffset) {
		slices.SortStableFunc(all, byOffset)
	}
	return all, nil
}

// symbols returns the values of the symbols in the table with the given index.
func (r *relocator) symbols(index uint32) ([]uint64, error) {
	if values, ok := r.values[index]; ok {
		return values, nil
	}
	if int(index) >= len(r.file.Sections) {
		return nil, errSection
	}
	if err := r.take(r.file.Sections[index]); err != nil {
		return nil, err
	}
	values, err := symbolValues(r.file, index, r.size)
	if err == nil {
		r.values[index] = values
	}
	return values, err
}

// take counts the bytes of s against those that may be read.
func (r *relocator) take(s *elf.Section) error {
	if s.Size > r.rest {
		return errLimit
	}
	r.rest -= s.Size
	return nil
}

// relaSize is that of an Elf64_Rela.
const relaSize = 24

func appendRela(all []reloc, f *elf.File, r *elf.Section, syms []uint64, size int64) ([]reloc, error) {
	b, err := inflateSection(r, size)
	if err != nil {
		return nil, err
	}
	order := byteOrder(f.ByteOrder == elfBigEndian)
	for pos := 0; pos+relaSize <= len(b)-slack; pos += relaSize {
		info := order.u64(b, pos+8)
		n, err := relocSize(f.Machine, uint32(info))
		if err != nil {
			return nil, err
		}
		if info>>32 >= uint64(len(syms)) {
			return nil, fmt.Errorf("symbol %d: %w", info>>32, errTruncated)
		}
		if n != 0 {
			all = append(all, reloc{order.u64(b, pos), syms[info>>32] + order.u64(b, pos+16), n})
		}
	}
	return all, nil
}

// relocate applies to b what falls entirely into its n bytes from off on.
func (s *infoSection) relocate(b []byte, off, n uint64) {
	first, _ := slices.BinarySearchFunc(s.relocs, off, func(r reloc, off uint64) int { return cmp.Compare(r.off, off) })
	for _, r := range s.relocs[first:] {
		if r.off >= off+n {
			break
		}
		if r.off+uint64(r.size) <= off+n {
			s.order.put(b[r.off-off:], int(r.size), r.value)
		}
	}
}

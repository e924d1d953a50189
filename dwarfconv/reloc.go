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

// relocations returns what has to be put into section s. That is nothing unless
// the file is a relocatable object, such as a module: the linker leaves the
// relocations of an executable in it if told to (Debian's kernels), but has
// applied them.
func relocations(f *elf.File, s *elf.Section, size int64) ([]reloc, error) {
	if f.Type != elf.ET_REL {
		return nil, nil
	}
	index := slices.Index(f.Sections, s)
	var all []reloc
	var syms []uint64
	link, rest := uint32(0), uint64(size)
	for _, r := range f.Sections {
		if r.Type != elf.SHT_RELA || int(r.Info) != index {
			continue
		}
		if int(r.Link) >= len(f.Sections) {
			return nil, errSection
		}
		// Sections of a sound file do not overlap: all have no more room than it.
		need := r.Size
		if syms == nil || r.Link != link {
			need += f.Sections[r.Link].Size
		}
		if r.Size > rest || need > rest {
			return nil, fmt.Errorf("section %s: %w", r.Name, errLimit)
		}
		rest -= need
		var err error
		if syms == nil || r.Link != link {
			if syms, err = symbolValues(f, r.Link, size); err != nil {
				return nil, err
			}
			link = r.Link
		}
		if all, err = appendRela(all, f, r, syms, size); err != nil {
			return nil, err
		}
	}
	byOffset := func(a, b reloc) int { return cmp.Compare(a.off, b.off) }
	if !slices.IsSortedFunc(all, byOffset) {
		slices.SortStableFunc(all, byOffset)
	}
	return all, nil
}

// relaSize is that of an Elf64_Rela.
const relaSize = 24

func appendRela(all []reloc, f *elf.File, r *elf.Section, syms []uint64, size int64) ([]reloc, error) {
	b, err := inflateSection(r, size)
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", r.Name, err)
	}
	order := byteOrder(f.ByteOrder == elfBigEndian)
	for pos := 0; pos+relaSize <= len(b)-slack; pos += relaSize {
		info := order.u64(b, pos+8)
		n, err := relocSize(f.Machine, uint32(info))
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", r.Name, err)
		}
		if info>>32 >= uint64(len(syms)) {
			return nil, fmt.Errorf("section %s: symbol %d: %w", r.Name, info>>32, errTruncated)
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

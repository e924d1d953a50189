package btfconv

import (
	"encoding/binary"
	"strings"
)

// An offsetMode is how kallsyms_offsets holds addresses.
type offsetMode uint8

const (
	// absolutePerCPU: numbers from 0 up are addresses themselves, of per-CPU
	// variables; the others are relative_base - 1 - n (CONFIG_KALLSYMS_ABSOLUTE_PERCPU,
	// to 6.14, on kernels for several processors).
	absolutePerCPU offsetMode = iota
	// baseRelative: unsigned numbers to add to relative_base.
	baseRelative
	// pcRelative: signed numbers to add to the address of the number itself (7.2).
	pcRelative
)

// decodeOffsets finds the offsets and fills in the addresses. One place and one
// mode must fit, as every table has one place; symbols ascend, the lowest that is
// not absolute is what all are relative to, and _stext is among them.
func (t *kallsymsTable) decodeOffsets(symbols []kernelSymbol) error {
	before := t.names - 16 - align(4*t.num, 8)
	after := align(t.tokens.end, 8)
	switch {
	case t.fits(before, t.names-16, symbols): // to 6.3
	case t.fits(after, after+align(4*t.num, 8), symbols): // from 6.4 on
		t.seqs = after + align(4*t.num, 8) + 8
	case t.fitsPCRelative(symbols): // 7.2
		t.seqs = t.offsets + 4*t.num
	default:
		return t.damaged("offsets", t.tokens.end, "none that ascend, before or after the other tables")
	}
	if !hasSymbol(symbols, "_stext") {
		return t.damaged("names", t.names, "no _stext")
	}
	return nil
}

func hasSymbol(symbols []kernelSymbol, name string) bool {
	for i := range symbols {
		if symbols[i].name == name {
			return true
		}
	}
	return false
}

// fits reports whether the offsets are at one index of the window and the base
// at another, and fills in the addresses.
func (t *kallsymsTable) fits(offsets, base int, symbols []kernelSymbol) bool {
	if offsets < 0 || base+8 > len(t.window) {
		return false
	}
	t.offsets, t.base = offsets, binary.LittleEndian.Uint64(t.window[base:])
	if t.base < startKernelMap || t.base >= startKernelMap+kernelImageMax {
		return false
	}
	for _, t.mode = range []offsetMode{absolutePerCPU, baseRelative} {
		if t.fill(symbols) && t.isLowest(symbols) {
			return true
		}
	}
	return false
}

func (t *kallsymsTable) fitsPCRelative(symbols []kernelSymbol) bool {
	t.offsets, t.mode = align(t.tokens.end, 4), pcRelative
	if t.offsets+4*t.num > len(t.window) {
		return false
	}
	return t.fill(symbols)
}

// maxAliases limits how many functions may have one address, which in real
// kernels are up to 24: the system calls that are configured out.
const maxAliases = 200

// fill computes all addresses, and reports whether they ascend, and each is one
// that a symbol can have.
func (t *kallsymsTable) fill(symbols []kernelSymbol) bool {
	last, aliases := uint64(0), 0
	for i := range symbols {
		s := &symbols[i]
		s.addr = t.address(i)
		if s.addr < last || !t.possible(s) {
			return false
		}
		if s.addr != last || !s.function() {
			aliases = 0
		}
		if aliases++; aliases > maxAliases {
			return false
		}
		last = s.addr
	}
	return true
}

// possible reports whether a symbol can have its address: in the image, or, if it
// is marked as absolute, in the per-CPU section. Inside of the tables, where
// relative numbers point if they are overwritten, are the tables only.
func (t *kallsymsTable) possible(s *kernelSymbol) bool {
	if s.kind == 'A' && t.mode == absolutePerCPU {
		return s.addr < kernelImageMax
	}
	if t.mode == pcRelative && s.addr >= t.addr+uint64(t.names) && s.addr < t.addr+uint64(t.offsets+4*t.num) {
		return strings.HasPrefix(s.name, "kallsyms_")
	}
	return s.addr-startKernelMap < 2*kernelImageMax
}

func (t *kallsymsTable) address(i int) uint64 {
	at := t.offsets + 4*i
	n := int32(binary.LittleEndian.Uint32(t.window[at:]))
	switch {
	case t.mode == pcRelative:
		return t.addr + uint64(at) + uint64(int64(n))
	case t.mode == baseRelative:
		return t.base + uint64(uint32(n))
	case n >= 0:
		return uint64(n)
	}
	return t.base - 1 - uint64(int64(n))
}

// isLowest reports whether the base is the lowest address that is relative to it.
func (t *kallsymsTable) isLowest(symbols []kernelSymbol) bool {
	for i := range symbols {
		if symbols[i].addr >= startKernelMap {
			return symbols[i].addr == t.base
		}
	}
	return false
}

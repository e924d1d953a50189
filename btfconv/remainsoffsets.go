package btfconv

import (
	"encoding/binary"
	"strings"
)

// findOffsets finds kallsyms_offsets, and in which mode it is: the one in which most of it ascends.
// Where relative_base can't be right, text is taken for it, which is 0 where it is
// not known either; it returns whether it is known.
func (r *remains) findOffsets(text uint64) (known bool) {
	var in []bool
	best := 0
	for _, spot := range r.tables {
		r.offsetSpot = spot
		for _, mode := range spot.modes() {
			got := ascending(r.num, func(i int) uint64 { return r.relative(mode, i) }, func(i int) bool { return r.inReach(mode, i) })
			n := 0
			for _, ok := range got {
				if ok {
					n++
				}
			}
			if n > best {
				best, in, r.mode, r.tables[0] = n, got, mode, spot
			}
		}
	}
	r.offsetSpot = r.tables[0]
	if best < r.num/4 {
		r.lose("kallsyms_offsets", r.offsets, r.offsets+4*r.num, "addresses", r.num)
		return false
	}
	known = r.findBase(text)
	r.keepPages(in)
	r.fillAddresses()
	return known
}

// modes returns what the entries can be.
func (o offsetSpot) modes() []offsetMode {
	if o.base < 0 {
		return []offsetMode{pcRelative}
	}
	return []offsetMode{absolutePerCPU, baseRelative}
}

// relative returns an entry as a number that ascends with the addresses: those that
// are relative to nothing, of per-CPU variables, come first.
func (r *remains) relative(mode offsetMode, i int) uint64 {
	n := r.word(r.offsets, i)
	switch {
	case mode == pcRelative:
		return uint64(int64(4*i)+int64(int32(n))) + 1<<40
	case mode == baseRelative:
		return uint64(n)
	case int32(n) >= 0:
		return uint64(n)
	}
	return 1<<32 + uint64(^n)
}

// inReach reports whether an entry can be an address of the image.
func (r *remains) inReach(mode offsetMode, i int) bool {
	v := r.relative(mode, i)
	if mode == pcRelative {
		return v-(1<<40-kernelImageMax) < 2*kernelImageMax && r.word(r.offsets, i) != 0
	}
	if k := &r.symbols[i]; mode == absolutePerCPU && v < 1<<32 && k.name != "" && k.kind != 'A' {
		return false // only absolute symbols are relative to nothing
	}
	return v&(1<<32-1) < kernelImageMax
}

// findBase finds what addresses are relative to: the lowest address of the image that kallsyms
// has, which is that of _text.
func (r *remains) findBase(text uint64) bool {
	if r.mode == pcRelative {
		return true
	}
	if r.base >= 0 && r.base+8 <= len(r.window) {
		r.first = binary.LittleEndian.Uint64(r.window[r.base:])
	}
	if r.first-startKernelMap < kernelImageMax && r.first%kernelAlign == 0 && (text == 0 || r.first == text) {
		return true
	}
	if r.base >= 0 {
		r.lose("kallsyms_relative_base", r.base, r.base+8, "address", 1)
	}
	r.first = text
	return text != 0
}

// keepPages decides which entries are used: those of pages of which all are in order.
func (r *remains) keepPages(in []bool) {
	for from := 0; from < r.num; {
		to := from + 1
		for to < r.num && r.pageOf(r.offsets+4*to) == r.pageOf(r.offsets+4*from) {
			to++
		}
		if whole := r.isWhole(in, from, to); whole {
			for i := from; i < to; i++ {
				r.known[i] = true
			}
		} else {
			r.lose("kallsyms_offsets", r.offsets+4*from, r.offsets+4*to, "addresses", to-from)
		}
		from = to
	}
}

// sameAddress is how many symbols may share an address at the start of a page of entries, or be at what
// a page of zeros would have.
const sameAddress = 16

// isWhole reports whether the entries of a page are all in order, and are not all the same, as
// those of a page of zeros would be.
func (r *remains) isWhole(in []bool, from, to int) bool {
	zeros, ones := 0, 0
	for i := from; i < to; i++ {
		switch r.word(r.offsets, i) {
		case 0:
			zeros++
		case 1<<32 - 1:
			ones++
		}
		if !in[i] {
			return false
		}
	}
	return zeros <= sameAddress && ones <= sameAddress
}

// fillAddresses computes the addresses of the entries that are used.
func (r *remains) fillAddresses() {
	for i := range r.symbols {
		if !r.known[i] {
			continue
		}
		at := r.offsets + 4*i
		n := r.word(r.offsets, i)
		addr := r.first - 1 - uint64(int64(int32(n)))
		switch {
		case r.mode == pcRelative:
			addr = r.addr + uint64(at) + uint64(int64(int32(n)))
		case r.mode == baseRelative:
			addr = r.first + uint64(n)
		case int32(n) >= 0:
			addr = uint64(n)
		}
		r.symbols[i].addr = addr
		if r.mode == pcRelative && addr-r.addr < uint64(len(r.window)) && !strings.HasPrefix(r.symbols[i].name, "kallsyms_") {
			r.known[i] = false // where a number points that was overwritten with a small one
		}
	}
}

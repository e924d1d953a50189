package kstruct

import (
	"cmp"
	"slices"
	"sync"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// maxUnsized is how far behind a symbol of unknown size an address may be to be named after
// it, in bytes.
const maxUnsized = 1 << 16

// A symbolIndex has the symbols of the kernel's image by address, one for each.
type symbolIndex struct {
	once   sync.Once
	sorted []*isf.Symbol
}

// SymbolAt returns the symbol that an address of the running kernel belongs to, and how
// many bytes behind its beginning the address is: the function that a pointer calls, or the
// variable that it leads into. Of several symbols of one address it is one that has a type,
// or else one of those with the shortest name. ok is false where there is none.
//
// Symbols have no sizes. Where the type does not tell it, as with functions, an address up
// to 64 KiB behind one belongs to it, unless it is the last one of all.
func (s *Space) SymbolAt(addr vmem.VirtAddr) (name string, offset uint64, ok bool) {
	all := s.layouts.symbols.get(s)
	linked := uint64(addr) - s.shift
	i, exact := slices.BinarySearchFunc(all, linked, func(sym *isf.Symbol, a uint64) int { return cmp.Compare(sym.Address, a) })
	if !exact {
		i--
	}
	if i < 0 {
		return "", 0, false
	}
	sym := all[i]
	offset = linked - sym.Address
	if !exact && !s.reaches(sym, offset, i == len(all)-1) {
		return "", 0, false
	}
	return sym.Name, offset, true
}

// reaches reports whether a symbol reaches to an offset. last says that no other follows.
func (s *Space) reaches(sym *isf.Symbol, offset uint64, last bool) bool {
	if sym.Type != nil && sym.Type.Kind != isf.KindFunction {
		if size, err := s.types.SizeOf(sym.Type); err == nil && size != 0 {
			return offset < size
		}
	}
	return offset < maxUnsized && !last
}

// get returns the symbols, sorted.
func (x *symbolIndex) get(s *Space) []*isf.Symbol {
	x.once.Do(func() {
		for sym := range s.types.Symbols() {
			if !s.perCPUSymbol(sym) {
				x.sorted = append(x.sorted, sym)
			}
		}
		slices.SortStableFunc(x.sorted, compareSymbols)
		x.sorted = slices.Clip(slices.CompactFunc(x.sorted, func(a, b *isf.Symbol) bool { return a.Address == b.Address }))
	})
	return x.sorted
}

// compareSymbols orders symbols by address, and of one address the one first that names it.
func compareSymbols(a, b *isf.Symbol) int {
	untyped := func(sym *isf.Symbol) int {
		if sym.Type == nil || sym.Type.Kind == isf.KindVoid {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(untyped(a), untyped(b)), cmp.Compare(len(a.Name), len(b.Name)))
}

package btfconv

import (
	"cmp"
	"slices"
	"strings"
)

// A symbolTable is symbols sorted by name, one of each name.
type symbolTable struct{ sorted []kernelSymbol }

// newSymbolTable sorts symbols. order has their indexes by name, as far as it is
// known; nil means unknown. Of several symbols with one name a global one stays,
// else the one at the lowest address.
func newSymbolTable(symbols []kernelSymbol, order []uint32) *symbolTable {
	sorted := make([]kernelSymbol, len(symbols))
	if order == nil {
		copy(sorted, symbols)
	}
	for i, seq := range order {
		sorted[i] = symbols[seq]
	}
	if !slices.IsSortedFunc(sorted, compareSymbols) {
		slices.SortFunc(sorted, compareSymbols)
	}
	sorted = slices.CompactFunc(sorted, func(a, b kernelSymbol) bool { return a.name == b.name })
	return &symbolTable{sorted: sorted}
}

// compareSymbols orders by name, of one name global symbols first, then by address.
func compareSymbols(a, b kernelSymbol) int {
	if c := strings.Compare(a.name, b.name); c != 0 {
		return c
	}
	if a.global() != b.global() {
		if a.global() {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.addr, b.addr)
}

func (s *kernelSymbol) global() bool { return s.kind >= 'A' && s.kind <= 'Z' }

// function reports whether nm calls the symbol one of code.
func (s *kernelSymbol) function() bool {
	switch s.kind {
	case 'T', 't', 'W', 'w':
		return true
	}
	return false
}

// search returns the index of a symbol in sorted.
func (t *symbolTable) search(name string) (int, bool) {
	return slices.BinarySearchFunc(t.sorted, name, func(s kernelSymbol, name string) int { return strings.Compare(s.name, name) })
}

// find returns the address of a symbol.
func (t *symbolTable) find(name string) (uint64, bool) {
	i, ok := t.search(name)
	if !ok {
		return 0, false
	}
	return t.sorted[i].addr, true
}

// add merges symbols into the table. Those whose name it has already are left out.
func (t *symbolTable) add(symbols []kernelSymbol) {
	more := newSymbolTable(symbols, nil).sorted
	merged := make([]kernelSymbol, 0, len(t.sorted)+len(more))
	i := 0
	for _, s := range more {
		for i < len(t.sorted) && t.sorted[i].name <= s.name {
			merged = append(merged, t.sorted[i])
			i++
		}
		if i == 0 || t.sorted[i-1].name != s.name {
			merged = append(merged, s)
		}
	}
	t.sorted = append(merged, t.sorted[i:]...)
}

// drop removes the symbols that have one of some names.
func (t *symbolTable) drop(names map[string]bool) {
	if len(names) > 0 {
		t.sorted = slices.DeleteFunc(t.sorted, func(s kernelSymbol) bool { return names[s.name] })
	}
}

// move adds to all addresses.
func (t *symbolTable) move(by uint64) {
	for i := range t.sorted {
		t.sorted[i].addr += by
	}
}

package dwarfconv

import (
	"cmp"
	"debug/elf"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/isf"
)

// bannerName is the object that holds the kernel's banner, by which an image is
// matched with its symbols.
const bannerName = "linux_banner"

// unique returns one symbol of each name. Of several the last one counts, as it
// does for dwarf2json, but never a local one instead of a global one.
func unique(syms []symbol) map[string]symbol {
	m := make(map[string]symbol, len(syms))
	for _, s := range syms {
		old, ok := m[s.name]
		if ok && rank(s) < rank(old) {
			s = old
		}
		s.twin = ok
		m[s.name] = s
	}
	return m
}

func rank(s symbol) int {
	if s.bind == elf.STB_LOCAL {
		return 0
	}
	return 1
}

// symbols returns the symbols of the result, by name.
func (c *conversion) symbols(h *harvest) ([]isf.Symbol, error) {
	picked := unique(c.syms)
	if len(c.syms) == 0 {
		picked = unique(h.asSymbols())
	}
	if err := c.override(picked); err != nil {
		return nil, err
	}
	all := c.typed(h, picked)
	c.addBanner(all, picked[bannerName])
	return all, nil
}

// typed returns the picked symbols by name, each with its type. To look these up takes
// longest, so all workers share in it.
func (c *conversion) typed(h *harvest, picked map[string]symbol) []isf.Symbol {
	names := slices.Sorted(maps.Keys(picked))
	all := make([]isf.Symbol, len(names))
	part := max(1, (len(names)+c.workers()-1)/c.workers())
	var wg sync.WaitGroup
	for start := 0; start < len(names); start += part {
		wg.Go(func() {
			for i := start; i < min(start+part, len(names)); i++ {
				s := picked[names[i]]
				all[i] = isf.Symbol{Name: s.name, Address: s.value, Type: h.typeOf(s)}
			}
		})
	}
	wg.Wait()
	return all
}

// addBanner gives the banner its constant data.
func (c *conversion) addBanner(all []isf.Symbol, banner symbol) {
	i, found := slices.BinarySearchFunc(all, bannerName, func(s isf.Symbol, name string) int { return cmp.Compare(s.Name, name) })
	if !found {
		return
	}
	s := &all[i]
	size := banner.size
	if size == 0 && s.Type != nil && s.Type.Kind == isf.KindArray {
		size = s.Type.Count
	}
	var err error
	if s.ConstantData, err = constantData(c.elf, banner, size); err != nil {
		c.damage.loss("data of "+bannerName, err)
	}
}

// typeOf returns the type of the object that s is, nil where it is not known.
//
// It is that of the variable whose definition has the same address and name.
// What is defined in assembly has none: then it is the type that it is declared
// with, unless a namesake may be meant.
func (h *harvest) typeOf(s symbol) *isf.Type {
	if s.typ == elf.STT_FUNC || s.typ == elf.STT_GNU_IFUNC {
		return functionType
	}
	if t := h.defined(s.key, s.name); t != nil {
		return t
	}
	// Compilers tell the static variables of functions apart: name.7 (gcc),
	// function.name and function.name.7 (clang).
	if parts := strings.SplitN(s.name, ".", maxParts); len(parts) > 1 {
		for _, p := range parts {
			if t := h.defined(s.key, p); t != nil {
				return t
			}
		}
	}
	if rank(s) > 0 || !s.twin && !h.ambiguous[s.name] {
		return h.declared[s.name]
	}
	return nil
}

// maxParts bounds the parts of a name that are looked up.
const maxParts = 8

// defined returns the type of the variable of that name at addr, or nil.
func (h *harvest) defined(addr uint64, name string) *isf.Type {
	i, found := slices.BinarySearchFunc(h.variables, variable{addr: addr, name: name}, compareVariables)
	if !found {
		return nil
	}
	return h.variables[i].typ
}

func compareVariables(a, b variable) int {
	return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.name, b.name))
}

// asSymbols returns the variables and functions as symbols, for files without a
// symbol table: those outside functions, in the order of the file.
func (h *harvest) asSymbols() []symbol {
	var vars []variable
	for _, v := range h.variables {
		if v.top {
			vars = append(vars, v)
		}
	}
	slices.SortFunc(vars, func(a, b variable) int { return cmp.Compare(a.pos, b.pos) })
	syms := make([]symbol, len(vars))
	for i, v := range vars {
		syms[i] = symbol{name: v.name, value: v.addr, key: v.addr, typ: elf.STT_OBJECT}
	}
	return syms
}

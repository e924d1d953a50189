package dwarfconv

import (
	"debug/elf"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
)

// golden opens what dwarf2json wrote for k, and skips t where that is not there.
func golden(t *testing.T, k kernel) *isf.File {
	t.Helper()
	f, err := isf.Open(testimages.Golden(t, k.version+".dwarf2json.isf.json.xz"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestGolden compares all with what dwarf2json wrote.
func TestGolden(t *testing.T) {
	onKernels(t, func(t *testing.T, k kernel) {
		want := golden(t, k)
		got := convertKernel(t, k)
		t.Run("types", func(t *testing.T) { compareTypes(t, got, want, variantsOf(t, k)) })
		t.Run("enums", func(t *testing.T) { compareEnums(t, got, want, enumVariantsOf(t, k)) })
		t.Run("bases", func(t *testing.T) { compareBases(t, got, want) })
		t.Run("symbols", func(t *testing.T) { compareSymbols(t, got, want, symbolTable(t, k)) })
		if got.Banner() != want.Banner() || got.Banner() == "" {
			t.Errorf("banner %q, want %q", got.Banner(), want.Banner())
		}
	})
}

// compareTypes compares every type with dwarf2json's. The only differences there
// may be are in types that units define in several ways: dwarf2json takes the last.
func compareTypes(t *testing.T, got, want *isf.File, variants map[string][]*isf.UserType) {
	c := newComparer(got, want)
	unnamed := map[uint64][]*isf.UserType{} // by size
	for u := range got.UserTypes() {
		if isUnnamed(u.Name) {
			unnamed[u.Size] = append(unnamed[u.Size], u)
		} else if _, err := want.UserType(u.Name); err != nil {
			t.Errorf("%s is not in dwarf2json's", u.Name)
		}
	}
	var total, disputed int
	for w := range want.UserTypes() {
		total++
		if isUnnamed(w.Name) {
			if !slices.ContainsFunc(unnamed[w.Size], func(u *isf.UserType) bool { return c.sameUser(u, w) }) {
				t.Errorf("no equal of %s, %s", w.Name, printer{want}.user(w))
			}
			continue
		}
		u, err := got.UserType(w.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		if c.sameUser(u, w) {
			continue
		}
		disputed++
		t.Logf("%s has %d definitions", w.Name, len(variants[w.Name]))
		if !slices.ContainsFunc(variants[w.Name], func(v *isf.UserType) bool { return c.sameUser(sorted(v), w) }) {
			t.Errorf("%s: got %s, want %s", w.Name, printer{got}.user(u), printer{want}.user(w))
		}
	}
	t.Logf("%d types, %d of them another of several definitions", total, disputed)
}

// sorted returns u with its fields in the order of package isf.
func sorted(u *isf.UserType) *isf.UserType {
	c := *u
	c.Fields = slices.Clone(u.Fields)
	f, err := isf.New(isf.Contents{Types: []isf.UserType{c}})
	if err != nil {
		return u
	}
	s, err := f.UserType(u.Name)
	if err != nil {
		return u
	}
	return s
}

// compareEnums compares every enumeration. An empty one of dwarf2json's is one that
// the last unit only declares.
func compareEnums(t *testing.T, got, want *isf.File, variants map[string][]*isf.Enum) {
	var unnamed []*isf.Enum
	for e := range got.Enums() {
		if isUnnamed(e.Name) {
			unnamed = append(unnamed, e)
		} else if _, err := want.Enum(e.Name); err != nil {
			t.Errorf("%s is not in dwarf2json's", e.Name)
		}
	}
	for w := range want.Enums() {
		among := variants[w.Name]
		if isUnnamed(w.Name) {
			among = unnamed
		} else if e, err := got.Enum(w.Name); err != nil || len(among) == 1 && !sameEnum(e, w) {
			t.Errorf("%s: got %v, %v; want %v", w.Name, e, err, w)
			continue
		}
		if !slices.ContainsFunc(among, func(e *isf.Enum) bool { return sameEnum(e, w) }) && len(w.Constants) > 0 {
			t.Errorf("no equal of %s, %s", w.Name, printer{want}.enum(w))
		}
	}
}

// compareBases compares the base types. dwarf2json has _Bool signed, and base
// types that LLVM made up for location expressions.
func compareBases(t *testing.T, got, want *isf.File) {
	for w := range want.BaseTypes() {
		b, err := got.BaseType(w.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		v := *w
		v.Signed = v.Signed && v.Kind != isf.BaseBool
		if *b != v {
			t.Errorf("got %v, want %v", *b, v)
		}
	}
}

// symbolTable returns the addresses of each name, as debug/elf reads them.
func symbolTable(t *testing.T, k kernel) map[string][]uint64 {
	t.Helper()
	file, err := elf.Open(k.vmlinux)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	syms, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]uint64{}
	for _, s := range syms {
		if typ := elf.ST_TYPE(s.Info); typ != elf.STT_FILE && typ != elf.STT_SECTION && s.Section != elf.SHN_UNDEF {
			table[s.Name] = append(table[s.Name], s.Value)
		}
	}
	return table
}

// compareSymbols compares names and addresses with the symbol table and with
// dwarf2json. What else dwarf2json has is no symbol.
func compareSymbols(t *testing.T, got, want *isf.File, table map[string][]uint64) {
	count := 0
	for s := range got.Symbols() {
		count++
		if !slices.Contains(table[s.Name], s.Address) {
			t.Errorf("%s at %#x, want one of %#x", s.Name, s.Address, table[s.Name])
		}
	}
	if count != len(table) {
		t.Errorf("%d symbols, want %d", count, len(table))
	}
	var more, nowhere int
	for w := range want.Symbols() {
		s, err := got.Symbol(w.Name)
		switch {
		case err == nil && s.Address != w.Address:
			t.Errorf("%s at %#x, want %#x", w.Name, s.Address, w.Address)
		case err != nil:
			more++
			if w.Address == 0 {
				nowhere++
			}
		}
	}
	t.Logf("%d symbols; dwarf2json has %d more, %d of them at address 0", count, more, nowhere)
}

package module

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Symbol is a symbol of a module.
type Symbol struct {
	Name   string
	Addr   vmem.VirtAddr // of a per-CPU variable (type a), a pointer for kstruct.Space.PerCPUPtr
	Size   uint64        // in bytes, 0 where not known
	Type   byte          // as /proc/kallsyms has it: t, d, b, r, a ...; a capital where it is exported, before 7.2 not if for GPL only
	Global bool          // not static
	Export Export        // whether other modules may use it
}

// An Export says who may use a symbol.
type Export uint8

// The kinds of exports.
const (
	NotExported Export = iota
	Exported           // EXPORT_SYMBOL
	ExportedGPL        // EXPORT_SYMBOL_GPL
)

// elfSymbolSize is the size of Elf64_Sym.
const elfSymbolSize = 24

// maxSymbols is how many symbols of a module are read: the largest have some 60,000.
const maxSymbols = 1 << 20

// maxStrings bounds the names of a module, in bytes.
const maxStrings = 64 << 20

// compareNames orders symbols by name, of one name global ones first, then by address.
func compareNames(a, b Symbol) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	if a.Global != b.Global {
		if a.Global {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Addr, b.Addr)
}

// find returns the address of a symbol: of several of one name, that which compareNames has
// first.
func find(symbols []Symbol, name string) (vmem.VirtAddr, bool) {
	best := -1
	for i := range symbols {
		if symbols[i].Name == name && (best < 0 || compareNames(symbols[i], symbols[best]) < 0) {
			best = i
		}
	}
	if best < 0 {
		return 0, false
	}
	return symbols[best].Addr, true
}

// readSymbols reads the symbols of a module, by address: its kallsyms, and exports that these do
// not have, as those of data without CONFIG_KALLSYMS_ALL.
func (s *Set) readSymbols(m *Module) (symbols []Symbol, gaps []vmem.Gap) {
	lost := func(what string, at vmem.VirtAddr, err error) {
		gaps = append(gaps, vmem.NewGap(what+" of module "+m.Name, vmem.KernelPlace(at), err))
	}
	raw, err := s.views.symbols.Load(s.k.Space(), m.Address)
	if err != nil {
		lost("symbols", m.Address, cmp.Or(s.views.symbolsErr, err))
		return nil, gaps
	}
	symbols, err = s.readKallsyms(m, raw.Kallsyms)
	if err != nil {
		lost("symbols", raw.Kallsyms, err)
	}
	exports, err := s.readExports(&raw)
	if err != nil {
		lost("exports", raw.Exports, err)
	}
	symbols = addExports(symbols, exports)
	slices.SortStableFunc(symbols, func(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	return symbols, gaps
}

// readKallsyms reads the symbol table of a module (kernel/module/kallsyms.c). With an
// error it returns those that could be read.
func (s *Set) readKallsyms(m *Module, at vmem.VirtAddr) ([]Symbol, error) {
	k, err := s.views.kallsyms.Load(s.k.Space(), at)
	if err != nil {
		return nil, cmp.Or(s.views.symbolsErr, err)
	}
	table, ok := m.area(k.Symbols)
	names, ok2 := m.area(k.Strings)
	if !ok || !ok2 {
		return nil, fmt.Errorf("%w: symbols at %v and their names at %v are not both in the module", kstruct.ErrCorrupt, k.Symbols, k.Strings)
	}
	n := min(uint64(k.Count), (table.Range.Size-uint64(k.Symbols-table.Range.Start))/elfSymbolSize, maxSymbols)
	if n < uint64(k.Count) {
		err = fmt.Errorf("%w: %d symbols do not fit into the module", kstruct.ErrCorrupt, k.Count)
	}
	data, holes := s.bytes(k.Symbols, int(n)*elfSymbolSize)
	room := names.Range.Size - uint64(k.Strings-names.Range.Start)
	if room > maxStrings && err == nil {
		err = fmt.Errorf("%w: names of %d bytes", kstruct.ErrTooLong, room)
	}
	strs, holes2 := s.bytes(k.Strings, int(min(room, maxStrings)))
	types, holes3 := s.bytes(k.Types, int(n))
	for _, h := range [][]btfconv.Hole{holes, holes2, holes3} {
		if len(h) > 0 && err == nil {
			err = fmt.Errorf("%d pages of them: %w", len(h), vmem.ErrNotCaptured)
		}
	}
	return decodeSymbols(data, string(strs), types), err
}

// decodeSymbols decodes Elf64_Sym records. The first is none, and those without a name are left out.
func decodeSymbols(data []byte, names string, types []byte) []Symbol {
	out := make([]Symbol, 0, len(data)/elfSymbolSize)
	for i := 1; (i+1)*elfSymbolSize <= len(data); i++ {
		r := data[i*elfSymbolSize:][:elfSymbolSize]
		off := uint64(binary.LittleEndian.Uint32(r))
		section := binary.LittleEndian.Uint16(r[6:])
		if off >= uint64(len(names)) || section == 0 { // SHN_UNDEF
			continue
		}
		name, _, ok := strings.Cut(names[off:], "\x00")
		if !ok || name == "" {
			continue
		}
		sym := Symbol{Name: name, Addr: vmem.VirtAddr(binary.LittleEndian.Uint64(r[8:])), Size: binary.LittleEndian.Uint64(r[16:]), Global: r[4]>>4 != 0}
		if i < len(types) {
			sym.Type = types[i]
		}
		out = append(out, sym)
	}
	return out
}

// readExports reads what a module exports (struct kernel_symbol of include/linux/export-internal.h).
func (s *Set) readExports(raw *modSymbols) (exports []Symbol, err error) {
	if s.views.exportErr != nil {
		return nil, s.views.exportErr
	}
	add := func(table vmem.VirtAddr, n uint32, kind Export) {
		for i := range uint64(min(n, maxSymbols)) {
			e, err2 := s.export(table + vmem.VirtAddr(i*s.views.export.Size()))
			if err = errors.Join(err, err2); err2 != nil {
				return
			}
			e.Export = kind
			if kind == Exported {
				e.Type = capital
			}
			if raw.Flags != 0 {
				flags, _ := s.k.Space().Uint8(raw.Flags + vmem.VirtAddr(i))
				e.Export += Export(flags & 1) // KSYM_FLAG_GPL_ONLY
			}
			exports = append(exports, e)
		}
	}
	add(raw.Exports, raw.NumExports, Exported)
	add(raw.GPL, raw.NumGPL, ExportedGPL)
	return exports, err
}

// maxName is the longest name of a symbol in bytes: KSYM_NAME_LEN.
const maxName = 512

// export reads the struct kernel_symbol at an address.
func (s *Set) export(at vmem.VirtAddr) (Symbol, error) {
	e, err := s.views.export.Load(s.k.Space(), at)
	if err != nil {
		return Symbol{}, err
	}
	name, err := s.k.Space().CString(s.views.nameAt.Of(at)+vmem.VirtAddr(int64(e.Name)), maxName)
	return Symbol{Name: name, Addr: s.views.valueAt.Of(at) + vmem.VirtAddr(int64(e.Value)), Global: true}, err
}

// capital is the type of exports that /proc/kallsyms shows as such (is_exported of kernel/module/kallsyms.c).
const capital = '?'

// perCPU reports whether the address of a symbol is a per-CPU pointer.
func (s *Symbol) perCPU() bool { return s.Type|0x20 == 'a' }

// addExports marks the symbols that are exported, and adds those that are not there.
func addExports(symbols, exports []Symbol) []Symbol {
	index := make(map[string]int, len(symbols))
	for i := range symbols {
		index[symbols[i].Name] = i
	}
	for _, e := range exports {
		i, ok := index[e.Name]
		if !ok || symbols[i].Addr != e.Addr {
			symbols = append(symbols, e)
			continue
		}
		symbols[i].Export = e.Export
		if t := &symbols[i].Type; e.Type == capital && *t >= 'a' {
			*t -= 'a' - 'A'
		}
	}
	return symbols
}

package module

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// Options are the settings of Open. A nil pointer means the zero value.
type Options struct {
	// Layouts are those of modules that carry no types themselves, as those of kernels before
	// 5.11. Nil: [layouts.KnownModules].
	Layouts *layouts.Set
}

// A Set is the modules of a running kernel, with their symbols and types. It is safe for
// concurrent use.
type Set struct {
	k       *linux.Kernel
	opts    Options
	views   *views
	modules []*Module
	gaps    []vmem.Gap
	whole   Sources                // the views that were read to their end
	named   map[vmem.VirtAddr]bool // modules that others name; nil once all are read

	get         map[vmem.VirtAddr]getter
	arrayGetter vmem.VirtAddr

	entries func() (map[vmem.VirtAddr]btfStruct, error)
	btf     func() (*btfList, error)
	more    func() (*isf.File, error) // the kernel's types and those of Layouts

	symbolizing sync.Mutex  // guards symbolizer
	symbolizer  *Symbolizer // without regions; nil until it was needed

	mu    sync.Mutex // guards all below
	parts map[*Module]*parts
}

// Open reads the modules of a kernel: the union of the views that the kernel has of them, and of
// what is in the memory of modules. What was lost of them is among [Set.Gaps]. The error is
// the context's own.
//
// Views start from symbols that are not exported: modules, mod_tree, module_kset, module_bug_list
// and btf_modules. A kernel whose kallsyms has no data does not name them; modules are then found in
// memory, and lead to the lists that they are in. Where the types lack struct module, a gap says so that wraps
// [kstruct.ErrUnsupported]; the Set then gives the kernel's own types and symbols.
func Open(ctx context.Context, k *linux.Kernel, opts *Options) (*Set, error) {
	s := &Set{k: k, views: bindViews(k.Symbols()), parts: map[*Module]*parts{}, named: map[vmem.VirtAddr]bool{}}
	if opts != nil {
		s.opts = *opts
	}
	s.entries = sync.OnceValues(s.readBTFEntries)
	s.btf = sync.OnceValues(s.readBTFList)
	s.more = sync.OnceValues(s.addTypes)
	s.get, s.arrayGetter = s.getters()
	k.Physical().Refresh()
	err := s.readAll(ctx)
	s.named = nil
	return s, err
}

// Modules yields the modules of a kernel: those of [Set.Modules] of the Set that Open returns, and its gaps.
func Modules(ctx context.Context, k *linux.Kernel) iter.Seq2[*Module, error] {
	return func(yield func(*Module, error) bool) {
		s, err := Open(ctx, k, nil)
		for _, m := range s.modules {
			if !yield(m, nil) {
				return
			}
		}
		for _, gap := range s.gaps {
			if !yield(nil, gap) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// Modules returns the modules, those of the kernel's list first, the newest before others, as
// /proc/modules has them.
func (s *Set) Modules() []*Module { return slices.Clone(s.modules) }

// Gaps returns what was lost of the modules.
func (s *Set) Gaps() []vmem.Gap { return slices.Clone(s.gaps) }

// Find returns the module of a name, nil where there is none. Names have underscores: a dash
// counts as one.
func (s *Set) Find(name string) *Module {
	name = strings.ReplaceAll(name, "-", "_")
	i := slices.IndexFunc(s.modules, func(m *Module) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return s.modules[i]
}

// At returns the module that an address is in, nil where there is none.
func (s *Set) At(a vmem.VirtAddr) *Module {
	i := slices.IndexFunc(s.modules, func(m *Module) bool { return m.Contains(a) })
	if i < 0 {
		return nil
	}
	return s.modules[i]
}

const object = "modules"

// read returns the module at an address, which must say itself that it is there.
func (s *Set) read(at vmem.VirtAddr) (*Module, error) {
	var raw modStruct
	err := s.views.module.Read(s.k.Space(), at, &raw)
	switch {
	case err != nil:
	case raw.State > uint32(Unformed):
		err = fmt.Errorf("%w: struct module in state %d", kstruct.ErrCorrupt, raw.State)
	case raw.State < uint32(Unformed) && (raw.Self != at || raw.Name[0] == 0):
		err = fmt.Errorf("%w: struct module of %q says it is at %v", kstruct.ErrCorrupt, cString(raw.Name[:]), raw.Self)
	}
	if err != nil {
		return nil, vmem.NewGap(object, vmem.KernelPlace(at), err)
	}
	return newModule(at, &raw, s.views.module.Has("Mem")), nil
}

// parts are what was read of a module.
type parts struct {
	symbols func() ([]Symbol, []vmem.Gap)
	file    func() (*isf.File, error)
	space   func() (*kstruct.Space, error)
}

// parts returns what is read of a module when it is first asked for.
func (s *Set) partsOf(m *Module) *parts {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.parts[m]
	if !ok {
		p = &parts{symbols: sync.OnceValues(func() ([]Symbol, []vmem.Gap) { return s.readSymbols(m) })}
		p.file = sync.OnceValues(func() (*isf.File, error) { return s.types(m) })
		p.space = sync.OnceValues(func() (*kstruct.Space, error) {
			f, err := p.file()
			return kstruct.NewSpace(s.k.Space(), f, s.k.Info().KASLRShift), err
		})
		s.parts[m] = p
	}
	return p
}

// Types returns the types and symbols of a module over those of the kernel; where there is
// no such module, as its code is built in or not loaded, those of the kernel alone.
//
// The error wraps [kstruct.ErrUnsupported] where the module has no types, or its types
// can't be read. What there is without them comes beside it: the module's symbols over the
// kernel's types.
func (s *Set) Types(name string) (*isf.File, error) {
	m := s.Find(name)
	if m == nil {
		return s.k.Symbols(), nil
	}
	return s.partsOf(m).file()
}

// Space returns the kernel's memory with the types and symbols that Types returns, and its error.
func (s *Set) Space(name string) (*kstruct.Space, error) {
	m := s.Find(name)
	if m == nil {
		return s.k.Objects(), nil
	}
	return s.partsOf(m).space()
}

// Symbol returns the address of a symbol of a module, exported or not; where there is no such
// module, that of the kernel's symbol. That of a module's per-CPU variable is a pointer for
// [kstruct.Space.PerCPUPtr]. The error wraps an [*isf.LookupError].
func (s *Set) Symbol(name, symbol string) (vmem.VirtAddr, error) {
	m := s.Find(name)
	if m == nil {
		return s.k.Symbol(symbol)
	}
	symbols, _ := s.partsOf(m).symbols()
	at, ok := find(symbols, symbol)
	if !ok {
		return 0, fmt.Errorf("module: %w", &isf.LookupError{In: "module " + m.Name, Object: "symbol " + symbol})
	}
	return at, nil
}

// Symbols returns the symbols of a module by address, and what was lost of them.
func (s *Set) Symbols(m *Module) ([]Symbol, []vmem.Gap) {
	symbols, gaps := s.partsOf(m).symbols()
	return slices.Clone(symbols), slices.Clone(gaps)
}

// types makes the database of a module.
func (s *Set) types(m *Module) (*isf.File, error) {
	symbols, _ := s.partsOf(m).symbols()
	list := isfSymbols(symbols, s.k.Info().KASLRShift)
	over, err := s.more()
	if err == nil && s.views.btf.err == nil {
		f, err := s.split(m, list)
		if err == nil {
			return f, nil
		}
		return isfOver(over, list), vmem.NewGap("types of module "+m.Name, vmem.KernelPlace(m.Address), err)
	}
	return isfOver(over, list), err
}

// isfOver puts symbols over a database.
func isfOver(over *isf.File, symbols []isf.Symbol) *isf.File {
	f, err := isf.NewOver(over, isf.Contents{Symbols: symbols})
	if err != nil { // they have no types
		return over
	}
	return f
}

// isfSymbols returns symbols as a database has them: one of each name, the global one first,
// at addresses without the KASLR shift. Variables per CPU, which have none, are left out.
func isfSymbols(symbols []Symbol, shift uint64) []isf.Symbol {
	sorted := slices.Clone(symbols)
	slices.SortStableFunc(sorted, compareNames)
	sorted = slices.CompactFunc(sorted, func(a, b Symbol) bool { return a.Name == b.Name })
	out := make([]isf.Symbol, 0, len(sorted))
	for _, s := range sorted {
		if !s.perCPU() && s.Addr >= x86.StartKernelMap {
			out = append(out, isf.Symbol{Name: s.Name, Address: uint64(s.Addr) - shift})
		}
	}
	return out
}

// split returns the types of a module that carries them.
func (s *Set) split(m *Module, symbols []isf.Symbol) (*isf.File, error) {
	list, err := s.btf()
	if err != nil {
		return nil, err
	}
	b, ok := list.of[m.Address]
	if !ok && list.lost != nil {
		return nil, list.lost
	}
	if !ok {
		return list.base.Split(nil, &btfconv.SplitOptions{Symbols: symbols})
	}
	if types, strings := list.base.Ends(); b.FirstID != types || b.FirstStr != strings {
		return nil, fmt.Errorf("%w: its BTF is split at type %d, string %d, not at %d, %d", kstruct.ErrCorrupt, b.FirstID, b.FirstStr, types, strings)
	}
	data, holes := s.bytes(b.Data, int(min(b.Size, maxBTF)))
	return list.base.Split(data, &btfconv.SplitOptions{Symbols: symbols, Holes: holes})
}

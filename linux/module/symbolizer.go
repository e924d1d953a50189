package module

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A Region is code or data that is in no module and not in the kernel's image, such as that of a BPF
// program or a trampoline.
type Region struct {
	Range vmem.Range[vmem.VirtAddr]
	Name  string // such as bpf_prog_6deef7357e7b4530
	Owner string // what stands in brackets behind it, such as bpf or __builtin__ftrace
}

// A Location is what an address of the kernel belongs to.
type Location struct {
	Symbol string // "" where the address is in a module and before all its symbols
	Offset uint64 // from the symbol, or from the beginning of the module's area
	Owner  string // the module or the owner of the region; "" for the kernel itself
}

// String returns symbol+0xoffset [module], as the kernel prints addresses, without an offset
// of 0.
func (l Location) String() string {
	text := l.Symbol
	if l.Offset != 0 {
		text += fmt.Sprintf("+%#x", l.Offset)
	}
	if l.Owner != "" {
		text += " [" + l.Owner + "]"
	}
	return strings.TrimSpace(text)
}

// A Symbolizer tells which symbol an address belongs to. It is immutable and safe for
// concurrent use.
type Symbolizer struct {
	kernel []entry // by address
	code   uint64  // the end of the kernel's code
	end    uint64  // of the kernel's image, behind which are symbols that mark places
	data   bool    // the symbols have those of data
	areas  []owned // by address
	freed  []owned // likewise, where nothing else is by now
	gaps   []vmem.Gap
}

// Gaps returns what was lost of the symbols: an address can be told by one before it then.
func (z *Symbolizer) Gaps() []vmem.Gap { return slices.Clone(z.gaps) }

// An entry is a symbol of the kernel or a module.
type entry struct {
	addr uint64
	name string
}

// An owned is an area of a module, or a region.
type owned struct {
	area    vmem.Range[vmem.VirtAddr]
	owner   string
	symbols []entry // those of the module, by address
}

// maxKernel is how far behind its beginning the kernel's image can reach: KERNEL_IMAGE_SIZE.
const maxKernel = 1 << 30

// NewSymbolizer makes a Symbolizer of the symbols of a kernel and its modules, and of regions.
// It reads all of kallsyms, in which several symbols may have one name, and the symbols of all
// modules: once for each Set. Where kallsyms is damaged, the symbols that the kernel is read with
// are what there is. The error is the context's own.
func NewSymbolizer(ctx context.Context, s *Set, regions []Region) (*Symbolizer, error) {
	s.symbolizing.Lock()
	defer s.symbolizing.Unlock()
	if s.symbolizer == nil {
		z := new(Symbolizer)
		z.addKernel(z.kernelSymbols(ctx, s.k))
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		z.addModules(s)
		z.addFreed(ctx, s)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.symbolizer = z
	}
	return s.symbolizer.With(regions), nil
}

// addModules adds the symbols of all modules.
func (z *Symbolizer) addModules(s *Set) {
	for _, m := range s.modules {
		symbols, gaps := s.partsOf(m).symbols()
		z.gaps = append(z.gaps, gaps...)
		var entries []entry
		for i := range symbols {
			if !symbols[i].perCPU() {
				entries = append(entries, entry{uint64(symbols[i].Addr), symbols[i].Name})
			}
		}
		entries = distinct(entries)
		for _, a := range m.Areas {
			z.areas = append(z.areas, owned{area: a.Range, owner: m.Name, symbols: entries})
		}
	}
}

// addFreed adds the functions of modules that were freed, where nothing else is by now.
func (z *Symbolizer) addFreed(ctx context.Context, s *Set) {
	freed, _ := s.Freed(ctx) // that they are not known is told by who asks for them
	for _, m := range s.modules {
		for _, f := range freed[m] {
			z.freed = append(z.freed, owned{
				area:  vmem.Range[vmem.VirtAddr]{Start: f.Addr, Size: min(max(f.Size, 1), maxFreedSize)},
				owner: m.Name, symbols: []entry{{uint64(f.Addr), f.Name}},
			})
		}
	}
	slices.SortStableFunc(z.freed, func(a, b owned) int { return cmp.Compare(a.area.Start, b.area.Start) })
}

// maxFreedSize is how long a function is that initialised a module, in bytes, at most.
const maxFreedSize = 1 << 20

// linkedText is where _text is linked on x86-64, if no symbol says it.
const linkedText = x86.StartKernelMap + 0x1000000

// kernelSymbols returns the symbols of the kernel's image, at the addresses at which it runs.
func (z *Symbolizer) kernelSymbols(ctx context.Context, k *linux.Kernel) (all []entry) {
	text, err := k.Symbol("_text")
	if err != nil {
		text = vmem.VirtAddr(linkedText + k.Info().KASLRShift)
	}
	if m, err := k.Space().Translate(text); err == nil {
		list, err := btfconv.Kallsyms(ctx, k.Physical(), text, m.At(text))
		if errors.Is(err, btfconv.ErrDamaged) {
			z.gaps = append(z.gaps, vmem.NewGap("kallsyms", vmem.KernelPlace(text), err))
		}
		for _, s := range list {
			all = append(all, entry{s.Addr, s.Name})
		}
	}
	if slices.ContainsFunc(all, func(e entry) bool { return e.name == "_end" }) {
		return all
	}
	known := len(all)
	for s := range k.Symbols().Symbols() { // exported data is in no kallsyms that is of code alone
		all = append(all, entry{s.Address + k.Info().KASLRShift, s.Name})
	}
	slices.SortFunc(all[known:], likeliest)
	return all
}

// addKernel adds the symbols of the kernel's image.
func (z *Symbolizer) addKernel(all []entry) {
	for _, e := range all {
		if e.addr < x86.StartKernelMap { // that of a per-CPU variable, until 6.14
			continue
		}
		z.kernel = append(z.kernel, e)
		switch e.name {
		case "_etext":
			z.code = e.addr
		case "_end":
			z.end, z.data = e.addr, true
		}
	}
	z.kernel = distinct(z.kernel)
	if z.end == 0 && len(z.kernel) > 0 {
		z.end = z.kernel[0].addr + maxKernel
	}
}

// distinct sorts symbols by address, and keeps of those at one address that which was before the others: of the tables of
// kallsyms and of modules that is the one by which the kernel itself names it (get_symbol_pos and find_kallsyms_symbol).
func distinct(all []entry) []entry {
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.addr, b.addr) })
	return slices.CompactFunc(all, func(a, b entry) bool { return a.addr == b.addr })
}

// likeliest orders symbols that are of no table of the kernel's, so that distinct keeps the one with the fewest underscores
// before it, as scripts/kallsyms.c does, then the shortest.
func likeliest(a, b entry) int {
	return cmp.Or(cmp.Compare(underscores(a.name), underscores(b.name)), cmp.Compare(len(a.name), len(b.name)), strings.Compare(a.name, b.name))
}

func underscores(name string) int { return len(name) - len(strings.TrimLeft(name, "_")) }

// Resolve returns what an address belongs to. ok is false where that is not known: then it is
// neither in the kernel's image nor in a module or a region. It allocates nothing.
func (z *Symbolizer) Resolve(a vmem.VirtAddr) (l Location, ok bool) {
	if l, ok = z.inKernel(uint64(a)); ok {
		return l, true
	}
	o := areaOf(z.areas, a)
	if o == nil {
		if o = areaOf(z.freed, a); o == nil {
			return Location{}, false
		}
	}
	l = Location{Owner: o.owner, Offset: uint64(a - o.area.Start)}
	if e := before(o.symbols, uint64(a)); e != nil && e.addr >= uint64(o.area.Start) {
		l.Symbol, l.Offset = e.name, uint64(a)-e.addr
	}
	return l, true
}

// areaOf returns the area that an address is in, nil where there is none.
func areaOf(areas []owned, a vmem.VirtAddr) *owned {
	i, found := slices.BinarySearchFunc(areas, a, func(o owned, a vmem.VirtAddr) int { return cmp.Compare(o.area.Start, a) })
	if !found {
		i--
	}
	if i < 0 || !areas[i].area.Contains(a) {
		return nil
	}
	return &areas[i]
}

// Describe returns what Resolve finds as text, and the address in hexadecimal where it finds
// nothing.
func (z *Symbolizer) Describe(a vmem.VirtAddr) string {
	if l, ok := z.Resolve(a); ok {
		return l.String()
	}
	return a.String()
}

// maxFar is how far behind an exported variable what is in it can be, where others are not
// known.
const maxFar = 64 << 10

// inKernel resolves an address of the kernel's image.
func (z *Symbolizer) inKernel(a uint64) (Location, bool) {
	e := before(z.kernel, a)
	switch {
	case e == nil || a >= z.end && a != e.addr: // the end is a symbol
		return Location{}, false
	case z.data:
	case a >= z.code && (e.addr < z.code || a-e.addr >= maxFar): // the variable there has no symbol
		return Location{}, false
	}
	return Location{Symbol: e.name, Offset: a - e.addr}, true
}

// before returns the last symbol that is not behind an address, nil where there is none.
func before(all []entry, a uint64) *entry {
	i, found := slices.BinarySearchFunc(all, a, func(e entry, a uint64) int { return cmp.Compare(e.addr, a) })
	if !found {
		i--
	}
	if i < 0 {
		return nil
	}
	return &all[i]
}

// Extent returns the addresses from the symbol that an address belongs to up to the next symbol, or to the end of what holds
// it. ok is as of [Symbolizer.Resolve].
func (z *Symbolizer) Extent(a vmem.VirtAddr) (r vmem.Range[vmem.VirtAddr], ok bool) {
	l, ok := z.Resolve(a)
	if !ok {
		return r, false
	}
	start := a - vmem.VirtAddr(l.Offset)
	symbols, end := z.kernel, z.end
	if _, inKernel := z.inKernel(uint64(a)); !inKernel {
		i, found := slices.BinarySearchFunc(z.areas, a, func(o owned, a vmem.VirtAddr) int { return cmp.Compare(o.area.Start, a) })
		if !found {
			i--
		}
		symbols, end = z.areas[i].symbols, uint64(z.areas[i].area.Last())+1
	}
	i, _ := slices.BinarySearchFunc(symbols, uint64(a)+1, func(e entry, a uint64) int { return cmp.Compare(e.addr, a) })
	if i < len(symbols) {
		end = min(end, symbols[i].addr)
	}
	return vmem.Range[vmem.VirtAddr]{Start: start, Size: max(end, uint64(a)+1) - uint64(start)}, true
}

// Find returns the address of a symbol of the kernel's image, also of one to whose name the compiler added something behind a
// dot, as in NAME.isra.0. It looks at all symbols.
func (z *Symbolizer) Find(name string) (vmem.VirtAddr, bool) {
	for _, e := range z.kernel {
		if rest, ok := strings.CutPrefix(e.name, name); ok && (rest == "" || rest[0] == '.' && !strings.HasPrefix(rest, ".cold")) {
			return vmem.VirtAddr(e.addr), true
		}
	}
	return 0, false
}

// With returns a Symbolizer that knows of more regions, too.
func (z *Symbolizer) With(regions []Region) *Symbolizer {
	more := *z
	more.areas = slices.Clone(z.areas)
	more.addRegions(regions)
	return &more
}

// addRegions adds regions.
func (z *Symbolizer) addRegions(regions []Region) {
	for _, r := range regions {
		z.areas = append(z.areas, owned{area: r.Range, owner: r.Owner, symbols: []entry{{uint64(r.Range.Start), r.Name}}})
	}
	slices.SortStableFunc(z.areas, func(a, b owned) int { return cmp.Compare(a.area.Start, b.area.Start) })
}

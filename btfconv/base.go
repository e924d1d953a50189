package btfconv

import (
	"fmt"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A Base is the BTF of a running kernel, from which that of its modules is split. It is safe
// for concurrent use.
type Base struct {
	under *isf.File // what modules' types are put over

	mu    sync.Mutex // guards types, which resolves what modules refer to when they do
	types *typeConverter
}

// ReadBase reads the kernel's BTF, which is at pa in memory (between __start_BTF and __stop_BTF of
// the kernel's image). symbols are the types and symbols that the kernel is read
// with. Types of modules are put over them where they name the types as BTF
// does; else all of the BTF is converted, and the symbols get its types.
//
// What is damaged costs what it does in FromMemory. The error wraps ErrDamaged.
func ReadBase(mem vmem.Memory, pa vmem.PhysAddr, symbols *isf.File) (*Base, error) {
	h, ok := isKernelBTF(mem, pa)
	if !ok {
		return nil, fmt.Errorf("btfconv: no BTF of a kernel at %v: %w", pa, ErrDamaged)
	}
	t, err := readBTF(mem, pa, &h)
	if err != nil {
		return nil, fmt.Errorf("btfconv: %w", err)
	}
	b := &Base{under: symbols}
	if !t.recovered {
		b.types = newConverter(t, nil)
		b.types.addBases()
	}
	if t.recovered || b.types.wrong {
		b.types, _ = convertAll(t, nil)
		if len(symbols.Lost()) == 0 { // else they tell it themselves
			b.under = symbols.WithLost(b.types.contents().Lost...)
		}
		return b, nil // the symbols may have more than what is left
	}
	if !b.types.names.agrees(symbols) {
		return b, b.convert()
	}
	return b, nil
}

// convert makes all of the BTF what modules' types are put over.
func (b *Base) convert() error {
	b.types, _ = convertAll(b.types.btf, nil)
	c := b.types.contents()
	c.Bases = append([]isf.BaseType(nil), c.Bases...) // which modules' scalars are compared with
	c.Metadata = b.under.Metadata()
	for s := range b.under.Symbols() {
		c.Symbols = append(c.Symbols, withoutPrivate(*s))
	}
	f, err := isf.New(c)
	if err != nil {
		return fmt.Errorf("btfconv: %w: %w", ErrDamaged, err)
	}
	b.under = f
	return nil
}

// withoutPrivate returns a symbol without its type where that has a name that only the database
// knows that the symbol is from.
func withoutPrivate(s isf.Symbol) isf.Symbol {
	t := s.Type
	for t != nil && t.Elem != nil {
		t = t.Elem
	}
	if t != nil && (strings.HasPrefix(t.Name, "unnamed_") || strings.Contains(t.Name, "___")) {
		s.Type = nil
	}
	return s
}

// agrees reports whether a database has the structs and unions of the BTF, under the same names and
// of the same sizes: as it has if it was made of it.
func (n *typeNamer) agrees(f *isf.File) bool {
	for id := max(n.first, 1); id < n.btf.end(); id++ {
		r, _ := n.btf.lookup(id)
		if r.kind != kindStruct && r.kind != kindUnion {
			continue
		}
		u, err := f.UserType(n.of(id))
		if err != nil || u.Size != uint64(r.size) || (u.Kind == isf.KindUnion) != (r.kind == kindUnion) {
			return false
		}
	}
	return true
}

// Ends returns the number of types, void among them, and the size of the strings: what the
// kernel counts from in BTF that is split from this (btf.start_id and btf.start_str_off of kernel/bpf/btf.c).
func (b *Base) Ends() (types, strings uint32) {
	return b.types.btf.end(), b.types.btf.strEnd()
}

// A Hole is bytes of BTF that could not be read, from Start up to End.
type Hole struct{ Start, End int }

// SplitOptions are the settings of Split. A nil pointer means the zero value.
type SplitOptions struct {
	// Symbols are those of the module, at addresses from which the KASLR shift of the
	// kernel was subtracted, as from the kernel's own. Split gives them the types that
	// BTF has for variables.
	Symbols []isf.Symbol
	// Holes are what of the BTF could not be read, in order.
	Holes []Hole
}

// Split returns the types of a module, over those of the kernel: see [isf.NewOver]. btf is the
// module's BTF, as the running kernel keeps it (btf.data of
// kernel/bpf/btf.c), where it is split from the kernel's even if the module was built with a distilled base.
// What of it is in a hole is overwritten. It may be empty: then there are the symbols alone.
//
// A type of the module that has the name of another one of the kernel gets another: see the
// package's documentation. The error wraps ErrDamaged.
func (b *Base) Split(btf []byte, opts *SplitOptions) (*isf.File, error) {
	var o SplitOptions
	if opts != nil {
		o = *opts
	}
	var c isf.Contents
	var vars map[string]*isf.Type
	if len(btf) > 0 {
		place := btfPlace{}
		for _, h := range o.Holes {
			place.holes = append(place.holes, span{uint32(h.Start), uint32(h.End)})
		}
		fillHoles(btf, place.holes)
		b.mu.Lock()
		defer b.mu.Unlock()
		t, err := parseBTF(btf, b.types.btf, place)
		if err != nil {
			return nil, fmt.Errorf("btfconv: %w", err)
		}
		var types *typeConverter
		types, vars = convertAll(t, b.types)
		c = types.contents()
	}
	c.Symbols = o.Symbols
	for i := range c.Symbols {
		if t, ok := vars[c.Symbols[i].Name]; ok && c.Symbols[i].Type == nil {
			c.Symbols[i].Type = t
		}
	}
	f, err := isf.NewOver(b.under, c)
	if err != nil {
		return nil, fmt.Errorf("btfconv: %w: %w", ErrDamaged, err)
	}
	return f, nil
}

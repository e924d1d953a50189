package kstruct

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A Space is where the structures of one kernel are: virtual memory, the kernel's types,
// and its symbols at the addresses at which it runs. It is immutable and safe for
// concurrent use.
type Space struct {
	mem     *vmem.AddressSpace
	types   *isf.File
	shift   uint64
	layouts *containers
}

// NewSpace returns the structures in mem that types describes. shift is what KASLR added
// to the addresses of symbols as linked.
func NewSpace(mem *vmem.AddressSpace, types *isf.File, shift uint64) *Space {
	return &Space{mem: mem, types: types, shift: shift, layouts: new(containers)}
}

// Memory returns the virtual memory that is read.
func (s *Space) Memory() *vmem.AddressSpace { return s.mem }

// Types returns the kernel's types and symbols. The addresses of its symbols are those as
// linked: see [Space.Symbol].
func (s *Space) Types() *isf.File { return s.types }

// In returns the same types and symbols over other virtual memory, such as that of a
// process.
func (s *Space) In(mem *vmem.AddressSpace) *Space {
	t := *s
	t.mem = mem
	return &t
}

// Symbol returns the address of a symbol in the running kernel and its type, nil where
// that is not known. The error wraps an [*isf.LookupError], or [ErrPerCPU] for a per-CPU
// variable: see [Space.PerCPU].
func (s *Space) Symbol(name string) (vmem.VirtAddr, *isf.Type, error) {
	sym, err := s.types.Symbol(name)
	if err != nil {
		return 0, nil, fmt.Errorf("kstruct: %w", err)
	}
	if s.perCPUSymbol(sym) {
		return 0, nil, fmt.Errorf("kstruct: symbol %s: %w", name, ErrPerCPU)
	}
	return s.linked(vmem.VirtAddr(sym.Address)), sym.Type, nil
}

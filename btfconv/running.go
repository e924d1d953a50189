package btfconv

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// A KernelSymbol is one entry of the kallsyms of a running kernel.
type KernelSymbol struct {
	Name string
	Addr uint64 // as it runs; of a per-CPU variable, until 6.14, one that counts from 0
	Type byte   // the letter that nm gives it; a capital is global
}

// Kallsyms returns all that the kallsyms of a running kernel has, in its order, which is that of
// addresses: all of several symbols of one name, too, of which a database keeps one.
// text and phys are where the kernel's _text is. The error wraps ErrDamaged or
// ErrNotFound, or is that of ctx.
func Kallsyms(ctx context.Context, mem vmem.Memory, text vmem.VirtAddr, phys vmem.PhysAddr) ([]KernelSymbol, error) {
	s := newSearch(mem, nil, MemoryOptions{})
	s.image.text, s.image.phys = uint64(text), phys
	err := s.locateTables(ctx)
	if err == nil && s.table == nil {
		err = ErrDamaged // there is a part of them
	}
	if err != nil {
		return nil, fmt.Errorf("btfconv: kallsyms: %w", err)
	}
	symbols, _, err := s.table.decode()
	if err != nil {
		return nil, fmt.Errorf("btfconv: %w", err)
	}
	out := make([]KernelSymbol, len(symbols))
	for i, k := range symbols {
		out[i] = KernelSymbol{Name: k.name, Addr: k.addr, Type: k.kind}
	}
	return out, nil
}

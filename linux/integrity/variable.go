package integrity

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A variable is one of the kernel's own, and how it is found where it has no symbol: by functions that use it.
type variable struct {
	name      string
	functions []string
	// is reports whether what is at an address can be the variable.
	is func(vmem.VirtAddr) bool
}

// find returns the address of a variable. Of what has no symbol it is the first address of data that one of the functions
// uses and that passes for it. The error wraps [kstruct.ErrUnsupported].
func (c *Checker) find(v variable) (vmem.VirtAddr, error) {
	at, err := c.k.Symbol(v.name)
	if err == nil {
		return at, nil
	}
	for _, name := range v.functions {
		f, err := c.function(name)
		if err != nil && f == nil {
			continue
		}
		for _, ref := range f.references() {
			if c.Verdict(ref.target).Kind == Unknown && v.is(ref.target) {
				return ref.target, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: it has no symbol, and none of the functions that use it shows where it is: %w", kstruct.ErrUnsupported, err)
}

// has reports whether the kernel has a function.
func (c *Checker) has(function string) bool {
	if _, err := c.k.Symbol(function); err == nil {
		return true
	}
	_, ok := c.symbols.Find(function)
	return ok
}

// pointer returns the pointer at an address; ok is false where there is none to what can be an object of the kernel.
func (c *Checker) pointer(at vmem.VirtAddr) (p vmem.VirtAddr, ok bool) {
	v, err := c.k.Space().Uint64(at)
	return vmem.VirtAddr(v), err == nil && plausible(vmem.VirtAddr(v))
}

package kstruct

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// A gap is a loss in kernel memory.
type gap struct {
	object string
	addr   vmem.VirtAddr
	err    error
}

func (g gap) Error() string { return fmt.Sprintf("%s at %v: %v", g.object, g.addr, g.err) }

func (g gap) Unwrap() error { return g.err }

// newGap makes a gap of err at a kernel address. Where err holds a fault that says where.
func newGap(object string, a vmem.VirtAddr, err error) error {
	if f, ok := errors.AsType[*vmem.Fault](err); ok {
		a = f.Virt
	}
	return gap{object, a, err}
}

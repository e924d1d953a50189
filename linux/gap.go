package linux

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// A Gap is a loss: something that should be in the image and could not be read,
// or contradicts what surrounds it. It is an error, and wraps the reason.
type Gap struct {
	Object string        // what was lost, such as "task list" or "args of task 812"
	Addr   vmem.VirtAddr // where reading broke off: a kernel address, or a user address for user memory
	Err    error         // why
}

// Error returns the object, the address and the reason.
func (g *Gap) Error() string { return fmt.Sprintf("%s at %v: %v", g.Object, g.Addr, g.Err) }

// Unwrap returns the reason.
func (g *Gap) Unwrap() error { return g.Err }

// The reasons that a Gap wraps beside those of package vmem.
var (
	// ErrCorrupt: a structure contradicts itself or its neighbours.
	ErrCorrupt = errors.New("inconsistent structure")
	// ErrCycle: a walk came back to where it had been.
	ErrCycle = errors.New("cyclic structure")
	// ErrTooLong: a walk or a string went over its limit.
	ErrTooLong = errors.New("over the limit")
	// ErrUnsupported: the kernel's types lack a field that this needs.
	ErrUnsupported = errors.New("not described by the symbols")
	// ErrDisagree: two views of the same set differ.
	ErrDisagree = errors.New("views disagree")
)

func gapf(object string, addr vmem.VirtAddr, err error, format string, args ...any) *Gap {
	return &Gap{Object: object, Addr: addr, Err: fmt.Errorf("%w: "+format, append([]any{err}, args...)...)}
}

// newGap makes a Gap of err, and leaves alone what already is one.
func newGap(object string, addr vmem.VirtAddr, err error) *Gap {
	if g, ok := errors.AsType[*Gap](err); ok {
		return g
	}
	if f, ok := errors.AsType[*vmem.Fault](err); ok {
		addr = f.Virt
	}
	return &Gap{Object: object, Addr: addr, Err: err}
}

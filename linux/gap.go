package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// ErrDisagree: two views of the same set differ.
var ErrDisagree = vmem.NewReason("disagree", "views disagree")

func gapf(object string, addr vmem.VirtAddr, err error, format string, args ...any) vmem.Gap {
	return newGap(object, addr, fmt.Errorf("%w: "+format, append([]any{err}, args...)...))
}

// newGap makes a Gap of err, at an address of the kernel unless err says where, and leaves
// alone what already is one.
func newGap(object string, addr vmem.VirtAddr, err error) vmem.Gap {
	return vmem.NewGap(object, vmem.KernelPlace(addr), err)
}

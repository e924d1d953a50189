package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// ErrDisagree says that two views of the same set differ.
var ErrDisagree = vmem.NewReason("disagree", "views disagree")

// ErrHidden says that a task is in none of the views that every process is in, though these
// are whole around it: that is how rootkits hide processes.
var ErrHidden = vmem.NewReason("hidden", "hidden")

func gapf(object string, addr vmem.VirtAddr, err error, format string, args ...any) vmem.Gap {
	return newGap(object, addr, fmt.Errorf("%w: "+format, append([]any{err}, args...)...))
}

// newGap makes a Gap of err, at an address of the kernel unless err says where, and leaves
// alone what already is one.
func newGap(object string, addr vmem.VirtAddr, err error) vmem.Gap {
	return vmem.NewGap(object, vmem.KernelPlace(addr), err)
}

// maxLosses is how many objects of one walk are told that could not be read.
const maxLosses = 1000

// losses counts the objects of one walk that could not be read.
type losses int

// tell reports whether a loss is to be told, and returns its error: that of the last one that
// is says that there may be more.
func (n *losses) tell(err error) (error, bool) {
	if *n++; *n == maxLosses {
		err = fmt.Errorf("%w: %d losses, and those that follow are not told", kstruct.ErrTooLong, maxLosses)
	}
	return err, *n <= maxLosses
}

// plausible reports whether a can be the address of a kernel object: canonical, in
// the kernel's half, and aligned as allocators align.
func plausible(a vmem.VirtAddr) bool {
	return x86.IsObject(a)
}

// errPointer describes a pointer that can't be one.
func errPointer(what string, a vmem.VirtAddr) error {
	return fmt.Errorf("%w: %s pointer %v", kstruct.ErrCorrupt, what, a)
}

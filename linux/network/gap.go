package network

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// gap makes a Gap of err, at an address of the kernel unless err says where, and leaves
// alone what already is one.
func gap(object string, addr vmem.VirtAddr, err error) vmem.Gap {
	return vmem.NewGap(object, vmem.KernelPlace(addr), err)
}

// plausible reports whether a can be the address of a kernel object: canonical, in the
// kernel's half, and aligned as allocators align.
func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// errPointer describes a pointer that can't be one.
func errPointer(what string, a vmem.VirtAddr) error {
	return fmt.Errorf("%w: %s pointer %v", kstruct.ErrCorrupt, what, a)
}

// corrupt describes what contradicts itself.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

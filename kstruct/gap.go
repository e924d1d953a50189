package kstruct

import "github.com/nodelens/nodelens/vmem"

// newGap makes a Gap of err at a kernel address. Where err holds a fault that says where.
func newGap(object string, a vmem.VirtAddr, err error) vmem.Gap {
	return vmem.NewGap(object, vmem.KernelPlace(a), err)
}

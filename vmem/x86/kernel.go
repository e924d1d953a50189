package x86

import "github.com/nodelens/nodelens/vmem"

// Where Linux has what in the kernel's half of the address space
// (Documentation/arch/x86/x86_64/mm.rst).
const (
	// StartKernelMap is __START_KERNEL_map: the kernel's image is linked above it, and the
	// physical address of what is in the image is its address less this plus phys_base
	// (arch/x86/include/asm/page_64_types.h).
	StartKernelMap = 0xffffffff80000000
	// KernelImageSize is KERNEL_IMAGE_SIZE with KASLR: how far the image can reach above
	// StartKernelMap, in bytes. Modules follow at half of it without KASLR.
	KernelImageSize = 1 << 30
	// KernelAlign is the least CONFIG_PHYSICAL_ALIGN: the kernel is loaded at a multiple of
	// it, and KASLR shifts by one.
	KernelAlign = 2 << 20

	// DirectMap4 and DirectMap5 are where all physical memory is mapped with 4 and with 5
	// levels, without KASLR: __PAGE_OFFSET_BASE_L4 and _L5.
	DirectMap4 = 0xffff888000000000
	DirectMap5 = 0xff11000000000000
	// VMemMap4 is __VMEMMAP_BASE_L4, where the array of struct page is with 4 levels,
	// without KASLR (arch/x86/include/asm/pgtable_64_types.h).
	VMemMap4 = 0xffffea0000000000
	// UserEnd4 and UserEnd5 are where the addresses of processes end with 4 and with 5
	// levels, exclusive: TASK_SIZE_MAX and the guard page behind it.
	UserEnd4 = 1 << 47
	UserEnd5 = 1 << 56
)

// IsKernel reports whether va is in the half of the address space that belongs to the
// kernel.
func IsKernel(va vmem.VirtAddr) bool { return va>>63 != 0 }

// IsObject reports whether va can be the address of an object of the kernel: in its half
// and canonical with 5 levels at least, aligned as its allocators align, and not among the
// values that stand for errors (IS_ERR, the last page).
func IsObject(va vmem.VirtAddr) bool {
	return va >= 0xff00000000000000 && va%8 == 0 && va < 0xfffffffffffff000
}

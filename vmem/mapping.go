package vmem

// Flags say what the page tables allow for a page, all levels together.
type Flags struct {
	Write    bool // writable
	User     bool // accessible to user mode
	NX       bool // not executable
	Accessed bool // was read or written
	Dirty    bool // was written
	Global   bool // stays in TLBs when the address space changes
	// ProtNone marks a page that is there though the CPU takes it for absent:
	// PROT_NONE, a NUMA balancing hint, or a huge page that is just being split.
	// Write, User and Global are false then.
	ProtNone bool
}

// A Mapping is one page of virtual memory and where it is in physical memory.
type Mapping struct {
	// Range is the whole page.
	Range Range[VirtAddr]
	// Phys is the physical address of Range.Start. Nothing says that this memory
	// exists or was captured.
	Phys PhysAddr
	Flags
}

// At returns the physical address of va, which must lie inside the page.
func (m Mapping) At(va VirtAddr) PhysAddr { return m.Phys + PhysAddr(va-m.Range.Start) }

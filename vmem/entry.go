package vmem

// An entry is a page-table entry. The bits of present ones are those of the Intel
// SDM, volume 3, "Paging", tables "Format of a ... Entry"; the bits of others are
// Linux's own, from arch/x86/include/asm/pgtable_types.h and pgtable_64.h.
type entry uint64

const (
	bitPresent  entry = 1 << 0
	bitWrite    entry = 1 << 1
	bitUser     entry = 1 << 2
	bitAccessed entry = 1 << 5
	bitDirty    entry = 1 << 6
	bitLarge    entry = 1 << 7 // PS: the entry maps a page at level 2 or 3
	bitGlobal   entry = 1 << 8
	bitPATLarge entry = 1 << 12 // of the caching type, not of the address, in large pages
	bitNX       entry = 1 << 63

	// bitSavedDirty is _PAGE_SAVED_DIRTY: dirty, in a page that must not look like
	// a shadow stack. Kernels before 6.6 do not set the bit in leaf entries.
	bitSavedDirty entry = 1 << 58
	// bitProtNone is _PAGE_PROTNONE, which counts where the entry is not present.
	bitProtNone = bitGlobal

	// addressBits hold a frame address as far as the architecture goes.
	addressBits entry = 1<<52 - 1<<12

	// emptyBits may be set by the CPU in an empty entry: an erratum of Knights
	// Landing that _PAGE_KNL_ERRATUM_MASK in the kernel makes up for.
	emptyBits = bitAccessed | bitDirty
)

func (e entry) has(bits entry) bool { return e&bits != 0 }

// swapType returns the type of a swap entry, see Fault.SwapEntry.
func (e entry) swapType() uint8 { return uint8(e >> 59) }

// swapOffset returns the offset of a swap entry, see Fault.SwapEntry.
func (e entry) swapOffset() uint64 { return uint64(^e << 5 >> 14) }

// pageSize returns the number of bytes that one entry of a level translates.
func pageSize(level int) uint64 { return 1 << pageShift(level) }

func pageShift(level int) int { return 12 + 9*(level-1) }

// entryAddr returns the physical address of the entry by which a table of a level
// translates va.
func entryAddr(table PhysAddr, level int, va VirtAddr) PhysAddr {
	return table + PhysAddr(va>>pageShift(level)%512*8)
}

// permissions are the access rights that entries of several levels grant
// together: writable and accessible to user mode only if all say so, not
// executable if one says so.
type permissions entry

const (
	allPermissions  = permissions(bitWrite | bitUser)
	permissionsMask = permissions(bitNX) | allPermissions
)

func (p permissions) and(e entry) permissions {
	return p&permissions(e)&allPermissions | (p|permissions(e))&permissions(bitNX)
}

// A target is what a page-table entry leads to.
type target struct {
	addr PhysAddr
	page bool // a page, not a table
}

// decode interprets an entry of a level that translates an address of the kernel
// half or of the user half. The error is a bare reason.
func (as *AddressSpace) decode(e entry, level int, kernel bool) (target, error) {
	if !e.has(bitPresent) {
		return as.decodeAbsent(e, level, kernel)
	}
	addr := e & addressBits &^ as.encryption
	page := level == 1 || e.has(bitLarge)
	switch {
	case addr.has(as.reserved):
		return target{}, ErrBadEntry
	case !page || level == 1:
		return target{PhysAddr(addr), page}, nil
	case level > 3:
		return target{}, ErrBadEntry
	}
	addr &^= bitPATLarge
	if addr.has(entry(pageSize(level) - 1)) {
		return target{}, ErrBadEntry
	}
	return target{PhysAddr(addr), true}, nil
}

// decodeAbsent interprets an entry whose present bit is clear.
//
// What it says is Linux's affair in the user half only. The kernel half has no
// swap entries and no PROT_NONE, but other entries that lost their present bit:
// set_memory_np inverts the address and clears the global bit, KFENCE keeps the
// global bit and inverts the address or, before commit b505f1944535 (in v6.19),
// does not. None of them is a mapping.
func (as *AddressSpace) decodeAbsent(e entry, level int, kernel bool) (target, error) {
	switch {
	case kernel || e&^emptyBits == 0:
		return target{}, ErrNotPresent
	case level > 3:
		return target{}, ErrBadEntry
	case e.has(bitProtNone | bitLarge):
		return as.decodeProtNone(e, level)
	}
	return target{}, as.swapTypes.reason(e.swapType())
}

// decodeProtNone interprets an entry that the kernel takes for present though its
// present bit is clear (pte_present, pmd_present): PROT_NONE, a NUMA hint, or a
// huge page that is being split. Its address is inverted against L1TF, see
// arch/x86/include/asm/pgtable-invert.h. Depending on who wrote it, that includes
// the bits below the alignment of a large page or not; so they say nothing.
func (as *AddressSpace) decodeProtNone(e entry, level int) (target, error) {
	if level > 1 && !e.has(bitLarge) || level == 1 && !e.has(bitProtNone) {
		return target{}, ErrBadEntry
	}
	addr := ^e & addressBits &^ as.encryption
	if addr.has(as.reserved) {
		return target{}, ErrBadEntry
	}
	return target{PhysAddr(addr) &^ PhysAddr(pageSize(level)-1), true}, nil
}

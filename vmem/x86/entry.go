package x86

import "github.com/nodelens/nodelens/vmem"

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
	// bitNX forbids to execute. In the user half the top-level entry does not count:
	// under page table isolation the kernel's tables have the bit set there for
	// all user memory (__pti_set_user_pgtbl), and it says nothing of the page.
	bitNX entry = 1 << 63

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
	addr vmem.PhysAddr
	page bool // a page, not a table
}

// decode interprets an entry of a level that translates an address of the kernel
// half or of the user half. The error is a bare reason.
func (t *Tables) decode(e entry, level int, kernel bool) (target, error) {
	if !e.has(bitPresent) {
		return t.decodeAbsent(e, level, kernel)
	}
	addr := e & addressBits &^ t.encryption
	page := level == 1 || e.has(bitLarge)
	switch {
	case addr.has(t.reserved):
		return target{}, vmem.ErrBadEntry
	case !page || level == 1:
		return target{vmem.PhysAddr(addr), page}, nil
	case !geometry[level&7].page:
		return target{}, vmem.ErrBadEntry
	}
	addr &^= bitPATLarge
	if addr.has(entry(spanSize(level) - 1)) {
		return target{}, vmem.ErrBadEntry
	}
	return target{vmem.PhysAddr(addr), true}, nil
}

// decodeAbsent interprets an entry whose present bit is clear.
//
// What it says is Linux's affair in the user half only. The kernel half has no
// swap entries and no PROT_NONE, but other entries that lost their present bit:
// set_memory_np inverts the address and clears the global bit, KFENCE keeps the
// global bit and inverts the address or, before commit b505f1944535 (in v6.19),
// does not. None of them is a mapping.
func (t *Tables) decodeAbsent(e entry, level int, kernel bool) (target, error) {
	switch {
	case kernel || e&^emptyBits == 0:
		return target{}, vmem.ErrNotPresent
	case !geometry[level&7].page:
		return target{}, vmem.ErrBadEntry
	case e.has(bitProtNone | bitLarge):
		return t.decodeProtNone(e, level)
	}
	return target{}, t.swapTypes.Reason(e.swapType())
}

// decodeProtNone interprets an entry that the kernel takes for present though its
// present bit is clear (pte_present, pmd_present): PROT_NONE, a NUMA hint, or a
// huge page that is being split. Its address is inverted against L1TF, see
// arch/x86/include/asm/pgtable-invert.h. Depending on who wrote it, that includes
// the bits below the alignment of a large page or not; so they say nothing.
func (t *Tables) decodeProtNone(e entry, level int) (target, error) {
	if level > 1 && !e.has(bitLarge) || level == 1 && !e.has(bitProtNone) {
		return target{}, vmem.ErrBadEntry
	}
	addr := ^e & addressBits &^ t.encryption
	if addr.has(t.reserved) {
		return target{}, vmem.ErrBadEntry
	}
	return target{vmem.PhysAddr(addr) &^ vmem.PhysAddr(spanSize(level)-1), true}, nil
}

package vmem

import "encoding/binary"

// Flags say what the page tables allow for a page, all levels together.
type Flags struct {
	Write bool // writable
	User  bool // accessible to user mode
	// NX forbids to execute. In the user half the top-level entry does not count:
	// under page table isolation the kernel's tables have the bit set there for
	// all user memory (__pti_set_user_pgtbl), and it says nothing of the page.
	NX       bool
	Accessed bool // was read or written
	Dirty    bool // was written; the CPU's bit or, since 6.6, the kernel's saved one
	Global   bool // stays in TLBs when CR3 changes
	// ProtNone marks a page that is there while its present bit is clear:
	// PROT_NONE, a NUMA balancing hint, or a huge page that is just being split.
	// Write, User and Global are false then.
	ProtNone bool
}

// A Mapping is one page of virtual memory and where it is in physical memory.
type Mapping struct {
	// Range is the whole page: 4 KiB, 2 MiB or 1 GiB.
	Range Range[VirtAddr]
	// Phys is the physical address of Range.Start. Nothing says that this memory
	// exists or was captured.
	Phys PhysAddr
	Flags
}

// At returns the physical address of va, which must lie inside the page.
func (m Mapping) At(va VirtAddr) PhysAddr { return m.Phys + PhysAddr(va-m.Range.Start) }

// Translate returns the page that va is in. The error is a *Fault.
func (as *AddressSpace) Translate(va VirtAddr) (Mapping, error) {
	l, err := as.walk(va)
	if err != nil {
		return Mapping{}, err
	}
	return l.mapping(va), nil
}

// A leaf is the end of a walk: the entry that maps a page.
type leaf struct {
	entry entry
	level int
	addr  PhysAddr
	perms permissions
}

// mapping returns the page that va is in.
func (l leaf) mapping(va VirtAddr) Mapping {
	size := pageSize(l.level)
	present := l.entry.has(bitPresent)
	return Mapping{
		Range: Range[VirtAddr]{va &^ VirtAddr(size-1), size},
		Phys:  l.addr,
		Flags: Flags{
			Write:    present && entry(l.perms).has(bitWrite),
			User:     present && entry(l.perms).has(bitUser),
			NX:       entry(l.perms).has(bitNX),
			Accessed: l.entry.has(bitAccessed),
			Dirty:    l.entry.has(bitDirty | bitSavedDirty),
			Global:   present && l.entry.has(bitGlobal),
			ProtNone: !present,
		},
	}
}

// walk translates va by the tables. The error is a *Fault.
func (as *AddressSpace) walk(va VirtAddr) (leaf, error) {
	if !as.Canonical(va) {
		return leaf{}, &Fault{Virt: va, Err: ErrNonCanonical}
	}
	table, perms := as.root, allPermissions
	for level := as.levels; ; level-- {
		at := entryAddr(table, level, va)
		data, err := as.phys.view(at, 8)
		if err != nil {
			return leaf{}, &Fault{Virt: va, Phys: at, Level: level, Err: err}
		}
		e := entry(binary.LittleEndian.Uint64(data))
		t, err := as.decode(e, level, isKernel(va))
		if err != nil {
			return leaf{}, &Fault{va, at, level, uint64(e), err}
		}
		perms = as.restrict(perms, e, level, va)
		if t.page {
			return leaf{e, level, t.addr, perms}, nil
		}
		table = t.addr
	}
}

// restrict returns what of perms an entry on the way to va leaves.
func (as *AddressSpace) restrict(perms permissions, e entry, level int, va VirtAddr) permissions {
	if level == as.levels && !isKernel(va) {
		e &^= bitNX // see Flags.NX
	}
	return perms.and(e)
}

// isKernel reports whether va is in the half of the address space that belongs to
// the kernel.
func isKernel(va VirtAddr) bool { return va>>63 != 0 }

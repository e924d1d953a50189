package memory

import (
	"context"
	"errors"
	"iter"
	"math/bits"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// PageFlags say what became of a page of a mapping: a set.
type PageFlags uint32

// What a page can be. One that has none of Present, Swapped, Migrating, Special and Marker was never touched, or is a file's that is not mapped in; it is
// not among [Reader.PageStates].
const (
	Present   PageFlags = 1 << iota // it is in memory
	Swapped                         // it is in a swap file: SwapType, SwapOffset
	Migrating                       // it is being moved, and in memory at Phys
	Special                         // neither: memory of a device, or a frame that broke (hwpoison)
	Marker                          // there is none, and the entry says something all the same: Guard, Poisoned, UffdWP

	Writable  // the entry lets it be written
	Accessed  // the entry says that it was read or written
	Written   // the entry says that it was written
	SoftDirty // it was written since /proc/PID/clear_refs was
	UffdWP    // userfaultfd is told when it is written
	NoAccess  // it is there and may not be touched: PROT_NONE, or a hint of NUMA balancing
	Guard     // whoever touches it gets SIGSEGV (MADV_GUARD_INSTALL)
	Poisoned  // whoever touches it gets SIGBUS

	Anonymous   // it is of no file, or is a process's own copy of a file's
	Shmem       // it is of tmpfs, a memfd or shared memory
	File        // it is of another file
	Zero        // it is the page of zeros, which all share
	KSM         // it is shared with pages of the same content
	Hugetlb     // it is of hugetlbfs
	Huge        // it is one of 2 MiB or 1 GiB in the tables, and not of hugetlbfs
	Device      // it has no struct page: memory of a device, or the kernel's own
	Exclusive   // it is anonymous, and no other process has it (PG_anon_exclusive); since 5.19
	CopyOnWrite // it is in a private mapping that may be written, and is copied when it is
	Dirty       // its content is newer than the disk's (PG_dirty)
	Referenced  // it was used lately (PG_referenced, PG_young)
	LazyFree    // it can be dropped (MADV_FREE)
)

var pageFlagNames = [...]string{
	"present", "swapped", "migrating", "special", "marker", "writable", "accessed", "written", "soft-dirty", "uffd-wp", "no-access", "guard", "poisoned",
	"anonymous", "shmem", "file", "zero", "ksm", "hugetlb", "huge", "device", "exclusive", "copy-on-write", "dirty", "referenced", "lazy-free",
}

// String returns the names of the flags, separated by spaces.
func (f PageFlags) String() string {
	var names []string
	for rest := uint32(f); rest != 0; rest &= rest - 1 {
		if i := bits.TrailingZeros32(rest); i < len(pageFlagNames) {
			names = append(names, pageFlagNames[i])
		}
	}
	return strings.Join(names, " ")
}

// A PageState is what became of one page of a mapping, of 4 KiB, 2 MiB or 1 GiB.
type PageState struct {
	Range      vmem.Range[vmem.VirtAddr] // the whole page, which can reach beyond what was asked for
	Flags      PageFlags
	Mapcount   int32         // how often it is mapped by all processes; of a page in parts, its first part. 0 where that is not known
	Refs       int32         // how many hold it, with those that it is mapped by
	Phys       vmem.PhysAddr // of a page that is Present or Migrating
	Page       vmem.VirtAddr // its struct page; 0 where there is none
	Entry      uint64        // the entry of the page table, as stored
	SwapOffset uint64        // of one that is Swapped: the page of the swap file
	SwapType   uint8         // likewise: which swap file, as /proc/swaps numbers them from 0
}

// Bits of the offset of a marker (include/linux/swapops.h).
const (
	markerUffdWP   = 1 << 0
	markerPoisoned = 1 << 1 // swapin error until 6.5
	markerGuard    = 1 << 2 // since 6.13
)

// PageStates yields what became of the pages of a mapping, by ascending address. Pages of which there is nothing to tell (see [PageFlags]) are not
// yielded. An error is a [vmem.Gap] or a *vmem.Fault and does not end the walk; with one about the struct page of a page comes
// the page, as far as its entry tells. It allocates nothing for a page.
func (r *Reader) PageStates(ctx context.Context, mm *linux.MM, v *linux.VMA) iter.Seq2[PageState, error] {
	return func(yield func(PageState, error) bool) {
		t, err := r.pageTable()
		tables, ok := mm.Space().Tables().(*x86.Tables)
		if err == nil && !ok {
			err = kstruct.ErrUnsupported
		}
		if err != nil {
			yield(PageState{}, vmem.NewGap("states of pages", vmem.Place{}, err))
			return
		}
		var info pageInfo
		n := 0
		for e, err := range tables.Entries(v.Range) {
			if n++; n%1024 == 0 && ctx.Err() != nil {
				yield(PageState{}, ctx.Err())
				return
			}
			s := PageState{Range: e.Range, Phys: e.Phys, Entry: e.Entry}
			if err == nil {
				err = t.state(&e, v.Flags, &s, &info)
			}
			if s.Flags == 0 && err == nil { // nothing but what a processor's fault left
				continue
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// state tells what an entry of a mapping says, with what is kept of the page.
func (t *pageTable) state(e *x86.PageEntry, vma linux.VMAFlags, s *PageState, info *pageInfo) error {
	switch {
	case e.Reason != nil:
		s.Flags = absent(e, s)
	default:
		s.Flags = present(e, vma)
	}
	if s.Flags&(Present|Migrating) == 0 || s.Flags&Device != 0 {
		return nil
	}
	err := t.read(s.Phys, info)
	if err == nil {
		s.Page, s.Refs = info.addr, info.head.Refs
		s.Mapcount, err = t.mapcount(info, vma&vmHugetlb != 0)
	}
	if err != nil {
		return vmem.NewGap("struct page of "+s.Phys.String(), vmem.KernelPlace(info.addr), err)
	}
	s.Flags |= t.kind(info, s.Flags, vma)
	return nil
}

// present tells what an entry that has a page says of it.
func present(e *x86.PageEntry, vma linux.VMAFlags) PageFlags {
	f := Present
	if e.Write {
		f |= Writable
	} else if vma&(vmShared|vmMayWrite) == vmMayWrite {
		f |= CopyOnWrite
	}
	if e.Accessed {
		f |= Accessed
	}
	if e.Dirty {
		f |= Written
	}
	if e.ProtNone {
		f |= NoAccess
	}
	if e.Entry&x86.EntrySoftDirty != 0 {
		f |= SoftDirty
	}
	if e.Entry&x86.EntryUffdWP != 0 {
		f |= UffdWP
	}
	switch {
	case vma&vmHugetlb != 0:
		f |= Hugetlb
	case e.Level > 1:
		f |= Huge
	}
	if e.Entry&x86.EntrySpecial != 0 { // vm_normal_page of mm/memory.c
		if vma&(vmPFNMap|vmMixedMap) != 0 {
			return f&^CopyOnWrite | Device
		}
		return f | Zero
	}
	if vma&vmPFNMap != 0 && e.Level > 1 {
		return f&^CopyOnWrite | Device
	}
	return f
}

// absent tells what an entry that has no page says.
func absent(e *x86.PageEntry, s *PageState) (f PageFlags) {
	if e.Entry&x86.SwapSoftDirty != 0 {
		f |= SoftDirty
	}
	if e.Entry&x86.SwapUffdWP != 0 {
		f |= UffdWP
	}
	offset := x86.SwapOffset(e.Entry)
	switch {
	case errors.Is(e.Reason, vmem.ErrSwapped):
		s.SwapType, s.SwapOffset = x86.SwapType(e.Entry), offset
		if f |= Swapped; e.Entry&x86.SwapExclusive != 0 {
			f |= Exclusive
		}
		return f
	case errors.Is(e.Reason, vmem.ErrMigrating):
		s.Phys = vmem.PhysAddr(offset & (1<<40 - 1) * vmem.PageSize) // SWP_PFN_BITS of include/linux/swapops.h
		return f | Migrating
	case errors.Is(e.Reason, vmem.ErrNotPresent) && !empty(e.Entry):
		return marker(offset)
	case errors.Is(e.Reason, vmem.ErrNotPresent):
		return 0
	}
	return f | Special
}

// empty reports whether an entry has nothing but what a processor's fault can leave in it.
func empty(entry uint64) bool { return entry&^(1<<5|1<<6) == 0 }

// marker tells what a marker says (PTE_MARKER_ of include/linux/swapops.h).
func marker(offset uint64) PageFlags {
	f := Marker
	if offset&markerUffdWP != 0 {
		f |= UffdWP
	}
	if offset&markerPoisoned != 0 {
		f |= Poisoned
	}
	if offset&markerGuard != 0 {
		f |= Guard
	}
	return f
}

// kind tells of what a page is, and what is kept of it.
func (t *pageTable) kind(i *pageInfo, of PageFlags, vma linux.VMAFlags) (f PageFlags) {
	if i.head.Flags&t.flags.dirty != 0 {
		f |= Dirty
	}
	if i.head.Flags&(t.flags.referenced|t.flags.young) != 0 {
		f |= Referenced
	}
	switch {
	case of&Zero != 0 || of&Hugetlb != 0 && !i.anonymous():
		return f
	case of&Huge != 0 && i.head.Mapping == 0 && vma&vmShared == 0: // the huge page of zeros is marked since 6.16 only
		return f | Zero
	case i.anonymous():
		f |= Anonymous
		if i.ksm() {
			f |= KSM
		}
		if i.page.Flags&t.flags.exclusive != 0 {
			f |= Exclusive
		}
		if of&Hugetlb == 0 && i.head.Flags&t.flags.swapBacked == 0 && of&Written == 0 && f&Dirty == 0 {
			f |= LazyFree
		}
	case i.head.Mapping == 0: // the kernel's own, as that of [vdso]
	case i.head.Flags&t.flags.swapBacked != 0:
		f |= Shmem
	default:
		f |= File
	}
	return f
}

package vmem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// The reasons for which a walk gives up on a table that it could read.
var (
	errTableLoop  = fmt.Errorf("%w: table leads back to itself", ErrBadEntry)
	errWalkBudget = fmt.Errorf("%w: more tables than memory can hold", ErrBadEntry)
)

// Mappings returns the pages that have an address in within, in ascending order of
// address. A page that reaches beyond within is yielded as a whole.
//
// What is not mapped is passed over; so are entries that tell no more than that
// there is no page (ErrNotPresent). Each other entry that maps nothing, and each
// table that can't be read, is yielded as a *Fault together with a Mapping whose
// Range is the part of within that is lost by it; the walk then goes on behind. So
// pages in swap, under migration and so on are errors here. A table that leads back
// to itself, and tables shared so widely that the walk meets more of them than the
// captured memory can hold, end the walk of that part, or of the rest.
//
// The tables are read anew with every use of the iterator.
func (as *AddressSpace) Mappings(within Range[VirtAddr]) iter.Seq2[Mapping, error] {
	return func(yield func(Mapping, error) bool) {
		w := walker{as: as, within: within.clip(), budget: as.tableBudget(), yield: yield}
		half := Range[VirtAddr]{0, 256 * pageSize(as.levels)}
		upper := Range[VirtAddr]{-VirtAddr(half.Size), half.Size}
		root := table{addr: as.root, level: as.levels, perms: allPermissions}
		if !w.table(root, half.Intersect(w.within)) {
			return
		}
		root.base = upper.Start - VirtAddr(half.Size)
		w.table(root, upper.Intersect(w.within))
	}
}

// sharedTables is how many visits a walk may make beyond one for each frame there
// is, for tables that the kernel maps in many places: espfix does with a few
// (arch/x86/kernel/espfix_64.c), 4104 visits for each set.
const sharedTables = 1 << 16

func (as *AddressSpace) tableBudget() uint64 {
	budget := uint64(sharedTables)
	for _, r := range as.phys.ranges {
		budget += r.Size / PageSize
	}
	return budget
}

// A walker is one walk over the tables of an address space.
type walker struct {
	as     *AddressSpace
	within Range[VirtAddr]
	budget uint64 // tables that may still be visited
	path   [6]PhysAddr
	yield  func(Mapping, error) bool
}

// A table is a page table on the way down.
type table struct {
	addr  PhysAddr
	level int
	base  VirtAddr    // what its entry 0 translates
	perms permissions // of the entries above
}

// table yields what the table maps inside part, which is not larger than what it
// translates. It reports whether to go on, as all methods of walker do.
func (w *walker) table(t table, part Range[VirtAddr]) bool {
	if part.Size == 0 {
		return true
	}
	if w.budget == 0 {
		rest := Range[VirtAddr]{part.Start, uint64(w.within.Last()-part.Start) + 1}
		w.lost(rest, entryAddr(t.addr, t.level, part.Start), t.level, 0, errWalkBudget)
		return false
	}
	w.budget--
	f, err := w.as.phys.frame(t.addr)
	if err != nil {
		return w.lost(part, entryAddr(t.addr, t.level, part.Start), t.level, 0, err)
	}
	w.path[t.level] = t.addr
	span := pageSize(t.level)
	first, last := uint64(part.Start-t.base)/span, uint64(part.Last()-t.base)/span
	for i := first; i <= last; i++ {
		page := Range[VirtAddr]{t.base + VirtAddr(i*span), span}
		if !w.entry(t, f, page, page.Intersect(part)) {
			return false
		}
	}
	return true
}

// entry yields what the entry of t that translates page maps inside part of it.
func (w *walker) entry(t table, f *frame, page, part Range[VirtAddr]) bool {
	at := entryAddr(t.addr, t.level, page.Start)
	data, err := f.view(uint64(at-t.addr), 8)
	if err != nil {
		return w.lost(part, at+PhysAddr(len(data)), t.level, 0, err)
	}
	e := entry(binary.LittleEndian.Uint64(data))
	if e == 0 { // most are
		return true
	}
	to, err := w.as.decode(e, t.level, isKernel(page.Start))
	switch {
	case errors.Is(err, ErrNotPresent):
		return true
	case err != nil:
		return w.lost(part, at, t.level, e, err)
	}
	perms := w.as.restrict(t.perms, e, t.level, page.Start)
	if to.page {
		return w.yield(leaf{e, t.level, to.addr, perms}.mapping(page.Start), nil)
	}
	if w.onPath(to.addr, t.level) {
		return w.lost(part, at, t.level, e, errTableLoop)
	}
	return w.table(table{to.addr, t.level - 1, page.Start, perms}, part)
}

// onPath reports whether the walk is inside the table at addr already, at level or
// above.
func (w *walker) onPath(addr PhysAddr, level int) bool {
	for ; level <= w.as.levels; level++ {
		if w.path[level] == addr {
			return true
		}
	}
	return false
}

// lost yields a fault by which part can't be walked.
func (w *walker) lost(part Range[VirtAddr], at PhysAddr, level int, e entry, err error) bool {
	return w.yield(Mapping{Range: part}, &Fault{part.Start, at, level, uint64(e), err})
}

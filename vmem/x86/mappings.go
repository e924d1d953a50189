package x86

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which a walk gives up on a table that it could read.
var (
	errTableLoop  = fmt.Errorf("%w: table leads back to itself", vmem.ErrBadEntry)
	errWalkBudget = fmt.Errorf("%w: more tables than memory can hold", vmem.ErrBadEntry)
)

type virtRange = vmem.Range[vmem.VirtAddr]

// Mappings implements [vmem.Tables]: see [vmem.AddressSpace.Mappings].
func (t *Tables) Mappings(within vmem.Range[vmem.VirtAddr]) iter.Seq2[vmem.Mapping, error] {
	return func(yield func(vmem.Mapping, error) bool) {
		w := walker{t: t, within: clip(within), budget: t.tableBudget(), yield: yield}
		w.walk()
	}
}

// walk walks both halves of the address space.
func (w *walker) walk() {
	t := w.t
	half := virtRange{Start: 0, Size: 256 * spanSize(t.levels)}
	upper := virtRange{Start: -vmem.VirtAddr(half.Size), Size: half.Size}
	root := table{addr: t.root, level: t.levels, perms: allPermissions}
	if !w.table(root, half.Intersect(w.within)) {
		return
	}
	root.base = upper.Start - vmem.VirtAddr(half.Size)
	w.table(root, upper.Intersect(w.within))
}

// clip returns r without what goes on beyond the last address.
func clip(r virtRange) virtRange {
	if r.Size > 0 && r.Last() < r.Start {
		r.Size = -uint64(r.Start)
	}
	return r
}

// sharedTables is how many visits a walk may make beyond one for each frame there
// is, for tables that the kernel maps in many places: espfix does with a few
// (arch/x86/kernel/espfix_64.c), 4104 visits for each set.
const sharedTables = 1 << 16

func (t *Tables) tableBudget() uint64 {
	budget := uint64(sharedTables)
	for _, r := range t.phys.Ranges() {
		budget += r.Size / PageSize
	}
	return budget
}

// A walker is one walk over the tables of an address space.
type walker struct {
	t      *Tables
	within virtRange
	budget uint64                       // tables that may still be visited
	path   [len(geometry)]vmem.PhysAddr // by level
	yield  func(vmem.Mapping, error) bool
	leaf   func(PageEntry) bool // instead of yield, for all entries that are not empty and lead to no table
}

// A table is a page table on the way down.
type table struct {
	addr  vmem.PhysAddr
	level int
	base  vmem.VirtAddr // what its entry 0 translates
	perms permissions   // of the entries above
}

// table yields what the table maps inside part, which is not larger than what it
// translates. It reports whether to go on, as all methods of walker do.
func (w *walker) table(t table, part virtRange) bool {
	if part.Size == 0 {
		return true
	}
	if w.budget == 0 {
		rest := virtRange{Start: part.Start, Size: uint64(w.within.Last()-part.Start) + 1}
		w.lost(rest, entryAddr(t.addr, t.level, part.Start), t.level, 0, errWalkBudget)
		return false
	}
	w.budget--
	if !w.captured(t.addr) {
		return w.lost(part, entryAddr(t.addr, t.level, part.Start), t.level, 0, vmem.ErrNotCaptured)
	}
	w.path[t.level] = t.addr
	all, _ := w.t.phys.View(t.addr, PageSize) // as far as it can be read in one go
	size := spanSize(t.level)
	first, last := uint64(part.Start-t.base)/size, uint64(part.Last()-t.base)/size
	for i := first; i <= last; i++ {
		if at := int(i%(1<<indexBits)) * entrySize; at+entrySize <= len(all) && binary.LittleEndian.Uint64(all[at:]) == 0 { // most are
			continue
		}
		page := virtRange{Start: t.base + vmem.VirtAddr(i*size), Size: size}
		if !w.entry(t, all, page, page.Intersect(part)) {
			return false
		}
	}
	return true
}

// captured reports whether the image has anything of the page at addr.
func (w *walker) captured(addr vmem.PhysAddr) bool {
	ranges := w.t.phys.Ranges()
	i, _ := vmem.SearchRanges(ranges, addr)
	return i < len(ranges) && ranges[i].Start <= addr+(PageSize-1)
}

// entry yields what the entry of t that translates page maps inside part of it. all is the
// beginning of the table.
func (w *walker) entry(t table, all []byte, page, part virtRange) bool {
	at := entryAddr(t.addr, t.level, page.Start)
	var word uint64
	if off := int(at - t.addr); off+entrySize <= len(all) {
		word = binary.LittleEndian.Uint64(all[off:])
	} else if n, err := w.behind(at, &word); err != nil {
		return w.lost(part, at+vmem.PhysAddr(n), t.level, 0, err)
	}
	if word == 0 {
		return true
	}
	e := entry(word)
	to, err := w.t.decode(e, t.level, IsKernel(page.Start))
	if w.leaf != nil && (to.page || err != nil && geometry[t.level&7].page) {
		return w.leaf(w.pageEntry(leaf{e, t.level, to.addr, w.t.restrict(t.perms, e, t.level, page.Start)}, page, err))
	}
	switch {
	case errors.Is(err, vmem.ErrNotPresent):
		return true
	case err != nil:
		return w.lost(part, at, t.level, e, err)
	}
	perms := w.t.restrict(t.perms, e, t.level, page.Start)
	if to.page {
		return w.yield(leaf{e, t.level, to.addr, perms}.mapping(page.Start), nil)
	}
	if w.onPath(to.addr, t.level) {
		return w.lost(part, at, t.level, e, errTableLoop)
	}
	return w.table(table{to.addr, t.level - 1, page.Start, perms}, part)
}

// behind reads an entry that is not in the beginning of its table. It returns how many of
// its bytes can be read, and why not more.
func (w *walker) behind(at vmem.PhysAddr, word *uint64) (n int, err error) {
	if *word, err = w.t.phys.Word(at); err == nil {
		return entrySize, nil
	}
	have, _ := w.t.phys.View(at, entrySize)
	return len(have), err
}

// onPath reports whether the walk is inside the table at addr already, at level or
// above.
func (w *walker) onPath(addr vmem.PhysAddr, level int) bool {
	for ; level <= w.t.levels; level++ {
		if w.path[level] == addr {
			return true
		}
	}
	return false
}

// lost yields a fault by which part can't be walked.
func (w *walker) lost(part virtRange, at vmem.PhysAddr, level int, e entry, err error) bool {
	return w.yield(vmem.Mapping{Range: part}, &vmem.Fault{Virt: part.Start, Phys: at, Level: level, Entry: uint64(e), Err: err})
}

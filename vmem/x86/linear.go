package x86

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// errElsewhere is wrong with an entry that leads elsewhere than a linear map does.
var errElsewhere = fmt.Errorf("%w: it leads elsewhere", vmem.ErrBadEntry)

// LinearDamage is how page tables differ from a linear map that they should make.
type LinearDamage struct {
	Tables []vmem.PhysAddr // those that were lost or have wrong entries, ascending
	Bytes  uint64          // of memory that they do not map, or elsewhere
	First  *vmem.Fault     // the first wrong entry; nil if there is none
}

// maxLowTables is how many tables of the lowest level a comparison reads: the direct map has
// few, unless the kernel was built to have all of it in small pages.
const maxLowTables = 4096

// CompareLinear compares the tables with a map that is known to be linear, where it is of
// physical memory in ram, which is ascending and disjoint. Pages that the kernel has taken
// out of the map on purpose (set_memory_np, KFENCE) are no damage: their entries still say
// where they were. Where all that is below a table is wrong, it is that table.
func (t *Tables) CompareLinear(m vmem.LinearMap, ram []vmem.Range[vmem.PhysAddr]) LinearDamage {
	c := comparison{t: t, m: m, low: maxLowTables}
	for _, r := range ram {
		r = r.Intersect(vmem.Range[vmem.PhysAddr]{Start: m.Phys, Size: m.Range.Size})
		if r.Size > 0 {
			c.parts = append(c.parts, virtRange{Start: m.Range.Start + vmem.VirtAddr(r.Start-m.Phys), Size: r.Size})
		}
	}
	root := table{addr: t.root, level: t.levels}
	if IsKernel(m.Range.Start) {
		root.base = -vmem.VirtAddr(spanSize(t.levels) << indexBits) // as if there were no hole
	}
	c.damage.Bytes, _ = c.table(root)
	slices.Sort(c.damage.Tables)
	c.damage.Tables = slices.Compact(c.damage.Tables)
	return c.damage
}

// A comparison is one that is under way.
type comparison struct {
	t      *Tables
	m      vmem.LinearMap
	parts  []virtRange // what is to be mapped, ascending
	low    int         // tables of the lowest level that may still be read
	damage LinearDamage
}

// wanted returns how many bytes in r are to be mapped.
func (c *comparison) wanted(r virtRange) (n uint64) {
	i, _ := vmem.SearchRanges(c.parts, r.Start)
	for ; i < len(c.parts) && c.parts[i].Start <= r.Last(); i++ {
		n += c.parts[i].Intersect(r).Size
	}
	return n
}

// table compares a table and those below it. It returns how many bytes are not mapped as
// they should be, and of how many.
func (c *comparison) table(t table) (wrong, of uint64) {
	if t.level == 1 {
		if c.low == 0 {
			return 0, 0
		}
		c.low--
	}
	before := len(c.damage.Tables)
	entries, lost, own := 0, 0, false
	size := spanSize(t.level)
	for i := range uint64(1) << indexBits {
		page := virtRange{Start: t.base + vmem.VirtAddr(i*size), Size: size}
		want := c.wanted(page)
		if want == 0 {
			continue
		}
		bad, self := c.entry(t, page, want)
		own = own || self
		entries++
		if bad == want {
			lost++
		}
		wrong, of = wrong+bad, of+want
	}
	all := entries > 1 && lost == entries
	if all {
		c.damage.Tables = c.damage.Tables[:before]
	}
	if all || own {
		c.damage.Tables = append(c.damage.Tables, t.addr)
	}
	return wrong, of
}

// entry compares the entry of t that translates page, where want bytes are to be mapped. It
// returns how many are not, and whether that is the entry's own fault.
func (c *comparison) entry(t table, page virtRange, want uint64) (wrong uint64, self bool) {
	at := entryAddr(t.addr, t.level, page.Start)
	word, err := c.t.phys.Word(at)
	if err != nil {
		c.lost(page, at, t.level, 0, err)
		return want, true
	}
	e := entry(word)
	to, err := c.t.decode(e, t.level, IsKernel(page.Start))
	switch {
	case errors.Is(err, vmem.ErrNotPresent) && c.takenOut(e, page):
		return 0, false
	case err == nil && to.page && !c.leads(to.addr, page):
		err = errElsewhere
	}
	switch {
	case err != nil:
		c.lost(page, at, t.level, e, err)
		return want, true
	case to.page:
		return 0, false
	}
	wrong, _ = c.table(table{addr: to.addr, level: t.level - 1, base: page.Start})
	return wrong, false
}

// leads reports whether the page belongs at addr.
func (c *comparison) leads(addr vmem.PhysAddr, page virtRange) bool {
	return addr == c.m.Phys+vmem.PhysAddr(page.Start-c.m.Range.Start)
}

// takenOut reports whether an entry without its present bit is of the page that belongs
// there: see decodeAbsent.
func (c *comparison) takenOut(e entry, page virtRange) bool {
	const large = bitPATLarge // may be set in large pages
	mask := addressBits &^ c.t.encryption &^ large
	want := entry(c.m.Phys+vmem.PhysAddr(page.Start-c.m.Range.Start)) & mask
	return e&^emptyBits != 0 && (e&mask == want || ^e&mask == want)
}

// lost notes the first wrong entry.
func (c *comparison) lost(page virtRange, at vmem.PhysAddr, level int, e entry, err error) {
	if c.damage.First == nil {
		c.damage.First = &vmem.Fault{Virt: page.Start, Phys: at, Level: level, Entry: uint64(e), Err: err}
	}
}

package consistency

import (
	"encoding/binary"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// The bits of page-table entries of x86-64 (Intel SDM, volume 3, "Paging").
const (
	entryPresent = 1 << 0
	entryLarge   = 1 << 7
	entryGlobal  = 1 << 8 // of one that is not present: _PAGE_PROTNONE
	entryAddress = 1<<52 - 1<<12

	entries     = 512 // of a table
	userEntries = 256 // of the top table: the half of the processes
	pageShift   = 12
	levelShift  = 9
	maxBad      = 4 // entries that lead nowhere, in one table: what follows is as likely none
)

// A tableCheck checks page tables.
type tableCheck struct {
	*checker
	phys   *vmem.Physical
	ranges []vmem.Range[vmem.PhysAddr] // that there are, with those that were left out on purpose
	levels int
	frame  uint64 // the bits of an entry that are an address
	pages  bool
	owners map[vmem.PhysAddr]vmem.VirtAddr // the mm of each table
	u      *userSpace
	bufs   [maxLevels + 1][vmem.PageSize]byte // the table of each level that is being checked
}

// maxLevels is how many levels page tables have at most.
const maxLevels = 5

func newTableCheck(c *checker, pages bool) *tableCheck {
	p := c.k.Physical()
	return &tableCheck{
		checker: c, phys: p, ranges: existing(p), levels: c.k.Info().PageTableLevels, pages: pages,
		frame: entryAddress &^ c.k.EncryptionMask(), owners: map[vmem.PhysAddr]vmem.VirtAddr{},
	}
}

// existing returns the memory that an image has, or left out on purpose: whatever was there, a
// page that was left out contradicts nothing.
func existing(mem vmem.Memory) []vmem.Range[vmem.PhysAddr] {
	m, ok := vmem.As[vmem.Excluding](mem)
	if !ok {
		return mem.Ranges()
	}
	return vmem.NormalizeRanges(slices.Concat(mem.Ranges(), m.Excluded()))
}

// check checks the tables of an address space.
func (c *tableCheck) check(u *userSpace, pgd vmem.VirtAddr) {
	f := pointer("pgd", u.mm, pgd)
	var root vmem.PhysAddr
	if f == nil {
		m, err := c.space.Translate(pgd)
		if err != nil {
			f = impossible("pgd of the mm_struct at %v can't be read", u.mm)
		}
		root = m.At(pgd)
	}
	if f != nil {
		c.of(u.task, tables, u.mm, f)
		return
	}
	c.u = u
	if _, ok := vmem.SearchRanges(c.ranges, root); !ok {
		c.of(u.task, tables, u.mm, impossible("page table at %v, where there is no memory", root))
		return
	}
	if c.own(root) {
		c.table(root, c.levels, 0)
	}
}

// own notes whose table that is, and reports whether it is of this address space alone.
func (c *tableCheck) own(table vmem.PhysAddr) bool {
	owner, taken := c.owners[table]
	var f *fault
	if taken {
		f = torn("page table at %v is of the mm_structs at %v and %v", table, owner, c.u.mm)
	} else {
		c.owners[table] = c.u.mm
	}
	c.of(c.u.task, tableParents, c.u.mm, f)
	return !taken
}

// table checks the table of a level that begins at a virtual address.
func (c *tableCheck) table(at vmem.PhysAddr, level int, base vmem.VirtAddr) {
	if _, ok := vmem.SearchRanges(c.phys.Ranges(), at); !ok {
		return // it was left out
	}
	data := c.bufs[min(max(level, 0), maxLevels)][:]
	if n, err := c.phys.ReadAt(data, int64(at)); err != nil || n < vmem.PageSize {
		c.of(c.u.task, tables, c.u.mm, impossible("page table at %v can't be read", at))
		return
	}
	n := entries
	if level == c.levels {
		n = userEntries
	}
	size := uint64(1) << (pageShift + levelShift*(level-1))
	var bad *fault
	for i, wrong := 0, 0; i < n && wrong < maxBad; i++ {
		e := binary.LittleEndian.Uint64(data[i*8:])
		if e == 0 {
			continue
		}
		f := c.entry(e, level, vmem.Range[vmem.VirtAddr]{Start: base + vmem.VirtAddr(uint64(i)*size), Size: size})
		if f != nil {
			wrong++
			if bad == nil {
				bad = f
			}
		}
	}
	c.of(c.u.task, tables, c.u.mm, bad)
}

// entry checks what an entry leads to, and returns what is wrong with it by itself.
func (c *tableCheck) entry(e uint64, level int, part vmem.Range[vmem.VirtAddr]) *fault {
	if level == 1 {
		if e&entryPresent != 0 || e&entryGlobal != 0 {
			c.mapped(pagesOfMappings, part)
		}
		return nil
	}
	if e&entryPresent == 0 {
		return nil // of a page that is elsewhere
	}
	if level <= 2 {
		c.mapped(tablesOfMappings, part)
	}
	if level <= 3 && e&entryLarge != 0 {
		return nil
	}
	next := vmem.PhysAddr(e & c.frame)
	if _, ok := vmem.SearchRanges(c.ranges, next); !ok {
		return impossible("page table entry of %v leads to %v, where there is no memory", part.Start, next)
	}
	if c.own(next) && (level > 2 || c.pages) {
		c.table(next, level-1, part.Start)
	}
	return nil
}

// mapped checks that something is mapped where a page or a table is.
func (c *tableCheck) mapped(i id, part vmem.Range[vmem.VirtAddr]) {
	if !c.u.whole {
		return
	}
	var f *fault
	if !c.u.maps(part) {
		f = torn("the mm_struct at %v has pages from %v on, where nothing is mapped", c.u.mm, part.Start)
	}
	c.of(c.u.task, i, c.u.mm, f)
}

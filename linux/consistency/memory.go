package consistency

import (
	"slices"
	"sort"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A userSpace is what is known of the address space of a process.
type userSpace struct {
	mm    vmem.VirtAddr
	task  *task                       // that has it
	areas []vmem.Range[vmem.VirtAddr] // that are mapped, ascending
	whole bool                        // these are all
}

// checkMemory checks each address space of a process: its mappings and page tables.
func (c *checker) checkMemory(pages bool) {
	if !c.views.mm.Ok() || !c.views.area.Ok() {
		return
	}
	seen := map[vmem.VirtAddr]bool{0: true}
	tables := newTableCheck(c, pages)
	for _, t := range c.tasks {
		if seen[t.MM] || c.ctx.Err() != nil {
			continue
		}
		seen[t.MM] = true
		f := pointer("mm", t.addr, t.MM)
		var s mmStruct
		if f == nil && c.views.mm.Read(c.space, t.MM, &s) != nil {
			f = impossible("mm_struct at %v can't be read", t.MM)
		}
		if f != nil {
			c.of(t, mappingCounts, t.addr, f)
			continue
		}
		u := &userSpace{mm: t.MM, task: t, whole: true}
		c.checkAreas(u, &s)
		tables.check(u, s.PGD)
	}
}

// checkAreas checks the mappings of an address space, and lists them.
func (c *checker) checkAreas(u *userSpace, s *mmStruct) {
	n := 0
	if c.views.mm.Has("Tree") {
		n = c.treeAreas(u, s.Tree)
	} else if c.views.mm.Has("First") {
		n = c.listAreas(u, s.First)
	}
	var f *fault
	if n != int(s.Count) {
		u.whole = false
		f = torn("mm_struct at %v has %d mappings, map_count says %d", u.mm, n, s.Count)
		if s.Count < 0 {
			f.impossible = true
		}
	}
	c.of(u.task, mappingCounts, u.mm, f)
	if !slices.IsSortedFunc(u.areas, func(a, b vmem.Range[vmem.VirtAddr]) int {
		if a.Last() < b.Start {
			return -1
		}
		return 1
	}) {
		u.areas = vmem.NormalizeRanges(u.areas)
	}
}

// treeAreas checks the mappings in a maple tree, and returns how many there are.
func (c *checker) treeAreas(u *userSpace, tree vmem.VirtAddr) (n int) {
	if c.left.areas <= 0 {
		u.whole = false
		c.of(u.task, mappings, u.mm, unread("mappings of the mm_struct", u.mm))
		return 0
	}
	foreign := 0
	w := c.k.Objects().Walk(c.ctx, &kstruct.WalkOptions{Object: "mappings", Nodes: c.left.areas})
	for e, err := range w.Maple(tree) {
		switch {
		case err != nil:
			u.whole = false
			c.of(u.task, mappings, u.mm, walked("mappings of the mm_struct", u.mm, err))
			continue
		case e.Kind != kstruct.PointerEntry:
			continue
		}
		n++
		a, f := c.areaAt(u, e.Ptr)
		if f != nil {
			foreign++
		}
		if f == nil && (uint64(a.Start) != e.First || uint64(a.End)-1 != e.Last) {
			f = torn("mapping at %v is [%v, %v), its place [%#x, %#x]", e.Ptr, a.Start, a.End, e.First, e.Last)
		}
		c.of(u.task, mappings, u.mm, f)
		u.areas = append(u.areas, vmem.Range[vmem.VirtAddr]{Start: vmem.VirtAddr(e.First), Size: e.Last - e.First + 1})
		if !spend(&c.left.areas) || foreign == n && n >= maxStrangers {
			u.whole = false
			break
		}
	}
	return n
}

// listAreas checks the mappings in a list, and returns how many there are.
func (c *checker) listAreas(u *userSpace, at vmem.VirtAddr) (n int) {
	last := vmem.VirtAddr(0)
	for ; at != 0 && spend(&c.left.areas); n++ {
		a, f := c.areaAt(u, at)
		if f == nil && n > 0 && a.Start < last {
			f = torn("mapping at %v begins at %v, before the one before it ends", at, a.Start)
		}
		c.of(u.task, mappings, u.mm, f)
		if f != nil {
			u.whole = false
			break
		}
		u.areas = append(u.areas, vmem.Range[vmem.VirtAddr]{Start: a.Start, Size: uint64(a.End - a.Start)})
		last, at = a.End, a.Next
	}
	return n
}

// areaAt reads a mapping, and says what is wrong with it alone.
func (c *checker) areaAt(u *userSpace, at vmem.VirtAddr) (a area, f *fault) {
	if f = pointer("mapping", u.mm, at); f != nil {
		return a, f
	}
	switch err := c.views.area.Read(c.space, at, &a); {
	case err != nil:
		f = impossible("mapping at %v can't be read", at)
	case a.End <= a.Start || (a.Start|a.End)%vmem.PageSize != 0:
		f = impossible("mapping at %v is [%v, %v)", at, a.Start, a.End)
	case a.MM != u.mm:
		f = torn("mapping at %v is of the mm_struct at %v, not of %v", at, a.MM, u.mm)
	}
	return a, f
}

// maps reports whether something is mapped in a range.
func (u *userSpace) maps(r vmem.Range[vmem.VirtAddr]) bool {
	i := sort.Search(len(u.areas), func(i int) bool { return u.areas[i].Last() >= r.Start })
	return i < len(u.areas) && u.areas[i].Start <= r.Last()
}

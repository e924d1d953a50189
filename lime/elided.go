package lime

import "github.com/nodelens/nodelens/vmem"

// Elided returns the memory that AVML left out of the image because it held only zeros,
// ascending. The file does not say which that is: ram must be the ranges of RAM that AVML
// saw, ascending, which are those that /proc/iomem calls "System RAM" and that lie in no
// other resource, each by itself with its true end. The kernel in the image knows them.
//
// Only what is certain is returned. AVML divides each range of RAM into blocks of 16 MiB
// (MAX_BLOCK_SIZE in its src/image.rs) and leaves out whole blocks. So there are none
//
//   - if any record is no such block, or is not behind the one before: then another
//     writer, or an older AVML, may have left out anything;
//   - of a LiME image whose ranges are not divided: LiME leaves nothing out;
//   - behind the last record, or the first that is damaged: what follows may be lost;
//   - in ranges of RAM of which the image has nothing: AVML may not have seen them;
//   - where a range begins or ends, in what AVML may not have read: the parts of pages;
//     the last byte, for it takes inclusive ends for exclusive ones; the last page, if it
//     read /dev/crash. Other ranges may show that it has read these.
func (f *File) Elided(ram []vmem.Range[vmem.PhysAddr]) []vmem.Range[vmem.PhysAddr] {
	g := grid{ram: ram, seen: make([]bool, len(ram)), lost: vmem.PageSize}
	for _, r := range f.whole {
		if !g.add(r) {
			return nil
		}
	}
	if !f.avml && !g.divided {
		return nil
	}
	var zeros []vmem.Range[vmem.PhysAddr]
	for i, r := range ram {
		if r = g.claim(r); g.seen[i] && r.Size > 0 {
			zeros = append(zeros, vmem.SubtractRanges(r, f.Ranges())...)
		}
	}
	return zeros
}

// A grid checks that records are AVML's blocks of ranges of RAM.
type grid struct {
	ram     []vmem.Range[vmem.PhysAddr]
	seen    []bool        // the ranges of which there are records
	divided bool          // there are two records of one range
	lost    uint64        // bytes that AVML did not read at the end of a range that ends with a page
	top     vmem.PhysAddr // the last address of all records
}

// add reports whether a record is a block, and comes after all before it.
func (g *grid) add(r vmem.Range[vmem.PhysAddr]) bool {
	i, ok := vmem.SearchRanges(g.ram, r.Start)
	if !ok || !g.ram[i].ContainsRange(r) || g.top > 0 && r.Start <= g.top {
		return false
	}
	m := g.ram[i]
	rest := uint64(m.Last() - r.Last()) // behind the record, in the range
	if !onGrid(m, r.Start) || r.Size > maxZeros || r.Size < maxZeros && rest > vmem.PageSize {
		return false
	}
	if rest < 2 {
		g.lost = min(g.lost, rest)
	}
	g.divided = g.divided || g.seen[i]
	g.seen[i], g.top = true, r.Last()
	return true
}

// onGrid reports whether a block of the range m may begin at a. If it does not begin with
// a page it may have been read from the first whole page on.
func onGrid(m vmem.Range[vmem.PhysAddr], a vmem.PhysAddr) bool {
	first := pageUp(m.Start)
	return (a-m.Start)%maxZeros == 0 || a >= first && (a-first)%maxZeros == 0
}

func pageUp(a vmem.PhysAddr) vmem.PhysAddr { return (a + vmem.PageSize - 1) &^ (vmem.PageSize - 1) }

// claim returns the part of a range of RAM that AVML has read for certain, up to the last
// record.
func (g *grid) claim(m vmem.Range[vmem.PhysAddr]) vmem.Range[vmem.PhysAddr] {
	first, end := pageUp(m.Start), m.Last()+1
	switch {
	case end%vmem.PageSize == 0:
		end -= vmem.PhysAddr(g.lost)
	case g.lost > 0:
		end &^= vmem.PageSize - 1
	}
	if end = min(end, g.top+1); end <= first {
		return vmem.Range[vmem.PhysAddr]{}
	}
	return vmem.Range[vmem.PhysAddr]{Start: first, Size: uint64(end - first)}
}

package linux

import (
	"encoding/binary"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// The direct map begins at a multiple of this: kernel_randomize_memory in arch/x86/mm/kaslr.c
// goes by PUD_SIZE.
const directMapAlign = 1 << 30

const (
	// enoughLists is how many lists have to bear out where the direct map is.
	enoughLists = 2
	// manyLists is how many votes end a search, and maxListHeads how many words are taken for
	// pointers of list heads in one.
	manyLists, maxListHeads = 64, 1 << 16
)

// A directMapFinder finds where a kernel maps physical address 0. It needs no page tables: a
// list whose head is in the kernel's image leads into the direct map, and its first node,
// wherever it is in physical memory, leads back.
type directMapFinder struct {
	*finder
	l   *location
	end vmem.PhysAddr // of memory, exclusive
}

// directMap returns where the direct map of the kernel at l begins, borne out by lists that
// lead there and back. With page_offset_base, where it is told, comes what is wrong with it.
func (f *finder) directMap(l *location, image vmem.LinearMap) (base vmem.VirtAddr, told, err error) {
	d := f.newDirectMapFinder(l)
	base, told = d.told()
	if told == nil && d.bearOut(base) {
		return base, nil, nil
	}
	voted, err := d.vote(image)
	switch {
	case err != nil:
		return 0, told, err
	case told == nil && voted != base:
		told = fmt.Errorf("%w: %v, and lists lead to %v", kstruct.ErrCorrupt, base, voted)
	}
	return voted, told, nil
}

func (f *finder) newDirectMapFinder(l *location) *directMapFinder {
	d := &directMapFinder{f, l, 0}
	if ranges := f.phys.Ranges(); len(ranges) > 0 {
		d.end = ranges[len(ranges)-1].Last() + 1
	}
	return d
}

// told returns page_offset_base, or what it is without KASLR where there is no such variable.
func (d *directMapFinder) told() (vmem.VirtAddr, error) {
	at := d.addressOf(d.l, "page_offset_base")
	switch {
	case at == 0 && d.l.levels == 5:
		return directMapL5, nil
	case at == 0:
		return directMapL4, nil
	}
	v, err := d.phys.Uint64(d.l.phys(uint64(at)))
	if err == nil && !isDirectMap(v) {
		err = fmt.Errorf("%w: %#x", kstruct.ErrCorrupt, v)
	}
	return vmem.VirtAddr(v), err
}

// isDirectMap reports whether the direct map can begin at v.
func isDirectMap(v uint64) bool {
	return v%directMapAlign == 0 && x86.IsObject(vmem.VirtAddr(v)) && v < startKernelMap
}

// bearOut reports whether the lists that init_task is on lead to base and back.
func (d *directMapFinder) bearOut(base vmem.VirtAddr) bool {
	init, err := d.symbols.Symbol("init_task")
	if err != nil {
		return false
	}
	votes := 0
	at := vmem.VirtAddr(init.Address + d.l.shift)
	for _, m := range []kstruct.Member{d.views.idle.tasks, d.views.idle.children} {
		if !m.Ok() {
			continue
		}
		for _, other := range []vmem.PhysAddr{8, 0} { // of the other pointer in the node
			to, err := d.phys.Uint64(d.l.phys(uint64(m.Of(at))) + 8 - other)
			if err == nil && d.leadsBack(to-uint64(base), other, m.Of(at)) {
				votes++
			}
		}
	}
	return votes >= enoughLists
}

// leadsBack reports whether the node at pa has the address of its head at an offset.
func (d *directMapFinder) leadsBack(pa uint64, off vmem.PhysAddr, head vmem.VirtAddr) bool {
	if pa >= uint64(d.end) {
		return false
	}
	v, err := d.phys.Uint64(vmem.PhysAddr(pa) + off)
	return err == nil && v == uint64(head)
}

// vote looks for lists all over the kernel's image.
func (d *directMapFinder) vote(image vmem.LinearMap) (vmem.VirtAddr, error) {
	votes := map[vmem.VirtAddr]int{}
	total, heads := 0, 0
	var best vmem.VirtAddr
	for off := uint64(0); off < image.Range.Size && total < manyLists && heads < maxListHeads; off += vmem.PageSize {
		page, _ := d.phys.View(image.Phys+vmem.PhysAddr(off), vmem.PageSize)
		for i := 0; i+8 <= len(page); i += 8 {
			next := binary.LittleEndian.Uint64(page[i:])
			if next >= startKernelMap || !x86.IsObject(vmem.VirtAddr(next)) {
				continue
			}
			heads++
			head := image.Range.Start + vmem.VirtAddr(off) + vmem.VirtAddr(i)
			for pa := next % directMapAlign; pa < uint64(d.end); pa += directMapAlign {
				if !isDirectMap(next-pa) || !d.leadsBack(pa, 8, head) {
					continue
				}
				base := vmem.VirtAddr(next - pa)
				total++
				if votes[base]++; votes[base] > votes[best] {
					best = base
				}
			}
		}
	}
	if votes[best] < enoughLists || votes[best]*3 < total*2 {
		return 0, fmt.Errorf("%w: of %d lists in the kernel's image that lead out of it and back, %d agree", kstruct.ErrCorrupt, total, votes[best])
	}
	return best, nil
}

package linux

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// The direct map of physical memory begins here unless KASLR has moved it
// (arch/x86/include/asm/page_64_types.h).
const (
	directMapL4 = x86.DirectMap4
	directMapL5 = x86.DirectMap5
)

// resourceBytes is the largest struct resource that is believed.
const resourceBytes = 256

// maxHits bounds how many words of a file are taken for pointers to iomem_resource.
const maxHits = 1 << 16

// A placeWalk walks the tree of resources through a file of which only parts have known
// addresses. Its entries that the kernel has allocated may be anywhere in it.
type placeWalk struct {
	*finder
	kernel *placed
	root   vmem.VirtAddr // iomem_resource
	direct uint64        // begin of the direct map
	shifts []int64       // of the parts whose addresses are known
	hits   []foundResource
	nodes  map[vmem.VirtAddr]bool
}

// A foundResource is an entry in the file.
type foundResource struct {
	resource
	offset int64
	name   vmem.VirtAddr
}

func (w *placeWalk) run(ctx context.Context, p *Placement) error {
	root, err := w.symbols.Symbol("iomem_resource")
	if err != nil {
		return err
	}
	if err := w.views.resource.err; err != nil {
		return err
	}
	w.root = vmem.VirtAddr(root.Address + w.kernel.location.shift)
	w.direct = w.directMap()
	first, ok := w.at(w.root, w.kernel.shift)
	if !ok {
		return fmt.Errorf("iomem_resource: %w", vmem.ErrNotCaptured)
	}
	if err := w.search(ctx); err != nil {
		return err
	}
	p.Places = append(p.Places, w.kernel.banner)
	p.Map = mapKernel
	if whole := w.siblings(p, w.root, first.child, 0); whole && len(p.RAM) > 0 {
		return nil
	}
	// The kernel allocates its map at the end of memory, so that it is the first to be
	// lost when a file is cut off.
	ram, err := w.firmwareRAM()
	if err != nil {
		return fmt.Errorf("%w: the map of memory is not whole, and the firmware's: %w", kstruct.ErrCorrupt, err)
	}
	p.RAM, p.Map, p.Places = ram, mapFirmware, []FilePlace{w.kernel.banner}
	return nil
}

// directMap returns the address at which the kernel maps physical address 0.
func (w *placeWalk) directMap() uint64 {
	if s, err := w.symbols.Symbol("page_offset_base"); err == nil {
		p := w.kernel.location.phys(s.Address + w.kernel.location.shift)
		if v, err := w.phys.Uint64(p - vmem.PhysAddr(w.kernel.shift)); err == nil {
			return v
		}
	}
	if w.kernel.location.levels == 5 {
		return directMapL5
	}
	return directMapL4
}

// search finds all that may be entries below the root, which hold its address.
func (w *placeWalk) search(ctx context.Context) error {
	off, _ := w.views.resource.resource.Offset("Parent")
	parent := vmem.PhysAddr(off)
	err := w.scan(ctx, wordBytes(uint64(w.root)), func(hit vmem.PhysAddr) bool {
		if r, ok := w.read(hit - parent); ok && hit >= parent {
			w.hits = append(w.hits, r)
		}
		return len(w.hits) < maxHits
	})
	slices.SortFunc(w.hits, func(a, b foundResource) int {
		return cmp.Or(cmp.Compare(a.Range.Start, b.Range.Start), cmp.Compare(a.offset, b.offset))
	})
	return err
}

// read reads what may be an entry at an offset of the file.
func (w *placeWalk) read(off vmem.PhysAddr) (foundResource, bool) {
	v := w.views.resource.resource
	var buf [resourceBytes]byte
	if v.Span() > resourceBytes {
		return foundResource{}, false
	}
	data := buf[:v.Span()]
	var s resourceStruct
	if _, err := w.phys.ReadAt(data, int64(off)); err != nil || v.Decode(data, 0, &s) != nil {
		return foundResource{}, false
	}
	return foundResource{newResource(&s), int64(off), s.Name}, s.Start <= s.End
}

// physical returns where the kernel has an address of its image or its direct map.
func (w *placeWalk) physical(a vmem.VirtAddr) vmem.PhysAddr {
	if uint64(a) >= startKernelMap {
		return w.kernel.location.phys(uint64(a))
	}
	return vmem.PhysAddr(uint64(a) - w.direct)
}

// at reads an entry by its address, in a part of the file that has such a shift.
func (w *placeWalk) at(a vmem.VirtAddr, shift int64) (foundResource, bool) {
	off := int64(w.physical(a)) - shift
	if off < 0 || !plausible(a) {
		return foundResource{}, false
	}
	return w.read(vmem.PhysAddr(off))
}

// siblings adds what is RAM of the entry at address a and those that follow it. It reports
// whether these are all; what can't be found ends it.
func (w *placeWalk) siblings(p *Placement, parent, a vmem.VirtAddr, depth int) bool {
	last := vmem.PhysAddr(0)
	for a != 0 {
		r, ok := w.find(parent, a, last)
		if !ok || w.nodes[a] || len(w.nodes) == maxResources || depth > maxResourceDepth {
			return false
		}
		w.nodes[a] = true
		p.Places = append(p.Places, FilePlace{r.offset, w.physical(a)})
		r.Name, r.Depth = w.text(r.name), depth
		if len(memmap.SystemRAM([]memmap.Resource{r.Resource})) > 0 {
			p.RAM = append(p.RAM, r.Resource)
		} else if !w.siblings(p, a, r.child, depth+1) {
			return false
		}
		a, last = r.sibling, r.Range.Last()
	}
	return true
}

// find returns the entry at address a, which has the given parent and lies behind the
// address last. Where it is in the file is known if it is in a part that is known, or may
// be told by its contents.
func (w *placeWalk) find(parent, a vmem.VirtAddr, last vmem.PhysAddr) (foundResource, bool) {
	for _, shift := range w.shifts {
		if r, ok := w.at(a, shift); ok && r.parent == parent {
			return r, true
		}
	}
	if parent != w.root || uint64(a) >= startKernelMap {
		return foundResource{}, false
	}
	for _, r := range w.hits {
		shift := int64(w.physical(a)) - r.offset
		// No layout of memory in a file has it nearer to the end than it belongs.
		if shift < 0 || last > 0 && r.Range.Start <= last || !w.leadsOn(r, shift) {
			continue
		}
		w.shifts = append(w.shifts, shift)
		return r, true
	}
	return foundResource{}, false
}

// leadsOn reports whether the entry that follows r is one too, if r is in a part of the
// file of the given shift.
func (w *placeWalk) leadsOn(r foundResource, shift int64) bool {
	if r.sibling == 0 {
		return true
	}
	for _, s := range append(slices.Clip(w.shifts), shift) {
		if next, ok := w.at(r.sibling, s); ok && next.parent == w.root && next.Range.Start > r.Range.Last() {
			return true
		}
	}
	return false
}

// text reads a name.
func (w *placeWalk) text(a vmem.VirtAddr) string {
	for _, shift := range w.shifts {
		b := make([]byte, maxResourceName)
		n, _ := w.phys.ReadAt(b, int64(w.physical(a))-shift)
		if s, _, ok := strings.Cut(string(b[:n]), "\x00"); ok && strings.HasPrefix(s, "System RAM") {
			return s
		}
	}
	return ""
}

package linux

import (
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

const (
	// maxResources bounds the walk: large servers have some thousands.
	maxResources = 1 << 16
	// maxResourceDepth is how deep resources lie in one another; /proc/iomem shows 5.
	maxResourceDepth = 32
	// maxResourceName bounds a name, in bytes.
	maxResourceName = 256
)

// resourceLayout is struct resource of include/linux/ioport.h.
type resourceLayout struct {
	start, end, name, parent, sibling, child field
}

func newResourceLayout(r resolver) resourceLayout {
	return resourceLayout{
		start: r.opt("resource", "start"), end: r.opt("resource", "end"), name: r.opt("resource", "name"),
		parent: r.opt("resource", "parent"), sibling: r.opt("resource", "sibling"), child: r.opt("resource", "child"),
	}
}

func (l *resourceLayout) ok() bool {
	return l.start.ok() && l.end.ok() && l.name.ok() && l.parent.ok() && l.sibling.ok() && l.child.ok()
}

// A resource is a node of the tree of resources.
type resource struct {
	memmap.Resource
	parent, sibling, child vmem.VirtAddr
}

// IOMem walks the kernel's map of physical addresses (iomem_resource of kernel/resource.c)
// and yields who has which, in the order and with the names of /proc/iomem; of these,
// [memmap.SystemRAM] selects the memory. An error is a [vmem.Gap]: a part of the tree that can't
// be read or contradicts itself, and is left out.
func (k *Kernel) IOMem() iter.Seq2[memmap.Resource, error] {
	return func(yield func(memmap.Resource, error) bool) {
		root, err := k.Symbol("iomem_resource")
		if err == nil && !k.layout.resource.ok() {
			err = kstruct.ErrUnsupported
		}
		if err != nil {
			yield(memmap.Resource{}, newGap("iomem", root, err))
			return
		}
		r := k.reader()
		first := r.ptr(root, k.layout.resource.child)
		if r.err != nil {
			yield(memmap.Resource{}, newGap("iomem", root, r.err))
			return
		}
		w := resourceWalk{k: k, seen: map[vmem.VirtAddr]bool{root: true}, yield: yield}
		w.siblings(root, first, 0)
	}
}

// A resourceWalk goes through the tree, each child before the next sibling.
type resourceWalk struct {
	k     *Kernel
	seen  map[vmem.VirtAddr]bool
	yield func(memmap.Resource, error) bool
}

// siblings yields the resource at addr and those that follow it, with all that lie in
// them. It reports whether to go on.
func (w *resourceWalk) siblings(parent, addr vmem.VirtAddr, depth int) bool {
	for addr != 0 {
		gap := w.step(addr, depth)
		if gap != nil {
			return w.yield(memmap.Resource{}, gap)
		}
		r, err := w.k.resource(addr)
		if err == nil && r.parent != parent {
			err = errPointer("parent", r.parent)
		}
		if err != nil {
			return w.yield(memmap.Resource{}, newGap("iomem", addr, err))
		}
		r.Depth = depth
		if !w.yield(r.Resource, nil) || !w.siblings(addr, r.child, depth+1) {
			return false
		}
		addr = r.sibling
	}
	return true
}

// step counts the resource at addr, and returns a Gap if the walk must not go there.
func (w *resourceWalk) step(addr vmem.VirtAddr, depth int) error {
	switch {
	case !plausible(addr):
		return newGap("iomem", addr, errPointer("resource", addr))
	case w.seen[addr]:
		return newGap("iomem", addr, kstruct.ErrCycle)
	case len(w.seen) > maxResources || depth > maxResourceDepth:
		return newGap("iomem", addr, kstruct.ErrTooLong)
	}
	w.seen[addr] = true
	return nil
}

// resource reads the resource at addr.
func (k *Kernel) resource(addr vmem.VirtAddr) (resource, error) {
	l, r := &k.layout.resource, k.reader()
	start, end, name := r.u64(addr, l.start), r.u64(addr, l.end), r.ptr(addr, l.name)
	n := resource{parent: r.ptr(addr, l.parent), sibling: r.ptr(addr, l.sibling), child: r.ptr(addr, l.child)}
	n.Name = "<BAD>" // as r_show has it
	if name != 0 {
		n.Name = r.cstring(name, maxResourceName)
	}
	if r.err == nil && (end < start || end-start == ^uint64(0)) {
		return n, gapf("iomem", addr, kstruct.ErrCorrupt, "a resource from %#x to %#x", start, end)
	}
	n.Range = vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(start), Size: end - start + 1}
	return n, r.err
}

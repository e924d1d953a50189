package linux

import (
	"context"
	"iter"

	"github.com/nodelens/nodelens/isf"
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

// A resourceStruct is struct resource (include/linux/ioport.h).
type resourceStruct struct {
	Start   uint64        `kernel:"start"`
	End     uint64        `kernel:"end"` // inclusive
	Name    vmem.VirtAddr `kernel:"name"`
	Parent  vmem.VirtAddr `kernel:"parent"`
	Sibling vmem.VirtAddr `kernel:"sibling"`
	Child   vmem.VirtAddr `kernel:"child"`
}

type resourceViews struct {
	resource *kstruct.View[resourceStruct]
	err      error
}

func bindResource(types *isf.File) (v resourceViews) {
	b := kstruct.NewBinder(types)
	v.resource = kstruct.Bind[resourceStruct](b, "resource")
	v.err = b.Err()
	return v
}

// A resource is a node of the tree of resources.
type resource struct {
	memmap.Resource
	parent, sibling, child vmem.VirtAddr
}

// IOMem walks the kernel's map of physical addresses (iomem_resource of kernel/resource.c)
// and yields who has which, in the order and with the names of /proc/iomem; of these,
// [memmap.SystemRAM] selects the memory. An error is a [vmem.Gap]: a part of the tree that
// can't be read or contradicts itself, and is left out. The context's own error ends it.
func (k *Kernel) IOMem(ctx context.Context) iter.Seq2[memmap.Resource, error] {
	return k.resources(ctx, "iomem", "iomem_resource")
}

// IOPorts walks the kernel's map of I/O ports (ioport_resource of kernel/resource.c), in the order and with the names
// of /proc/ioports. The ranges are of ports and not of memory. Errors are as of [Kernel.IOMem].
func (k *Kernel) IOPorts(ctx context.Context) iter.Seq2[memmap.Resource, error] {
	return k.resources(ctx, "ioports", "ioport_resource")
}

// resources walks the tree of resources whose root a symbol names.
func (k *Kernel) resources(ctx context.Context, object, symbol string) iter.Seq2[memmap.Resource, error] {
	return func(yield func(memmap.Resource, error) bool) {
		k.refresh()
		root, err := k.Symbol(symbol)
		if err == nil {
			err = k.views.resource.err
		}
		if err != nil {
			yield(memmap.Resource{}, newGap(object, root, err))
			return
		}
		r, err := k.views.resource.resource.Load(k.space, root)
		if err != nil {
			yield(memmap.Resource{}, newGap(object, root, err))
			return
		}
		w := resourceWalk{k: k, ctx: ctx, object: object, seen: map[vmem.VirtAddr]bool{root: true}, yield: yield}
		w.siblings(root, r.Child, 0)
	}
}

// A resourceWalk goes through the tree, each child before the next sibling.
type resourceWalk struct {
	k      *Kernel
	ctx    context.Context //nolint:containedctx // it lives as long as one call
	object string
	seen   map[vmem.VirtAddr]bool
	yield  func(memmap.Resource, error) bool
}

// siblings yields the resource at addr and those that follow it, with all that lie in
// them. It reports whether to go on.
func (w *resourceWalk) siblings(parent, addr vmem.VirtAddr, depth int) bool {
	for addr != 0 {
		if err := w.ctx.Err(); err != nil {
			w.yield(memmap.Resource{}, err)
			return false
		}
		if gap := w.step(addr, depth); gap != nil {
			return w.yield(memmap.Resource{}, gap)
		}
		r, err := w.k.resource(w.object, addr)
		if err == nil && r.parent != parent {
			err = errPointer("parent", r.parent)
		}
		if err != nil {
			return w.yield(memmap.Resource{}, newGap(w.object, addr, err))
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
		return newGap(w.object, addr, errPointer("resource", addr))
	case w.seen[addr]:
		return newGap(w.object, addr, kstruct.ErrCycle)
	case len(w.seen) > maxResources || depth > maxResourceDepth:
		return newGap(w.object, addr, kstruct.ErrTooLong)
	}
	w.seen[addr] = true
	return nil
}

// resource reads the resource at addr.
func (k *Kernel) resource(object string, addr vmem.VirtAddr) (resource, error) {
	s, err := k.views.resource.resource.Load(k.space, addr)
	if err != nil {
		return resource{}, err
	}
	n := newResource(&s)
	n.Name = "<BAD>" // as r_show has it
	if s.Name != 0 {
		if n.Name, err = k.space.CString(s.Name, maxResourceName); err != nil {
			return n, err
		}
	}
	if s.End < s.Start || s.End-s.Start == ^uint64(0) {
		return n, gapf(object, addr, kstruct.ErrCorrupt, "a resource from %#x to %#x", s.Start, s.End)
	}
	return n, nil
}

// newResource returns a resource without its name.
func newResource(s *resourceStruct) resource {
	n := resource{parent: s.Parent, sibling: s.Sibling, child: s.Child}
	n.Range = vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(s.Start), Size: s.End - s.Start + 1}
	return n
}

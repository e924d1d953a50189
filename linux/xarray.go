package linux

import (
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

type xarrayLayout struct {
	head, idr                   field
	shift, count, parent, slots field
	width                       int // slots of a node: 64, or 16 with CONFIG_BASE_SMALL
}

func newXarrayLayout(r resolver) xarrayLayout {
	return xarrayLayout{
		idr:    r.need("idr", "idr_rt"),
		head:   r.need("xarray", "xa_head"),
		shift:  r.need("xa_node", "shift"),
		count:  r.need("xa_node", "count"),
		parent: r.need("xa_node", "parent"),
		slots:  r.need("xa_node", "slots"),
		width:  r.count("xa_node", "slots"),
	}
}

// An xaEntry is a pointer stored in an XArray, with its index.
type xaEntry struct {
	index uint64
	ptr   vmem.VirtAddr
}

// xarray walks an XArray or IDR (lib/xarray.c, include/linux/xarray.h) by ascending
// index and yields the pointers that it holds; value entries and reserved ones are
// passed over. A node that can't be read, or is reached twice, is a Gap; the rest
// is still walked.
func (k *Kernel) xarray(object string, xa vmem.VirtAddr) iter.Seq2[xaEntry, error] {
	return func(yield func(xaEntry, error) bool) {
		r := k.reader()
		head := r.ptr(xa, k.layout.xa.head)
		if r.err != nil {
			yield(xaEntry{}, newGap(object, xa, r.err))
			return
		}
		w := xaWalk{k: k, object: object, yield: yield, seen: map[vmem.VirtAddr]bool{}}
		w.entry(head, 0, 0, 64)
	}
}

type xaWalk struct {
	k      *Kernel
	object string
	yield  func(xaEntry, error) bool
	seen   map[vmem.VirtAddr]bool
}

// entry handles one slot whose parent has the shift above (64 for the head) and
// reports whether to go on.
func (w *xaWalk) entry(e, parent vmem.VirtAddr, index uint64, above uint) bool {
	switch {
	case e == 0 || e&3 == 1 || e&3 == 3: // empty, or a value entry (xa_is_value)
		return true
	case e&3 == 0:
		return w.yield(xaEntry{index, e}, nil)
	case e < 4096: // sibling, retry and zero entries (xa_is_internal, xa_is_node)
		return true
	}
	node := e - 2
	if !plausible(node) {
		return w.yield(xaEntry{}, newGap(w.object, parent, errPointer("xa_node", node)))
	}
	if w.seen[node] {
		return w.yield(xaEntry{}, gapf(w.object, node, kstruct.ErrCycle, "xa_node reached twice"))
	}
	w.seen[node] = true
	return w.node(node, parent, index, above)
}

func (w *xaWalk) node(node, parent vmem.VirtAddr, index uint64, above uint) bool {
	l := w.k.layout.xa
	r := w.k.reader()
	shift, up := uint(r.u8(node, l.shift)), r.ptr(node, l.parent)
	if r.err != nil {
		return w.yield(xaEntry{}, newGap(w.object, node, r.err))
	}
	if shift >= above || shift > 60 || up != parent {
		return w.yield(xaEntry{}, gapf(w.object, node, kstruct.ErrCorrupt, "xa_node with shift %d below shift %d, parent %v", shift, above, up))
	}
	for i := range l.width {
		e := r.ptr(node, l.slots+field(i*8))
		if r.err != nil {
			return w.yield(xaEntry{}, newGap(w.object, node, r.err))
		}
		if !w.entry(e, node, index|uint64(i)<<shift, shift) {
			return false
		}
	}
	return true
}

package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Node types of a maple tree (enum maple_type, include/linux/maple_tree.h).
const (
	mapleLeaf64   = 1
	mapleRange64  = 2
	mapleArange64 = 3
)

// maxMapleHeight bounds the descent; MAPLE_HEIGHT_MAX is 31.
const maxMapleHeight = 31

type mapleLayout struct {
	root, parent            field
	rangePivot, rangeSlot   field
	arangePivot, arangeSlot field
	rangeSlots, arangeSlots int
}

func newMapleLayout(r resolver) mapleLayout {
	return mapleLayout{
		root:        r.opt("maple_tree", "ma_root"),
		parent:      r.opt("maple_node", "parent"),
		rangePivot:  r.opt("maple_range_64", "pivot"),
		rangeSlot:   r.opt("maple_range_64", "slot"),
		rangeSlots:  r.count("maple_range_64", "slot"),
		arangePivot: r.opt("maple_arange_64", "pivot"),
		arangeSlot:  r.opt("maple_arange_64", "slot"),
		arangeSlots: r.count("maple_arange_64", "slot"),
	}
}

// mapleTree walks a maple tree of pointers by ascending index (lib/maple_tree.c). The
// pivots say which slots of a node are in use; what stands behind the last is stale.
func (k *Kernel) mapleTree(tree vmem.VirtAddr, each func(vmem.VirtAddr, error) bool) {
	l, r := &k.layout.maple, k.reader()
	if !l.root.ok() || !l.parent.ok() || l.rangeSlots == 0 || l.arangeSlots == 0 {
		each(tree, fmt.Errorf("%w: maple_node", kstruct.ErrUnsupported))
		return
	}
	root := r.ptr(tree, l.root)
	if r.err != nil {
		each(tree, r.err)
		return
	}
	w := mapleWalk{k: k, each: each, seen: map[vmem.VirtAddr]bool{}}
	if root&3 != 2 || root <= 4096 { // not a node (xa_is_node): empty, or one entry
		if root != 0 {
			each(root, nil)
		}
		return
	}
	w.node(root, tree, 0, ^uint64(0), 0)
}

type mapleWalk struct {
	k    *Kernel
	each func(vmem.VirtAddr, error) bool
	seen map[vmem.VirtAddr]bool
}

// node walks the encoded node pointer e, which covers the indices from lo to hi, both
// inclusive, and reports whether to go on.
func (w *mapleWalk) node(e, parent vmem.VirtAddr, lo, hi uint64, depth int) bool {
	addr, kind := e&^0xff, e>>3&0xf // MAPLE_NODE_MASK, MAPLE_NODE_TYPE_MASK and its shift
	l, r := &w.k.layout.maple, w.k.reader()
	up := r.ptr(addr, l.parent) &^ 0xff
	switch {
	case r.err != nil:
		return w.each(addr, r.err)
	case up != parent&^0xff:
		return w.each(addr, fmt.Errorf("%w: maple node with parent %v under %v", kstruct.ErrCorrupt, up, parent&^0xff))
	case w.seen[addr] || depth > maxMapleHeight:
		return w.each(addr, fmt.Errorf("%w: maple node", kstruct.ErrCycle))
	}
	w.seen[addr] = true
	pivot, slot, n := l.rangePivot, l.rangeSlot, l.rangeSlots
	switch kind {
	case mapleLeaf64, mapleRange64:
	case mapleArange64:
		pivot, slot, n = l.arangePivot, l.arangeSlot, l.arangeSlots
	default:
		return w.each(addr, fmt.Errorf("%w: maple node of type %d", kstruct.ErrCorrupt, kind))
	}
	for i := range n {
		last := hi
		if i < n-1 {
			if p := r.u64(addr, pivot+field(i*8)); p != 0 || i == 0 {
				last = min(p, hi)
			}
		}
		entry := r.ptr(addr, slot+field(i*8))
		if r.err != nil {
			return w.each(addr, r.err)
		}
		if !w.slot(entry, addr, kind == mapleLeaf64, lo, last, depth) {
			return false
		}
		if last >= hi {
			return true
		}
		if last < lo {
			return w.each(addr, fmt.Errorf("%w: maple node with pivot %#x below %#x", kstruct.ErrCorrupt, last, lo))
		}
		lo = last + 1
	}
	return true
}

// slot handles the entry for the indices from lo to hi. Entries below 4096 are empty
// or reserved (xa_is_zero and the like).
func (w *mapleWalk) slot(e, node vmem.VirtAddr, leaf bool, lo, hi uint64, depth int) bool {
	switch {
	case e <= 4096 || lo > hi:
		return true
	case !leaf:
		return w.node(e, node, lo, hi, depth+1)
	}
	return w.each(e, nil)
}

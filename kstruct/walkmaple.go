package kstruct

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// Node types of a maple tree (enum maple_type, include/linux/maple_tree.h). What 7.2
// has behind them (maple_copy) is never part of a tree.
const (
	mapleDense    = 0
	mapleLeaf64   = 1
	mapleRange64  = 2
	mapleArange64 = 3
	mapleTypes    = 4
)

// Of include/linux/maple_tree.h and lib/maple_tree.c.
const (
	mapleNodeSize   = 256        // MAPLE_NODE_MASK + 1: nodes are aligned to it
	mapleMaxHeight  = 31         // MAPLE_HEIGHT_MAX
	mapleAllocRange = 1          // MT_FLAGS_ALLOC_RANGE: inner nodes keep the largest gap below
	mapleHeight     = 0x7c       // MT_FLAGS_HEIGHT_MASK
	mapleRootParent = 1          // MA_ROOT_PARENT
	mapleParent     = 6          // MAPLE_PARENT_RANGE64, in the pointer to a parent
	mapleSlotShift  = 3          // MAPLE_PARENT_SLOT_SHIFT: and above it, the parent's slot
	maxIndex        = ^uint64(0) // of the last slot of a root
)

type mapleLayout struct {
	root, flags vmem.VirtAddr // maple_tree
	parent      int           // in any node
	nodes       [mapleTypes]mapleNodeLayout
}

// A mapleNodeLayout is where a node of some type has its arrays, as byte offsets.
type mapleNodeLayout struct {
	pivot, slot, gap, end int
	slots                 int
}

func resolveMaple(r *resolver) mapleLayout {
	return mapleLayout{
		root:   r.pointer("maple_tree", "ma_root"),
		flags:  r.sized("maple_tree", "ma_flags", 4),
		parent: r.inNode("maple_node", "parent", 8),
		nodes: [mapleTypes]mapleNodeLayout{
			mapleDense:    resolveDense(r),
			mapleLeaf64:   resolveRange(r, "maple_range_64"),
			mapleRange64:  resolveRange(r, "maple_range_64"),
			mapleArange64: resolveArange(r),
		},
	}
}

func resolveDense(r *resolver) (n mapleNodeLayout) {
	_, n.slots = r.words("maple_node", "slot", mapleNodeSize/8)
	n.slot = r.inNode("maple_node", "slot", uint64(n.slots)*8)
	return n
}

func resolveRange(r *resolver, typ string) (n mapleNodeLayout) {
	_, n.slots = r.words(typ, "slot", mapleNodeSize/8)
	if n.slots == 1 {
		r.refuse("%s has one slot", typ)
	}
	n.slot = r.inNode(typ, "slot", uint64(n.slots)*8)
	n.pivot = r.inNode(typ, "pivot", uint64(max(n.slots-1, 0))*8)
	n.end = r.inNode(typ, "meta.end", 1)
	return n
}

func resolveArange(r *resolver) mapleNodeLayout {
	n := resolveRange(r, "maple_arange_64")
	n.gap = r.inNode("maple_arange_64", "gap", uint64(n.slots)*8)
	return n
}

// inNode returns the offset of a member of a maple node that has to be of so many bytes.
func (r *resolver) inNode(typ, path string, size uint64) int {
	off := uint64(r.sized(typ, path, size))
	if off > mapleNodeSize || off+size > mapleNodeSize {
		r.refuse("%s.%s ends behind the node", typ, path)
		return 0
	}
	return int(off)
}

// Maple yields the entries of the struct maple_tree at tree by ascending index: mt_for_each
// of lib/maple_tree.c. Every entry comes once, with all its indices.
//
// Each node is verified: it must name the node and slot that lead to it, and its pivots
// must ascend. The pivots say which slots are in use; what stands behind the last is
// stale. A node that is of another tree, or can't be read, is a Gap; the rest is still
// walked. A tree that keeps gaps, as that of a process's VMAs does, has to have those
// gaps: an entry that was taken out of it without them is told.
//
// There are maple trees since 6.1.
func (w *Walk) Maple(tree vmem.VirtAddr) iter.Seq2[Entry, error] {
	return visiting(w, "maple tree", func(v *visit[Entry]) {
		l, err := w.space.layouts.maple.get(w.space.types, resolveMaple)
		if err != nil {
			v.lose(tree, err)
			return
		}
		root, err := v.pointer(tree + l.root)
		if err != nil {
			v.lose(tree, err)
			return
		}
		flags, err := v.mem.Uint32(tree + l.flags)
		if err != nil {
			v.lose(tree, err)
			return
		}
		m := mapleWalk{visit: v, layout: l, ranges: flags&mapleAllocRange != 0, height: int(flags & mapleHeight >> 2)}
		if isNode(root) {
			m.node(root, mapleSpan{up: tree | mapleRootParent, last: maxIndex, depth: 1})
			return
		}
		m.entry(root, tree, 0, 0)
	})
}

type mapleWalk struct {
	*visit[Entry]
	layout *mapleLayout
	ranges bool // nodes keep gaps
	height int  // of the tree, as it says
}

// A mapleSpan is what a node is known to be by the one that leads to it.
type mapleSpan struct {
	above       *mapleNode    // nil for the root
	up          vmem.VirtAddr // its parent pointer
	first, last uint64        // the indices, both inclusive
	depth       int           // 1 for the root
}

// A mapleNode is a node as it was read.
type mapleNode struct {
	mapleSpan
	mapleNodeLayout
	addr vmem.VirtAddr
	kind int
	data []byte // mapleNodeSize bytes, or those before the first that can't be read
}

func (n *mapleNode) leaf() bool { return n.kind <= mapleLeaf64 }

// word returns element i of the array at an offset, 0 if it was not read.
func (n *mapleNode) word(array, i int) uint64 {
	if off := array + 8*i; off+8 <= len(n.data) {
		return binary.LittleEndian.Uint64(n.data[off:])
	}
	return 0
}

func (n *mapleNode) entry(i int) vmem.VirtAddr { return vmem.VirtAddr(n.word(n.slot, i)) }

// lastOf returns the last index of slot i. That of the last slot is implied, and so is
// that behind the last pivot in use, which is 0.
func (n *mapleNode) lastOf(i int) uint64 {
	if n.kind == mapleDense {
		return n.first + uint64(i)
	}
	if i < n.slots-1 {
		if p := n.word(n.pivot, i); p != 0 || i == 0 {
			return p
		}
	}
	return n.last
}

// endsAt reports whether slot i is the last one in use by what the node says itself:
// ma_data_end.
func (n *mapleNode) endsAt(i int) bool {
	switch {
	case n.kind == mapleDense, n.kind != mapleArange64 && n.word(n.pivot, n.slots-2) != 0:
		return true // the pivots are all that says so
	}
	return int(n.data[n.end]) == i
}

// node walks the node that e leads to, and what is below it.
func (m *mapleWalk) node(e vmem.VirtAddr, s mapleSpan) {
	n := mapleNode{mapleSpan: s, addr: e &^ (mapleNodeSize - 1), kind: int(e >> 3 & 0xf)}
	if !m.step(n.addr) {
		return
	}
	err := m.load(&n)
	if err == nil {
		err = m.verifyParent(&n)
	}
	if err != nil {
		m.lose(n.addr, err)
		return
	}
	if n.leaf() != (s.depth == m.height) {
		m.lose(n.addr, fmt.Errorf("%w: maple node of type %d on level %d of a tree of %d", ErrCorrupt, n.kind, s.depth, m.height))
	}
	if gap, whole := m.slots(&n); whole && m.ranges && s.above != nil {
		m.verifyGap(&n, gap)
	}
}

// load reads a node.
func (m *mapleWalk) load(n *mapleNode) error {
	switch {
	case !plausible(n.addr):
		return errPointer("maple node", n.addr)
	case n.kind >= mapleTypes:
		return fmt.Errorf("%w: maple node of type %d", ErrCorrupt, n.kind)
	case n.depth > mapleMaxHeight:
		return fmt.Errorf("%w: maple tree of more than %d levels", ErrTooLong, mapleMaxHeight)
	}
	n.mapleNodeLayout = m.layout.nodes[n.kind]
	var err error
	if n.data, err = m.mem.View(n.addr, mapleNodeSize); err == nil && len(n.data) < m.layout.parent+8 {
		err = m.hole(n)
	}
	return err
}

// hole returns why a node can't be read to its end.
func (m *mapleWalk) hole(n *mapleNode) error {
	_, err := m.mem.Uint8(n.addr + vmem.VirtAddr(len(n.data)))
	return err
}

// verifyParent checks that a node names the node and the slot that lead to it. The error
// says why it is none of this place.
func (m *mapleWalk) verifyParent(n *mapleNode) error {
	up := vmem.VirtAddr(n.word(m.layout.parent, 0))
	if up == n.up {
		return nil
	}
	err := fmt.Errorf("%w: maple node with parent %v, reached from %v", ErrCorrupt, up, n.up)
	if n.above == nil || (up^n.up)&^(mapleNodeSize-1) != 0 {
		return err
	}
	if slot := int(up&(mapleNodeSize-1)) >> mapleSlotShift; slot < n.above.slots && n.above.entry(slot)&^(mapleNodeSize-1) == n.addr {
		return fmt.Errorf("%w: maple node in two slots", ErrCycle)
	}
	m.lose(n.addr, err) // it is in this node, if in another slot than it says
	return nil
}

// slots goes over the slots of a node. It returns the largest run of indices for which
// there is nothing, and whether the node was read whole.
func (m *mapleWalk) slots(n *mapleNode) (gap uint64, whole bool) {
	first, empty := n.first, uint64(0)
	for i := range n.slots {
		if n.slot+8*i+8 > len(n.data) || n.kind != mapleDense && n.pivot+8*min(i+1, n.slots-1) > len(n.data) {
			m.lose(n.addr, m.hole(n))
			return 0, false
		}
		e, last := n.entry(i), n.lastOf(i)
		if last < first || last > n.last {
			m.lose(n.addr, fmt.Errorf("%w: maple node with pivot %#x between %#x and %#x", ErrCorrupt, last, first, n.last))
			if last < first {
				return 0, false
			}
			last = n.last
		}
		switch {
		case e == 0:
			empty += last - first + 1
		case n.leaf():
			empty = 0
			m.entry(e, n.addr, first, last)
		default:
			empty = 0
			if m.ranges && n.kind == mapleArange64 {
				empty = n.word(n.gap, i)
			}
			up := n.addr | vmem.VirtAddr(i)<<mapleSlotShift | mapleParent
			m.node(e, mapleSpan{n, up, first, last, n.depth + 1})
		}
		gap = max(gap, empty)
		if m.over {
			return 0, false
		}
		if last == n.last {
			m.verifyEnd(n, i)
			return gap, true
		}
		first = last + 1
	}
	m.lose(n.addr, fmt.Errorf("%w: maple node that ends at %#x, not at %#x", ErrCorrupt, first-1, n.last))
	return 0, false
}

// verifyEnd checks that a node ends at slot i.
func (m *mapleWalk) verifyEnd(n *mapleNode, i int) {
	if len(n.data) == mapleNodeSize && !n.endsAt(i) {
		m.lose(n.addr, fmt.Errorf("%w: maple node of %d slots that should be %d", ErrCorrupt, i+1, int(n.data[n.end])+1))
	}
}

// verifyGap checks that the node above knows the largest run of indices below n for which
// there is nothing (mas_validate_gaps): it does not if an entry was taken out by hand.
func (m *mapleWalk) verifyGap(n *mapleNode, gap uint64) {
	slot := int(n.up&(mapleNodeSize-1)) >> mapleSlotShift
	if n.above.kind != mapleArange64 || len(n.above.data) < mapleNodeSize {
		return
	}
	if want := n.above.word(n.above.gap, slot); want != gap {
		m.lose(n.addr, fmt.Errorf("%w: maple node with a gap of %#x that should be %#x", ErrCorrupt, gap, want))
	}
}

// entry yields what a slot for the indices from first to last holds.
func (m *mapleWalk) entry(e, node vmem.VirtAddr, first, last uint64) {
	switch {
	case e == 0:
	case e&3 == xaInternal && e <= xaInternalMax && e != xaZero: // mt_is_reserved
		m.lose(node, fmt.Errorf("%w: entry %v in a maple tree", ErrCorrupt, e))
	default:
		m.give(newEntry(e, first, last))
	}
}

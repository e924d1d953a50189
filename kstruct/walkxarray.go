package kstruct

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"

	"github.com/nodelens/nodelens/vmem"
)

// maxXASlots is the largest XA_CHUNK_SIZE (include/linux/xarray.h): 64, or 16 with
// CONFIG_BASE_SMALL.
const maxXASlots = 64

type xarrayLayout struct {
	head, idr, base                            vmem.VirtAddr // xarray, idr
	shift, offset, count, parent, array, slots vmem.VirtAddr // xa_node

	width int  // slots of a node
	chunk uint // bits of an index that a node resolves
}

func resolveXArray(r *resolver) xarrayLayout {
	l := xarrayLayout{
		head:   r.pointer("xarray", "xa_head"),
		idr:    r.within("idr", "idr_rt"),
		base:   r.sized("idr", "idr_base", 4),
		shift:  r.sized("xa_node", "shift", 1),
		offset: r.sized("xa_node", "offset", 1),
		count:  r.sized("xa_node", "count", 1),
		parent: r.pointer("xa_node", "parent"),
		array:  r.pointer("xa_node", "array"),
	}
	l.slots, l.width = r.words("xa_node", "slots", maxXASlots)
	l.chunk = uint(bits.Len(uint(l.width)) - 1)
	if bits.OnesCount(uint(l.width)) != 1 || l.width < 2 {
		r.refuse("xa_node has %d slots", l.width)
	}
	return l
}

// XArray yields the entries of the struct xarray at xa by ascending index: xa_for_each of
// include/linux/xarray.h. An entry of several indices comes once, with all of them.
//
// Each node is verified: it must be of this array, one level below the node that leads to
// it, and name that and its slot. A node that is not, or can't be read, is a Gap; the rest
// is still walked. So is a node that does not hold as many entries as it says.
func (w *Walk) XArray(xa vmem.VirtAddr) iter.Seq2[Entry, error] {
	return w.xarray("xarray", xa, 0, ^uint64(0))
}

// XArrayRange is [Walk.XArray] for the entries that have an index from first to last. Only the nodes that lead to these are read.
func (w *Walk) XArrayRange(xa vmem.VirtAddr, first, last uint64) iter.Seq2[Entry, error] {
	return w.xarray("xarray", xa, first, last)
}

// RadixTree yields the entries of the struct radix_tree_root at root. Since 4.20 that is
// another name for an xarray, so this is [Walk.XArray]. The radix trees of kernels before
// have other nodes and are not supported.
func (w *Walk) RadixTree(root vmem.VirtAddr) iter.Seq2[Entry, error] {
	return w.xarray("radix tree", root, 0, ^uint64(0))
}

// IDR yields the pointers that the struct idr at idr gives to IDs, by ascending ID, which
// is both First and Last of each: idr_for_each_entry of lib/idr.c. An ID that is
// allocated and has no pointer yet is passed over. See [Walk.XArray] for what is verified.
func (w *Walk) IDR(idr vmem.VirtAddr) iter.Seq2[Entry, error] {
	return visiting(w, "IDR", func(v *visit[Entry]) {
		l, err := w.space.layouts.xarray.get(w.space.types, resolveXArray)
		if err != nil {
			v.lose(idr, err)
			return
		}
		base, err := v.mem.Uint32(idr + l.base)
		if err != nil {
			v.lose(idr, err)
			return
		}
		(&xaWalk{visit: v, layout: l, array: idr + l.idr, idr: true, base: uint64(base), last: ^uint64(0)}).run()
	})
}

func (w *Walk) xarray(kind string, xa vmem.VirtAddr, first, last uint64) iter.Seq2[Entry, error] {
	return visiting(w, kind, func(v *visit[Entry]) {
		l, err := w.space.layouts.xarray.get(w.space.types, resolveXArray)
		if err != nil {
			v.lose(xa, err)
			return
		}
		(&xaWalk{visit: v, layout: l, array: xa, first: first, last: last}).run()
	})
}

// An xaWalk goes over an array. That of an IDR counts otherwise, see verifyCount, and may
// hold pointers to what is not aligned.
type xaWalk struct {
	*visit[Entry]
	layout *xarrayLayout
	array  vmem.VirtAddr
	idr    bool
	base   uint64 // what is added to the indices of an IDR

	first, last uint64 // indices that are asked for
}

func (x *xaWalk) run() {
	head, err := x.pointer(x.array + x.layout.head)
	switch {
	case err != nil:
		x.lose(x.array, err)
	case isNode(head):
		x.node(head, nil, 0)
	case head == 0:
	case head&3 == xaInternal && head != xaZero:
		x.lose(x.array, fmt.Errorf("%w: reserved entry %v alone in an array", ErrCorrupt, head))
	case x.first == 0:
		x.entry(head, 0, 0)
	}
}

// An xaNode is a node of an array, as it was read.
type xaNode struct {
	addr  vmem.VirtAddr
	index uint64 // of its first slot
	shift uint   // of the index, where a slot's number stands
	count int    // of entries, as the node says
	slots [maxXASlots]vmem.VirtAddr
}

// node walks the node that e leads to, which is in a slot of the node above, or the root
// if that is nil. It reports whether to go on.
func (x *xaWalk) node(e vmem.VirtAddr, above *xaNode, slot int) bool {
	n := xaNode{addr: e - xaInternal}
	at := x.array
	if above != nil {
		at, n.index = above.addr, above.index|uint64(slot)<<above.shift
	}
	if !plausible(n.addr) {
		return x.lose(at, errPointer("xa_node", n.addr))
	}
	if !x.step(n.addr) {
		return false
	}
	err := x.header(&n, above)
	if err == nil {
		err = x.verifySlot(&n, above, slot)
	}
	if err != nil {
		return x.lose(n.addr, err)
	}
	return !x.over && x.read(&n) && x.entries(&n) && x.verifyCount(&n)
}

// header reads the fixed part of a node. The error says why it is none of this place.
func (x *xaWalk) header(n, above *xaNode) error {
	parent, shift := vmem.VirtAddr(0), uint(64)
	if above != nil {
		parent, shift = above.addr, above.shift
	}
	got, err := x.mem.Uint8(n.addr + x.layout.shift)
	if err != nil {
		return err
	}
	up, err := x.pointer(n.addr + x.layout.parent)
	if err != nil {
		return err
	}
	array, err := x.pointer(n.addr + x.layout.array)
	if err != nil {
		return err
	}
	n.shift = uint(got)
	switch {
	case up != parent:
		return fmt.Errorf("%w: xa_node with parent %v, reached from %v", ErrCorrupt, up, parent)
	case above != nil && n.shift+x.layout.chunk != shift || n.shift > 60 || n.shift%x.layout.chunk != 0:
		return fmt.Errorf("%w: xa_node with shift %d below shift %d", ErrCorrupt, n.shift, shift)
	case array != x.array:
		return fmt.Errorf("%w: xa_node of the array at %v, not of that at %v", ErrCorrupt, array, x.array)
	}
	return nil
}

// verifySlot checks that a node names the slot that leads to it. If it names another one
// that leads to it too, the error says so; otherwise that is a loss, and the node is of
// this place all the same. The root's slot is what it was when its memory was used before
// (xas_alloc of lib/xarray.c).
func (x *xaWalk) verifySlot(n, above *xaNode, slot int) error {
	if above == nil {
		return nil
	}
	offset, err := x.mem.Uint8(n.addr + x.layout.offset)
	if err != nil {
		return err
	}
	if int(offset) == slot {
		return nil
	}
	if int(offset) < x.layout.width && above.slots[offset] == n.addr+xaInternal {
		return fmt.Errorf("%w: xa_node in the slots %d and %d", ErrCycle, offset, slot)
	}
	x.lose(n.addr, fmt.Errorf("%w: xa_node in slot %d that should be in slot %d", ErrCorrupt, slot, offset))
	return nil
}

// read reads the count and the slots. Slots that can't be read stay empty; each run of
// them is a Gap, and leaves the count unverified.
func (x *xaWalk) read(n *xaNode) bool {
	count, err := x.mem.Uint8(n.addr + x.layout.count)
	if err != nil {
		return x.lose(n.addr, err)
	}
	n.count = int(count)
	lost := false
	for i := 0; i < x.layout.width; {
		at := n.addr + x.layout.slots + vmem.VirtAddr(i*8)
		data, _ := x.mem.View(at, (x.layout.width-i)*8)
		if len(data) < 8 {
			if n.slots[i], err = x.pointer(at); err == nil { // it crosses pages
				i++
				continue
			}
			n.count = -1
			if !lost && !x.lose(at, err) {
				return false
			}
			lost = true
			i++
			continue
		}
		lost = false
		for ; len(data) >= 8; data = data[8:] {
			n.slots[i] = vmem.VirtAddr(binary.LittleEndian.Uint64(data))
			i++
		}
	}
	return true
}

// entries yields what the slots of a node hold.
func (x *xaWalk) entries(n *xaNode) bool {
	freed := false
	for i := 0; i < x.layout.width; i++ {
		e, last, ok := n.slots[i], n.siblings(i, x.layout.width), true
		first, to := n.index|uint64(i)<<n.shift, n.index|uint64(last)<<n.shift|(1<<n.shift-1)
		switch {
		case e == 0:
		case uint64(i)<<n.shift>>n.shift != uint64(i):
			return x.lose(n.addr, fmt.Errorf("%w: slot %d of an xa_node with shift %d", ErrCorrupt, i, n.shift))
		case first > x.last || to < x.first:
		case isNode(e) && n.shift > 0:
			ok = x.node(e, n, i)
		case e == xaRetry:
			ok = freed || x.lose(n.addr, fmt.Errorf("%w: xa_node that was freed", ErrCorrupt))
			freed = true
		case e&3 == xaInternal && e != xaZero && (e < xaInternalMax || !x.idr):
			ok = x.lose(n.addr, fmt.Errorf("%w: entry %v in slot %d of an xa_node", ErrCorrupt, e, i))
		default:
			ok = x.entry(e, first, to)
		}
		if !ok {
			return false
		}
		i = last
	}
	return true
}

// entry yields an entry, if it is of the kind that was asked for.
func (x *xaWalk) entry(e vmem.VirtAddr, first, last uint64) bool {
	switch {
	case x.idr && (e&1 != 0 || e == xaZero):
		return true
	case last+x.base < last:
		return x.lose(x.array, fmt.Errorf("%w: entry of ID %#x from %#x on", ErrCorrupt, first, x.base))
	}
	return x.give(newEntry(e, first+x.base, last+x.base))
}

// siblings returns the last of the slots that belong to the entry in slot i: those that
// follow it and hold sibling entries of it (xa_mk_sibling, include/linux/xarray.h).
func (n *xaNode) siblings(i, width int) int {
	last := i
	if n.slots[i] != 0 {
		for last+1 < width && n.slots[last+1] == vmem.VirtAddr(i<<2|xaInternal) {
			last++
		}
	}
	return last
}

// verifyCount checks that a node holds as many entries as it says. A node of an IDR also
// counts the IDs that are allocated without a pointer (calculate_count of
// lib/radix-tree.c).
func (x *xaWalk) verifyCount(n *xaNode) bool {
	full := 0
	for _, e := range n.slots {
		if e != 0 {
			full++
		}
	}
	if n.count < 0 || n.count == full || x.idr && n.count > full && n.count <= x.layout.width {
		return true
	}
	return x.lose(n.addr, fmt.Errorf("%w: xa_node with %d entries that should have %d", ErrCorrupt, full, n.count))
}

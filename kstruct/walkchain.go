package kstruct

import (
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// Chain yields the structures that are linked by one pointer each, from the one at first
// up to a pointer of 0: next is the offset of that pointer, such as [Member.Offset] of
// neighbour.next. A first of 0 is an empty chain.
//
// Such a chain can't be verified but for its pointers. A structure that is reached again
// is a Gap with [ErrCycle], and ends it.
func (w *Walk) Chain(first vmem.VirtAddr, next uint64) iter.Seq2[vmem.VirtAddr, error] {
	return visiting(w, "chain", func(v *visit[vmem.VirtAddr]) { chain(v, first, 0, vmem.VirtAddr(next)) })
}

// chain walks from first, which the pointer at link leads to.
func chain(v *visit[vmem.VirtAddr], n, link, next vmem.VirtAddr) {
	seen := map[vmem.VirtAddr]bool{}
	for n != 0 && v.step(n) {
		switch {
		case !plausible(n):
			v.lose(link, errPointer("next", n))
			return
		case seen[n]:
			v.lose(n, fmt.Errorf("%w: chain that comes back", ErrCycle))
			return
		}
		seen[n] = true
		link = n + next
		after, err := v.pointer(link)
		if err != nil {
			v.lose(n, err) // and n itself is nothing that was read
			return
		}
		if !v.give(n) {
			return
		}
		n = after
	}
}

type llistLayout struct{ first, next vmem.VirtAddr }

func resolveLList(r *resolver) llistLayout {
	return llistLayout{first: r.pointer("llist_head", "first"), next: r.pointer("llist_node", "next")}
}

// LList yields the nodes of the list without locks whose struct llist_head is at head,
// the one added last first: llist_for_each of include/linux/llist.h. As with
// [Walk.Chain], nothing but the pointers can be verified.
func (w *Walk) LList(head vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return visiting(w, "llist", func(v *visit[vmem.VirtAddr]) {
		l, err := w.space.layouts.llist.get(w.space.types, resolveLList)
		if err != nil {
			v.lose(head, err)
			return
		}
		first, err := v.pointer(head + l.first)
		if err != nil {
			v.lose(head, err)
			return
		}
		chain(v, first, head, l.next)
	})
}

type plistLayout struct{ head, node, prio vmem.VirtAddr }

func resolvePList(r *resolver) plistLayout {
	return plistLayout{
		head: r.within("plist_head", "node_list"),
		node: r.within("plist_node", "node_list"),
		prio: r.sized("plist_node", "prio", 4),
	}
}

// PList yields the struct plist_node of the list by priority whose struct plist_head is at
// head: plist_for_each of include/linux/plist.h. They are verified as those of
// [Walk.List] are; a node whose priority is below that of the one before it is a Gap
// beside that.
func (w *Walk) PList(head vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return visiting(w, "plist", func(v *visit[vmem.VirtAddr]) {
		l, err := w.space.layouts.plist.get(w.space.types, resolvePList)
		if err != nil {
			v.lose(head, err)
			return
		}
		last, broken := int32(-1<<31), false
		for n, err := range w.List(head + l.head) {
			if err != nil {
				// It is a Gap already, and has been counted.
				if v.over = !v.yield(0, err); v.over {
					v.deaf = true
					return
				}
				broken = true // nodes may come in any order
				continue
			}
			n -= l.node
			prio, err := v.mem.Uint32(n + l.prio)
			switch {
			case err != nil:
				v.lose(n, err)
				prio = uint32(last) // it is not known
			case int32(prio) < last && !broken:
				v.lose(n, fmt.Errorf("%w: plist node of priority %d behind one of %d", ErrCorrupt, int32(prio), last))
			}
			last = int32(prio)
			if !v.give(n) {
				return
			}
		}
	})
}

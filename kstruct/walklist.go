package kstruct

import (
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// listLayout is struct list_head.
type listLayout struct{ next, prev vmem.VirtAddr }

func resolveList(r *resolver) listLayout {
	return listLayout{next: r.pointer("list_head", "next"), prev: r.pointer("list_head", "prev")}
}

// List yields the nodes of the circular list whose list_head is at head, but not the
// head itself: list_for_each of include/linux/list.h. See [Walk.Entries] for the
// structures that the nodes are in.
//
// Every step is verified: the next node must point back. A list that holds to that
// can't cycle without the head. Where it does not, a Gap is yielded, then what hangs
// together with the node that did not point back, then what is linked from the list's
// other end: all that can be reached, once.
func (w *Walk) List(head vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return visiting(w, "list", func(v *visit[vmem.VirtAddr]) {
		l, err := w.space.layouts.list.get(w.space.types, resolveList)
		if err != nil {
			v.lose(head, err)
			return
		}
		(&listWalk{v, *l, head, nil}).run()
	})
}

type listWalk struct {
	*visit[vmem.VirtAddr]
	layout listLayout
	head   vmem.VirtAddr
	seen   map[vmem.VirtAddr]bool
}

// A loss says where and why a walk in one direction ended.
type loss struct {
	at   vmem.VirtAddr
	node vmem.VirtAddr // the one that was not stepped on, or 0
	err  error         // nil if the walk ended well
}

func (w *listWalk) run() {
	var path []vmem.VirtAddr
	lost := w.walk(w.layout.next, w.layout.prev, func(n vmem.VirtAddr) bool {
		path = append(path, n)
		return w.step(n) && w.give(n)
	})
	if lost.err == nil || !w.lose(lost.at, lost.err) {
		return
	}
	w.seen = make(map[vmem.VirtAddr]bool, len(path)+1)
	w.seen[w.head] = true
	for _, n := range path {
		w.seen[n] = true
	}
	w.giveAll(w.component(lost.node))
	lost = w.walk(w.layout.prev, w.layout.next, func(n vmem.VirtAddr) bool {
		if w.seen[n] {
			return false
		}
		w.seen[n] = true
		return w.step(n) && w.give(n)
	})
	if lost.err != nil {
		w.giveAll(w.component(lost.node))
	}
}

func (w *listWalk) giveAll(nodes []vmem.VirtAddr) {
	for _, n := range nodes {
		if !w.give(n) {
			return
		}
	}
}

// walk goes from the head by the pointer at to, where the one at back of the next node
// must lead back, until it is at the head again or each says to end.
func (w *listWalk) walk(to, back vmem.VirtAddr, each func(vmem.VirtAddr) bool) loss {
	if w.over {
		return loss{}
	}
	for at := w.head; ; {
		next, err := w.pointer(at + to)
		if err != nil {
			return loss{at: at, err: err}
		}
		if !plausible(next) {
			return loss{at: at, err: errPointer("list", next)}
		}
		from, err := w.pointer(next + back)
		if err != nil {
			return loss{at: next, err: err}
		}
		if from != at {
			return loss{at: next, node: next, err: fmt.Errorf("%w: list node points back to %v, not to %v", ErrCorrupt, from, at)}
		}
		if next == w.head || !each(next) {
			return loss{}
		}
		at = next
	}
}

// component returns n and all nodes that hang together with it by links that point both
// ways, but for those seen, to which it adds them. A node without such a link is no
// part of any list: it was removed, or is none.
func (w *listWalk) component(n vmem.VirtAddr) []vmem.VirtAddr {
	if n == 0 || w.seen[n] || !w.step(n) {
		return nil
	}
	nodes, linked := []vmem.VirtAddr{n}, false
	w.seen[n] = true
	for _, dir := range [2][2]vmem.VirtAddr{{w.layout.next, w.layout.prev}, {w.layout.prev, w.layout.next}} {
		for at := n; ; {
			next := w.linked(at, dir[0], dir[1])
			linked = linked || next != 0
			if next == 0 || w.seen[next] || !w.step(next) {
				break
			}
			w.seen[next] = true
			nodes = append(nodes, next)
			at = next
		}
	}
	if !linked {
		return nil
	}
	return nodes
}

// linked returns the neighbour of a list node, if that points back, and 0 otherwise.
func (w *listWalk) linked(at, to, back vmem.VirtAddr) vmem.VirtAddr {
	next, err := w.pointer(at + to)
	if err != nil || !plausible(next) {
		return 0
	}
	if from, err := w.pointer(next + back); err != nil || from != at {
		return 0
	}
	return next
}

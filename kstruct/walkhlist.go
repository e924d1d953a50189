package kstruct

import (
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// An hlistLayout is a kind of list whose head is one pointer and whose nodes point back
// to the pointer that leads to them.
type hlistLayout struct{ first, next, pprev vmem.VirtAddr }

func resolveHList(kind string) func(*resolver) hlistLayout {
	return func(r *resolver) hlistLayout {
		return hlistLayout{
			first: r.pointer(kind+"_head", "first"),
			next:  r.pointer(kind+"_node", "next"),
			pprev: r.pointer(kind+"_node", "pprev"),
		}
	}
}

// HList yields the nodes of the list whose struct hlist_head is at head: hlist_for_each of
// include/linux/list.h. See [Walk.Entries] for the structures that the nodes are in.
//
// Every step is verified: a node must point back to the pointer that leads to it. Lists
// that hold to that have no cycles. Where it does not, a Gap is yielded, then what hangs
// together with the node that did not point back. There is no other end to walk from.
func (w *Walk) HList(head vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return w.hlist("hlist", head, &w.space.layouts.hlist, hlistWalk{})
}

// HListBL is [Walk.HList] for a struct hlist_bl_head, such as a bucket of the dentry
// cache, whose lowest bit is a lock (include/linux/list_bl.h).
func (w *Walk) HListBL(head vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return w.hlist("hlist_bl", head, &w.space.layouts.hlistBL, hlistWalk{lock: 1})
}

// HListNulls is [Walk.HList] for a struct hlist_nulls_head (include/linux/list_nulls.h),
// which ends with an odd number instead of a pointer. In it is a value, for most hash
// tables the number of the bucket. If it is given and the list ends with another one, that
// is a Gap: a node was moved to another list while memory was captured, and what came
// behind it is not known.
func (w *Walk) HListNulls(head vmem.VirtAddr, value ...uint64) iter.Seq2[vmem.VirtAddr, error] {
	return w.hlist("hlist_nulls", head, &w.space.layouts.hlistNulls, hlistWalk{nulls: true, values: value})
}

func (w *Walk) hlist(kind string, head vmem.VirtAddr, layout *lazy[hlistLayout], h hlistWalk) iter.Seq2[vmem.VirtAddr, error] {
	return visiting(w, kind, func(v *visit[vmem.VirtAddr]) {
		l, err := layout.get(w.space.types, resolveHList(kind))
		if err != nil {
			v.lose(head, err)
			return
		}
		h := h // an iterator may be used again
		h.visit, h.layout, h.link = v, *l, head+l.first
		h.run()
	})
}

type hlistWalk struct {
	*visit[vmem.VirtAddr]
	layout hlistLayout
	lock   vmem.VirtAddr // the bits of the head that are no part of the pointer
	nulls  bool
	values []uint64

	link vmem.VirtAddr // the address of the pointer that is followed next
	path []vmem.VirtAddr
	seen map[vmem.VirtAddr]bool
}

// ends reports whether a pointer is the end of the list.
func (h *hlistWalk) ends(p vmem.VirtAddr) bool { return p == 0 || h.nulls && p&1 != 0 }

func (h *hlistWalk) run() {
	n, err := h.pointer(h.link)
	for n &^= h.lock; err == nil && !h.ends(n); n, err = h.pointer(h.link) {
		if !plausible(n) {
			err = errPointer("hlist", n)
			break
		}
		back, backErr := h.pointer(n + h.layout.pprev)
		if backErr != nil {
			err = backErr
			break
		}
		if back != h.link {
			err = fmt.Errorf("%w: hlist node points back to %v, not to %v", ErrCorrupt, back, h.link)
			if h.lose(n, err) {
				h.rest(n)
			}
			return
		}
		h.path = append(h.path, n)
		if !h.step(n) || !h.give(n) {
			return
		}
		h.link = n + h.layout.next
	}
	if err == nil {
		err = h.badEnd(n)
	}
	if err != nil {
		h.lose(h.link, err)
	}
}

// badEnd returns what is wrong with the end of a list.
func (h *hlistWalk) badEnd(n vmem.VirtAddr) error {
	switch {
	case h.nulls && n == 0:
		return fmt.Errorf("%w: hlist_nulls that ends with 0", ErrCorrupt)
	case h.nulls && len(h.values) > 0 && uint64(n)>>1 != h.values[0]&(1<<63-1):
		return fmt.Errorf("%w: end of the list %d in that of %d", ErrCorrupt, uint64(n)>>1, h.values[0])
	}
	return nil
}

// rest yields what hangs together with n, which does not point back to the pointer that
// leads to it.
func (h *hlistWalk) rest(n vmem.VirtAddr) {
	h.seen = make(map[vmem.VirtAddr]bool, len(h.path)+1)
	for _, n := range h.path {
		h.seen[n] = true
	}
	// If what comes behind n points back to that pointer, n is just being inserted.
	behind, err := h.pointer(n + h.layout.next)
	inserted := false
	if err == nil && plausible(behind) {
		back, err := h.pointer(behind + h.layout.pprev)
		inserted = err == nil && back == h.link
	}
	h.component(n, inserted)
	if inserted {
		h.component(behind, true)
	}
}

// component yields n and all nodes that hang together with it by links that point both
// ways, but for those seen. A node without such a link is no part of any list, unless it
// is known to be.
func (h *hlistWalk) component(n vmem.VirtAddr, known bool) {
	if h.seen[n] || !h.step(n) {
		return
	}
	h.seen[n] = true
	if !known && h.after(n) == 0 && !h.reached(n) || !h.give(n) {
		return
	}
	for _, neighbour := range []func(vmem.VirtAddr) vmem.VirtAddr{h.after, h.before} {
		for at := neighbour(n); at != 0 && !h.seen[at] && h.step(at) && h.give(at); at = neighbour(at) {
			h.seen[at] = true
		}
	}
}

// after returns the node behind n, if that points back, and 0 otherwise.
func (h *hlistWalk) after(n vmem.VirtAddr) vmem.VirtAddr {
	next, err := h.pointer(n + h.layout.next)
	if err != nil || h.ends(next) || !plausible(next) {
		return 0
	}
	if back, err := h.pointer(next + h.layout.pprev); err != nil || back != n+h.layout.next {
		return 0
	}
	return next
}

// reached reports whether the pointer that n points back to leads to n.
func (h *hlistWalk) reached(n vmem.VirtAddr) bool {
	back, err := h.pointer(n + h.layout.pprev)
	if err != nil || !plausible(back) {
		return false
	}
	p, err := h.pointer(back)
	return err == nil && p&^h.lock == n
}

// before returns the node before n, if that leads to n and is linked itself, and 0
// otherwise. So it does for the first node of a list: where the head would have a link of
// its own, if it were a node, is something else.
func (h *hlistWalk) before(n vmem.VirtAddr) vmem.VirtAddr {
	back, err := h.pointer(n + h.layout.pprev)
	if err != nil || !h.reached(n) {
		return 0
	}
	prev := back - h.layout.next
	up, err := h.pointer(prev + h.layout.pprev)
	if err != nil || !h.reached(prev) && !h.seen[up-h.layout.next] {
		return 0
	}
	return prev
}

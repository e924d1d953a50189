package linux

import (
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxNodes bounds every walk over linked objects: twice the number of PIDs that a
// kernel can have (PID_MAX_LIMIT, include/linux/threads.h).
const maxNodes = 8 << 20

// list walks a circular list_head list (include/linux/list.h) and yields the
// address of each node but the head.
//
// Every step is verified: the next node must point back. A list that holds to that
// can't cycle without the head. Where it does not, a Gap is yielded, then what hangs
// together with the node that did not point back, then what is linked from the list's
// other end: all that can be reached, once.
func (k *Kernel) list(object string, head vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return func(yield func(vmem.VirtAddr, error) bool) {
		var forward []vmem.VirtAddr
		odd, gap := k.walkList(object, head, listNext, func(n vmem.VirtAddr) bool {
			forward = append(forward, n)
			return yield(n, nil)
		})
		if gap == nil || !yield(0, gap) {
			return
		}
		seen := map[vmem.VirtAddr]bool{head: true}
		for _, n := range forward {
			seen[n] = true
		}
		if !yieldNodes(k.component(odd, seen), yield) {
			return
		}
		stopped := false
		odd, gap = k.walkList(object, head, listPrev, func(n vmem.VirtAddr) bool {
			if seen[n] {
				return false
			}
			seen[n] = true
			stopped = !yield(n, nil)
			return !stopped
		})
		if gap != nil && !stopped {
			yieldNodes(k.component(odd, seen), yield)
		}
	}
}

func yieldNodes(nodes []vmem.VirtAddr, yield func(vmem.VirtAddr, error) bool) bool {
	for _, n := range nodes {
		if !yield(n, nil) {
			return false
		}
	}
	return true
}

const (
	listNext field = 0
	listPrev field = 8
)

// walkList goes from head in one direction until it is back. Where it has to stop
// before, it returns the node that it did not step on, and why. A nil error means that
// the whole list was walked, or that yield asked to end.
func (k *Kernel) walkList(object string, head vmem.VirtAddr, dir field, yield func(vmem.VirtAddr) bool) (vmem.VirtAddr, error) {
	r := k.reader()
	at := head
	for range maxNodes {
		next := r.ptr(at, dir)
		if r.err != nil {
			return 0, newGap(object, at, r.err)
		}
		if !plausible(next) {
			return 0, newGap(object, at, errPointer("list", next))
		}
		from := r.ptr(next, listNext+listPrev-dir)
		if r.err != nil {
			return 0, newGap(object, next, r.err)
		}
		if from != at {
			return next, gapf(object, next, kstruct.ErrCorrupt, "list node points back to %v, not to %v", from, at)
		}
		if next == head || !yield(next) {
			return 0, nil
		}
		at = next
	}
	return 0, gapf(object, at, kstruct.ErrTooLong, "list of more than %d nodes", maxNodes)
}

// component returns n and all nodes that hang together with it by links that point both
// ways, but for those seen, to which it adds them. A node without such a link is no
// part of any list: it was removed, or is none.
func (k *Kernel) component(n vmem.VirtAddr, seen map[vmem.VirtAddr]bool) []vmem.VirtAddr {
	if n == 0 || seen[n] {
		return nil
	}
	nodes, linked := []vmem.VirtAddr{n}, false
	seen[n] = true
	for _, dir := range []field{listNext, listPrev} {
		for at := n; len(nodes) < maxNodes; {
			next := k.linked(at, dir)
			linked = linked || next != 0
			if next == 0 || seen[next] {
				break
			}
			seen[next] = true
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
func (k *Kernel) linked(at vmem.VirtAddr, dir field) vmem.VirtAddr {
	r := k.reader()
	next := r.ptr(at, dir)
	if !plausible(next) || r.ptr(next, listNext+listPrev-dir) != at || r.err != nil {
		return 0
	}
	return next
}

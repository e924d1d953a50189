package linux

import (
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// maxNodes bounds every walk over linked objects: twice the number of PIDs that a
// kernel can have (PID_MAX_LIMIT, include/linux/threads.h).
const maxNodes = 8 << 20

// list walks a circular list_head list (include/linux/list.h) and yields the
// address of each node but the head.
//
// Every step is verified: the next node must point back. A list that holds to that
// can't cycle without the head. Where it does not, a Gap is yielded and the list is
// walked from its other end until that breaks too, so that all that is still linked
// from either side comes out, once.
func (k *Kernel) list(object string, head vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return func(yield func(vmem.VirtAddr, error) bool) {
		var forward []vmem.VirtAddr
		at, gap := k.walkList(object, head, listNext, func(n vmem.VirtAddr) bool {
			forward = append(forward, n)
			return yield(n, nil)
		})
		if gap == nil || !yield(0, gap) {
			return
		}
		seen := map[vmem.VirtAddr]bool{at: true}
		for _, n := range forward {
			seen[n] = true
		}
		_, _ = k.walkList(object, head, listPrev, func(n vmem.VirtAddr) bool {
			if seen[n] {
				return false
			}
			seen[n] = true
			return yield(n, nil)
		})
	}
}

const (
	listNext field = 0
	listPrev field = 8
)

// walkList goes from head in one direction until it is back, and returns the node
// where it had to stop, with the reason. A nil Gap means that the whole list was
// walked, or that yield asked to end.
func (k *Kernel) walkList(object string, head vmem.VirtAddr, dir field, yield func(vmem.VirtAddr) bool) (vmem.VirtAddr, *Gap) {
	r := k.reader()
	back := listNext + listPrev - dir
	at := head
	for range maxNodes {
		next := r.ptr(at, dir)
		if r.err != nil {
			return at, newGap(object, at, r.err)
		}
		if !plausible(next) {
			return at, newGap(object, at, errPointer("list", next))
		}
		from := r.ptr(next, back)
		if r.err != nil {
			return at, newGap(object, next, r.err)
		}
		if from != at {
			return at, gapf(object, next, ErrCorrupt, "list node points back to %v, not to %v", from, at)
		}
		if next == head || !yield(next) {
			return next, nil
		}
		at = next
	}
	return at, gapf(object, at, ErrTooLong, "list of more than %d nodes", maxNodes)
}

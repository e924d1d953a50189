package kstruct

import (
	"context"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// What a [Walk] is limited to unless its options say otherwise.
const (
	// defaultNodes is twice the number of PIDs that a kernel can have (PID_MAX_LIMIT,
	// include/linux/threads.h).
	defaultNodes = 8 << 20
	defaultGaps  = 1000
)

// WalkOptions are the settings of a [Walk]. A nil pointer means the zero value.
type WalkOptions struct {
	// Object is what the walked container holds, such as "task list": the Object of
	// each [vmem.Gap]. Empty, it is the kind of the container.
	Object string
	// Nodes is how many nodes are visited at most, with those that are no entries
	// themselves, such as inner nodes of trees. 0 means 8,388,608.
	Nodes int
	// Gaps is how many gaps are yielded at most. Those that follow are counted, and each
	// iteration ends with one more gap that says how many there were. 0 means 1000.
	Gaps int
}

// A Walk goes over containers of the kernel that hold one kind of object: a list, or all
// the chains of a hash table. Its budget and its count of gaps are for all of them
// together.
//
// Every iterator of a Walk verifies what it steps on and bounds its work, whatever memory
// holds. It yields what it finds, and for what is lost a [vmem.Gap], which does not end
// it. Two errors do: the budget's end, a Gap that wraps [ErrTooLong], and the context's
// own error. What comes with an error is zero.
//
// An iterator may be used again, but each use takes from the same budget. A Walk is not
// safe for concurrent use; two iterations may be nested in each other.
type Walk struct {
	ctx    context.Context //nolint:containedctx // a Walk lives as long as one call of its user
	space  *Space
	object string
	most   int // nodes that may be visited
	nodes  int // of these, those that may still be
	gaps   int // that may still be yielded
}

// Walk returns a Walk over containers in s. The context is checked now and then.
func (s *Space) Walk(ctx context.Context, opts *WalkOptions) *Walk {
	w := &Walk{ctx: ctx, space: s, most: defaultNodes, nodes: defaultNodes, gaps: defaultGaps}
	if opts == nil {
		return w
	}
	w.object = opts.Object
	if opts.Nodes > 0 {
		w.most, w.nodes = opts.Nodes, opts.Nodes
	}
	if opts.Gaps > 0 {
		w.gaps = opts.Gaps
	}
	return w
}

// checkEvery is how many nodes are visited between two looks at the context.
const checkEvery = 256

// A visit is one iteration of a Walk.
type visit[T any] struct {
	*Walk
	mem   *vmem.AddressSpace
	kind  string // of container
	yield func(T, error) bool
	over  bool // nothing more is to be visited
	deaf  bool // nothing more is to be yielded

	more   int // gaps that were not yielded
	moreAt vmem.VirtAddr
}

// visiting returns the iteration that run does over a container of some kind.
func visiting[T any](w *Walk, kind string, run func(v *visit[T])) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		v := &visit[T]{Walk: w, mem: w.space.mem, kind: kind, yield: yield}
		if v.alive() {
			run(v)
			v.finish()
		}
	}
}

// alive reports whether the context is; if not, it yields the context's error.
func (v *visit[T]) alive() bool {
	if err := v.ctx.Err(); err != nil {
		v.over, v.deaf = true, true
		var zero T
		v.yield(zero, err)
	}
	return !v.over
}

// step takes the node at a from the budget and reports whether to visit it.
func (v *visit[T]) step(a vmem.VirtAddr) bool {
	if v.over {
		return false
	}
	if v.nodes <= 0 {
		v.over = true
		v.tell(a, fmt.Errorf("%w: more than the %d nodes that the walk may visit", ErrTooLong, v.most))
		return false
	}
	v.nodes--
	return v.nodes%checkEvery != 0 || v.alive()
}

// give yields an entry and reports whether to go on.
func (v *visit[T]) give(t T) bool {
	if !v.over && !v.yield(t, nil) {
		v.over, v.deaf = true, true
	}
	return !v.over
}

// lose yields what was lost at a, or counts it, and reports whether to go on.
func (v *visit[T]) lose(a vmem.VirtAddr, err error) bool {
	switch {
	case v.over:
	case v.gaps > 0:
		v.gaps--
		v.tell(a, err)
	default:
		if v.more == 0 {
			v.moreAt = a
		}
		v.more++
	}
	return !v.over
}

// tell yields a Gap.
func (v *visit[T]) tell(a vmem.VirtAddr, err error) {
	var zero T
	object := v.object
	if object == "" {
		object = v.kind
	}
	if !v.deaf && !v.yield(zero, newGap(object, a, err)) {
		v.over, v.deaf = true, true
	}
}

// finish yields how many gaps there were beside those that were.
func (v *visit[T]) finish() {
	if v.more > 0 {
		v.tell(v.moreAt, fmt.Errorf("%w: %d more losses from here on", ErrTooMany, v.more))
	}
}

// plausible reports whether a can be the address of a kernel object: in the kernel's
// half, aligned as allocators align, and not in the last page, where the kernel has
// errors for pointers (IS_ERR of include/linux/err.h).
func plausible(a vmem.VirtAddr) bool {
	return x86.IsObject(a)
}

// errPointer describes a pointer that can't be one.
func errPointer(what string, a vmem.VirtAddr) error {
	return fmt.Errorf("%w: %s pointer %v", ErrCorrupt, what, a)
}

// pointer reads the pointer at a.
func (v *visit[T]) pointer(a vmem.VirtAddr) (vmem.VirtAddr, error) {
	p, err := v.mem.Uint64(a)
	return vmem.VirtAddr(p), err
}

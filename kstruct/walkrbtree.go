package kstruct

import (
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// maxRBDepth is more than the depth of any red-black tree that fits in memory: twice the
// logarithm of the number of its nodes.
const maxRBDepth = 128

type rbLayout struct {
	top, root, leftmost vmem.VirtAddr // rb_root.rb_node, rb_root_cached
	up, left, right     vmem.VirtAddr // rb_node
}

func resolveRB(r *resolver) rbLayout {
	return rbLayout{
		top:      r.pointer("rb_root", "rb_node"),
		root:     r.within("rb_root_cached", "rb_root"),
		leftmost: r.pointer("rb_root_cached", "rb_leftmost"),
		up:       r.pointer("rb_node", "__rb_parent_color"),
		left:     r.pointer("rb_node", "rb_left"),
		right:    r.pointer("rb_node", "rb_right"),
	}
}

// RBTree yields the nodes of the red-black tree whose struct rb_root is at root, in their
// order: rb_first and rb_next of lib/rbtree.c. See [Walk.Entries] for the structures that
// the nodes are in.
//
// Each node must name the node that leads to it as its parent. Of one that names another
// there is a Gap; it and what is below it are yielded all the same if it hangs together
// with the tree by another pointer, for so does a tree look that was captured while it
// was rotated. No node is yielded twice.
func (w *Walk) RBTree(root vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return w.rbTree(root, func(r *rbWalk) {
		r.all(root)
	})
}

// RBTreeCached is [Walk.RBTree] for the struct rb_root_cached at root. Where a part of
// the tree is lost, what its pointer to the first node leads to is yielded behind the
// rest.
func (w *Walk) RBTreeCached(root vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return w.rbTree(root, func(r *rbWalk) {
		r.all(root + r.layout.root)
		first, err := r.pointer(root + r.layout.leftmost)
		switch {
		case err != nil:
			r.lose(root, err)
		case r.broken:
			r.climb(first)
		case len(r.path) == 0 && first != 0 || len(r.path) > 0 && first != r.first:
			r.lose(root, fmt.Errorf("%w: tree whose first node is %v, not %v", ErrCorrupt, r.first, first))
		}
	})
}

func (w *Walk) rbTree(root vmem.VirtAddr, run func(*rbWalk)) iter.Seq2[vmem.VirtAddr, error] {
	return visiting(w, "red-black tree", func(v *visit[vmem.VirtAddr]) {
		l, err := w.space.layouts.rbtree.get(w.space.types, resolveRB)
		if err != nil {
			v.lose(root, err)
			return
		}
		run(&rbWalk{visit: v, layout: l})
	})
}

type rbWalk struct {
	*visit[vmem.VirtAddr]
	layout *rbLayout
	top    vmem.VirtAddr   // the root node
	first  vmem.VirtAddr   // of the nodes yielded
	path   []vmem.VirtAddr // the nodes visited

	// A tree whose nodes name the parents from which they are reached has no cycles.
	// Where one does not, they have to be looked for.
	broken bool
	seen   map[vmem.VirtAddr]bool
}

// all walks the tree whose rb_root is at root.
func (r *rbWalk) all(root vmem.VirtAddr) {
	top, err := r.pointer(root + r.layout.top)
	if err != nil {
		r.broken = true
		r.lose(root, err)
		return
	}
	r.top = top
	r.node(top, 0, 0)
}

// node walks the node at n and what is below it, and reports whether to go on.
func (r *rbWalk) node(n, parent vmem.VirtAddr, depth int) bool {
	if n == 0 || r.seen[n] {
		return true
	}
	if !plausible(n) {
		return r.torn(parent, errPointer("rb_node", n))
	}
	if !r.step(n) {
		return false
	}
	up, left, right, err := r.links(n)
	switch {
	case err != nil:
		return r.torn(n, err)
	case depth > maxRBDepth:
		return r.torn(n, fmt.Errorf("%w: tree of more than %d levels", ErrTooLong, maxRBDepth))
	case up != parent:
		err = fmt.Errorf("%w: rb_node with parent %v, reached from %v", ErrCorrupt, up, parent)
	case left == right && left != 0:
		err = fmt.Errorf("%w: rb_node on both sides of another", ErrCycle)
		right = 0
	}
	if err != nil && !r.torn(n, err) {
		return false
	}
	if up != parent && !r.belongs(n, up, left, right) || r.seen[n] {
		return true
	}
	r.visited(n)
	return r.node(left, n, depth+1) && r.giveNode(n) && r.node(right, n, depth+1)
}

func (r *rbWalk) giveNode(n vmem.VirtAddr) bool {
	if r.first == 0 {
		r.first = n
	}
	return r.give(n)
}

// links returns the parent and the children of a node.
func (r *rbWalk) links(n vmem.VirtAddr) (up, left, right vmem.VirtAddr, err error) {
	if up, err = r.pointer(n + r.layout.up); err != nil {
		return 0, 0, 0, err
	}
	if left, err = r.pointer(n + r.layout.left); err != nil {
		return 0, 0, 0, err
	}
	right, err = r.pointer(n + r.layout.right)
	return up &^ 3, left, right, err // the lowest bit is the colour
}

func (r *rbWalk) visited(n vmem.VirtAddr) {
	if r.seen != nil {
		r.seen[n] = true
		return
	}
	r.path = append(r.path, n)
}

// torn yields a Gap, and looks for cycles from then on.
func (r *rbWalk) torn(at vmem.VirtAddr, err error) bool {
	r.broken = true
	if r.seen == nil {
		r.seen = make(map[vmem.VirtAddr]bool, len(r.path))
		for _, n := range r.path {
			r.seen[n] = true
		}
	}
	return r.lose(at, err)
}

// belongs reports whether a node that does not name the node that leads to it as its
// parent hangs together with the tree: one of its own pointers is returned, or its
// parents lead to the root.
func (r *rbWalk) belongs(n, up, left, right vmem.VirtAddr) bool {
	return n == r.top || r.returned(n, left) || r.returned(n, right) || r.under(up)
}

// returned reports whether child names n as its parent.
func (r *rbWalk) returned(n, child vmem.VirtAddr) bool {
	if !plausible(child) {
		return false
	}
	up, err := r.pointer(child + r.layout.up)
	return err == nil && up&^3 == n
}

// under reports whether the parents of n lead to the root.
func (r *rbWalk) under(n vmem.VirtAddr) bool {
	for range maxRBDepth {
		if n == r.top && n != 0 {
			return true
		}
		if !plausible(n) {
			return false
		}
		up, err := r.pointer(n + r.layout.up)
		if err != nil {
			return false
		}
		n = up &^ 3
	}
	return false
}

// climb goes up from n, by parents that lead back, to the highest node that was not
// visited, and walks what is below that.
func (r *rbWalk) climb(n vmem.VirtAddr) {
	top, above, known := vmem.VirtAddr(0), vmem.VirtAddr(0), false
	for range maxRBDepth {
		if !plausible(n) || r.seen[n] {
			break
		}
		up, left, right, err := r.links(n)
		if err != nil {
			break
		}
		// The tree itself says of the first node that it is its own.
		known = top == 0 && left == 0 && plausible(up) || r.belongs(n, up, left, right)
		top, above = n, up
		if _, left, right, err := r.links(up); up == 0 || err != nil || left != n && right != n {
			break
		}
		n = up
	}
	if known {
		r.node(top, above, 0)
	}
}

package kstruct

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

const (
	// nestedTable is how many pointers a page of a nested table has (PAGE_SHIFT in
	// lib/rhashtable.c).
	nestedTable = 512
	// maxRehashes bounds the tables that elements are moved along: rhashtable_last_table
	// of lib/rhashtable.c has no bound, and never more than a few.
	maxRehashes = 16
	// shortChain is up to which length a chain is searched for a cycle one by one. Those
	// of a hash table hardly ever have more (RHT_ELASTICITY is 16).
	shortChain = 32
)

type rhashLayout struct {
	table, list, count          vmem.VirtAddr // rhashtable
	size, nest, future, buckets vmem.VirtAddr // bucket_table
	next, listHead, listNext    vmem.VirtAddr // rhash_head, rhlist_head
}

func resolveRHash(r *resolver) rhashLayout {
	return rhashLayout{
		table:    r.pointer("rhashtable", "tbl"),
		list:     r.sized("rhashtable", "rhlist", 1),
		count:    r.sized("rhashtable", "nelems.counter", 4),
		size:     r.sized("bucket_table", "size", 4),
		nest:     r.sized("bucket_table", "nest", 4),
		future:   r.pointer("bucket_table", "future_tbl"),
		buckets:  r.within("bucket_table", "buckets"),
		next:     r.pointer("rhash_head", "next"),
		listHead: r.within("rhlist_head", "rhead"),
		listNext: r.pointer("rhlist_head", "next"),
	}
}

// RHashTable yields the struct rhash_head of each element of the struct rhashtable at
// table, in no particular order: rhashtable_walk_next of lib/rhashtable.c. Of a struct
// rhltable, which is an rhashtable of lists, it yields all elements of all lists. See
// [Walk.Entries] for the structures that these are in.
//
// Tables of one level and nested ones are walked, and where elements are just being moved
// to another table, both are. Each chain must end with the mark of its own bucket; one
// that ends with another is a Gap, for an element was moved while memory was captured. So
// is another number of elements than the table says.
//
// It needs kernels since 5.4, whose buckets have a lock in their lowest bit.
func (w *Walk) RHashTable(table vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return visiting(w, "rhashtable", func(v *visit[vmem.VirtAddr]) {
		l, err := w.space.layouts.rhash.get(w.space.types, resolveRHash)
		if err != nil {
			v.lose(table, err)
			return
		}
		r := rhashWalk{visit: v, layout: l}
		if err := r.run(table); err != nil {
			v.lose(table, err)
		}
	})
}

type rhashWalk struct {
	*visit[vmem.VirtAddr]
	layout *rhashLayout
	lists  bool // each element is the first of a list
	found  int  // elements, without those further down such lists
	broken bool
	moving map[vmem.VirtAddr]bool // those found, while they are moved to another table
	path   []vmem.VirtAddr        // of the chain that is walked, its beginning
	long   map[vmem.VirtAddr]bool // and what comes behind that
}

// run walks a table. The error is that nothing of it can be read, or that its count is
// another.
func (r *rhashWalk) run(table vmem.VirtAddr) error {
	first, err := r.pointer(table + r.layout.table)
	if err != nil {
		return err
	}
	lists, err := r.mem.Uint8(table + r.layout.list)
	if err != nil {
		return err
	}
	count, err := r.mem.Uint32(table + r.layout.count)
	if err != nil {
		return err
	}
	r.lists = lists != 0
	if !r.tables(first) || r.broken || r.found == int(int32(count)) {
		return nil
	}
	return fmt.Errorf("%w: %d elements that should be %d", ErrCorrupt, r.found, int32(count))
}

// fail yields a Gap, and remembers that elements may be lost.
func (r *rhashWalk) fail(a vmem.VirtAddr, err error) bool {
	r.broken = true
	return r.lose(a, err)
}

// tables walks a bucket_table, and those that its elements are moved to.
func (r *rhashWalk) tables(t vmem.VirtAddr) bool {
	for range maxRehashes {
		if !plausible(t) {
			return r.fail(t, errPointer("bucket_table", t))
		}
		if !r.step(t) {
			return false
		}
		future, err := r.pointer(t + r.layout.future)
		if err != nil {
			return r.fail(t, err)
		}
		if future != 0 && r.moving == nil {
			r.moving = map[vmem.VirtAddr]bool{}
		}
		if !r.table(t) || future == 0 {
			return !r.over
		}
		t = future
	}
	return r.fail(t, fmt.Errorf("%w: more than %d tables that elements are moved to", ErrTooLong, maxRehashes))
}

// table walks the buckets of a bucket_table.
func (r *rhashWalk) table(t vmem.VirtAddr) bool {
	size, err := r.mem.Uint32(t + r.layout.size)
	if err != nil {
		return r.fail(t, err)
	}
	nest, err := r.mem.Uint32(t + r.layout.nest)
	if err != nil {
		return r.fail(t, err)
	}
	switch {
	case bits.OnesCount32(size) != 1 || nest > 9 || size>>nest == 0:
		return r.fail(t, fmt.Errorf("%w: bucket_table of %d buckets, nested by %d bits", ErrCorrupt, size, nest))
	case nest == 0:
		return r.words(t+r.layout.buckets, uint64(size), r.chain)
	}
	top, err := r.pointer(t + r.layout.buckets)
	if err != nil {
		return r.fail(t, err)
	}
	return r.nested(t, top, 1<<nest, uint64(size>>nest))
}

// nested walks a table of n pointers, each to what holds so many buckets
// (rht_bucket_nested of lib/rhashtable.c). from is what leads to it. Parts in which there
// has been nothing yet are missing.
func (r *rhashWalk) nested(from, table vmem.VirtAddr, n, below uint64) bool {
	if table == 0 {
		return true
	}
	if !plausible(table) {
		return r.fail(from, errPointer("nested_table", table))
	}
	return r.words(table, n, func(at, p vmem.VirtAddr) bool {
		switch {
		case p == 0:
			return true
		case below > nestedTable:
			return r.nested(at, p, nestedTable, below/nestedTable)
		case !plausible(p):
			return r.fail(at, errPointer("nested_table", p))
		}
		return r.words(p, below, r.chain)
	})
}

// words calls each with n words from a on and their addresses. Each page takes one node
// from the budget, and so does each word that can't be read; a run of those is a Gap.
func (r *rhashWalk) words(a vmem.VirtAddr, n uint64, each func(at, word vmem.VirtAddr) bool) bool {
	lost := false
	for n > 0 {
		if !r.step(a) {
			return false
		}
		data, err := r.mem.View(a, int(min(n, nestedTable))*8)
		var unit [8]byte
		if len(data) < 8 { // it crosses pages, or is lost
			var p vmem.VirtAddr
			if p, err = r.pointer(a); err == nil {
				data = binary.LittleEndian.AppendUint64(unit[:0], uint64(p))
			}
		}
		if err != nil {
			if !lost && !r.fail(a, err) {
				return false
			}
			lost, a, n = true, a+8, n-1
			continue
		}
		lost = false
		for ; len(data) >= 8; data = data[8:] {
			if p := binary.LittleEndian.Uint64(data); p != 0 && !each(a, vmem.VirtAddr(p)) {
				return false
			}
			a, n = a+8, n-1
		}
	}
	return true
}

// chain walks the elements of a bucket. Its lowest bit is a lock.
func (r *rhashWalk) chain(bucket, p vmem.VirtAddr) bool {
	r.path = r.path[:0]
	clear(r.long)
	link := bucket
	for p &^= 1; p != 0 && p&1 == 0; {
		if r.cyclic(p) {
			return r.fail(p, fmt.Errorf("%w: bucket whose chain comes back", ErrCycle))
		}
		next, err := r.element(link, p)
		if err != nil {
			return r.fail(link, err)
		}
		if r.over {
			return false
		}
		link, p = p+r.layout.next, next
	}
	switch {
	case p == 0 && link != bucket:
		return r.fail(link, fmt.Errorf("%w: chain that ends with 0", ErrCorrupt))
	case p != 0 && p != bucket|1:
		return r.fail(link, fmt.Errorf("%w: chain of the bucket %v that ends as that of %v", ErrCorrupt, bucket, p&^1))
	}
	return true
}

// element yields an element, which the pointer at link leads to, and what follows it in
// its list, and returns the next one of the chain. A chain of more elements than memory
// has is over the budget.
func (r *rhashWalk) element(link, p vmem.VirtAddr) (next vmem.VirtAddr, err error) {
	if !plausible(p) {
		return 0, errPointer("rhash_head", p)
	}
	if !r.step(p) {
		return 0, nil
	}
	if next, err = r.pointer(p + r.layout.next); err != nil {
		return 0, err
	}
	if r.moving != nil {
		if r.moving[p] {
			return next, nil
		}
		r.moving[p] = true
	}
	r.found++
	if r.give(p) && r.lists {
		r.list(p)
	}
	return next, nil
}

// list yields the elements that have the same key as the one at p.
func (r *rhashWalk) list(p vmem.VirtAddr) {
	seen := map[vmem.VirtAddr]bool{}
	for n := p - r.layout.listHead; ; {
		seen[n] = true
		next, err := r.pointer(n + r.layout.listNext)
		switch {
		case err != nil:
			r.fail(n, err)
			return
		case next == 0:
			return
		case !plausible(next):
			r.fail(n, errPointer("rhlist_head", next))
			return
		case seen[next]:
			r.fail(next, fmt.Errorf("%w: list of equal keys that comes back", ErrCycle))
			return
		}
		if !r.step(next) || !r.give(next+r.layout.listHead) {
			return
		}
		n = next
	}
}

// cyclic reports whether p is in the chain already, and adds it.
func (r *rhashWalk) cyclic(p vmem.VirtAddr) bool {
	switch {
	case slices.Contains(r.path, p) || r.long[p]:
		return true
	case len(r.path) < shortChain:
		r.path = append(r.path, p)
	case r.long == nil:
		r.long = map[vmem.VirtAddr]bool{p: true}
	default:
		r.long[p] = true
	}
	return false
}

package kstruct_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// untyped makes a walk one over anything.
func untyped[T any](walk iter.Seq2[T, error]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for v, err := range walk {
			if !yield(v, err) {
				return
			}
		}
	}
}

// allWalks are the walks over the containers at an address.
func allWalks(w *kstruct.Walk, a vmem.VirtAddr) map[string]iter.Seq2[any, error] {
	return map[string]iter.Seq2[any, error]{
		"list":        untyped(w.List(a)),
		"plist":       untyped(w.PList(a)),
		"hlist":       untyped(w.HList(a)),
		"hlist_bl":    untyped(w.HListBL(a)),
		"hlist_nulls": untyped(w.HListNulls(a)),
		"llist":       untyped(w.LList(a)),
		"rb_root":     untyped(w.RBTree(a)),
		"rb cached":   untyped(w.RBTreeCached(a)),
		"xarray":      untyped(w.XArray(a)),
		"radix tree":  untyped(w.RadixTree(a)),
		"IDR":         untyped(w.IDR(a)),
		"maple tree":  untyped(w.Maple(a)),
		"rhashtable":  untyped(w.RHashTable(a)),
	}
}

// A kernel whose types lack a container, or whose container is not in memory, is one loss
// of each walk, that says so.
func TestEveryWalkLost(t *testing.T) {
	m := newMachine(t)
	for name, walk := range allWalks(m.space("thing 8 a@0:u64").Walk(t.Context(), nil), base) {
		found, lost := collect(t, walk)
		for _, err := range walk {
			if gap, ok := errors.AsType[vmem.Gap](err); !ok || gap.Place.Addr != uint64(base) {
				t.Errorf("%s that the types lack: %v is no Gap of its place", name, err)
			}
		}
		if d := cmp.Diff([]error{kstruct.ErrUnsupported}, lost, cmpopts.EquateErrors()); d != "" || found != nil {
			t.Errorf("%s that the types lack: found %v, losses (-want +got):\n%s", name, found, d)
		}
	}
	const nowhere = vmem.VirtAddr(0xffffc90000000000)
	for name, walk := range allWalks(m.walk(), nowhere) {
		found, lost := collect(t, walk)
		if len(lost) == 0 || !errors.Is(lost[0], vmem.ErrNotPresent) || found != nil {
			t.Errorf("%s that is not there: found %v, losses %v", name, found, lost)
		}
		for _, err := range walk {
			if gap, ok := errors.AsType[vmem.Gap](err); !ok || gap.Object == "" || gap.Place.Addr>>32 != uint64(nowhere)>>32 {
				t.Errorf("%s that is not there: %v is no Gap of that place", name, err)
			}
			break
		}
	}
}

// A RadixTree is an XArray.
func TestRadixTree(t *testing.T) {
	m := newMachine(t)
	xarrayTestTree(m)
	want, _ := collect(t, m.walk().XArray(base))
	got, lost := collect(t, m.walk().RadixTree(base))
	if d := cmp.Diff(want, got); d != "" || lost != nil || len(got) != 5 {
		t.Errorf("entries (-xarray +radix tree):\n%s, losses %v", d, lost)
	}
	var kinds []string
	for _, e := range got {
		kinds = append(kinds, fmt.Sprint(e.Kind))
	}
	if d := cmp.Diff([]string{"pointer", "pointer", "reserved", "value", "pointer"}, kinds); d != "" {
		t.Errorf("kinds (-want +got):\n%s", d)
	}
}

// A chain that is longer than any should be, and comes back far from its beginning.
func TestRHashLongChain(t *testing.T) {
	m := newMachine(t)
	m.rhashtable(0x1000, 0, 100)
	m.bucketTable(0x1000, 4, 0, 0)
	var nodes []uint64
	for i := range uint64(100) {
		nodes = append(nodes, 0x4000+i*16)
	}
	m.chain(testBuckets, nodes...)
	found, lost := collect(t, m.walk().RHashTable(base))
	if d := cmp.Diff(nodes, offsets(found)); d != "" || lost != nil {
		t.Errorf("elements (-want +got):\n%s, losses %v", d, lost)
	}
	m.put(nodes[99], at(nodes[60]))
	found, lost = collect(t, m.walk().RHashTable(base))
	if d := cmp.Diff(nodes, offsets(found)); d != "" {
		t.Errorf("elements of a cycle (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]error{kstruct.ErrCycle}, lost, cmpopts.EquateErrors()); d != "" {
		t.Errorf("losses (-want +got):\n%s", d)
	}
}

package kstruct_test

import (
	"iter"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// allocs returns the number of allocations of a walk over what build writes.
func allocs[T any](t *testing.T, build func(*machine), walk func(*kstruct.Walk) iter.Seq2[T, error]) (perWalk float64, entries int) {
	t.Helper()
	m := newMachine(t)
	build(m)
	space := m.space(kernelTypes)
	perWalk = testing.AllocsPerRun(20, func() {
		entries = 0
		for _, err := range walk(space.Walk(t.Context(), nil)) {
			if err != nil {
				t.Fatal(err)
			}
			entries++
		}
	})
	return perWalk, entries
}

// A walk allocates what it needs itself, and nothing for an entry.
func TestWalkAllocs(t *testing.T) {
	const most = 8
	check := func(name string, got float64, entries, want int) {
		t.Helper()
		if got > most || entries != want {
			t.Errorf("%s: %v allocations for %d entries, want at most %d for %d", name, got, entries, most, want)
		}
	}
	got, n := allocs(t, func(m *machine) {
		m.put(0, 0, at(0x1000)|node)
		top, leaf := map[int]uint64{}, map[int]uint64{}
		for i := range 64 {
			leaf[i] = at(uint64(i) * 8)
		}
		for i := range 64 {
			off := 0x2000 + uint64(i)*1024
			top[i] = at(off) | node
			m.xaNode(off, 0, 0x1000, byte(i), leaf)
		}
		m.xaNode(0x1000, 6, 0, 0, top)
	}, func(w *kstruct.Walk) iter.Seq2[kstruct.Entry, error] { return w.XArray(base) })
	check("xarray", got, n, 4096)

	got, n = allocs(t, mapleTestTree, func(w *kstruct.Walk) iter.Seq2[kstruct.Entry, error] { return w.Maple(base) })
	check("maple tree", got, n, 5)

	nodes := make([]uint64, 2000)
	for i := range nodes {
		nodes[i] = uint64(i) * 16
	}
	list := func(m *machine) { m.link(nodes...) }
	got, n = allocs(t, list, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.List(base) })
	check("list", got-13, n, 1999) // 13 times what it keeps of its way grows
	hlist := func(m *machine) { m.hlist(0, 0, nodes[1:]...) }
	got, n = allocs(t, hlist, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.HList(base) })
	check("hlist", got-13, n, 1999)
}

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
)

// TestElementsEnd takes the map of the bundled node for one of every type that has as many elements as can be counted: what is
// read of it ends soon, and is a few losses.
func TestElementsEnd(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	for _, typ := range []MapType{
		Array, PerCPUArray, ProgArray, ArrayOfMaps, Hash, PerCPUHash, HashOfMaps, LPMTrie, Queue, Stack, StackTrace, DevMap, DevMapHash, CPUMap, XSKMap, SockMap,
		SockHash, ReuseportSockArray, CgroupStorage, SkStorage, StructOpsMap,
	} {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			m := *n.set.Maps()[0]
			m.Type, m.MaxEntries = typ, math.MaxUint32
			lost := 0
			for _, err := range n.set.Elements(t.Context(), &m) {
				if err != nil {
					lost++
				}
			}
			if most := 1000; lost > most {
				t.Errorf("%d losses, at most %d expected", lost, most)
			}
		})
	}
}

// TestNothingLarge: elements of no bytes, of which there are as many as can be counted, are none.
func TestNothingLarge(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	for _, typ := range []MapType{Hash, LRUHash, Queue, Stack, Array} {
		m := *n.set.Maps()[0]
		m.Type, m.MaxEntries, m.KeySize, m.ValueSize, m.Flags = typ, math.MaxUint32, 0, 0, 0
		count := 0
		for _, err := range n.set.Deleted(t.Context(), &m) {
			_ = err // a loss counts, too
			count++
		}
		for _, err := range n.set.Elements(t.Context(), &m) {
			_ = err
			count++
		}
		if most := 2000; count > most {
			t.Errorf("%v: %d elements and losses", typ, count)
		}
	}
}

// TestCgroupCycle makes a cgroup one of its own children: it is told once, and the cycle is lost.
func TestCgroupCycle(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	victim := n.set.Cgroups()[len(n.set.Cgroups())-1]
	css := n.K.Struct("cgroup", victim.Address).At("self")
	m := smeartest.New(n.Mem)
	put(t, n, m, css.At("children.next").Addr(), binary.LittleEndian.AppendUint64(nil, uint64(css.At("sibling").Addr())))
	k, tasks, err := reopen(t.Context(), n, m)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Open(t.Context(), k, &Options{Tasks: tasks})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int{}
	for _, c := range set.Cgroups() {
		told[fmt.Sprint(c.Address)]++
	}
	for at, times := range told {
		if times > 1 {
			t.Errorf("cgroup at %s is told %d times", at, times)
		}
	}
	cycle := false
	for _, g := range set.Gaps() {
		cycle = cycle || errors.Is(g, kstruct.ErrCycle)
	}
	if !cycle {
		t.Errorf("no gap says that there is a cycle: %v", set.Gaps())
	}
}

package kstruct_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// What fuzzed walks may do.
const (
	fuzzNodes = 3000
	fuzzGaps  = 20
	fuzzSize  = 32 << 10 // bytes of memory
)

// recordSize is that of a word of fuzzed memory: which it is, and what it holds.
const recordSize = 2 + 8

// dump returns the words of a machine that are not 0, as a seed.
func (m *machine) dump() (records []byte) {
	for i := range fuzzSize / 8 {
		word := make([]byte, 8)
		if _, err := m.mem.ReadAt(word, int64(physBase+8*i)); err != nil {
			m.t.Fatal(err)
		}
		if !bytes.Equal(word, make([]byte, 8)) {
			records = append(binary.LittleEndian.AppendUint16(records, uint16(i)), word...)
		}
	}
	return records
}

// fill writes the words that records hold.
func fill(mem, records []byte) {
	for ; len(records) >= recordSize; records = records[recordSize:] {
		i := int(binary.LittleEndian.Uint16(records)) % (len(mem) / 8)
		copy(mem[8*i:], records[2:recordSize])
	}
}

// A flatMemory is fuzzSize bytes at physBase, of which some are not captured, with page
// tables for them. It is as fast as fuzzing needs.
type flatMemory struct {
	tables, data []byte
	hole         int // where 24 bytes are not captured; 0 if all are
}

const tablesAt, tablesEnd = 0x1000, 0x4000

// flatTables returns the page tables of a flatMemory.
func flatTables(t testing.TB) []byte {
	mem := new(pagetest.Memory)
	tables := pagetest.NewTables(mem, 4, tablesAt)
	tables.Map(base, physBase, 2, pagetest.Present|pagetest.Write)
	b := make([]byte, tablesEnd-tablesAt)
	if _, err := mem.ReadAt(b, tablesAt); err != nil {
		t.Fatal(err)
	}
	return b
}

func (m *flatMemory) Ranges() []vmem.Range[vmem.PhysAddr] {
	tables := vmem.Range[vmem.PhysAddr]{Start: tablesAt, Size: tablesEnd - tablesAt}
	if m.hole == 0 {
		return []vmem.Range[vmem.PhysAddr]{tables, {Start: physBase, Size: fuzzSize}}
	}
	behind := physBase + vmem.PhysAddr(m.hole) + 24
	return []vmem.Range[vmem.PhysAddr]{
		tables, {Start: physBase, Size: uint64(m.hole)}, {Start: behind, Size: uint64(physBase + fuzzSize - behind)},
	}
}

func (m *flatMemory) ReadAt(p []byte, off int64) (int, error) {
	if off < tablesEnd {
		return copy(p, m.tables[off-tablesAt:]), nil
	}
	n := copy(p, m.data[off-physBase:])
	clear(p[n:])
	return len(p), nil
}

// fuzzWalk walks over memory that holds the fuzzed words, of which those at hole are not
// captured, with all of its budget and with less. check sees what a walk yields.
func fuzzWalk[T any](f *testing.F, walk func(*kstruct.Walk) iter.Seq2[T, error], check func(t *testing.T, found []T)) {
	kernel, tables := types(f, kernelTypes), flatTables(f)
	f.Fuzz(func(t *testing.T, data []byte, hole uint16) {
		mem := &flatMemory{tables: tables, data: make([]byte, fuzzSize), hole: int(hole) % (fuzzSize - 24)}
		fill(mem.data, data)
		as, err := x86.NewAddressSpace(vmem.NewPhysical(mem), tablesAt, nil)
		if err != nil {
			t.Fatal(err)
		}
		space := kstruct.NewSpace(as, kernel, 0)
		for _, nodes := range []int{fuzzNodes, 7} {
			var found []T
			gaps := 0
			for v, err := range walk(space.Walk(context.Background(), &kstruct.WalkOptions{Nodes: nodes, Gaps: fuzzGaps})) {
				if err == nil {
					found = append(found, v)
				} else if gaps++; reasonOf(err) == nil {
					t.Fatalf("%v has no reason", err)
				}
			}
			if gaps > fuzzGaps+2 { // one that counts the rest, and that of the budget
				t.Errorf("%d gaps of at most %d", gaps, fuzzGaps)
			}
			if check(t, found); t.Failed() {
				return
			}
		}
		for _, err := range walk(space.Walk(context.Background(), nil)) {
			_ = err // it may be a loss
			break
		}
	})
}

// once checks that no node is yielded twice.
func once(t *testing.T, nodes []vmem.VirtAddr) {
	if len(nodes) > fuzzNodes {
		t.Errorf("%d nodes of at most %d", len(nodes), fuzzNodes)
	}
	seen := map[vmem.VirtAddr]bool{}
	for _, n := range nodes {
		if seen[n] {
			t.Errorf("node %v twice", n)
		}
		seen[n] = true
	}
}

// ascending checks that no two entries are of the same index.
func ascending(t *testing.T, entries []kstruct.Entry) {
	for i, e := range entries {
		if e.First > e.Last || i > 0 && e.First <= entries[i-1].Last {
			t.Errorf("entry %d is of %#x to %#x, behind one of up to %#x", i, e.First, e.Last, entries[max(i-1, 0)].Last)
		}
		if (e.Ptr != 0) != (e.Kind == kstruct.PointerEntry) || e.Value != 0 && e.Kind != kstruct.ValueEntry {
			t.Errorf("entry %+v", e)
		}
	}
}

// seeds adds the memory that each builds.
func seeds(f *testing.F, builds ...func(*machine)) {
	f.Add([]byte{}, uint16(0))
	for _, build := range builds {
		m := newMachine(f)
		build(m)
		f.Add(m.dump(), uint16(0))
		f.Add(m.dump(), uint16(0x200))
		f.Add(m.dump(), uint16(0x1008))
	}
}

func FuzzList(f *testing.F) {
	seeds(f, func(m *machine) { m.link(0, 0x100, 0x200, 0x300, 0x400) })
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.List(base) }, once)
}

func FuzzPList(f *testing.F) {
	seeds(f, func(m *machine) { m.link(0, 0x100+24, 0x200+24, 0x300+24) })
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.PList(base) }, once)
}

func FuzzHList(f *testing.F) {
	seeds(f, func(m *machine) { m.hlist(0, 0, 0x100, 0x200, 0x300, 0x400) })
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.HListBL(base) }, once)
}

func FuzzHListNulls(f *testing.F) {
	seeds(f, func(m *machine) { m.hlist(0, 7<<1|1, 0x100, 0x200, 0x300, 0x400) })
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.HListNulls(base, 7) }, once)
}

func FuzzLList(f *testing.F) {
	seeds(f, func(m *machine) { m.put(0, at(0x100)); m.put(0x100, at(0x200)) })
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.LList(base) }, once)
}

func FuzzRBTree(f *testing.F) {
	seeds(f, rbTestTree)
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.RBTreeCached(base) }, once)
}

func FuzzXArray(f *testing.F) {
	seeds(f, xarrayTestTree, xarrayTestSiblings)
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[kstruct.Entry, error] { return w.XArray(base) }, ascending)
}

func FuzzIDR(f *testing.F) {
	seeds(f, xarrayTestTree)
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[kstruct.Entry, error] { return w.IDR(base) }, ascending)
}

func FuzzMaple(f *testing.F) {
	seeds(f, mapleTestTree)
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[kstruct.Entry, error] { return w.Maple(base) }, ascending)
}

func FuzzRHashTable(f *testing.F) {
	seeds(f, rhashTestTable, func(m *machine) {
		m.rhashtable(0x1000, 1, 1)
		m.bucketTable(0x1000, 1<<10, 1, 0)
		next := uint64(0x2000)
		m.chain(m.nestedBucket(&next, 0x1000, 1, 1<<10, 77), 0x100)
	})
	fuzzWalk(f, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.RHashTable(base) },
		func(t *testing.T, nodes []vmem.VirtAddr) {
			if len(nodes) > fuzzNodes { // a chain may lead into another: they have no links back
				t.Errorf("%d nodes of at most %d", len(nodes), fuzzNodes)
			}
		})
}

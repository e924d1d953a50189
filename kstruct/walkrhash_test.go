package kstruct_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// rhashtable writes an rhashtable at base.
func (m *machine) rhashtable(table uint64, lists byte, elements uint32) {
	m.put(0, at(table))
	m.bytes(56, lists)
	m.bytes(132, byte(elements), byte(elements>>8), byte(elements>>16), byte(elements>>24))
}

// bucketTable writes a bucket_table; of a nested one, its one bucket is the first table.
func (m *machine) bucketTable(off uint64, size, nest uint64, future uint64) {
	if future != 0 {
		future = at(future)
	}
	m.put(off, nest<<32|size)
	m.put(off+48, future)
}

// chain makes the chain of a bucket, which ends with its own mark.
func (m *machine) chain(bucket uint64, nodes ...uint64) {
	link := bucket
	for _, n := range nodes {
		m.put(link, at(n))
		link = n
	}
	m.put(link, at(bucket)|1)
}

// testBuckets is where the table of rhashTestTable has its buckets.
const testBuckets = 0x1000 + 64

// rhashTestTable is an rhashtable at base of five elements in three of four buckets.
func rhashTestTable(m *machine) {
	m.rhashtable(0x1000, 0, 5)
	m.bucketTable(0x1000, 4, 0, 0)
	m.chain(testBuckets+8, 0x100, 0x200)
	m.chain(testBuckets+16, 0x300)
	m.chain(testBuckets+24, 0x400, 0x500)
	m.put(testBuckets+16, at(0x300)|1) // the bucket is locked
}

func TestRHashTable(t *testing.T) {
	const buckets = testBuckets
	whole := []uint64{0x100, 0x200, 0x300, 0x400, 0x500}
	corrupt := []error{kstruct.ErrCorrupt}
	tests := []struct {
		name   string
		damage func(*machine)
		want   []uint64
		lost   []error
	}{
		{"whole", func(*machine) {}, whole, nil},
		{"empty", func(m *machine) { m.put(buckets, 0, 0, 0, 0); m.rhashtable(0x1000, 0, 0) }, nil, nil},
		{"empty and locked", func(m *machine) { m.put(buckets, 1) }, whole, nil},
		{"an element taken out", func(m *machine) { m.put(0x100, at(buckets+8)|1) }, []uint64{0x100, 0x300, 0x400, 0x500}, corrupt},
		{"chain of another bucket", func(m *machine) { m.put(0x200, at(buckets+24)|1) }, whole, corrupt},
		{"chain ends with 0", func(m *machine) { m.put(0x200, 0) }, whole, corrupt},
		{"chain comes back", func(m *machine) { m.put(0x200, at(0x100)) }, whole, []error{kstruct.ErrCycle}},
		{"garbage", func(m *machine) { m.put(0x100, 0x4141414141414140) }, []uint64{0x100, 0x300, 0x400, 0x500}, corrupt},
		{"size is no power of two", func(m *machine) { m.bucketTable(0x1000, 5, 0, 0) }, nil, corrupt},
		{"nested too deep", func(m *machine) { m.bucketTable(0x1000, 4, 3, 0) }, nil, corrupt},
		{"an element not captured", func(m *machine) { m.forget(0x100, 8) }, whole[2:], []error{vmem.ErrNotCaptured}},
		{"a bucket not captured", func(m *machine) { m.forget(buckets+8, 16) }, whole[3:], []error{vmem.ErrNotCaptured}},
		{"no table", func(m *machine) { m.put(0, 0) }, nil, corrupt},
		{"table not captured", func(m *machine) { m.forget(0, 8) }, nil, []error{vmem.ErrNotCaptured}},
		{"being moved", func(m *machine) {
			m.bucketTable(0x1000, 4, 0, 0x2000)
			m.bucketTable(0x2000, 2, 0, 0)
			m.chain(0x2000+64, 0x500) // is in both tables for a moment
			m.put(0x400, at(0x500))
			m.chain(0x2000+72, 0x600)
			m.rhashtable(0x1000, 0, 6)
		}, []uint64{0x100, 0x200, 0x300, 0x400, 0x500, 0x600}, corrupt}, // its end is that of the other
		{"moved for ever", func(m *machine) { m.bucketTable(0x1000, 4, 0, 0x1000) }, whole, []error{kstruct.ErrTooLong}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			rhashTestTable(m)
			tt.damage(m)
			nodes, lost := collect(t, m.walk().RHashTable(base))
			if d := cmp.Diff(tt.want, offsets(nodes)); d != "" {
				t.Errorf("nodes (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.lost, lost, cmpopts.EquateErrors()); d != "" {
				t.Errorf("losses (-want +got):\n%s", d)
			}
		})
	}
}

// Elements of equal keys are in a list.
func TestRHashLists(t *testing.T) {
	m := newMachine(t)
	m.rhashtable(0x1000, 1, 2)
	m.bucketTable(0x1000, 4, 0, 0)
	m.chain(0x1000+64, 0x100, 0x200)
	m.put(0x108, at(0x110))
	m.put(0x118, at(0x120))
	nodes, lost := collect(t, m.walk().RHashTable(base))
	if d := cmp.Diff([]uint64{0x100, 0x110, 0x120, 0x200}, offsets(nodes)); d != "" || lost != nil {
		t.Errorf("nodes (-want +got):\n%s, losses %v", d, lost)
	}
	m.put(0x128, at(0x110))
	nodes, lost = collect(t, m.walk().RHashTable(base))
	if d := cmp.Diff([]error{kstruct.ErrCycle}, lost, cmpopts.EquateErrors()); d != "" || len(nodes) != 4 {
		t.Errorf("with a cycle: nodes %v, losses (-want +got):\n%s", offsets(nodes), d)
	}
}

// nestedBucket returns where the bucket of a hash is, by __rht_bucket_nested.
func (m *machine) nestedBucket(next *uint64, table, nest, size, hash uint64) uint64 {
	below := func(table, index uint64) uint64 {
		var b [8]byte
		if _, err := m.mem.ReadAt(b[:], int64(physBase+table+8*index)); err != nil {
			m.t.Fatal(err)
		}
		if b == [8]byte{} {
			m.put(table+8*index, at(*next))
			*next += 0x1000
			return *next - 0x1000
		}
		return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 - uint64(base)&0xffffff
	}
	t := below(table+64, 0)
	t = below(t, hash&(1<<nest-1))
	size, hash = size>>nest, hash>>nest
	for size > 512 {
		t = below(t, hash&511)
		size, hash = size>>9, hash>>9
	}
	return t + 8*hash
}

func TestRHashNested(t *testing.T) {
	for _, tt := range []struct{ size, nest uint64 }{
		{1 << 10, 1}, // 2 pages of 512
		{1 << 18, 9}, // 512 pages of 512
		{1 << 19, 1}, // 2 pages of pages of 512
		{1 << 20, 2},
	} {
		m := newMachine(t)
		m.rhashtable(0x1000, 0, 4)
		m.bucketTable(0x1000, tt.size, tt.nest, 0)
		next := uint64(0x2000)
		want := []uint64{0x100, 0x110, 0x120, 0x130}
		for i, n := range want {
			m.chain(m.nestedBucket(&next, 0x1000, tt.nest, tt.size, uint64(i)*(tt.size-1)/3), n)
		}
		nodes, lost := collect(t, m.walk().RHashTable(base))
		got := offsets(nodes)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" || lost != nil {
			t.Errorf("%d buckets: nodes (-want +got):\n%s, losses %v", tt.size, d, lost)
		}
		m.put(0x1000+64, 0x4141414141414141)
		nodes, lost = collect(t, m.walk().RHashTable(base))
		if len(nodes) > 0 || len(lost) != 1 {
			t.Errorf("%d buckets without tables: %v, losses %v", tt.size, offsets(nodes), lost)
		}
	}
}

// A bucket that lies on two pages is read like the others.
func TestRHashAcrossPages(t *testing.T) {
	m := newMachine(t)
	const table, buckets = 0x2000 - 64, 0x2000 - 4
	m.rhashtable(table, 0, 1)
	m.put(table, 1) // of one bucket
	m.chain(buckets, 0x100)
	text := strings.Replace(kernelTypes, "buckets@64:", "buckets@60:", 1)
	nodes, lost := collect(t, m.space(text).Walk(t.Context(), nil).RHashTable(base))
	if d := cmp.Diff([]uint64{0x100}, offsets(nodes)); d != "" || lost != nil {
		t.Errorf("nodes (-want +got):\n%s, losses %v", d, lost)
	}
}

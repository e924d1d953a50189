package kstruct_test

import (
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// hlist makes a list of nodes behind the head at head, that ends with end.
func (m *machine) hlist(head, end uint64, nodes ...uint64) {
	link := head
	for _, n := range nodes {
		m.put(link, at(n))
		m.put(n+8, at(link))
		link = n
	}
	m.put(link, end)
}

func TestHList(t *testing.T) {
	whole := []uint64{0x100, 0x200, 0x300, 0x400}
	corrupt := []error{kstruct.ErrCorrupt}
	tests := []struct {
		name   string
		damage func(*machine)
		want   []uint64
		lost   []error
	}{
		{"whole", func(*machine) {}, whole, nil},
		{"empty", func(m *machine) { m.put(0, 0) }, nil, nil},
		{"next leads nowhere", func(m *machine) { m.put(0x200, 0xffffc90000000000) }, whole[:2], []error{vmem.ErrNotPresent}},
		{"next is no pointer", func(m *machine) { m.put(0x200, 0x4141414141414141) }, whole[:2], corrupt},
		{"node overwritten with zeros", func(m *machine) { m.put(0x200, 0, 0) }, whole[:1], corrupt},
		{"next goes back: a cycle", func(m *machine) { m.put(0x400, at(0x100)) }, whole, corrupt},
		{"next is itself", func(m *machine) { m.put(0x300, at(0x300)) }, whole[:3], corrupt},
		{"inserted while captured", func(m *machine) { m.put(0x500, at(0x300)); m.put(0x200, at(0x500)) },
			[]uint64{0x100, 0x200, 0x500, 0x300, 0x400}, corrupt},
		{"removed while captured", func(m *machine) { m.put(0x200, at(0x400)) }, // 0x400 points to 0x300 still
			[]uint64{0x100, 0x200, 0x400, 0x300}, corrupt},
		{"a stretch skipped", func(m *machine) { m.put(0x100, at(0x400)) }, // 0x200 is linked to 0x300 still
			[]uint64{0x100, 0x400, 0x300, 0x200}, corrupt},
		{"not captured", func(m *machine) { m.forget(0x300, 16) }, whole[:2], []error{vmem.ErrNotCaptured}},
		{"head not captured", func(m *machine) { m.forget(0, 8) }, nil, []error{vmem.ErrNotCaptured}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.hlist(0, 0, whole...)
			tt.damage(m)
			nodes, lost := collect(t, m.walk().HList(base))
			if d := cmp.Diff(tt.want, offsets(nodes)); d != "" {
				t.Errorf("nodes (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.lost, lost, cmpopts.EquateErrors()); d != "" {
				t.Errorf("losses (-want +got):\n%s", d)
			}
		})
	}
}

func TestHListNulls(t *testing.T) {
	type walk = func(*kstruct.Walk) iter.Seq2[vmem.VirtAddr, error]
	nodes := []uint64{0x100, 0x200}
	plain := func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.HListNulls(base) }
	of := func(bucket uint64) walk {
		return func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.HListNulls(base, bucket) }
	}
	corrupt := []error{kstruct.ErrCorrupt}
	tests := []struct {
		name string
		end  uint64
		walk walk
		lost []error
	}{
		{"any end", 7<<1 | 1, plain, nil},
		{"its own end", 7<<1 | 1, of(7), nil},
		{"end of another bucket", 6<<1 | 1, of(7), corrupt},
		{"end of bucket 0", 1, of(0), nil},
		{"negative value", 1<<64 - 1, of(1<<64 - 1), nil},
		{"ends as an hlist", 0, of(7), corrupt},
		{"ends as an hlist, any end", 0, plain, corrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.hlist(0, tt.end, nodes...)
			got, lost := collect(t, tt.walk(m.walk()))
			if d := cmp.Diff(nodes, offsets(got)); d != "" {
				t.Errorf("nodes (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.lost, lost, cmpopts.EquateErrors()); d != "" {
				t.Errorf("losses (-want +got):\n%s", d)
			}
		})
	}
}

// A bucket of the dentry cache that is locked.
func TestHListBL(t *testing.T) {
	m := newMachine(t)
	m.hlist(0, 0, 0x100, 0x200, 0x300)
	m.put(0, at(0x100)|1)
	for range 2 {
		nodes, lost := collect(t, m.walk().HListBL(base))
		if d := cmp.Diff([]uint64{0x100, 0x200, 0x300}, offsets(nodes)); d != "" || lost != nil {
			t.Errorf("nodes (-want +got):\n%s, losses %v", d, lost)
		}
	}
	nodes, lost := collect(t, m.walk().HList(base))
	if len(nodes) > 0 || len(lost) != 1 {
		t.Errorf("as an hlist: nodes %v, losses %v", offsets(nodes), lost)
	}
}

func TestChain(t *testing.T) {
	m := newMachine(t)
	m.put(0x100+32, at(0x200))
	m.put(0x200+32, at(0x300))
	chain := func(first uint64) (nodes []uint64, lost []error) {
		got, lost := collect(t, m.walk().Chain(vmem.VirtAddr(first), 32))
		return offsets(got), lost
	}
	check := func(name string, first uint64, want []uint64, lost ...error) {
		t.Helper()
		got, gotLost := chain(first)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: nodes (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff(lost, gotLost, cmpopts.EquateErrors()); d != "" {
			t.Errorf("%s: losses (-want +got):\n%s", name, d)
		}
	}
	check("whole", at(0x100), []uint64{0x100, 0x200, 0x300})
	check("empty", 0, nil)
	m.put(0x300+32, at(0x200))
	check("cycle", at(0x100), []uint64{0x100, 0x200, 0x300}, kstruct.ErrCycle)
	m.put(0x300+32, 0x4141414141414141)
	check("garbage", at(0x100), []uint64{0x100, 0x200, 0x300}, kstruct.ErrCorrupt)
	m.forget(0x200+32, 8)
	check("not captured", at(0x100), []uint64{0x100}, vmem.ErrNotCaptured)
}

func TestLList(t *testing.T) {
	m := newMachine(t)
	m.put(0, at(0x100))
	m.put(0x100, at(0x200))
	nodes, lost := collect(t, m.walk().LList(base))
	if d := cmp.Diff([]uint64{0x100, 0x200}, offsets(nodes)); d != "" || lost != nil {
		t.Errorf("nodes (-want +got):\n%s, losses %v", d, lost)
	}
	m.forget(0, 8)
	nodes, lost = collect(t, m.walk().LList(base))
	if d := cmp.Diff([]error{vmem.ErrNotCaptured}, lost, cmpopts.EquateErrors()); d != "" || nodes != nil {
		t.Errorf("nodes %v, losses (-want +got):\n%s", nodes, d)
	}
}

func TestPList(t *testing.T) {
	m := newMachine(t)
	m.link(0, 0x100+24, 0x200+24, 0x300+24)
	for n, prio := range map[uint64]uint64{0x100: 1<<32 - 5, 0x200: 0, 0x300: 7} {
		m.put(n, prio)
	}
	nodes, lost := collect(t, m.walk().PList(base))
	if d := cmp.Diff([]uint64{0x100, 0x200, 0x300}, offsets(nodes)); d != "" || lost != nil {
		t.Errorf("nodes (-want +got):\n%s, losses %v", d, lost)
	}
	m.put(0x200, 9)
	nodes, lost = collect(t, m.walk().PList(base))
	if d := cmp.Diff([]error{kstruct.ErrCorrupt}, lost, cmpopts.EquateErrors()); d != "" || len(nodes) != 3 {
		t.Errorf("out of order: nodes %v, losses (-want +got):\n%s", offsets(nodes), d)
	}
	// Of a node whose priority is lost, nothing is known that others could be out of order by.
	m.put(0x100, 3)
	m.put(0x300, 1)
	m.forget(0x200, 8)
	nodes, lost = collect(t, m.walk().PList(base))
	if d := cmp.Diff([]error{vmem.ErrNotCaptured, kstruct.ErrCorrupt}, lost, cmpopts.EquateErrors()); d != "" || len(nodes) != 3 {
		t.Errorf("a priority lost: nodes %v, losses (-want +got):\n%s", offsets(nodes), d)
	}
	m.put(0x100, 1<<32-5)
	m.put(0x200, 9)
	m.put(0x300, 7)
	m.put(0x300+24, 0, 0)
	nodes, lost = collect(t, m.walk().PList(base))
	if d := cmp.Diff([]error{kstruct.ErrCorrupt}, lost, cmpopts.EquateErrors()); d != "" || len(nodes) != 2 {
		t.Errorf("broken: nodes %v, losses (-want +got):\n%s", offsets(nodes), d)
	}
}

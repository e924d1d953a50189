package kstruct_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// link makes a list of the nodes, the head first.
func (m *machine) link(nodes ...uint64) {
	for i, n := range nodes {
		m.put(n, at(nodes[(i+1)%len(nodes)]), at(nodes[(i+len(nodes)-1)%len(nodes)]))
	}
}

func TestList(t *testing.T) {
	tests := []struct {
		name   string
		damage func(*machine)
		want   []uint64
		lost   []error
	}{
		{"whole", func(*machine) {}, []uint64{0x100, 0x200, 0x300, 0x400}, nil},
		{"empty", func(m *machine) { m.link(0) }, nil, nil},
		{"next leads nowhere", func(m *machine) { m.put(0x200, 0xffffc90000000000) },
			[]uint64{0x100, 0x200, 0x400, 0x300}, []error{vmem.ErrNotPresent}},
		{"next is no pointer", func(m *machine) { m.put(0x200, 0x4141414141414141) },
			[]uint64{0x100, 0x200, 0x400, 0x300}, []error{kstruct.ErrCorrupt}},
		{"node overwritten with zeros", func(m *machine) { m.put(0x200, 0, 0) },
			[]uint64{0x100, 0x400, 0x300}, []error{kstruct.ErrCorrupt}},
		{"node not captured", func(m *machine) { m.forget(0x200, 16) },
			[]uint64{0x100, 0x400, 0x300}, []error{vmem.ErrNotCaptured}},
		{"next goes back: a cycle", func(m *machine) { m.put(0x300, at(0x100)) },
			[]uint64{0x100, 0x200, 0x300, 0x400}, []error{kstruct.ErrCorrupt}},
		{"inserted while captured", func(m *machine) { m.put(0x500, at(0x300), at(0x200)); m.put(0x200, at(0x500)) },
			[]uint64{0x100, 0x200, 0x500, 0x300, 0x400}, []error{kstruct.ErrCorrupt}},
		{"a stretch skipped, and cut off from the head", func(m *machine) {
			m.put(0x100, at(0x300)) // past 0x200, which is still linked to 0x300
			m.put(0, at(0x100), at(0x600))
		}, []uint64{0x100, 0x300, 0x400, 0x200}, []error{kstruct.ErrCorrupt}},
		{"next was removed", func(m *machine) {
			m.put(0x200, at(0x700))
			m.put(0x700, at(0x300), at(0x100)) // neither points back
		}, []uint64{0x100, 0x200, 0x400, 0x300}, []error{kstruct.ErrCorrupt}},
		{"head points to itself one way", func(m *machine) { m.put(0, at(0)) },
			[]uint64{0x400, 0x300, 0x200, 0x100}, []error{kstruct.ErrCorrupt}},
		{"head not captured", func(m *machine) { m.forget(0, 16) }, nil, []error{vmem.ErrNotCaptured}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.link(0, 0x100, 0x200, 0x300, 0x400)
			tt.damage(m)
			nodes, lost := collect(t, m.walk().List(base))
			if d := cmp.Diff(tt.want, offsets(nodes)); d != "" {
				t.Errorf("nodes (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.lost, lost, cmpopts.EquateErrors()); d != "" {
				t.Errorf("losses (-want +got):\n%s", d)
			}
		})
	}
}

// However early the caller breaks off, it is not called again.
func TestListBreak(t *testing.T) {
	m := newMachine(t)
	m.link(0, 0x100, 0x200, 0x300, 0x400)
	m.put(0x200, 0, 0)
	for stop := range 5 {
		n := 0
		for _, err := range m.walk().List(base) {
			_ = err // the second is a loss
			if n++; n > stop {
				break
			}
		}
		if n != min(stop+1, 4) { // 0x100, a Gap, 0x400, 0x300
			t.Errorf("%d elements before breaking off after %d", n, stop)
		}
	}
}

func TestEntries(t *testing.T) {
	m := newMachine(t)
	m.link(0, 0x110, 0x210)
	w := m.walk()
	things, lost := collect(t, w.Entries(w.List(base), "thing", "link"))
	if d := cmp.Diff([]uint64{0x100, 0x200}, offsets(things)); d != "" || lost != nil {
		t.Errorf("things (-want +got):\n%s, losses %v", d, lost)
	}
	things, lost = collect(t, w.Entries(w.List(base), "thing", "lnk"))
	if len(things) > 0 || !cmp.Equal(lost, []error{kstruct.ErrUnsupported}, cmpopts.EquateErrors()) {
		t.Errorf("by a member that isn't there: %v, %v", things, lost)
	}
	m.put(0x110, 0, 0)
	w = m.walk()
	things, lost = collect(t, w.Entries(w.List(base), "thing", "link"))
	if d := cmp.Diff([]uint64{0x200}, offsets(things)); d != "" || len(lost) != 1 {
		t.Errorf("things of a broken list (-want +got):\n%s, losses %v", d, lost)
	}
}

func TestWalkBudget(t *testing.T) {
	m := newMachine(t)
	m.link(0, 0x100, 0x200, 0x300, 0x400)
	w := m.walkWith(context.Background(), &kstruct.WalkOptions{Nodes: 6})
	nodes, lost := collect(t, w.List(base))
	if len(nodes) != 4 || len(lost) > 0 {
		t.Fatalf("first walk: %v, losses %v", offsets(nodes), lost)
	}
	nodes, lost = collect(t, w.List(base)) // 2 are left
	if d := cmp.Diff([]uint64{0x100, 0x200}, offsets(nodes)); d != "" {
		t.Errorf("nodes (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]error{kstruct.ErrTooLong}, lost, cmpopts.EquateErrors()); d != "" {
		t.Errorf("losses (-want +got):\n%s", d)
	}
}

func TestWalkContext(t *testing.T) {
	m := newMachine(t)
	var nodes []uint64
	for i := range uint64(1000) {
		nodes = append(nodes, i*16)
	}
	m.link(nodes...)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := m.walkWith(ctx, nil)
	n := 0
	var last error
	for _, err := range w.List(base) {
		if n++; n == 10 {
			cancel()
		}
		last = err
	}
	if n > 10+256 || last != context.Canceled { //nolint:errorlint // it is that error, not one about an object
		t.Errorf("a cancelled walk yielded %d elements, the last %v", n, last)
	}
	if found, lost := collect(t, w.List(base)); len(found) > 0 || len(lost) != 1 {
		t.Errorf("a walk that was cancelled before: %v, %v", found, lost)
	}
}

// A Walk tells so many losses, and of the others how many there are.
func TestWalkGaps(t *testing.T) {
	m := newMachine(t)
	m.put(0, 0, at(0x1000)|2)
	m.xaNode(0x1000, 6, 0, 0, map[int]uint64{0: 0x41414142, 1: 0x41414146, 2: 0x4141414a, 5: 0x4141414e})
	w := m.walkWith(context.Background(), &kstruct.WalkOptions{Object: "many things", Gaps: 2})
	var texts []string
	for _, err := range w.XArray(base) {
		texts = append(texts, err.Error())
	}
	want := []string{
		"many things at kernel address 0xffff888000201000: inconsistent structure: xa_node pointer 0x41414140",
		"many things at kernel address 0xffff888000201000: inconsistent structure: xa_node pointer 0x41414144",
		"many things at kernel address 0xffff888000201000: more than are told: 2 more losses from here on",
	}
	if d := cmp.Diff(want, texts); d != "" {
		t.Errorf("losses (-want +got):\n%s", d)
	}
}

// What the types lack is named, and nothing is read with a layout that doesn't fit.
func TestUnsupported(t *testing.T) {
	m := newMachine(t)
	for name, text := range map[string]string{
		"no types":         `thing 8 a@0:u64`,
		"no previous node": `list_head 16 next@0:*`,
		"32-bit pointers":  `list_head 8 next@0:u32 prev@4:u32`,
	} {
		s := m.space(text)
		nodes, lost := collect(t, s.Walk(context.Background(), nil).List(base))
		if d := cmp.Diff([]error{kstruct.ErrUnsupported}, lost, cmpopts.EquateErrors()); d != "" || nodes != nil {
			t.Errorf("%s: nodes %v, losses (-want +got):\n%s", name, nodes, d)
		}
		_, lost = collect(t, s.Walk(context.Background(), nil).XArray(base))
		if d := cmp.Diff([]error{kstruct.ErrUnsupported}, lost, cmpopts.EquateErrors()); d != "" {
			t.Errorf("%s: losses of an xarray (-want +got):\n%s", name, d)
		}
	}
}

package kstruct_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// rbNode writes an rb_node; 0 is none. Its colour is black.
func (m *machine) rbNode(off, parent, left, right uint64) {
	words := []uint64{parent, right, left}
	for i, w := range words {
		if w != 0 {
			words[i] = at(w)
		}
	}
	words[0] |= 1
	m.put(off, words...)
}

// rbTestTree is an rb_root_cached at base of these nodes:
//
//	       400
//	  200       600
//	100 300   500 700
func rbTestTree(m *machine) {
	m.put(0, at(0x400), at(0x100))
	m.rbNode(0x400, 0, 0x200, 0x600)
	m.rbNode(0x200, 0x400, 0x100, 0x300)
	m.rbNode(0x600, 0x400, 0x500, 0x700)
	for _, n := range []uint64{0x100, 0x300} {
		m.rbNode(n, 0x200, 0, 0)
		m.rbNode(n+0x400, 0x600, 0, 0)
	}
}

func TestRBTree(t *testing.T) {
	whole := []uint64{0x100, 0x200, 0x300, 0x400, 0x500, 0x600, 0x700}
	corrupt := []error{kstruct.ErrCorrupt}
	tests := []struct {
		name   string
		damage func(*machine)
		want   []uint64
		cached []uint64 // with the pointer to the first node, if it finds more
		lost   []error
	}{
		{"whole", func(*machine) {}, whole, nil, nil},
		{"empty", func(m *machine) { m.put(0, 0, 0) }, nil, nil, nil},
		{"child leads nowhere", func(m *machine) { m.put(0x600+8, 0xffffc90000000000) },
			whole[:6], nil, []error{vmem.ErrNotPresent}},
		{"child is no pointer", func(m *machine) { m.put(0x600+8, 0x4141414141414141) }, whole[:6], nil, corrupt},
		{"leads back to the root", func(m *machine) { m.rbNode(0x700, 0x600, 0, 0x400) }, whole, nil, corrupt},
		{"on both sides", func(m *machine) { m.rbNode(0x600, 0x400, 0x500, 0x500) }, whole[:6], nil, []error{kstruct.ErrCycle}},
		{"foreign node", func(m *machine) { m.rbNode(0x600, 0x400, 0x500, 0x900) }, whole[:6], nil, corrupt},
		{"a leaf that names another parent", func(m *machine) { m.rbNode(0x700, 0x200, 0, 0) }, whole, nil, corrupt},
		{"captured between two steps of a rotation", func(m *machine) {
			// rb_rotate of 600 to the left: 700 is on top, and has not got its parent yet.
			m.rbNode(0x400, 0, 0x200, 0x700)
			m.rbNode(0x700, 0x600, 0x600, 0)
			m.rbNode(0x600, 0x700, 0x500, 0)
		}, whole, nil, corrupt},
		{"root not captured", func(m *machine) { m.forget(0x400, 24) }, nil, whole[:3], []error{vmem.ErrNotCaptured}},
		{"left side not captured", func(m *machine) { m.forget(0x200, 24) },
			whole[3:], append(append([]uint64{}, whole[3:]...), 0x100), []error{vmem.ErrNotCaptured}},
		{"pointer to the root not captured", func(m *machine) { m.forget(0, 8) }, nil, whole, []error{vmem.ErrNotCaptured}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			rbTestTree(m)
			tt.damage(m)
			nodes, lost := collect(t, m.walk().RBTree(base))
			if d := cmp.Diff(tt.want, offsets(nodes)); d != "" {
				t.Errorf("nodes (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.lost, lost, cmpopts.EquateErrors()); d != "" {
				t.Errorf("losses (-want +got):\n%s", d)
			}
			want := tt.cached
			if want == nil {
				want = tt.want
			}
			nodes, lost = collect(t, m.walk().RBTreeCached(base))
			if d := cmp.Diff(want, offsets(nodes)); d != "" {
				t.Errorf("nodes with the first one known (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.lost, lost, cmpopts.EquateErrors()); d != "" {
				t.Errorf("losses with the first one known (-want +got):\n%s", d)
			}
		})
	}
}

// A first node that is not in its place.
func TestRBTreeCachedFirst(t *testing.T) {
	m := newMachine(t)
	m.put(0, at(0x400), at(0x400))
	m.rbNode(0x400, 0, 0x200, 0)
	m.rbNode(0x200, 0x400, 0, 0)
	nodes, lost := collect(t, m.walk().RBTreeCached(base))
	if d := cmp.Diff([]uint64{0x200, 0x400}, offsets(nodes)); d != "" {
		t.Errorf("nodes (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]error{kstruct.ErrCorrupt}, lost, cmpopts.EquateErrors()); d != "" {
		t.Errorf("losses (-want +got):\n%s", d)
	}
}

// A tree that memory can't hold: each node is the left child of the one before.
func TestRBTreeDeep(t *testing.T) {
	m := newMachine(t)
	m.put(0, at(0x100))
	for i := range uint64(1000) {
		m.rbNode(0x100+i*32, 0x100+(i-1)*32, 0x100+(i+1)*32, 0)
	}
	m.rbNode(0x100, 0, 0x120, 0)
	nodes, lost := collect(t, m.walk().RBTree(base))
	if d := cmp.Diff([]error{kstruct.ErrTooLong}, lost, cmpopts.EquateErrors()); d != "" || len(nodes) != 129 {
		t.Errorf("%d nodes, losses (-want +got):\n%s", len(nodes), d)
	}
}

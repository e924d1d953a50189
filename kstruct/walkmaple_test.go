package kstruct_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// What is added to a pointer to a maple node: its type, and a bit that is never 0
// (mt_mk_node).
const (
	dense  = 0<<3 | 4
	leaf   = 1<<3 | 4
	ranged = 2<<3 | 4
	arange = 3<<3 | 4
	root   = 2 // instead of 4 (mte_mk_root)

	allocRange = 1 // MT_FLAGS_ALLOC_RANGE
)

// mapleTree writes a maple_tree at base.
func (m *machine) mapleTree(height, flags, top uint64) { m.put(0, (height<<2|flags)<<32, top) }

// child returns the parent pointer of a node in a slot of another.
func child(parent, slot uint64) uint64 { return at(parent) | slot<<3 | 6 }

// rangeNode writes a node of 15 pivots and 16 slots.
func (m *machine) rangeNode(off, parent uint64, pivots, slots []uint64) {
	m.put(off, parent)
	m.put(off+8, pivots...)
	m.put(off+128, slots...)
}

// arangeNode writes a node of 9 pivots, 10 slots and 10 gaps, with its last slot.
func (m *machine) arangeNode(off, parent uint64, pivots, slots, gaps []uint64, end byte) {
	m.put(off, parent)
	m.put(off+8, pivots...)
	m.put(off+80, slots...)
	m.put(off+160, gaps...)
	m.bytes(off+240, end)
}

func span(first, last, off uint64) kstruct.Entry {
	return kstruct.Entry{First: first, Last: last, Ptr: base + vmem.VirtAddr(off)}
}

// mapleTestTree is a maple_tree at base that keeps gaps, of a node with three leaves.
func mapleTestTree(m *machine) {
	const last = 1<<64 - 1
	m.mapleTree(2, allocRange, at(0x1000)|arange&^4|root)
	m.arangeNode(0x1000, at(0)|1, []uint64{0xffff, 0x1ffff}, []uint64{at(0x2000) | leaf, at(0x3000) | leaf, at(0x4000) | leaf},
		[]uint64{0x1000, 0x8000, last - 0x2ffff}, 2)
	// Behind the pivot that ends the node stands what deletions left there.
	m.rangeNode(0x2000, child(0x1000, 0), []uint64{0xfff, 0x1fff, 0xffff, 0x1ffff}, []uint64{0, at(0x5000), at(0x5100), at(0x5f00)})
	m.bytes(0x2000+248, 2)
	m.rangeNode(0x3000, child(0x1000, 1), []uint64{0x10fff, 0x17fff, 0x1ffff}, []uint64{at(0x5200), 0x15, 0})
	m.bytes(0x3000+248, 2)
	m.rangeNode(0x4000, child(0x1000, 2), []uint64{0x2ffff, 0}, []uint64{at(0x5300), 0, at(0x5f80)})
	m.bytes(0x4000+248, 1)
}

func TestMaple(t *testing.T) {
	value := kstruct.Entry{First: 0x11000, Last: 0x17fff, Kind: kstruct.ValueEntry, Value: 10}
	whole := []kstruct.Entry{span(0x1000, 0x1fff, 0x5000), span(0x2000, 0xffff, 0x5100), span(0x10000, 0x10fff, 0x5200), value, span(0x20000, 0x2ffff, 0x5300)}
	first, rest := whole[:2], whole[2:]
	corrupt := []error{kstruct.ErrCorrupt}
	tests := []struct {
		name   string
		damage func(*machine)
		want   []kstruct.Entry
		lost   []error
	}{
		{"whole, stale slots passed over", func(*machine) {}, whole, nil},
		{"empty", func(m *machine) { m.put(8, 0) }, nil, nil},
		{"one entry without a node", func(m *machine) { m.put(8, at(0x5000)) }, []kstruct.Entry{span(0, 0, 0x5000)}, nil},
		{"retry entry alone", func(m *machine) { m.put(8, 0x402) }, nil, corrupt},
		{"root of another tree", func(m *machine) { m.put(0x1000, at(0x40)|1) }, nil, corrupt},
		{"node of another tree", func(m *machine) { m.put(0x2000, at(0x6000)) }, rest, corrupt},
		{"node that was freed", func(m *machine) { m.put(0x2000, at(0x2000)) }, rest, corrupt},
		{"node of another slot", func(m *machine) { m.put(0x3000, child(0x1000, 5)) }, whole, corrupt},
		{"node in two slots", func(m *machine) { m.put(0x1000+88, at(0x2000)|leaf) },
			[]kstruct.Entry{whole[0], whole[1], whole[4]}, []error{kstruct.ErrCycle}},
		{"node that holds itself", func(m *machine) { m.put(0x1000+80, at(0x1000)|arange) }, rest, corrupt},
		{"node pointer is garbage", func(m *machine) { m.put(0x1000+80, 0x4141414c) }, rest, corrupt},
		{"unknown type", func(m *machine) { m.put(0x1000+80, at(0x2000)|9<<3|4) }, rest, corrupt},
		{"type of a temporary node", func(m *machine) { m.put(0x1000+80, at(0x2000)|4<<3|4) }, rest, corrupt},
		{"pivots fall", func(m *machine) { m.put(0x2008, 0x1fff, 0x800) },
			append([]kstruct.Entry{}, rest...), corrupt},
		{"pivot above the node's end", func(m *machine) { m.put(0x2018, 0x10000) }, whole, corrupt},
		{"entry taken out", func(m *machine) { m.put(0x2000+128+8, 0) }, append([]kstruct.Entry{whole[1]}, rest...), corrupt},
		{"root has another end", func(m *machine) { m.bytes(0x1000+240, 1) }, whole, corrupt},
		{"leaf has another end", func(m *machine) { m.bytes(0x2000+248, 1) }, whole, corrupt},
		{"height is another", func(m *machine) { m.mapleTree(3, allocRange, at(0x1000)|arange&^4|root) }, whole,
			[]error{kstruct.ErrCorrupt, kstruct.ErrCorrupt, kstruct.ErrCorrupt}},
		{"reserved entry", func(m *machine) { m.put(0x2000+128+8, 0x402) }, append([]kstruct.Entry{whole[1]}, rest...), corrupt},
		{"zero entry", func(m *machine) { m.put(0x2000+128+8, 0x406) },
			append([]kstruct.Entry{{First: 0x1000, Last: 0x1fff, Kind: kstruct.ReservedEntry}, whole[1]}, rest...), nil},
		{"node not captured", func(m *machine) { m.forget(0x2000, 256) }, rest, []error{vmem.ErrNotCaptured}},
		{"end of a node not captured", func(m *machine) { m.forget(0x2000+144, 112) }, append([]kstruct.Entry{first[0]}, rest...), []error{vmem.ErrNotCaptured}},
		{"tree not captured", func(m *machine) { m.forget(8, 8) }, nil, []error{vmem.ErrNotCaptured}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			mapleTestTree(m)
			tt.damage(m)
			got, lost := collect(t, m.walk().Maple(base))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("entries (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.lost, lost, cmpopts.EquateErrors()); d != "" {
				t.Errorf("losses (-want +got):\n%s", d)
			}
		})
	}
}

// A tree that keeps no gaps has range nodes above its leaves; a full node has an implied
// last pivot.
func TestMapleRange(t *testing.T) {
	m := newMachine(t)
	m.mapleTree(2, 0, at(0x1000)|ranged&^4|root)
	m.rangeNode(0x1000, at(0)|1, []uint64{15}, []uint64{at(0x2000) | leaf, at(0x3000) | leaf})
	m.bytes(0x1000+248, 1)
	var pivots, slots []uint64
	var want []kstruct.Entry
	for i := range uint64(16) {
		pivots, slots = append(pivots, i), append(slots, at(0x5000+8*i))
		want = append(want, span(i, i, 0x5000+8*i))
	}
	m.rangeNode(0x2000, child(0x1000, 0), pivots[:15], slots)
	m.rangeNode(0x3000, child(0x1000, 1), []uint64{20}, []uint64{0, at(0x6000)})
	m.bytes(0x3000+248, 1)
	want = append(want, span(21, 1<<64-1, 0x6000))
	got, lost := collect(t, m.walk().Maple(base))
	if d := cmp.Diff(want, got); d != "" || lost != nil {
		t.Errorf("entries (-want +got):\n%s, losses %v", d, lost)
	}
}

// A dense node has an index for each slot.
func TestMapleDense(t *testing.T) {
	m := newMachine(t)
	m.mapleTree(2, 0, at(0x1000)|ranged&^4|root)
	m.rangeNode(0x1000, at(0)|1, []uint64{3, 40}, []uint64{at(0x2000) | dense, at(0x3000) | dense, at(0x4000) | leaf})
	m.bytes(0x1000+248, 2)
	m.put(0x2000, child(0x1000, 0), at(0x5000), 0, at(0x5010), 0, at(0x5f00))
	m.put(0x3000, child(0x1000, 1))
	m.put(0x3000+8+30*8, at(0x5020)) // of index 34, where it ends: it should end at 40
	m.rangeNode(0x4000, child(0x1000, 2), []uint64{50}, []uint64{at(0x5030), 0})
	m.bytes(0x4000+248, 1)
	got, lost := collect(t, m.walk().Maple(base))
	want := []kstruct.Entry{span(0, 0, 0x5000), span(2, 2, 0x5010), span(34, 34, 0x5020), span(41, 50, 0x5030)}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]error{kstruct.ErrCorrupt}, lost, cmpopts.EquateErrors()); d != "" {
		t.Errorf("losses (-want +got):\n%s", d)
	}
}

// Types may be the image's own. Nodes of one slot have no pivot to end at.
func TestMapleOneSlot(t *testing.T) {
	m := newMachine(t)
	m.mapleTree(1, 0, at(0x1000)|leaf&^4|root)
	m.put(0x1000+16, at(0)|1)
	narrow := `maple_tree 16 ma_flags@4:u32 ma_root@8:*
maple_node 256 parent@16:* slot@8:*[31]
maple_metadata 2 end@0:u8
maple_range_64 256 pivot@0:u64[0] slot@8:*[1] meta@248:maple_metadata
maple_arange_64 256 pivot@0:u64[0] slot@8:*[1] gap@16:u64[1] meta@248:maple_metadata`
	found, lost := collect(t, m.space(narrow).Walk(t.Context(), nil).Maple(base))
	if d := cmp.Diff([]error{kstruct.ErrUnsupported}, lost, cmpopts.EquateErrors()); d != "" || found != nil {
		t.Errorf("found %v, losses (-want +got):\n%s", found, d)
	}
}

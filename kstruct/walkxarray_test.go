package kstruct_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// node is xa_mk_node: what is added to a pointer to an xa_node.
const node = 2

// xaNode writes an xa_node of the array at base, which has its head at 8.
func (m *machine) xaNode(off, shift, parent uint64, offset byte, slots map[int]uint64) {
	if parent != 0 {
		parent = at(parent)
	}
	m.put(off, 0, parent, at(0))
	m.bytes(off, byte(shift), offset, byte(len(slots)), 0)
	for i, s := range slots {
		m.put(off+40+uint64(i)*8, s)
	}
}

func pointer(index, off uint64) kstruct.Entry {
	return kstruct.Entry{First: index, Last: index, Ptr: base + vmem.VirtAddr(off)}
}

func sibling(slot uint64) uint64 { return slot<<2 | 2 }

// xarrayTestTree is an xarray at base of three nodes.
func xarrayTestTree(m *machine) {
	m.put(0, 0, at(0x1000)|node)
	m.xaNode(0x1000, 6, 0, 0, map[int]uint64{0: at(0x2000) | node, 2: at(0x3000) | node})
	m.xaNode(0x2000, 0, 0x1000, 0, map[int]uint64{1: at(0x8), 5: at(0x10), 6: 0x406 /* zero entry */, 7: 0x15 /* value */})
	m.xaNode(0x3000, 0, 0x1000, 2, map[int]uint64{63: at(0x18)})
}

func TestXArray(t *testing.T) {
	zero := kstruct.Entry{First: 6, Last: 6, Kind: kstruct.ReservedEntry}
	value := kstruct.Entry{First: 7, Last: 7, Kind: kstruct.ValueEntry, Value: 10}
	whole := []kstruct.Entry{pointer(1, 0x8), pointer(5, 0x10), zero, value, pointer(191, 0x18)}
	tests := []struct {
		name   string
		damage func(*machine)
		want   []kstruct.Entry
		lost   []error
	}{
		{"whole", func(*machine) {}, whole, nil},
		{"one entry without a node", func(m *machine) { m.put(8, at(0x8)) }, []kstruct.Entry{pointer(0, 0x8)}, nil},
		{"one value without a node", func(m *machine) { m.put(8, 7) }, []kstruct.Entry{{Kind: kstruct.ValueEntry, Value: 3}}, nil},
		{"empty", func(m *machine) { m.put(8, 0) }, nil, nil},
		{"node shared by two slots", func(m *machine) { m.put(0x1000+40+2*8, at(0x2000)|node) }, whole[:4], []error{kstruct.ErrCycle}},
		{"node points up", func(m *machine) { m.put(0x3000+40+63*8, at(0x1000)|node) }, whole[:4], []error{kstruct.ErrCorrupt}},
		{"foreign parent", func(m *machine) { m.put(0x3008, at(0x2000)) }, whole[:4], []error{kstruct.ErrCorrupt}},
		{"foreign array", func(m *machine) { m.put(0x3010, at(0x40)) }, whole[:4], []error{kstruct.ErrCorrupt}},
		{"shift does not fall", func(m *machine) { m.bytes(0x2000, 6) }, whole[4:], []error{kstruct.ErrCorrupt}},
		{"shift of half a level", func(m *machine) { m.bytes(0x1000, 9) }, nil, []error{kstruct.ErrCorrupt}},
		{"node pointer is garbage", func(m *machine) { m.put(0x1000+40, 0x41414142) }, whole[4:], []error{kstruct.ErrCorrupt}},
		{"an entry was taken out", func(m *machine) { m.put(0x2000+40+5*8, 0) },
			[]kstruct.Entry{pointer(1, 0x8), zero, value, pointer(191, 0x18)}, []error{kstruct.ErrCorrupt}},
		{"node of another slot", func(m *machine) { m.bytes(0x3001, 3) }, whole, []error{kstruct.ErrCorrupt}},
		{"node was freed", func(m *machine) { m.put(0x3000+40+60*8, 0x402, 0x402, 0x402, 0x402); m.bytes(0x3002, 4) }, whole[:4], []error{kstruct.ErrCorrupt}},
		{"node not captured", func(m *machine) { m.forget(0x2000, 600) }, whole[4:], []error{vmem.ErrNotCaptured}},
		{"a hole in a node", func(m *machine) { m.forget(0x2000+40+2*8, 4*8) },
			[]kstruct.Entry{whole[0], whole[2], whole[3], whole[4]}, []error{vmem.ErrNotCaptured}},
		{"two holes in a node", func(m *machine) { m.forget(0x2000+40+2*8, 8); m.forget(0x2000+40+5*8, 59*8) },
			[]kstruct.Entry{whole[0], whole[4]}, []error{vmem.ErrNotCaptured, vmem.ErrNotCaptured}},
		{"head not captured", func(m *machine) { m.forget(8, 8) }, nil, []error{vmem.ErrNotCaptured}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			xarrayTestTree(m)
			tt.damage(m)
			got, lost := collect(t, m.walk().XArray(base))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("entries (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.lost, lost, cmpopts.EquateErrors()); d != "" {
				t.Errorf("losses (-want +got):\n%s", d)
			}
		})
	}
}

// A range is read without the nodes that do not lead to it, whole or not.
func TestXArrayRange(t *testing.T) {
	for _, tt := range []struct {
		first, last uint64
		want        []kstruct.Entry
	}{
		{0, 4, []kstruct.Entry{pointer(1, 0x8)}},
		{5, 5, []kstruct.Entry{pointer(5, 0x10)}},
		{64, 127, nil},
		{300, 300, []kstruct.Entry{{First: 256, Last: 511, Ptr: base + 0x8}}},
		{200, 256, []kstruct.Entry{{First: 256, Last: 511, Ptr: base + 0x8}}},
	} {
		m := newMachine(t)
		m.put(0, 0, at(0x1000)|node)
		m.xaNode(0x1000, 6, 0, 0, map[int]uint64{0: at(0x2000) | node, 2: at(0x3000) | node, 4: at(0x8), 5: sibling(4), 6: sibling(4), 7: sibling(4)})
		m.xaNode(0x2000, 0, 0x1000, 0, map[int]uint64{1: at(0x8), 5: at(0x10)})
		m.forget(0x3000, 600)
		got, lost := collect(t, m.walk().XArrayRange(base, tt.first, tt.last))
		if d := cmp.Diff(tt.want, got); d != "" || lost != nil {
			t.Errorf("%d to %d: %v (-want +got):\n%s", tt.first, tt.last, lost, d)
		}
	}
	m := newMachine(t)
	m.put(8, at(0x8))
	if got, lost := collect(t, m.walk().XArrayRange(base, 1, 5)); got != nil || lost != nil {
		t.Errorf("of one entry of index 0: %v, %v", got, lost)
	}
}

// xarrayTestSiblings is an xarray at base with entries of several indices: siblings of an
// entry follow it.
func xarrayTestSiblings(m *machine) {
	m.put(0, 0, at(0x1000)|node)
	m.xaNode(0x1000, 6, 0, 0, map[int]uint64{
		0: at(0x2000) | node,
		4: at(0x8), 5: sibling(4), 6: sibling(4), 7: sibling(4), // 256 to 511
		8: 0x15, 9: sibling(8), // 512 to 639
		12: sibling(11),
		63: at(0x10),
	})
	m.xaNode(0x2000, 0, 0x1000, 0, map[int]uint64{60: at(0x18), 61: sibling(60), 63: at(0x20)})
}

func TestXArrayMultiIndex(t *testing.T) {
	m := newMachine(t)
	xarrayTestSiblings(m)
	got, lost := collect(t, m.walk().XArray(base))
	want := []kstruct.Entry{
		{First: 60, Last: 61, Ptr: base + 0x18}, pointer(63, 0x20),
		{First: 256, Last: 511, Ptr: base + 0x8},
		{First: 512, Last: 639, Kind: kstruct.ValueEntry, Value: 10},
		{First: 63 * 64, Last: 63*64 + 63, Ptr: base + 0x10},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]error{kstruct.ErrCorrupt}, lost, cmpopts.EquateErrors()); d != "" { // slot 12
		t.Errorf("losses (-want +got):\n%s", d)
	}
}

// The highest indices are in the last of the slots that there can be at shift 60.
func TestXArrayHighest(t *testing.T) {
	m := newMachine(t)
	m.put(0, 0, at(0x1000)|node)
	m.xaNode(0x1000, 60, 0, 0, map[int]uint64{15: at(0x8)})
	got, lost := collect(t, m.walk().XArray(base))
	want := []kstruct.Entry{{First: 15 << 60, Last: 1<<64 - 1, Ptr: base + 0x8}}
	if d := cmp.Diff(want, got); d != "" || lost != nil {
		t.Errorf("entries (-want +got):\n%s, losses %v", d, lost)
	}
	m.put(0x1000+40+16*8, at(0x8))
	m.bytes(0x1002, 2)
	got, lost = collect(t, m.walk().XArray(base))
	if d := cmp.Diff(want, got); d != "" || len(lost) != 1 {
		t.Errorf("with an index of 65 bits (-want +got):\n%s, losses %v", d, lost)
	}
}

func TestIDR(t *testing.T) {
	m := newMachine(t)
	m.put(0, 4<<32, at(0x1000)|node, 1000)
	m.xaNode(0x1000, 0, 0, 0, map[int]uint64{1: at(0x8), 2: 0x11, 3: at(0x12)})
	m.bytes(0x1002, 5) // two IDs are allocated and have no pointer yet
	want := []kstruct.Entry{pointer(1001, 0x8), pointer(1003, 0x12)}
	got, lost := collect(t, m.walk().IDR(base))
	if d := cmp.Diff(want, got); d != "" || lost != nil {
		t.Errorf("entries (-want +got):\n%s, losses %v", d, lost)
	}
	m.bytes(0x1002, 2) // one pointer too many
	got, lost = collect(t, m.walk().IDR(base))
	if d := cmp.Diff(want, got); d != "" || len(lost) != 1 {
		t.Errorf("with a wrong count (-want +got):\n%s, losses %v", d, lost)
	}
}

// CONFIG_BASE_SMALL has nodes of 16 slots.
func TestXArraySmallNodes(t *testing.T) {
	m := newMachine(t)
	small := strings.Replace(kernelTypes, "slots@40:*[64]", "slots@40:*[16]", 1)
	m.put(0, 0, at(0x1000)|node)
	m.xaNode(0x1000, 4, 0, 0, map[int]uint64{3: at(0x2000) | node})
	m.xaNode(0x2000, 0, 0x1000, 3, map[int]uint64{15: at(0x8)})
	got, lost := collect(t, m.space(small).Walk(t.Context(), nil).XArray(base))
	if d := cmp.Diff([]kstruct.Entry{pointer(63, 0x8)}, got); d != "" || lost != nil {
		t.Errorf("entries (-want +got):\n%s, losses %v", d, lost)
	}
}

package linux

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// base is where the test kernels keep their objects, mapped to physical 0x200000.
const base = vmem.VirtAddr(0xffff888000200000)

// A testKernel is a Kernel over hand-made memory of one 2 MiB page, with the layouts
// that a test sets.
type testKernel struct {
	*Kernel
	t   *testing.T
	mem *pagetest.Memory
}

func newTestKernel(t *testing.T) *testKernel {
	t.Helper()
	mem := new(pagetest.Memory)
	tables := pagetest.NewTables(mem, 4, 0x1000)
	tables.Map(base, 0x200000, 2, pagetest.Present|pagetest.Write)
	mem.Zero(0x200000, 64<<10)
	phys := vmem.NewPhysical(mem)
	space, err := newSpace(phys, tables.Root(), 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &testKernel{&Kernel{layout: new(layouts), phys: phys, space: space}, t, mem}
}

// put writes words from off on, counted from base.
func (k *testKernel) put(off uint64, words ...uint64) {
	for i, w := range words {
		k.mem.PutUint64(vmem.PhysAddr(0x200000+off)+vmem.PhysAddr(8*i), w)
	}
}

// at returns an address counted from base.
func at(off uint64) uint64 { return uint64(base) + off }

// link makes a list of the nodes, the head first.
func (k *testKernel) link(nodes ...uint64) {
	for i, n := range nodes {
		k.put(n, at(nodes[(i+1)%len(nodes)]), at(nodes[(i+len(nodes)-1)%len(nodes)]))
	}
}

// offsets collects a walk: the offsets from base, and the reasons of the Gaps.
func offsets(t *testing.T, walk func(func(vmem.VirtAddr, error) bool)) (found []uint64, reasons []error) {
	t.Helper()
	for a, err := range walk {
		if err == nil {
			found = append(found, uint64(a-base))
			continue
		}
		for _, reason := range []error{kstruct.ErrCorrupt, kstruct.ErrCycle, kstruct.ErrTooLong, kstruct.ErrUnsupported, vmem.ErrNotPresent, vmem.ErrNotCaptured} {
			if errors.Is(err, reason) {
				reasons = append(reasons, reason)
			}
		}
	}
	return found, reasons
}

func TestList(t *testing.T) {
	tests := []struct {
		name    string
		damage  func(*testKernel)
		want    []uint64
		reasons []error
	}{
		{"whole", func(*testKernel) {}, []uint64{0x100, 0x200, 0x300, 0x400}, nil},
		{"empty", func(k *testKernel) { k.link(0) }, nil, nil},
		{"next leads nowhere", func(k *testKernel) { k.put(0x200, 0xffffc90000000000) },
			[]uint64{0x100, 0x200, 0x400, 0x300}, []error{vmem.ErrNotPresent}},
		{"next is no pointer", func(k *testKernel) { k.put(0x200, 0x4141414141414141) },
			[]uint64{0x100, 0x200, 0x400, 0x300}, []error{kstruct.ErrCorrupt}},
		{"node overwritten with zeros", func(k *testKernel) { k.put(0x200, 0, 0) },
			[]uint64{0x100, 0x400, 0x300}, []error{kstruct.ErrCorrupt}},
		{"next goes back: a cycle", func(k *testKernel) { k.put(0x300, at(0x100)) },
			[]uint64{0x100, 0x200, 0x300, 0x400}, []error{kstruct.ErrCorrupt}},
		{"inserted while captured", func(k *testKernel) { k.put(0x500, at(0x300), at(0x200)); k.put(0x200, at(0x500)) },
			[]uint64{0x100, 0x200, 0x500, 0x300, 0x400}, []error{kstruct.ErrCorrupt}},
		{"a stretch skipped, and cut off from the head", func(k *testKernel) {
			k.put(0x100, at(0x300)) // past 0x200, which is still linked to 0x300
			k.put(0, at(0x100), at(0x600))
		}, []uint64{0x100, 0x300, 0x400, 0x200}, []error{kstruct.ErrCorrupt}},
		{"next was removed", func(k *testKernel) {
			k.put(0x200, at(0x700))
			k.put(0x700, at(0x300), at(0x100)) // neither points back
		}, []uint64{0x100, 0x200, 0x400, 0x300}, []error{kstruct.ErrCorrupt}},
		{"head points to itself one way", func(k *testKernel) { k.put(0, at(0)) },
			[]uint64{0x400, 0x300, 0x200, 0x100}, []error{kstruct.ErrCorrupt}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newTestKernel(t)
			k.link(0, 0x100, 0x200, 0x300, 0x400)
			tt.damage(k)
			found, reasons := offsets(t, k.list("list", base))
			if d := cmp.Diff(tt.want, found); d != "" {
				t.Errorf("nodes (-want +got):\n%s", d)
			}
			if d := cmp.Diff(len(tt.reasons), len(reasons)); d != "" || len(reasons) > 0 && !errors.Is(reasons[0], tt.reasons[0]) {
				t.Errorf("reasons: got %v, want %v", reasons, tt.reasons)
			}
		})
	}
}

// xaNode writes an xa_node: shift, parent and slots by index.
func (k *testKernel) xaNode(off uint64, shift uint64, parent uint64, slots map[int]uint64) {
	k.put(off, shift, parent)
	for i, s := range slots {
		k.put(off+16+uint64(i)*8, s)
	}
}

func TestXarray(t *testing.T) {
	const node = 2 // xa_mk_node
	build := func(t *testing.T) *testKernel {
		k := newTestKernel(t)
		k.layout.xa = xarrayLayout{head: 8, shift: 0, parent: 8, slots: 16, width: 64}
		k.put(0, 0, at(0x1000)|node)
		k.xaNode(0x1000, 6, 0, map[int]uint64{0: at(0x2000) | node, 2: at(0x3000) | node})
		k.xaNode(0x2000, 0, at(0x1000), map[int]uint64{1: at(0x8), 5: at(0x10), 6: 0x406 /* zero entry */, 7: 0x15 /* value */})
		k.xaNode(0x3000, 0, at(0x1000), map[int]uint64{63: at(0x18)})
		return k
	}
	whole := []xaEntry{{1, base + 0x8}, {5, base + 0x10}, {191, base + 0x18}}
	tests := []struct {
		name   string
		damage func(*testKernel)
		want   []xaEntry
		reason error
	}{
		{"whole", func(*testKernel) {}, whole, nil},
		{"one entry without a node", func(k *testKernel) { k.put(8, at(0x8)) }, []xaEntry{{0, base + 0x8}}, nil},
		{"empty", func(k *testKernel) { k.put(8, 0) }, nil, nil},
		{"node shared by two slots", func(k *testKernel) { k.put(0x1000+16+2*8, at(0x2000)|node) }, whole[:2], kstruct.ErrCycle},
		{"node points up", func(k *testKernel) { k.put(0x3000+16, at(0x1000)|node) }, whole, kstruct.ErrCycle},
		{"foreign node", func(k *testKernel) { k.put(0x3008, at(0x2000)) }, whole[:2], kstruct.ErrCorrupt},
		{"shift does not fall", func(k *testKernel) { k.put(0x2000, 6) }, whole[2:], kstruct.ErrCorrupt},
		{"node pointer is garbage", func(k *testKernel) { k.put(0x1000+16, 0x41414142) }, whole[2:], kstruct.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := build(t)
			tt.damage(k)
			var got []xaEntry
			var gap error
			for e, err := range k.xarray("xarray", base) {
				if err != nil {
					gap = err
					continue
				}
				got = append(got, e)
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(xaEntry{})); d != "" {
				t.Errorf("entries (-want +got):\n%s", d)
			}
			if !errors.Is(gap, tt.reason) {
				t.Errorf("gap: %v, want %v", gap, tt.reason)
			}
		})
	}
}

// Maple nodes of the tests are 256 bytes as the kernel's are: a parent, 15 or 9
// pivots, 16 or 10 slots.
func (k *testKernel) mapleNode(off, parent uint64, arange bool, pivots, slots []uint64) {
	slot := uint64(128)
	if arange {
		slot = 80
	}
	k.put(off, at(parent))
	k.put(off+8, pivots...)
	k.put(off+slot, slots...)
}

func TestMapleTree(t *testing.T) {
	const (
		leaf   = mapleLeaf64<<3 | 4 // as mt_mk_node encodes: type, and a bit that is never 0
		arange = mapleArange64<<3 | 4
		root   = 2
	)
	build := func(t *testing.T) *testKernel {
		k := newTestKernel(t)
		k.layout.maple = mapleLayout{
			root: 8, parent: 0, rangePivot: 8, rangeSlot: 128, rangeSlots: 16,
			arangePivot: 8, arangeSlot: 80, arangeSlots: 10,
		}
		k.put(0, 0, at(0x1000)|arange|root)
		k.mapleNode(0x1000, 0, true, []uint64{0xffff}, []uint64{at(0x2000) | leaf, at(0x3000) | leaf})
		// Behind the pivot that ends the node stands what deletions left there.
		k.mapleNode(0x2000, 0x1000, false, []uint64{0xfff, 0x1fff, 0xffff, 0x1ffff}, []uint64{0, at(0x5000), at(0x5100), at(0x5f00)})
		k.mapleNode(0x3000, 0x1000, false, []uint64{0x2ffff, 0}, []uint64{at(0x5200), 0, at(0x5f80)})
		return k
	}
	tests := []struct {
		name    string
		damage  func(*testKernel)
		want    []uint64
		reasons []error
	}{
		{"whole, stale slots passed over", func(*testKernel) {}, []uint64{0x5000, 0x5100, 0x5200}, nil},
		{"empty", func(k *testKernel) { k.put(8, 0) }, nil, nil},
		{"one entry without a node", func(k *testKernel) { k.put(8, at(0x5000)) }, []uint64{0x5000}, nil},
		{"node of another tree", func(k *testKernel) { k.put(0x2000, at(0x4000)) }, []uint64{0x5200}, []error{kstruct.ErrCorrupt}},
		{"node that holds itself", func(k *testKernel) {
			k.put(8, at(0x3000)|arange|root)
			k.mapleNode(0x3000, 0x3000, true, nil, []uint64{at(0x3000) | arange})
		}, nil, []error{kstruct.ErrCorrupt}},
		{"unknown type", func(k *testKernel) { k.put(0x1000+80, at(0x2000)|9<<3|4) }, []uint64{0x5200}, []error{kstruct.ErrCorrupt}},
		{"pivots fall", func(k *testKernel) { k.put(0x2008, 0xfff, 0x800) }, []uint64{0x5200}, []error{kstruct.ErrCorrupt}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := build(t)
			tt.damage(k)
			found, reasons := offsets(t, func(yield func(vmem.VirtAddr, error) bool) { k.mapleTree(base, yield) })
			if d := cmp.Diff(tt.want, found); d != "" {
				t.Errorf("entries (-want +got):\n%s", d)
			}
			if len(reasons) != len(tt.reasons) || len(reasons) > 0 && !errors.Is(reasons[0], tt.reasons[0]) {
				t.Errorf("reasons: got %v, want %v", reasons, tt.reasons)
			}
		})
	}
}

func TestRBTree(t *testing.T) {
	k := newTestKernel(t)
	k.layout.mount = mountLayout{rbRight: 8, rbLeft: 16}
	k.put(0x100, 0, at(0x300), at(0x200))
	k.put(0x300, 0, at(0x100), 0) // leads back to the root
	k.put(0x200, 0, 0xffffc90000000000, 0)
	found, reasons := offsets(t, func(yield func(vmem.VirtAddr, error) bool) { k.rbTree(base+0x100, yield) })
	if d := cmp.Diff([]uint64{0x100, 0x200, 0x300}, found); d != "" {
		t.Errorf("nodes (-want +got):\n%s", d)
	}
	if len(reasons) != 2 || !errors.Is(reasons[0], vmem.ErrNotPresent) || !errors.Is(reasons[1], kstruct.ErrCycle) {
		t.Errorf("reasons: %v", reasons)
	}
}

package linux

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// resourceNodes returns the addresses of all resources but the root.
func resourceNodes(t testing.TB, n *node) []vmem.VirtAddr {
	t.Helper()
	root, err := n.k.Symbol("iomem_resource")
	if err != nil {
		t.Fatal(err)
	}
	nodes := []vmem.VirtAddr{root}
	for i := 0; i < len(nodes); i++ {
		r, err := n.k.resource("iomem", nodes[i])
		if err != nil {
			t.Fatal(err)
		}
		for c := r.child; c != 0; {
			nodes = append(nodes, c)
			if r, err = n.k.resource("iomem", c); err != nil {
				t.Fatal(err)
			}
			c = r.sibling
		}
	}
	return nodes
}

// FuzzIOMem overwrites members of resources, with addresses of others and with anything,
// and walks the tree as an image and as a file: either walk must end, and yield no more
// than there is.
func FuzzIOMem(f *testing.F) {
	n, err := bundled()
	if err != nil {
		f.Fatal(err)
	}
	nodes := resourceNodes(f, n)
	var members []uint64
	for _, name := range []string{"Start", "End", "Name", "Parent", "Sibling", "Child"} {
		off, _ := n.k.views.resource.resource.Offset(name)
		members = append(members, off)
	}
	f.Add([]byte{1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 2})
	f.Add([]byte{3, 5, 0, 0, 0, 0, 0, 0, 0, 0, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 5, 0, 1, 2, 3, 4, 5, 6, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := smeartest.New(n.mem)
		for ; len(edits) >= 11; edits = edits[11:] {
			at := nodes[int(edits[0])%len(nodes)] + vmem.VirtAddr(members[int(edits[1])%len(members)])
			value := binary.LittleEndian.Uint64(edits[3:])
			if edits[2]%2 == 1 {
				value = uint64(nodes[value%uint64(len(nodes))])
			}
			n.put(t, m, at, value)
		}
		k, err := n.open(m)
		if err != nil {
			t.Fatal(err)
		}
		resources, gaps := iomem(t, k)
		if len(resources) > len(nodes) {
			t.Fatalf("%d resources of %d", len(resources), len(nodes))
		}
		for _, g := range gaps {
			if g.Err == nil || g.Object == "" {
				t.Fatalf("gap without a reason: %+v", g)
			}
		}
		walkAsFile(t, n, m, nodes)
	})
}

// walkAsFile walks the tree in memory whose addresses are those of a file.
func walkAsFile(t *testing.T, n *node, m vmem.Memory, nodes []vmem.VirtAddr) {
	t.Helper()
	f := &finder{mem: m, phys: vmem.NewPhysical(m), symbols: n.symbols, views: n.k.views}
	info := n.k.Info()
	kernel := &placed{location: &location{shift: info.KASLRShift, physBase: info.PhysBase, levels: info.PageTableLevels}}
	w := &placeWalk{finder: f, kernel: kernel, shifts: []int64{0}, nodes: map[vmem.VirtAddr]bool{}, root: nodes[0]}
	w.direct = w.directMap()
	for _, a := range nodes {
		if r, ok := w.at(a, 0); ok {
			w.hits = append(w.hits, r)
		}
	}
	first, _ := w.at(w.root, 0)
	var p Placement
	w.siblings(&p, w.root, first.child, 0)
	if len(p.RAM) > len(w.nodes) || len(p.Places) != len(w.nodes) {
		t.Fatalf("%d ranges of RAM and %d places of %d entries", len(p.RAM), len(p.Places), len(w.nodes))
	}
	if _, err := w.firmwareRAM(); err != nil && !errors.Is(err, kstruct.ErrCorrupt) {
		t.Fatal(err)
	}
}

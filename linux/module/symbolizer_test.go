package module

import (
	"strings"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

// TestSymbolizer resolves the address of every symbol of /proc/kallsyms: it is named by the first of those that are there, as the
// kernel does.
func TestSymbolizer(t *testing.T) { eachNode(t, testSymbolizer) }

func testSymbolizer(t *testing.T, n *node) {
	z, err := NewSymbolizer(t.Context(), n.set, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := map[vmem.VirtAddr]map[string]bool{} // the symbols of an address, with their modules
	first := map[vmem.VirtAddr]string{}
	for _, l := range n.lines(t, "proc", "kallsyms") {
		name, a := l[2], address(t, l[0])
		if len(l) == 4 {
			name += " " + l[3]
		}
		if a < 0xffffffff80000000 || len(l) == 4 && (l[1] == "a" || l[1] == "A") || strings.HasSuffix(name, " [bpf]") || strings.Contains(name, " [__builtin__") {
			continue // per CPU
		}
		if at[a] == nil {
			at[a], first[a] = map[string]bool{}, name
		}
		at[a][name] = true
	}
	freed, _ := n.set.Freed(t.Context())
	wrong := 0
	for a, names := range at {
		l, ok := z.Resolve(a)
		if ok && l.String() == first[a] || freedThere(names, freed) && n.standIns(t)[l.Owner] == "vanish" {
			continue
		}
		if wrong++; wrong < 20 {
			t.Logf("%v is %s, not %s, the first of %v", a, z.Describe(a), first[a], names)
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d wrong", wrong, len(at))
	}
}

func TestSymbolizerRegions(t *testing.T) {
	n := nodes.Bundled(t)
	prog := Region{Range: vmem.Range[vmem.VirtAddr]{Start: 0xffffffffc0900000, Size: 0x100}, Name: "bpf_prog_1234", Owner: "bpf"}
	z, err := NewSymbolizer(t.Context(), n.set, []Region{prog})
	if err != nil {
		t.Fatal(err)
	}
	m := n.set.Find("vsock")
	for a, want := range map[vmem.VirtAddr]string{
		prog.Range.Start:        "bpf_prog_1234 [bpf]",
		prog.Range.Last():       "bpf_prog_1234+0xff [bpf]",
		prog.Range.Last() + 1:   "0xffffffffc0900100",
		0:                       "0x0",
		0xffff888000001000:      "0xffff888000001000",
		m.Areas[0].Range.Start:  "vsock_for_each_connected_socket [vsock]",
		m.Areas[0].Range.Last(): "",
		0xffffffffffffffff:      "0xffffffffffffffff",
	} {
		if got := z.Describe(a); want != "" && got != want || want == "" && !strings.HasSuffix(got, " [vsock]") {
			t.Errorf("%v is %q, not %q", a, got, want)
		}
	}
	if allocs := testing.AllocsPerRun(10, func() { z.Resolve(m.Base + 100) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// freedThere reports whether all symbols of an address are of functions that were freed: another module may be there, one that /proc/kallsyms does not show.
func freedThere(names map[string]bool, freed map[*Module][]Symbol) bool {
	for name := range names {
		found := false
		for m, functions := range freed {
			for _, f := range functions {
				found = found || name == f.Name+" ["+m.Name+"]"
			}
		}
		if !found {
			return false
		}
	}
	return true
}

package module

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProcModules compares what was found with /proc/modules.
func TestProcModules(t *testing.T) { eachNode(t, testProcModules) }

func testProcModules(t *testing.T, n *node) {
	var want, got []string
	for _, l := range n.lines(t, "proc", "modules") {
		want = append(want, fmt.Sprintf("%s %s %s %v", l[0], l[1], l[4], address(t, l[5])))
	}
	for _, m := range n.set.Modules() {
		got = append(got, fmt.Sprintf("%s %d %v %v", m.Name, m.Size, m.State, m.Base))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-truth +found)\n%s", diff)
	}
	for _, gap := range n.set.Gaps() {
		t.Error(gap)
	}
}

// TestKallsyms compares the symbols of all modules with those of /proc/kallsyms, which shows by
// capital letters what is exported.
func TestKallsyms(t *testing.T) { eachNode(t, testKallsyms) }

func testKallsyms(t *testing.T, n *node) {
	var want, got []string
	for _, l := range n.lines(t, "proc", "kallsyms") {
		if len(l) == 4 && !strings.HasPrefix(l[3], "[bpf]") && !strings.HasPrefix(l[3], "[__builtin__") {
			want = append(want, fmt.Sprintf("%016x %s %s %s", uint64(address(t, l[0])), l[1], l[2], l[3]))
		}
	}
	for _, m := range n.set.Modules() {
		symbols, gaps := n.set.Symbols(m)
		for _, s := range symbols {
			got = append(got, fmt.Sprintf("%016x %c %s [%s]", uint64(s.Addr), s.Type, s.Name, m.Name))
		}
		for _, gap := range gaps {
			t.Error(gap)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 1000 {
		t.Errorf("%d in truth, %d found (-truth +found)\n%s", len(want), len(got), diff)
	}
}

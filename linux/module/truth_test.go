package module

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestProcModules compares what was found with /proc/modules.
func TestProcModules(t *testing.T) { eachNode(t, testProcModules) }

func testProcModules(t *testing.T, n *node) {
	var want, got []string
	for _, l := range n.lines(t, "proc", "modules") {
		want = append(want, strings.Join(l, " "))
	}
	for _, m := range n.set.Modules() {
		got = append(got, procLine(m))
		if m.Hidden() {
			t.Errorf("%s is hidden from %v", m.Name, m.Missing)
		}
		if all := ExpectedSources | InBTF; m.Sources&ExpectedSources != ExpectedSources || n.set.views.btf.err == nil && m.Sources&all != all {
			t.Errorf("%s is in %v alone", m.Name, m.Sources)
		}
		if len(m.BuildID) != 40 || m.Version != "" && m.SrcVersion == "" || len(m.Sections) < 5 {
			t.Errorf("%s: %+v", m.Name, m)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-truth +found)\n%s", diff)
	}
	for _, gap := range n.set.Gaps() {
		t.Error(gap)
	}
}

// procLine returns a module as /proc/modules has it (kernel/module/procfs.c).
func procLine(m *Module) string {
	var used strings.Builder
	for _, by := range m.UsedBy {
		used.WriteString(by + ",")
	}
	if m.Permanent {
		used.WriteString("[permanent],")
	}
	line := fmt.Sprintf("%s %d %d %s %v 0x%016x", m.Name, m.Size, m.References, cmp.Or(used.String(), "-"), m.State, uint64(m.Base))
	if m.Taints != 0 {
		line += " (" + m.Taints.String() + ")"
	}
	return line
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
	if diff := gocmp.Diff(want, got); diff != "" || len(want) < 1000 && len(n.set.Modules()) > 0 {
		t.Errorf("%d in truth, %d found (-truth +found)\n%s", len(want), len(got), diff)
	}
}

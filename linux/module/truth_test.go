package module

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
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
	standIns := n.standIns(t)
	for _, m := range n.set.Modules() {
		if standIns[m.Name] == "vanish" {
			if !m.Hidden() {
				t.Errorf("%s is not hidden", m.Name)
			}
			continue
		}
		got = append(got, procLine(m))
		if m.Hidden() {
			t.Errorf("%s is hidden from %v", m.Name, m.Missing)
		}
		if standIns[m.Name] != "" { // which are built without types
			continue
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
	got = slices.DeleteFunc(got, func(l string) bool {
		return n.standIns(t)[strings.Trim(l[strings.LastIndexByte(l, '['):], "[]")] == "vanish"
	})
	freed, _ := n.set.Freed(t.Context()) // a kernel that does not name the list is another test's
	for m, functions := range freed {
		// The file shows the first for the numbers 0 and 1, and so the last of several not at all.
		for i := range functions {
			f := functions[max(i-1, 0)]
			got = append(got, fmt.Sprintf("%016x T %s [%s]", uint64(f.Addr), f.Name, m.Name))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" || len(want) < 1000 && len(n.set.Modules()) > 0 {
		t.Errorf("%d in truth, %d found (-truth +found)\n%s", len(want), len(got), diff)
	}
}

// standIns returns the modules that stand for rootkits, with what each does.
func (n *node) standIns(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	if _, err := os.Stat(filepath.Join(n.Truth, "rootkit.list")); err != nil {
		return all
	}
	for _, l := range n.lines(t, "rootkit.list") {
		if len(l) == 2 {
			all[l[1]] = l[0]
		}
	}
	all["unlist"] = "unlist" // whose line has the program
	return all
}

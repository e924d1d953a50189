package cos

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/vmem"
)

// checkModules compares the modules of a report with /proc/modules, and their parameters with
// /sys/module where the truth has that.
func checkModules(t *testing.T, dir string, r *NodeReport) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "proc", "modules"))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	hides := hidingModules(t, dir)
	for i := range r.Modules {
		m := &r.Modules[i]
		if hides[m.Name] {
			if delete(hides, m.Name); m.Missing&(module.InList|module.InKobjects) != module.InList|module.InKobjects {
				t.Errorf("%s, which took itself out, is hidden from %v", m.Name, m.Missing)
			}
			continue
		}
		used := strings.Join(append(m.UsedBy, ""), ",")
		if m.Permanent {
			used += "[permanent],"
		}
		fmt.Fprintf(&got, "%s %d %d %s %v 0x%016x", m.Name, m.Size, m.References, cmp.Or(used, "-"), m.State, uint64(m.Base))
		if m.Taints != 0 {
			fmt.Fprintf(&got, " (%v)", m.Taints)
		}
		fmt.Fprintln(&got)
		if m.Hidden() {
			t.Errorf("%s is hidden from %v", m.Name, m.Missing)
		}
		checkParameters(t, filepath.Join(dir, "kernel", "module", m.Name, "parameters"), m)
	}
	if diff := gocmp.Diff(strings.ReplaceAll(string(text), "  ", " "), got.String()); diff != "" {
		t.Errorf("modules (-truth +found):\n%s", diff)
	}
	for name := range hides {
		t.Errorf("%s is not found", name)
	}
}

// hidingModules returns the modules of a node that took themselves out of the kernel's lists: stand-ins of rootkits.
func hidingModules(t *testing.T, dir string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "rootkit.list"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); name == "vanish" {
			all[name] = true
		}
	}
	return all
}

// checkParameters compares the parameters of a module with those files of a directory that root can read.
func checkParameters(t *testing.T, dir string, m *Module) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		return // none, or not in this truth
	}
	for _, f := range files {
		want, err := os.ReadFile(filepath.Join(dir, f.Name()))
		value, ok := m.Parameters[f.Name()]
		if err != nil || !ok {
			t.Errorf("parameter %s of %s is found: %v, %v", f.Name(), m.Name, ok, err)
			continue
		}
		if value != nil && strings.TrimSuffix(*value, "\n") != strings.TrimSuffix(string(want), "\n") {
			t.Errorf("parameter %s of %s is %q, found %q", f.Name(), m.Name, want, *value)
		}
	}
}

// checkLog compares the log of a report with what dmesg said, which later records follow.
func checkLog(t *testing.T, dir string, r *NodeReport) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join(dir, "dmesg"))
	if err != nil {
		t.Fatal(err)
	}
	raw := bytes.HasPrefix(want, []byte("<"))
	var got strings.Builder
	for i := range r.Log {
		if got.Len() < len(want) {
			got.WriteString(dmesgRecord(&r.Log[i], raw))
		}
	}
	if diff := gocmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("log (-truth +found):\n%s", diff)
	}
}

// dmesgRecord returns a record as dmesg prints it: raw, as dmesg -r does, or with the lines after
// the first indented.
func dmesgRecord(r *printk.Record, raw bool) string {
	prefix := fmt.Sprintf("[%5d.%06d] ", r.Time/1e9, r.Time%1e9/1e3)
	next := strings.Repeat(" ", len(prefix))
	if raw {
		prefix = fmt.Sprintf("<%d>%s", int(r.Facility)<<3|int(r.Level), prefix)
		next = prefix
	}
	return prefix + strings.ReplaceAll(r.Text, "\n", "\n"+next) + "\n"
}

// checkSettings compares some of the settings of a report with /proc: package settings compares all.
func checkSettings(t *testing.T, dir string, r *NodeReport) {
	t.Helper()
	if r.Kernel.Settings == nil {
		t.Fatal("no settings")
	}
	line, err := os.ReadFile(filepath.Join(dir, "proc", "cmdline"))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Kernel.Settings.CommandLine.Value; strings.TrimSuffix(string(line), "\n") != got {
		t.Errorf("command line %q, found %q", line, got)
	}
	for i := range r.Kernel.Settings.Sysctls {
		s := &r.Kernel.Settings.Sysctls[i]
		want, err := os.ReadFile(filepath.Join(dir, "proc", "sys", s.Name))
		if s.Namespace != "" || err != nil || s.Value == nil {
			continue
		}
		if strings.TrimSuffix(string(want), "\n") != *s.Value {
			t.Errorf("%s is %q, found %q", s.Name, want, *s.Value)
		}
	}
}

// TestKernelNodes compares what is told of the kernels of nodes with what they said themselves.
func TestKernelNodes(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(img.Truth, "kernel")); err != nil {
				t.Skip("nothing to compare with:", err)
			}
			r, err := AnalyzeNode(t.Context(), File(img.Path), &Options{Sections: SectionModules | SectionLog | SectionKernel})
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range r.Gaps {
				t.Logf("gap: %v", g)
			}
			checkModules(t, img.Truth, r)
			checkLog(t, img.Truth, r)
			checkSettings(t, img.Truth, r)
			checkRoundTrip(t, r)
		})
	}
}

// TestKernelOfNode: a node that stays open gives the sections that a report has.
func TestKernelOfNode(t *testing.T) {
	t.Parallel()
	img := bundled(t)
	n, err := OpenNode(t.Context(), File(img.Path), &Options{Symbols: symbolsOf(t, img), Sections: SectionNetwork | SectionModules | SectionLog})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	modules, gaps, err := n.Modules(t.Context())
	if err != nil || len(gaps) > 0 {
		t.Fatal(err, gaps)
	}
	log, gaps, err := n.Log(t.Context())
	if err != nil || len(gaps) > 0 {
		t.Fatal(err, gaps)
	}
	checkModules(t, img.Truth, &NodeReport{Modules: modules})
	checkLog(t, img.Truth, &NodeReport{Log: log})
	r, err := n.Report(t.Context())
	if err != nil || !r.Whole() {
		t.Fatal(err, r.Gaps)
	}
	if diff := gocmp.Diff(&NodeReport{Modules: modules, Log: log}, &NodeReport{Modules: r.Modules, Log: r.Log}, sameReport); diff != "" {
		t.Errorf("of the node and of the report (-node +report):\n%s", diff)
	}
}

// TestSectionTooLong: of a section that is over its limit the beginning is told, and a gap tells the rest.
func TestSectionTooLong(t *testing.T) {
	t.Parallel()
	img := bundled(t)
	opts := &Options{Symbols: symbolsOf(t, img), Sections: SectionModules | SectionLog}
	opts.Limits.ReportBytes = 20000
	r, err := AnalyzeNode(t.Context(), File(img.Path), opts)
	if err != nil {
		t.Fatal(err)
	}
	if n, m := len(r.Log), len(r.Modules); n == 0 || n > 150 || m == 0 || m > 10 || r.Log[0].Sequence != 0 {
		t.Errorf("%d records, %d modules", n, m)
	}
	told := map[string]bool{}
	for _, g := range r.Gaps {
		told[g.Object] = g.Reason() == "too-many"
	}
	if !told["modules"] || !told["records of the kernel log"] {
		t.Error(r.Gaps)
	}
}

// TestToldOnce: what two sections lost alike is told once.
func TestToldOnce(t *testing.T) {
	first, other := vmem.NewGap("modules", vmem.Place{}, fs.ErrInvalid), vmem.NewGap("modules", vmem.Place{}, fs.ErrClosed)
	r := new(NodeReport)
	r.add(0, &section{Lost: []losses{{[]vmem.Gap{first}}, {[]vmem.Gap{first, other}}}})
	if diff := gocmp.Diff([]vmem.Gap{first, other}, r.Gaps, gapsByCode); diff != "" {
		t.Error(diff)
	}
}

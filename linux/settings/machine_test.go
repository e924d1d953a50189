package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestResources compares memory and ports with /proc/iomem and /proc/ioports, line by line.
func TestResources(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		for _, x := range []struct {
			found []Resource
			width int
			file  []string
		}{{n.out.IOMem, 8, []string{"proc", "iomem"}}, {n.out.IOPorts, 4, []string{"kernel", "ioports"}}} {
			if _, err := os.Stat(filepath.Join(append([]string{n.Truth}, x.file...)...)); err != nil {
				continue
			}
			var got []string
			for _, r := range x.found {
				got = append(got, fmt.Sprintf("%s%0*x-%0*x : %s", strings.Repeat("  ", r.Depth), x.width, uint64(r.Start), x.width, uint64(r.End), r.Name))
			}
			if diff := cmp.Diff(n.file(t, x.file...), strings.Join(got, "\n")); diff != "" {
				t.Errorf("%v (-truth +found)\n%s", x.file, diff)
			}
		}
	})
}

// bugs are the names of what files below /sys/devices/system/cpu/vulnerabilities tell of.
var bugs = map[string]string{
	"meltdown": "cpu_meltdown", "tsx_async_abort": "taa", "spec_rstack_overflow": "srso", "gather_data_sampling": "gds", "reg_file_data_sampling": "rfds",
	"indirect_target_selection": "its", "ghostwrite": "", "old_microcode": "old_microcode",
}

// TestBugs compares what the processor is open to with the files that say whether it is affected.
func TestBugs(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		files, err := os.ReadDir(filepath.Join(n.Truth, "kernel", "vulnerabilities"))
		if err != nil {
			t.Skip(err)
		}
		for _, g := range n.gaps {
			if g.Object == "bugs of the processor" {
				t.Skip(g)
			}
		}
		for _, f := range files {
			name, ok := bugs[f.Name()]
			if !ok {
				name = f.Name()
			}
			text := n.file(t, "kernel", "vulnerabilities", f.Name())
			if affected := text != "Not affected"; affected != slices.Contains(n.out.CPUBugs, name) && name != "" {
				t.Errorf("%s: %s, found %v", f.Name(), text, n.out.CPUBugs)
			}
		}
	})
}

// TestOtherNamespaces compares the sysctls of all namespaces of the network with what each said of itself, both ways.
func TestOtherNamespaces(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		files, err := filepath.Glob(filepath.Join(n.Truth, "net", "*", "sysctl"))
		if err != nil || len(files) == 0 {
			t.Skip("there is no truth")
		}
		found := map[string]map[string]*Sysctl{}
		for i := range n.out.Sysctls {
			s := &n.out.Sysctls[i]
			if found[s.Namespace] == nil {
				found[s.Namespace] = map[string]*Sysctl{}
			}
			found[s.Namespace][s.Name] = s
		}
		compared := 0
		for _, file := range files {
			ns := "net:[" + filepath.Base(filepath.Dir(file)) + "]"
			all := found[ns]
			if all == nil {
				continue // the initial one, or one that no task is in
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for line := range strings.Lines(string(text)) {
				name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
				if !ok {
					name, _, _ = strings.Cut(name, " ! ")
					value = "!"
				}
				name = "net/" + strings.TrimPrefix(name, "net/")
				want[name] = true
				s := all[name]
				switch {
				case s == nil:
					t.Errorf("%s: %s is not found", ns, name)
				case s.Value != nil && *s.Value != strings.NewReplacer(`\n`, "\n", `\\`, `\`).Replace(value):
					t.Errorf("%s: %s is %q, found %q", ns, name, value, *s.Value)
				case s.Value != nil:
					compared++
				}
			}
			for name, s := range all {
				if !want[name] && s.Mode&readable != 0 {
					t.Errorf("%s: %s is found, and not there", ns, name)
				}
			}
		}
		if compared < 1000 {
			t.Errorf("%d compared", compared)
		}
	})
}

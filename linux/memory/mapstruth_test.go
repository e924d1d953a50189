package memory

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// mapsOf returns what is said of the mappings of a process, each as smaps has it.
func mapsOf(t *testing.T, n *node, p *linux.Task) (all []string) {
	t.Helper()
	mm, err := p.MM()
	if err != nil {
		n.Lost(t, err)
		return nil
	}
	for m, err := range n.r.Mappings(t.Context(), mm) {
		if err != nil {
			n.Lost(t, err)
			continue
		}
		u, err := n.r.Usage(t.Context(), mm, &m.VMA)
		if err != nil {
			n.Lost(t, err)
		}
		all = append(all, n.r.Smaps(&m, &u))
	}
	return all
}

// smapsHead begins what smaps says of one mapping.
var smapsHead = regexp.MustCompile(`(?m)^[0-9a-f]+-[0-9a-f]+ `)

// truthSmaps returns what smaps said of each mapping. [vsyscall] is no mapping of the process.
func truthSmaps(text string) (all []string) {
	at := smapsHead.FindAllStringIndex(text, -1)
	for i, a := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		if one := text[a[0]:end]; !strings.Contains(one, "[vsyscall]") {
			all = append(all, one)
		}
	}
	return all
}

// comparable returns the lines of smaps that both sides have, without those that are left out.
func comparable(text string, only map[string]bool, left ...string) string {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		name, _, _ := strings.Cut(line, ":")
		if i == 0 || only[name] && !slices.Contains(left, name) {
			fmt.Fprintln(&b, strings.Join(strings.Fields(line), " "))
		}
	}
	return b.String()
}

// smapsValues returns the lines of smaps by their names.
func smapsValues(text string) map[string]string {
	values := map[string]string{}
	for _, line := range strings.Split(text, "\n")[1:] {
		if name, value, ok := strings.Cut(line, ":"); ok {
			values[name] = value
		}
	}
	return values
}

// number returns the number of a line.
func number(value string) (n int) {
	if _, err := fmt.Sscan(value, &n); err != nil {
		return -1
	}
	return n
}

// ran reports whether a thread of a process ran, or was made, since the truth was taken.
func ran(t *testing.T, n *node, p *linux.Task) bool {
	t.Helper()
	for thread, err := range p.Threads(t.Context()) {
		if err != nil {
			return true
		}
		text, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "task", fmt.Sprint(thread.PID), "status")
		if !ok && thread.Leader() {
			text, ok = n.Read(t, "pid", fmt.Sprint(p.PID), "status")
		}
		if !ok {
			return true
		}
		times, err := n.r.process.ThreadTimes(thread)
		if err != nil || !strings.Contains(text, fmt.Sprintf("\nvoluntary_ctxt_switches:\t%d\nnonvoluntary_ctxt_switches:\t%d\n", times.Voluntary, times.Involuntary)) {
			return true
		}
	}
	return false
}

// smapsNames returns of which lines smaps consists.
func smapsNames(text string) map[string]bool {
	names := map[string]bool{}
	for _, line := range strings.Split(text, "\n")[1:] {
		name, _, _ := strings.Cut(line, ":")
		names[name] = true
	}
	delete(names, "THPeligible")
	return names
}

// TestMaps compares each line of /proc/PID/maps, character by character.
func TestMaps(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		compared := 0
		for _, p := range n.Tasks {
			text, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "maps")
			if !ok || text == "" || moved(p) {
				continue
			}
			mm, err := p.MM()
			if err != nil {
				n.Lost(t, err)
				continue
			}
			var got strings.Builder
			for m, err := range n.r.Mappings(t.Context(), mm) {
				if err != nil {
					n.Lost(t, err)
				}
				fmt.Fprintln(&got, m)
			}
			want := regexp.MustCompile(`(?m)^ffffffffff6.*\[vsyscall\]\n`).ReplaceAllString(text, "")
			if diff := gocmp.Diff(want, got.String()); diff != "" {
				t.Errorf("%v (-maps +found):\n%s", p, diff)
			}
			compared++
		}
		t.Logf("%d processes", compared)
		if compared < 20 {
			t.Errorf("only %d", compared)
		}
	})
}

// differences returns the names of the lines of smaps in which two differ, and whether that can be of a process that did not run meanwhile: clean
// pages of a file are taken away under memory pressure, which also clears marks of use, dirty ones are written, and others come to use and share what there is.
func differences(want, got string, file bool) (names []string, legal bool) {
	w, g := smapsValues(want), smapsValues(got)
	if len(w) != len(g) {
		return []string{"the number of lines"}, false
	}
	head, _, _ := strings.Cut(want, "\n")
	legal = strings.HasPrefix(got, head)
	for name, had := range w {
		has, ok := g[name]
		if ok && has == had {
			continue
		}
		names = append(names, name)
		switch name {
		case "Referenced":
			// A scan of memory moves the mark from the entry of whoever used a page to the page, which all have who share it.
			legal = legal && (file || number(has) <= number(had)+number(w["Shared_Clean"])+number(w["Shared_Dirty"]))
		case "Rss":
			legal = legal && number(has) <= number(had) && file
		case "Pss", "Pss_Dirty", "Shared_Clean", "Private_Clean", "Shared_Dirty", "Private_Dirty":
			legal = legal && (file || name == "Pss" && number(w["Shared_Clean"]) > 0) // such as [vvar], which all processes share
		default:
			legal = false
		}
	}
	return names, legal
}

// TestSmaps compares all that /proc/PID/smaps said of all mappings.
func TestSmaps(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		mappings, resident, exact, others := 0, 0, 0, 0
		differ := map[string]int{}
		for _, p := range n.Tasks {
			text, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "smaps")
			if !ok || text == "" || moved(p) {
				continue
			}
			if ran(t, n, p) {
				others++
				continue
			}
			want, got := truthSmaps(text), mapsOf(t, n, p)
			if len(want) != len(got) {
				t.Errorf("%v: %d mappings, %d of smaps", p, len(got), len(want))
				continue
			}
			for i := range want {
				names := smapsNames(want[i])
				if !strings.Contains(want[i], "Rss:                   0 kB") {
					resident++
				}
				mappings++
				w, g := comparable(want[i], names), comparable(got[i], names)
				if w == g {
					exact++
					continue
				}
				lines, legal := differences(w, g, strings.Contains(want[i], " /"))
				if !legal {
					n.Lost(t, fmt.Errorf("%v (-smaps +found):\n%s", p, gocmp.Diff(strings.Split(w, "\n"), strings.Split(g, "\n"))))
				}
				for _, l := range lines {
					differ[l]++
				}
			}
		}
		t.Logf("%d mappings, %d with pages, %d exact; differ: %v; %d processes ran on", mappings, resident, exact, differ, others)
		if mappings == 0 && others > 0 {
			t.Skip("all of its processes ran on")
		}
		if mappings < 200 || resident < 50 || n.Paused() && exact < mappings*3/4 {
			t.Errorf("only %d, %d and %d", mappings, resident, exact)
		}
	})
}

// statesOf returns what became of the pages of a process, of the mapping that has a text in it.
func statesOf(t *testing.T, n *node, comm string, in func(*linux.VMA) bool) (all []PageState) {
	t.Helper()
	for _, p := range n.Tasks {
		if p.KernelThread || comm != "" && p.Comm != comm {
			continue
		}
		mm, err := p.MM()
		if errors.Is(err, linux.ErrNone) {
			continue
		}
		if err != nil {
			n.Lost(t, err)
			continue
		}
		for v, err := range mm.VMAs(t.Context()) {
			if err != nil || !in(&v) {
				continue
			}
			for s, err := range n.r.PageStates(t.Context(), mm, &v) {
				if err != nil {
					t.Error(err)
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// ofClocks is what pages of [vvar] are beside: of the kernel's image, mapped as a device's are, but where the mapping is VM_MIXEDMAP, as in 7.2.
func ofClocks(n *node) PageFlags {
	for _, p := range n.Tasks {
		mm, err := p.MM()
		if err != nil {
			continue
		}
		for v, err := range mm.VMAs(context.Background()) {
			if err == nil && v.Path == "[vvar]" && v.Flags&vmPFNMap == 0 {
				return 0
			}
		}
	}
	return Device
}

// TestPageStates: pages that the lab's cases of memory made are what they made them.
func TestPageStates(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		anonymous := func(v *linux.VMA) bool { return v.Path == "" }
		for _, c := range []struct {
			comm      string
			in        func(*linux.VMA) bool
			has, lack PageFlags
			size      uint64
			mapcount  int32 // 0 for any
			most      int
		}{
			{"edge-protnone", anonymous, Present | NoAccess | Anonymous | Written, Writable | File | Zero, vmem.PageSize, 1, 1},
			{"edge-huge", anonymous, Present | Huge | Anonymous | Writable | Written, Zero | Hugetlb, 2 << 20, 1, 1},
			{"edge-huge", func(v *linux.VMA) bool { return v.Path == "" && v.Flags&linux.VMWrite == 0 }, Present | Zero | CopyOnWrite, Anonymous | Writable, vmem.PageSize, 0, 1},
			{"edge-areas", func(v *linux.VMA) bool { return v.Path == "" && v.Range.Size == vmem.PageSize }, Present | Anonymous | Writable | Written, Zero, vmem.PageSize, 1, 10},
			{"edge-named", func(v *linux.VMA) bool { return strings.HasPrefix(v.Path, "/memfd:") }, Present | Shmem | Dirty | Writable, Anonymous | CopyOnWrite, vmem.PageSize, 1, 1},
			{"edge-named", func(v *linux.VMA) bool { return strings.HasPrefix(v.Path, "/SYSV") }, Present | Shmem | Dirty | Writable, Anonymous, vmem.PageSize, 1, 1},
			{"edge-named", func(v *linux.VMA) bool { return strings.HasPrefix(v.Path, "/var/lib/edge/mapped") }, Present | Anonymous | Writable, File, vmem.PageSize, 1, 1},
			{"", func(v *linux.VMA) bool { return v.Path == "[vdso]" }, Present, File | Anonymous | Shmem | Writable, vmem.PageSize, 0, 1 << 20},
			{"", func(v *linux.VMA) bool { return v.Path == "[vvar]" }, Present | ofClocks(n), File | Anonymous, vmem.PageSize, 0, 1 << 20},
		} {
			if c.comm != "" && !slices.ContainsFunc(n.Tasks, func(p *linux.Task) bool { return p.Comm == c.comm }) {
				t.Logf("no %s", c.comm)
				continue
			}
			found := 0
			for _, s := range statesOf(t, n, c.comm, c.in) {
				if s.Flags&c.has == c.has && s.Flags&c.lack == 0 && s.Range.Size == c.size && (c.mapcount == 0 || s.Mapcount == c.mapcount) {
					found++
				}
			}
			if found == 0 && c.comm == "edge-huge" && c.size > vmem.PageSize {
				t.Log("no huge page") // the node need not have had one to give
				continue
			}
			if found == 0 || found > c.most {
				t.Errorf("%s: %d pages are %v: %v", c.comm, found, c.has, statesOf(t, n, c.comm, c.in))
			}
		}
	})
}

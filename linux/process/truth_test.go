package process

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/syscalls"
	"github.com/nodelens/nodelens/vmem"
)

// moving are the lines of status that change while a process runs, or when the kernel takes its pages away, as
// labnode has it do.
var moving = []string{"VmHWM", "VmRSS", "RssFile", "RssAnon", "VmPTE", "State", "Cpus_allowed", "SigQ", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches",
	"SigBlk", "SigPnd", "ShdPnd", "FDSize", "VmSize", "VmPeak", "VmData"}

// made of the processor's own, see the package's comment.
var left = []string{"Speculation_Store_Bypass", "SpeculationIndirectBranch", "x86_Thread_features", "x86_Thread_features_locked"}

// newest are lines that not all kernels show.
var newest = []string{"Kthread", "untag_mask", "Seccomp_filters"}

// A counted is how many of something were compared, and with how much.
type counted struct{ processes, still, lines int }

// lasting returns the flags of a task but for the one that it has while it sleeps where it may be frozen: PF_FREEZER_SKIP of
// include/linux/sched.h, until 5.19.
func lasting(flags string) string {
	n, err := strconv.ParseUint(flags, 10, 32)
	if err != nil {
		return flags
	}
	return strconv.FormatUint(n&^0x40000000, 10)
}

// TestStatus compares all lines with /proc/PID/status, of all processes and threads. What moves is compared of those that did not run between the truth and the image.
func TestStatus(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, n *node) {
		var c counted
		for _, p := range n.Tasks {
			ran := n.ran(t, p)
			compareStatus(t, n, p, ran, &c, "pid", fmt.Sprint(p.PID), "status")
			for thread, err := range p.Threads(t.Context()) {
				if err == nil && thread.PID != p.PID {
					compareStatus(t, n, thread, ran, &c, "pid", fmt.Sprint(p.PID), "task", fmt.Sprint(thread.PID), "status")
				}
			}
		}
		t.Logf("%d tasks, of which %d did not run since; %d lines", c.processes, c.still, c.lines)
		if c.still < 100 {
			t.Errorf("only %d tasks compared", c.still)
		}
	})
}

// ran reports whether a thread of a process ran between the truth and the image.
func (n *node) ran(t *testing.T, p *linux.Task) bool {
	t.Helper()
	first, _ := n.Read(t, "pid", fmt.Sprint(p.PID), "status")
	size := fields(first)["VmSize"]
	for thread, err := range p.Threads(t.Context()) {
		times, tErr := n.r.ThreadTimes(thread)
		text, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "task", fmt.Sprint(thread.PID), "status")
		want := fields(text)
		if err != nil || tErr != nil || !ok || want["voluntary_ctxt_switches"] != fmt.Sprint(times.Voluntary) || want["nonvoluntary_ctxt_switches"] != fmt.Sprint(times.Involuntary) {
			return true
		}
		if want["VmSize"] != size { // it ran while the truth of one thread after the other was taken
			return true
		}
	}
	return false
}

func compareStatus(t *testing.T, n *node, p *linux.Task, ran bool, c *counted, path ...string) {
	t.Helper()
	text, ok := n.Read(t, path...)
	if !ok || text == "" {
		return // it came since
	}
	got, err := n.r.Status(t.Context(), p)
	if err != nil {
		t.Errorf("%v: %v", p, err)
	}
	want, found := fields(text), fields(got)
	still := !ran
	reclaimed := want["RssFile"] != found["RssFile"]
	if want["Pid"] != found["Pid"] || collector(n, p) {
		return
	}
	for _, name := range left {
		delete(want, name)
	}
	for _, name := range newest {
		if _, ok := want[name]; !ok {
			delete(found, name)
		}
	}
	if !still {
		for _, name := range moving {
			delete(want, name)
			delete(found, name)
		}
		if p.KernelThread { // a worker has the name of its work
			delete(want, "Name")
			delete(found, "Name")
		}
	}
	if reclaimed { // the pages of files, and the tables that they were in
		for _, name := range []string{"VmRSS", "RssFile", "VmPTE", "VmHWM"} {
			delete(want, name)
			delete(found, name)
		}
	}
	if want["SigQ"] != found["SigQ"] && want["Uid"] == "0\t0\t0\t0" { // processes of root come and go
		_, limit, _ := strings.Cut(want["SigQ"], "/")
		_, got, _ := strings.Cut(found["SigQ"], "/")
		want["SigQ"], found["SigQ"] = limit, got
	}
	c.processes++
	if still {
		c.still++
	}
	c.lines += len(want)
	if diff := gocmp.Diff(want, found); diff != "" {
		t.Errorf("%v (-truth +found):\n%s", p, diff)
	}
}

// collector reports whether a process is of the service that took the truth.
func collector(n *node, p *linux.Task) bool {
	return slices.Contains([]string{"labnode", "nodetruth", "cat", "sh", "dd"}, p.Comm) && p.PPID > 2 || p.Comm == "labnode"
}

// statFields are those of stat that move while a process runs, by number from 1.
var statMoving = []int{3, 10, 11, 12, 13, 14, 15, 16, 17, 23, 24, 31, 32, 35, 39, 42}

// TestStat compares /proc/PID/stat.
func TestStat(t *testing.T) {
	const statFlags = 9
	t.Parallel()
	eachNode(t, func(t *testing.T, n *node) {
		same, still := 0, 0
		for _, p := range n.Tasks {
			text, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "stat")
			if !ok || text == "" || collector(n, p) {
				continue
			}
			got, err := n.r.Stat(t.Context(), p)
			if err != nil {
				t.Errorf("%v: %v", p, err)
				continue
			}
			want, found := statOf(text), statOf(got)
			if n.ran(t, p) {
				for _, i := range statMoving {
					delete(want, i)
					delete(found, i)
				}
				want[statFlags], found[statFlags] = lasting(want[statFlags]), lasting(found[statFlags])
				if p.KernelThread {
					delete(want, 2)
					delete(found, 2)
				}
			} else {
				still++
			}
			delete(want, 24) // resident pages: status compares them
			delete(found, 24)
			if !n.r.newer { // unwinding by frame pointers, which kernels have none of, ends at once
				delete(want, 35)
				delete(found, 35)
			}
			if diff := gocmp.Diff(want, found); diff != "" {
				t.Errorf("%v (-truth +found):\n%s", p, diff)
			} else {
				same++
			}
		}
		t.Logf("%d the same, of which %d did not run since", same, still)
		if still < 50 {
			t.Errorf("only %d compared", still)
		}
	})
}

// statOf returns the fields of stat by number from 1.
func statOf(text string) map[int]string {
	text = strings.TrimSuffix(text, "\n")
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	all := map[int]string{1: text[:open-1], 2: text[open : end+1]}
	for i, f := range strings.Fields(text[end+1:]) {
		all[i+3] = f
	}
	return all
}

// TestLimits compares /proc/PID/limits.
func TestLimits(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, n *node) {
		kinds := map[string]int{}
		for _, p := range n.Tasks {
			want, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "limits")
			if !ok || want == "" {
				continue
			}
			limits, err := n.r.Limits(p)
			if err != nil {
				t.Error(err)
			}
			if diff := gocmp.Diff(want, LimitsText(limits)); diff != "" {
				t.Errorf("%v (-truth +found):\n%s", p, diff)
			}
			kinds[want]++
		}
		t.Logf("%d different sets of limits", len(kinds))
		if len(kinds) < 2 {
			t.Error("all processes have the same")
		}
	})
}

// TestSecurity compares what has files of its own in /proc: the maps of user namespaces, who logged in, and the OOM killer's adjustment.
func TestSecurity(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, n *node) {
		maps := map[string]int{}
		for _, p := range n.Tasks {
			s, err := n.r.Security(p)
			if err != nil {
				t.Errorf("%v: %v", p, err)
				continue
			}
			dir := []string{"pid", fmt.Sprint(p.PID)}
			for file, got := range map[string]string{
				"uid_map": mapText(s.UserNamespace.UIDs), "gid_map": mapText(s.UserNamespace.GIDs),
				"loginuid": auditText(s.LoginUID), "sessionid": auditText(s.LoginSession), "oom_score_adj": fmt.Sprintf("%d\n", s.OOMScoreAdj),
			} {
				want, ok := n.Read(t, append(slices.Clone(dir), file)...)
				if !ok || want == "" && file != "uid_map" && file != "gid_map" {
					continue
				}
				if want != got && (s.UserNamespace.Level < 2 || file != "uid_map" && file != "gid_map") {
					t.Errorf("%v: %s is %q, truth %q", p, file, got, want)
				}
				if file == "uid_map" {
					maps[want]++
				}
			}
		}
		t.Logf("%d different maps of user namespaces", len(maps))
		if len(maps) < 2 {
			t.Error("all processes are in the same user namespace")
		}
	})
}

func mapText(m []IDMap) string {
	var b strings.Builder
	for _, e := range m {
		fmt.Fprintf(&b, "%10d %10d %10d\n", e.Inside, e.Outside, e.Count)
	}
	return b.String()
}

// auditText is what loginuid and sessionid say; 2^32-1 for none.
func auditText(v *uint32) string {
	if v == nil {
		return "4294967295"
	}
	return fmt.Sprint(*v)
}

// TestSeccomp compares what filters say with what the kernel found out of them for itself: which calls
// are allowed whatever their arguments (seccomp_cache_prepare of kernel/seccomp.c).
func TestSeccomp(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, n *node) {
		known := syscalls.Names()[syscalls.ABI64]
		calls, filters := 0, map[vmem.VirtAddr]bool{}
		for _, p := range n.Tasks {
			s, err := n.r.Seccomp(p)
			if err != nil {
				t.Error(err)
				continue
			}
			for i, f := range s.Filters {
				if filters[f.Address] {
					continue
				}
				filters[f.Address] = true
				for nr := range 8 * len(f.cached) {
					name := known[nr].Name
					if _, err := n.K.Symbol("__x64_" + cmp.Or(strings.Join(known[nr].Functions, ""), "none")); err != nil || slices.Contains(unfiltered, name) {
						continue // the kernel has no such call, or asks no filter
					}
					budget := maxPolicySteps
					v := askAll(s.Filters[i:], uint32(nr), &budget)
					// The kernel gives up where an argument is read.
					want := f.cached[nr/8]>>(nr%8)&1 != 0
					if got := v.only(func(a uint32) bool { return a&answerMask == answerAllow }) && !v.reads; got != want {
						t.Errorf("%v: filter %d, call %d: allowed %v, the kernel says %v (%+v)", p, i, nr, got, want, v)
					}
					if want {
						calls++
					}
				}
			}
			if s.Calls != nil && len(s.Calls.Allowed)+len(s.Calls.Conditional)+len(s.Calls.Others) == 0 {
				t.Errorf("%v: the filters say nothing of any call", p)
			}
		}
		t.Logf("%d filters, %d calls allowed in all", len(filters), calls)
		if len(filters) == 0 {
			t.Error("no filters")
		}
	})
}

// TestCapabilityNames compares the names with those of the header of the C library's kernel interface.
func TestCapabilityNames(t *testing.T) {
	t.Parallel()
	all := AllCapabilities.Names()
	if len(all) != 41 || all[21] != "CAP_SYS_ADMIN" || all[40] != "CAP_CHECKPOINT_RESTORE" {
		t.Errorf("%d names: %v", len(all), all)
	}
	for _, c := range []Capabilities{0, AllCapabilities, 0xa80425fb, 1 << 50} {
		text, err := c.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back Capabilities
		if err := back.UnmarshalJSON(text); err != nil || back != c {
			t.Errorf("%v is %s, and back %v: %v", c, text, back, err)
		}
	}
}

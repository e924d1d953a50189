package diff_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/diff"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/integrity"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/linux/settings"
	"github.com/nodelens/nodelens/vmem"
)

// bundled is the JSON of the report of the bundled node.
var bundled = sync.OnceValues(func() ([]byte, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	report, err := cos.AnalyzeNode(context.Background(), cos.File(img.Path), &cos.Options{Sections: cos.AllSections &^ cos.SectionMemory})
	if err != nil {
		return nil, err
	}
	return json.Marshal(report)
})

// node returns a report of the bundled node, for a test to change.
func node(t *testing.T) *cos.NodeReport {
	t.Helper()
	text, err := bundled()
	report := new(cos.NodeReport)
	if err == nil {
		err = json.Unmarshal(text, report)
	}
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// unchanged is a report of the bundled node that no test changes.
var unchanged = sync.OnceValues(func() (*cos.NodeReport, error) {
	text, err := bundled()
	if err != nil {
		return nil, err
	}
	report := new(cos.NodeReport)
	return report, json.Unmarshal(text, report)
})

// whole returns the report of the bundled node.
func whole(t *testing.T) *cos.NodeReport {
	t.Helper()
	report, err := unchanged()
	if err != nil {
		t.Fatal(err)
	}
	return report
}

const intruder = 748

func process(r *cos.NodeReport, pid int32) *cos.Process {
	return &r.Processes[slices.IndexFunc(r.Processes, func(p cos.Process) bool { return p.PID == pid })]
}

// lines are changes, one a line.
func lines(r *diff.Result) (all []string) {
	for _, c := range r.Changes {
		var line strings.Builder
		fmt.Fprintf(&line, "%v: %s %s %s", c.Pod, c.What, c.Kind, c.Object)
		for _, f := range c.Fields {
			fmt.Fprintf(&line, "; %s %s, was %s", f.Name, f.After, f.Before)
		}
		if c.Notable != "" {
			line.WriteString("; " + c.Notable)
		}
		if !c.Sure {
			line.WriteString("; not sure")
		}
		all = append(all, line.String())
	}
	return all
}

// A node does not differ from itself, nor from one that is as it is under another name and with other numbers.
func TestSame(t *testing.T) {
	r := diff.Compare(whole(t), node(t))
	if len(r.Changes) != 0 || len(r.Unknown) != 0 || !r.SameBoot {
		t.Errorf("a report and itself: %v, %+v", lines(r), r)
	}
	other := node(t)
	other.Hostname, other.BootTime = "other", other.BootTime.Add(time.Hour)
	for i := range other.Processes {
		p := &other.Processes[i]
		p.StartTime, p.Address = p.StartTime.Add(time.Hour), p.Address+0x100000
	}
	r = diff.Compare(whole(t), other)
	if len(r.Changes) != 0 || r.SameBoot || r.SameNode {
		t.Errorf("two nodes that are the same: %v", lines(r))
	}
	if len(r.Unknown) != 3 {
		t.Errorf("what can't be compared between nodes: %+v", r.Unknown)
	}
}

// What came, went and changed is told, by pod.
func TestCompare(t *testing.T) {
	before, after := node(t), node(t)
	p := process(after, intruder)
	p.Cred.EUID, before.Processes[slices.IndexFunc(before.Processes, func(p cos.Process) bool { return p.PID == intruder })].Cred.EUID = 0, 1000
	p.Namespaces.Mnt++
	went := process(after, 789)
	after.Processes = slices.DeleteFunc(after.Processes, func(p cos.Process) bool { return p.PID == went.PID })
	came := *process(before, 561)
	came.PID, came.Comm, came.StartTime = 9000, "new", came.StartTime.Add(time.Minute)
	after.Processes = append(after.Processes, came)
	listener := after.Network.Sockets[slices.IndexFunc(after.Network.Sockets, func(s cos.Socket) bool { return s.LocalPort == 31337 && s.State == socket.Listen })]
	before.Network.Sockets = slices.DeleteFunc(before.Network.Sockets, func(s cos.Socket) bool { return s.Addr == listener.Addr })
	after.Modules = append(after.Modules, cos.Module{Module: module.Module{Name: "x"}})
	after.Modules[0].Missing = module.InList
	hook := slices.IndexFunc(after.Hooks, func(h integrity.Hook) bool { return h.Table == "sys_call_table" && h.Address != 0 })
	after.Hooks[hook].Target += 16
	value := "0"
	sysctl := slices.IndexFunc(after.Kernel.Settings.Sysctls, func(c settings.Sysctl) bool { return c.Name == "kernel/randomize_va_space" })
	after.Kernel.Settings.Sysctls[sysctl].Value = &value

	got := lines(diff.Compare(before, after))
	h := after.Hooks[hook]
	want := []string{
		"node: came module x",
		fmt.Sprintf("node: changed module %s; missing from list, was none; it is hidden from a view, or is seen again", after.Modules[0].Name),
		fmt.Sprintf("node: changed hook sys_call_table %s; target %v, was %v; the kernel calls other code at that place", h.Entry, h.Target, h.Target-16),
		"node: changed setting kernel/randomize_va_space; value 0, was 2",
		"batch/report-29406240-xq7vd: went process 789 sleep",
		"shop/cache-0: came process 9000 new",
		fmt.Sprintf("shop/image-resizer-5d8c7b9f6-zt4hn: changed process 748 kworker/u4:2; euid 0, was 1000; mount namespace %d, was %d; it became root", p.Namespaces.Mnt, p.Namespaces.Mnt-1),
		"shop/image-resizer-5d8c7b9f6-zt4hn: came listener tcp 0.0.0.0:31337",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// A pod that is gone takes its containers and processes along.
func TestPodWent(t *testing.T) {
	before, after := whole(t), node(t)
	uid := process(after, intruder).PodUID
	after.Pods = slices.DeleteFunc(after.Pods, func(p cos.Pod) bool { return p.UID == uid })
	after.Processes = slices.DeleteFunc(after.Processes, func(p cos.Process) bool { return p.PodUID == uid })
	var got []string
	for _, c := range diff.Compare(before, after).Changes {
		if c.What != diff.Changed && (c.Kind == diff.Pods || c.Kind == diff.Containers || c.Kind == diff.Processes) {
			got = append(got, fmt.Sprintf("%v: %s %s %s", c.Pod, c.What, c.Kind, c.Object))
		}
	}
	const pod = "shop/image-resizer-5d8c7b9f6-zt4hn"
	want := []string{pod + ": went pod " + pod, pod + ": went container resizer", pod + ": went process 715 pause", pod + ": went process 748 kworker/u4:2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// What a report lacks or has lost is no change that is sure.
func TestUnknown(t *testing.T) {
	before, after := whole(t), node(t)
	after.BPF, after.Gaps = nil, []vmem.Gap{{Object: "task 789 (sleep)", Err: vmem.ErrNotCaptured}}
	after.Processes = slices.DeleteFunc(after.Processes, func(p cos.Process) bool { return p.PID == 789 })
	r := diff.Compare(before, after)
	if want := []string{"batch/report-29406240-xq7vd: went process 789 sleep; not sure"}; cmp.Diff(want, lines(r)) != "" {
		t.Errorf("changes: %q", lines(r))
	}
	lacks := slices.ContainsFunc(r.Unknown, func(u diff.Unknown) bool { return u.Kind == diff.Programs && u.Reason == "the second report lacks bpf" })
	lost := slices.ContainsFunc(r.Unknown, func(u diff.Unknown) bool { return u.Kind == diff.Processes && u.Losses == 1 })
	if !lacks || !lost {
		t.Errorf("unknown: %+v", r.Unknown)
	}
	if text, err := json.Marshal(r); err != nil || !strings.Contains(string(text), diff.Schema) {
		t.Errorf("%s, %v", text, err)
	}
}

// A process that a view has lost since is notable.
func TestViews(t *testing.T) {
	before, after := whole(t), node(t)
	process(after, intruder).Sources = linux.InPIDIDR
	r := diff.Compare(before, after)
	if len(r.Changes) != 1 || !strings.Contains(r.Changes[0].Notable, "a view of the kernel") {
		t.Errorf("changes: %q", lines(r))
	}
}

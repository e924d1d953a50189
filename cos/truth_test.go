package cos

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
	"github.com/nodelens/nodelens/linux"
)

// checkReport compares a whole report with the truth.
func checkReport(t *testing.T, node *truth.Node, r *NodeReport) {
	t.Helper()
	result := truth.Compare(node, foundProcesses(r))
	for _, diff := range result.Differences {
		t.Error(diff)
	}
	t.Logf("%d processes compared; only in the image: %v; only in the truth: %v", result.Compared, result.Came, result.Gone)
	for _, g := range r.Gaps {
		t.Logf("gap: %v", g)
	}
	if diff := cmp.Diff(truePods(node, result.Came), r.Pods, ignoreEvidence...); diff != "" {
		t.Errorf("pods (-truth +found):\n%s", diff)
	}
	checkKernel(t, node.Kernel, r)
	checkCaptured(t, node, r.Provenance)
}

// checkCaptured checks that the image was captured after the truth was collected, by the
// kernel's clock, which a CPU that idles may let stand for a while.
func checkCaptured(t *testing.T, node *truth.Node, p Provenance) {
	t.Helper()
	collected := node.Kernel.Boot.Add(time.Duration(node.Until) * time.Second / truth.TicksPerSecond)
	since := p.Captured.Sub(collected)
	if p.CapturedFrom != CapturedByClock || since < -node.Kernel.BootWithin-5*time.Second || since > 5*time.Minute {
		t.Errorf("captured %v by %q, %v after the truth was collected", p.Captured, p.CapturedFrom, since)
	}
}

// ignoreEvidence leaves out what the truth doesn't tell.
var ignoreEvidence = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Pod{}, "Evidence"), cmpopts.IgnoreFields(Container{}, "Evidence", "Image"),
}

// foundProcesses gives the processes of a report the form of the truth's.
func foundProcesses(r *NodeReport) []truth.Process {
	var all []truth.Process
	for _, p := range r.Processes {
		all = append(all, foundProcess(p, r))
	}
	return all
}

func foundProcess(p Process, r *NodeReport) truth.Process {
	found := truth.Process{
		PID: p.PID, PPID: p.PPID, Comm: p.Comm, Args: p.Args, Env: shownEnvironment(p.Env), Exe: p.Exe, Cwd: p.Cwd,
		State: truth.StateClass(byte(p.State)), KernelThread: p.KernelThread,
		StartTicks: ticks(p.StartTime, r),
		NSPIDs:     p.NamespacedPIDs, Namespaces: map[string]uint32{},
	}
	if p.Cred != nil {
		found.UID, found.GID = p.Cred.UID, p.Cred.GID
	}
	for _, t := range p.Threads {
		found.Threads = append(found.Threads, truth.Thread{TID: t.TID, Comm: t.Comm, StartTicks: ticks(t.StartTime, r)})
	}
	slices.SortFunc(found.Threads, func(a, b truth.Thread) int { return int(a.TID - b.TID) })
	for _, c := range p.Cgroups {
		found.Cgroups = append(found.Cgroups, truth.Cgroup{Hierarchy: c.Hierarchy, Controllers: c.Controllers, Path: c.Path})
	}
	for _, f := range p.FDs {
		found.FDs = append(found.FDs, truth.FD{FD: f.FD, Path: f.Path})
	}
	n := p.Namespaces
	for name, inum := range map[string]uint32{
		"pid": n.PID, "net": n.Net, "mnt": n.Mnt, "uts": n.UTS, "ipc": n.IPC, "user": n.User, "cgroup": n.Cgroup, "time": n.Time,
	} {
		if inum != 0 {
			found.Namespaces[name] = inum
		}
	}
	return found
}

// shownEnvironment returns an environment as the kernel has it, of a report that shows secrets.
func shownEnvironment(env []Secret) (all []string) {
	for _, e := range env {
		switch {
		case e.Value == nil:
			all = append(all, e.Name+"="+hidden)
		case e.Name == "":
			all = append(all, *e.Value)
		default:
			all = append(all, e.Name+"="+*e.Value)
		}
	}
	return all
}

// ticks returns a time as the kernel tells it in /proc.
func ticks(at time.Time, r *NodeReport) int64 {
	return int64(at.Sub(r.BootTime) / (time.Second / truth.TicksPerSecond))
}

// truePods gives the pods of the truth the form of a report's. Processes that came
// since are in their containers.
func truePods(node *truth.Node, came []truth.Process) []Pod {
	processes := append(slices.Clone(node.Processes), came...)
	var pods []Pod
	for _, p := range node.Pods {
		pod := Pod{UID: p.UID, QoS: QoS(p.QoS), Namespace: p.Namespace, Name: p.Name, SandboxID: p.SandboxID}
		for name, id := range p.Containers {
			pod.Containers = append(pod.Containers, Container{ID: id, Name: name, PIDs: pidsIn(processes, id)})
		}
		for id, name := range p.Earlier {
			pod.Containers = append(pod.Containers, Container{ID: id, Name: name})
		}
		slices.SortFunc(pod.Containers, func(a, b Container) int { return strings.Compare(a.Name+" "+a.ID, b.Name+" "+b.ID) })
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b Pod) int { return strings.Compare(a.Namespace+" "+a.Name, b.Namespace+" "+b.Name) })
	return pods
}

// pidsIn returns the processes in the cgroup that has the container's ID in its name.
func pidsIn(processes []truth.Process, id string) []int32 {
	var pids []int32
	for _, p := range processes {
		if slices.ContainsFunc(p.Cgroups, func(c truth.Cgroup) bool { return strings.Contains(c.Path, id) }) {
			pids = append(pids, p.PID)
		}
	}
	slices.Sort(pids)
	return pids
}

// kernelMap is where the kernel is linked to be mapped (__START_KERNEL_map of
// arch/x86/include/asm/page_64_types.h).
const kernelMap = 0xffffffff80000000

func checkKernel(t *testing.T, want truth.Kernel, r *NodeReport) {
	t.Helper()
	if r.Kernel.Banner != want.Banner || !strings.Contains(want.Banner, "Linux version "+r.Kernel.Release+" ") {
		t.Errorf("kernel %q, %q, want %q", r.Kernel.Release, r.Kernel.Banner, want.Banner)
	}
	if r.Hostname != want.Hostname {
		t.Errorf("host name %q, want %q", r.Hostname, want.Hostname)
	}
	if base := int64(want.TextPhys - (want.TextVirt - kernelMap)); r.Kernel.PhysBase != base {
		t.Errorf("phys_base %#x, want %#x", r.Kernel.PhysBase, base)
	}
	if off := r.BootTime.Sub(want.Boot).Abs(); off > want.BootWithin {
		t.Errorf("booted at %v, want %v within %v", r.BootTime, want.Boot, want.BootWithin)
	}
}

// TestAnalyzeNode compares the whole report about each image with what /proc said on
// the node. With symbols from elsewhere it must be the same.
func TestAnalyzeNode(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			if img.Truth == "" || img.ISF == "" {
				t.Skip("nothing to compare with, or no symbols")
			}
			node, err := truth.Read(img.Truth)
			if err != nil {
				t.Fatal(err)
			}
			r, err := AnalyzeNode(t.Context(), File(img.Path), &Options{SymbolFile: img.ISF, Secrets: true})
			if err != nil {
				t.Fatal(err)
			}
			checkReport(t, node, r)

			symbols, err := openISF(img.ISF)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := symbols.Symbol("_text"); err != nil || text.Address+r.Kernel.KASLRShift != node.Kernel.TextVirt {
				t.Errorf("_text at %+v with shift %#x, want %#x", text, r.Kernel.KASLRShift, node.Kernel.TextVirt)
			}
			for _, opts := range []*Options{{Symbols: symbols, Secrets: true}, {Secrets: true}} {
				again, err := AnalyzeNode(t.Context(), File(img.Path), opts)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(asJSON(t, r), asJSON(t, again)); diff != "" {
					t.Errorf("JSON with symbols from %s (-from %s +other):\n%s", again.Kernel.Symbols, r.Kernel.Symbols, diff)
				}
			}
		})
	}
}

// asJSON returns the JSON of a report without where image and symbols came from.
func asJSON(t *testing.T, r *NodeReport) string {
	t.Helper()
	same := *r
	same.Provenance, same.Kernel.Symbols, same.Kernel.FoundBy = Provenance{}, "", ""
	text, err := same.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAttributeProc attributes the processes of the truth, with all that /proc says of
// them: everything but containerd's database.
func TestAttributeProc(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			if img.Truth == "" {
				t.Skip("no truth")
			}
			node, err := truth.Read(img.Truth)
			if err != nil {
				t.Fatal(err)
			}
			got := attributePods(t.Context(), procFacts(node), &claim.Node{Hostname: node.Kernel.Hostname}, false)
			if diff := cmp.Diff(podsOfProc(node), got.pods, ignoreEvidence...); diff != "" {
				t.Errorf("pods (-want +got):\n%s", diff)
			}
		})
	}
}

// procFacts gives the truth the form of what was read out of an image.
func procFacts(node *truth.Node) []facts {
	var all []facts
	for _, p := range node.Processes {
		f := facts{Process: Process{PID: p.PID, PPID: p.PPID, Comm: p.Comm, Args: p.Args, Exe: p.Exe}}
		for _, fd := range p.FDs {
			f.FDs = append(f.FDs, linux.FD{FD: fd.FD, Path: fd.Path})
		}
		for _, c := range p.Cgroups {
			f.Cgroups = append(f.Cgroups, linux.CgroupPath{Hierarchy: c.Hierarchy, Controllers: c.Controllers, Path: c.Path})
		}
		if setCgroup(&f.Process) == nil && f.PodUID != "" {
			for _, m := range p.Mounts {
				f.mounts = append(f.mounts, linux.Mount{Root: m.Root, MountPoint: m.MountPoint, FSType: m.FSType, Source: m.Source})
			}
		}
		all = append(all, f)
	}
	return all
}

// podsOfProc are the pods as far as /proc tells them: containers that run, and names
// where a log file is open; which of several containers has which name, only where each has a termination log.
func podsOfProc(node *truth.Node) []Pod {
	pods := truePods(node, nil)
	for i := range pods {
		p := &pods[i]
		p.Containers = slices.DeleteFunc(p.Containers, func(c Container) bool { return c.PIDs == nil })
		if len(p.Containers) == 0 {
			p.Namespace, p.Name = "", ""
		}
		if len(p.Containers) > 1 && !slices.ContainsFunc(p.Containers, func(c Container) bool { return mountsName(node, &c) }) {
			p.Containers = apart(p.Containers)
		}
	}
	slices.SortFunc(pods, func(a, b Pod) int { return strings.Compare(a.Namespace+" "+a.Name, b.Namespace+" "+b.Name) })
	return pods
}

// mountsName reports whether a mount of a container says its name: the kubelet's directory for its termination log.
func mountsName(node *truth.Node, c *Container) bool {
	return slices.ContainsFunc(node.Processes, func(p truth.Process) bool {
		return slices.Contains(c.PIDs, p.PID) && slices.ContainsFunc(p.Mounts, func(m truth.Mount) bool {
			return strings.Contains(m.Root, "/containers/"+c.Name+"/")
		})
	})
}

// apart tears IDs and names apart.
func apart(containers []Container) []Container {
	var ids, names []Container
	for _, c := range containers {
		ids = append(ids, Container{ID: c.ID, PIDs: c.PIDs})
		names = append(names, Container{Name: c.Name})
	}
	slices.SortFunc(ids, func(a, b Container) int { return strings.Compare(a.ID, b.ID) })
	return append(ids, names...)
}

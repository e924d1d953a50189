package cos

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/cos/containerd"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// attribution is what is known of the node's pods, and why not more.
type attribution struct {
	pods  []Pod
	gaps  []vmem.Gap
	notes []string
}

// setRunning notes which claims are of a sandbox that runs: then what may be past is not.
func setRunning(claims []claim.Claim, running map[string]bool) {
	for i := range claims {
		claims[i].Running = running[claims[i].SandboxID]
	}
}

// carve looks in all of memory for what names the pods that lack a name, and the running
// sandboxes that are of no pod, if something was lost: without a loss there is no more than
// the sources told. A machine that runs is not read so.
func carve(ctx context.Context, node *claim.Node, pods []Pod, running map[string]bool, damaged bool) []claim.Claim {
	if !damaged || node.Live || node.Memory == nil {
		return nil
	}
	var w containerd.Wanted
	known := map[string]bool{}
	for _, p := range pods {
		known[p.SandboxID] = true
		if incomplete([]Pod{p}) {
			w.UIDs = append(w.UIDs, p.UID)
		}
	}
	for id := range running {
		if !known[id] {
			w.Sandboxes = append(w.Sandboxes, id)
		}
	}
	claims, err := containerd.Carve(ctx, node.Memory, w)
	if err != nil {
		return nil // as ctx is done
	}
	return claims
}

// attributePods asks all sources and joins what they say. damaged says that something was
// lost before.
func attributePods(ctx context.Context, all []facts, node *claim.Node, damaged bool) attribution {
	var out attribution
	var claims []claim.Claim
	var lost []vmem.Gap
	processes := make([]Process, len(all))
	for i := range all {
		processes[i] = all[i].Process
		node.Processes = append(node.Processes, all[i].claimant())
	}
	for _, s := range sources {
		c, l := s.Claims(ctx, node)
		claims, lost = append(claims, c...), append(lost, l...)
	}
	running := containerd.Running(node.Processes)
	setRunning(claims, running)
	out.pods, out.gaps = attribute(processes, claims)
	if carved := carve(ctx, node, out.pods, running, len(lost) > 0 || damaged); len(carved) > 0 {
		setRunning(carved, running)
		claims = append(claims, carved...)
		out.pods, out.gaps = attribute(processes, claims)
	}
	for _, g := range lost {
		out.unread(g)
	}
	return out
}

// claimant is the process as sources see it.
func (f *facts) claimant() claim.Process {
	return claim.Process{
		Task: f.task, PID: f.PID, PPID: f.PPID, Exe: f.Exe, Args: f.Args, FDs: f.FDs,
		Cgroup: f.Cgroup, PodUID: f.PodUID, ContainerID: f.ContainerID, Mounts: f.mounts, UTSName: f.uts,
	}
}

// unread says that a source could not read something. Pages of files that are on the node's
// disk alone are no loss: then it is a note, unless something is missing that the source
// would tell.
func (a *attribution) unread(g vmem.Gap) {
	if errors.Is(g.Err, vmem.ErrNotPresent) && !incomplete(a.pods) {
		a.notes = append(a.notes, "containers that have exited may be missing: "+g.Object+", was not all in memory")
		return
	}
	a.gaps = append(a.gaps, g)
}

// incomplete reports whether a name is missing that a runtime's database would have.
func incomplete(pods []Pod) bool {
	for _, p := range pods {
		if p.Namespace == "" || p.Name == "" || p.SandboxID == "" {
			return true
		}
		if slices.ContainsFunc(p.Containers, func(c Container) bool { return c.Name == "" || c.ID == "" }) {
			return true
		}
	}
	return false
}

// readContainers reads of each container what sources need and the report has not: its
// mounts and its node name.
func readContainers(ctx context.Context, all []facts, live bool) {
	nodeMounts := uint32(0)
	for i := range all {
		if all[i].PID == 1 {
			nodeMounts = all[i].Namespaces.Mnt
		}
	}
	seen := map[view]bool{}
	rest := maxMountText
	for i := range all {
		f := &all[i]
		v := view{f.ContainerID, f.Namespaces.Mnt}
		if f.PodUID != "" && v.mnt != 0 && v.mnt != nodeMounts && !seen[v] {
			seen[v] = true
			*f = settle(live, func() facts { return f.withMounts(ctx) })
			text := f.mountText()
			if text > rest {
				f.gaps = append(f.gaps, vmem.NewGap("mounts of "+f.task.String(), vmem.KernelPlace(f.Address),
					fmt.Errorf("%w: the mounts of all containers together have more than %d bytes of paths", kstruct.ErrTooLong, maxMountText)))
				f.mounts = nil
				continue
			}
			rest -= text
		}
	}
}

// maxMountText bounds the paths of the mounts of all containers, in bytes.
const maxMountText = 64 << 20

func (f *facts) mountText() (n int) {
	for i := range f.mounts {
		m := &f.mounts[i]
		n += len(m.Root) + len(m.MountPoint) + len(m.Source) + len(m.FSType)
	}
	return n
}

// A view is a mount namespace that processes of a container are in.
type view struct {
	container string
	mnt       uint32
}

func (f facts) withMounts(ctx context.Context) facts {
	f.gaps = slices.Clip(f.gaps)
	f.mounts = all(&f, f.task.Mounts(ctx))
	var err error
	f.uts, err = f.task.UTSName()
	f.lose(err)
	return f
}

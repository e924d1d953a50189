package cos

import (
	"context"
	"fmt"
	"regexp"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/cos/containerd"
	"github.com/nodelens/nodelens/vmem"
)

// sources are those who tell of pods. A container runtime is one more.
var sources = []claim.Source{
	source(cgroupClaim),
	source(terminationClaims),
	source(utsClaim),
	containerd.Source{},
}

// A source tells what it sees in each process.
type source func(n *claim.Node, p *claim.Process) []claim.Claim

// Claims implements [claim.Source].
func (s source) Claims(_ context.Context, n *claim.Node) ([]claim.Claim, []vmem.Gap) {
	var all []claim.Claim
	for i := range n.Processes {
		all = append(all, s(n, &n.Processes[i])...)
	}
	return all, nil
}

// setCgroup chooses the cgroup that tells most about the process and takes pod and
// container from it. Under cgroup v1 a process has many cgroups, not all of which the
// runtime made; those that name a pod or a container must name the same. The error
// wraps ErrConflict where they don't; then the first one counts.
func setCgroup(p *Process) error {
	var chosen CgroupName
	var conflict error
	for _, c := range p.Cgroups {
		name, ok := ParseCgroupPath(c.Path)
		switch {
		case !ok:
		case chosen == CgroupName{} || chosen.ContainerID == "" && name.PodUID == chosen.PodUID:
			chosen, p.Cgroup = name, c.Path
		case name.PodUID != chosen.PodUID || name.ContainerID != "" && name.ContainerID != chosen.ContainerID:
			conflict = fmt.Errorf("%w: cgroups %q and %q", ErrConflict, p.Cgroup, c.Path)
		}
	}
	p.PodUID, p.ContainerID = chosen.PodUID, chosen.ContainerID
	if p.Cgroup == "" && len(p.Cgroups) > 0 {
		p.Cgroup = p.Cgroups[len(p.Cgroups)-1].Path
	}
	return conflict
}

// cgroupClaim is what the cgroup of a process says, which the kubelet and the runtime chose.
func cgroupClaim(_ *claim.Node, p *claim.Process) []claim.Claim {
	name, ok := ParseCgroupPath(p.Cgroup)
	if !ok || name.PodUID == "" {
		return nil
	}
	return []claim.Claim{{
		Origin: FromCgroup, PID: p.PID,
		PodUID: name.PodUID, QoS: string(name.QoS), ContainerID: name.ContainerID,
	}}
}

// terminationPath matches the file that the kubelet binds into a container for its
// last message (makeMounts of pkg/kubelet/kuberuntime, getPodContainerDir of
// pkg/kubelet): pods/UID/containers/NAME/HASH under the kubelet's directory, with a
// hash of eight digits. It is the path inside the file system, so what precedes
// depends on how the node is partitioned.
var terminationPath = regexp.MustCompile(`(?:^|/)pods/([0-9A-Za-z.-]+)/containers/([a-z0-9-]{1,63})/[0-9a-f]{8}$`)

// terminationClaims are what the kubelet's mounts in a container say of it. Only mounts of
// that whole file are looked at; what else is mounted is up to the pod.
func terminationClaims(_ *claim.Node, p *claim.Process) []claim.Claim {
	var all []claim.Claim
	for _, m := range p.Mounts {
		if found := terminationPath.FindStringSubmatch(m.Root); found != nil {
			all = append(all, claim.Claim{
				Origin: FromMount, PID: p.PID,
				PodUID: found[1], Container: found[2], ContainerID: p.ContainerID,
			})
		}
	}
	return all
}

// utsClaim is the hint that the node name of a process gives, if it isn't the node's.
func utsClaim(n *claim.Node, p *claim.Process) []claim.Claim {
	if p.PodUID == "" || p.UTSName == "" || p.UTSName == n.Hostname {
		return nil
	}
	return []claim.Claim{{Origin: HintUTSName, PID: p.PID, PodUID: p.PodUID, Pod: p.UTSName}}
}

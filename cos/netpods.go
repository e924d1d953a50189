package cos

import (
	"fmt"

	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// A podIndex finds what a report says of a process.
type podIndex struct {
	processes map[int32]*Process
	pods      map[string]*Pod // by UID
}

func indexPods(r *NodeReport) podIndex {
	x := podIndex{processes: map[int32]*Process{}, pods: map[string]*Pod{}}
	for i := range r.Processes {
		x.processes[r.Processes[i].PID] = &r.Processes[i]
	}
	for i := range r.Pods {
		x.pods[r.Pods[i].UID] = &r.Pods[i]
	}
	return x
}

// isSandbox reports whether a process is of its pod's sandbox.
func (x *podIndex) isSandbox(p *Process) bool {
	pod := x.pods[p.PodUID]
	return pod != nil && p.ContainerID != "" && p.ContainerID == pod.SandboxID
}

// podOf returns the pod whose network namespace ns is. The node's own is of none, whatever
// pods share it. Another is that of the pod whose sandbox is in it, for the sandbox holds it;
// without one, of the pod that all processes in it are of which are of any: processes of
// others may have entered it.
func (r *netReader) podOf(ns *network.Namespace) string {
	if ns.Initial {
		return ""
	}
	holders, inside := map[string]bool{}, map[string]bool{}
	for _, pid := range ns.PIDs {
		p := r.pods.processes[pid]
		if p == nil || p.PodUID == "" {
			continue
		}
		inside[p.PodUID] = true
		if r.pods.isSandbox(p) {
			holders[p.PodUID] = true
		}
	}
	if len(holders) == 0 {
		holders = inside
	}
	switch len(holders) {
	case 0:
		return ""
	case 1:
		return anyKey(holders)
	}
	r.gaps = append(r.gaps, vmem.NewGap("pod of "+ns.String(), vmem.KernelPlace(ns.Addr),
		fmt.Errorf("%w: %d pods have processes in it", ErrAmbiguous, len(holders))))
	return ""
}

func anyKey(set map[string]bool) string {
	for key := range set {
		return key
	}
	return ""
}

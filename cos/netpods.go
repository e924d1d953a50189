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

// joinPods says which pods have the sockets, and what the network of each pod is.
func (r *netReader) joinPods() {
	spaces := map[uint32]*NetworkNamespace{}
	for i := range r.net.Namespaces {
		spaces[r.net.Namespaces[i].Inum] = &r.net.Namespaces[i]
	}
	for i := range r.net.Sockets {
		r.pods.own(&r.net.Sockets[i], spaces)
	}
	inside := map[string]uint32{} // the namespace of each pod's processes, its sandbox's first
	for i := range r.report.Processes {
		p := &r.report.Processes[i]
		if p.PodUID != "" && p.Namespaces.Net != 0 && (inside[p.PodUID] == 0 || r.pods.isSandbox(p)) {
			inside[p.PodUID] = p.Namespaces.Net
		}
	}
	own := map[string]*NetworkNamespace{}
	for i := range r.net.Namespaces {
		if ns := &r.net.Namespaces[i]; ns.PodUID != "" && own[ns.PodUID] == nil {
			own[ns.PodUID] = ns
		}
	}
	for i := range r.report.Pods {
		uid := r.report.Pods[i].UID
		pod := PodNetwork{UID: uid, NetNS: inside[uid]}
		if ns := spaces[pod.NetNS]; ns != nil && ns.Initial {
			pod.Host = true
		} else if ns := own[uid]; ns != nil {
			pod.NetNS, pod.IPs = ns.Inum, ns.ips()
		}
		r.net.Pods = append(r.net.Pods, pod)
	}
}

// ips returns the addresses by which others reach what is in the namespace.
func (n *NetworkNamespace) ips() (all []string) {
	for _, a := range n.Addresses {
		if ip := a.Local; ip.IsValid() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			all = append(all, ip.String())
		}
	}
	return all
}

// own says which pod and container a socket is of. Of several processes that have it open,
// those of the pod whose namespace it is in come first.
func (x *podIndex) own(s *Socket, spaces map[uint32]*NetworkNamespace) {
	home := ""
	if ns := spaces[s.NetNS]; ns != nil {
		home = ns.PodUID
	}
	for _, o := range s.Owners {
		p := x.processes[o.PID]
		if p == nil || p.PodUID == "" {
			continue
		}
		if s.PodUID == "" || s.PodUID != home && p.PodUID == home {
			s.PodUID, s.ContainerID = p.PodUID, p.ContainerID
		}
	}
	if len(s.Owners) > 0 && s.PodUID != "" {
		return
	}
	if len(s.Owners) == 0 {
		if name, ok := ParseCgroupPath(s.Cgroup); ok && x.pods[name.PodUID] != nil {
			s.PodUID, s.ContainerID = name.PodUID, name.ContainerID
			return
		}
		s.PodUID = home
	}
}

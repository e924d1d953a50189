// Package containerd tells of the pods and containers that containerd ran, from what its
// processes have open and mapped and from what it mounts into containers:
//
//   - the log files that containerd holds open: namespace, pod and container by name
//   - the files that it binds into each container of a pod: the sandbox
//   - its database, as far as it has it mapped: all of these, also of containers that have
//     exited, and images
//   - the arguments of its shims: a hint of the sandbox
//
// Versions 1.4 to 2 are alike in all of that.
package containerd

import (
	"context"
	"path"
	"strings"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/vmem"
)

// Source is containerd as one who tells of pods.
type Source struct{}

var _ claim.Source = Source{}

// Claims implements [claim.Source].
func (Source) Claims(ctx context.Context, n *claim.Node) (all []claim.Claim, lost []vmem.Gap) {
	for i := range n.Processes {
		p := &n.Processes[i]
		all = append(all, mountClaims(p)...)
		if !isContainerd(p) {
			continue
		}
		all = append(all, logClaims(p)...)
		records, err := databaseClaims(ctx, p, n.Live)
		all = append(all, records...)
		if err != nil {
			lost = append(lost, vmem.Gap{Object: "database of containerd, in " + p.Task.String(), Place: vmem.KernelPlace(p.Task.Addr), Err: err})
		}
	}
	return append(all, shimClaims(n.Processes)...), lost
}

// isContainerd reports whether the process is the node's containerd: outside of pods,
// with the database open that containerd alone opens. A name can be had by anyone, an
// open file of that path only by who may write to the node's file system.
func isContainerd(p *claim.Process) bool {
	if p.PodUID != "" || p.ContainerID != "" || path.Base(claim.Undeleted(p.Exe)) != "containerd" {
		return false
	}
	for _, fd := range p.FDs {
		if isMetadataPath(fd.Path) {
			return true
		}
	}
	return false
}

// isMetadataPath reports whether the file is containerd's database of containers,
// which is below containerd's root directory, /var/lib/containerd by default.
func isMetadataPath(name string) bool {
	return strings.HasSuffix(claim.Undeleted(name), databasePath)
}

// databasePath is where the database is below containerd's root directory.
const databasePath = "/io.containerd.metadata.v1.bolt/meta.db"

// shimID returns the sandbox that the arguments of a containerd-shim name: one shim
// runs each pod (pkg/shim/util.go of containerd: -namespace k8s.io -id SANDBOX).
func shimID(p *claim.Process) string {
	if p.PodUID != "" || !strings.HasPrefix(path.Base(p.Exe), "containerd-shim") {
		return ""
	}
	for i := 0; i+1 < len(p.Args); i++ {
		if p.Args[i] == "-id" && claim.IsContainerID(p.Args[i+1]) {
			return p.Args[i+1]
		}
	}
	return ""
}

// shimClaims are the hints of shims about the pods of their children.
func shimClaims(processes []claim.Process) []claim.Claim {
	shims := map[int32]string{}
	for i := range processes {
		if id := shimID(&processes[i]); id != "" {
			shims[processes[i].PID] = id
		}
	}
	var claims []claim.Claim
	for i := range processes {
		p := &processes[i]
		if id := shims[p.PPID]; id != "" && p.PodUID != "" {
			claims = append(claims, claim.Claim{Origin: claim.HintShim, PID: p.PPID, PodUID: p.PodUID, SandboxID: id})
		}
	}
	return claims
}

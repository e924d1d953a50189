package cos

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// A claim is what one source says about one pod, one of its containers, or both.
// What it says nothing about is empty.
type claim struct {
	source Source
	pid    int32 // where it was found

	podUID         string
	qos            QoS
	namespace, pod string
	sandboxID      string

	containerID, container string // ID and name
	image                  string
	isSandbox              bool  // containerID is a sandbox
	created                int64 // of containerID, in nanoseconds since 1970; 0 where not known
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

// cgroupClaim is what the cgroup of a process says.
func cgroupClaim(p *Process) (claim, bool) {
	name, ok := ParseCgroupPath(p.Cgroup)
	return claim{
		source: FromCgroup, pid: p.PID,
		podUID: name.PodUID, qos: name.QoS, containerID: name.ContainerID,
	}, ok && name.PodUID != ""
}

// isContainerd reports whether the process is the node's containerd: outside of pods,
// with the database open that containerd alone opens. A name can be had by anyone, an
// open file of that path only by who may write to the node's file system.
func isContainerd(p *Process) bool {
	if p.PodUID != "" || p.ContainerID != "" || path.Base(strings.TrimSuffix(p.Exe, deleted)) != "containerd" {
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
	return strings.HasSuffix(strings.TrimSuffix(name, deleted), "/io.containerd.metadata.v1.bolt/meta.db")
}

// logClaims are what the log files say that containerd holds open: one for each
// container that is running.
func logClaims(p *Process) []claim {
	var claims []claim
	for _, fd := range p.FDs {
		if c, ok := parseLogPath(fd.Path); ok {
			c.source, c.pid = FromLogFile, p.PID
			claims = append(claims, c)
		}
	}
	return claims
}

// logPath matches the path of a container's log, as BuildPodLogsDirectory and
// BuildContainerLogsDirectory of the kubelet's pkg/kubelet/kuberuntime make it. Names
// of namespaces and containers are labels, those of pods are subdomains of RFC 1123:
// none of them can hold the separators.
var logPath = regexp.MustCompile(`^/var/log/pods/([a-z0-9-]{1,63})_([a-z0-9.-]{1,253})_([0-9A-Za-z.-]+)/([a-z0-9-]{1,63})/[0-9]+\.log$`)

// parseLogPath reads /var/log/pods/NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log.
func parseLogPath(name string) (claim, bool) {
	m := logPath.FindStringSubmatch(strings.TrimSuffix(name, deleted))
	if m == nil {
		return claim{}, false
	}
	return claim{namespace: m[1], pod: m[2], podUID: m[3], container: m[4]}, true
}

// shimID returns the sandbox that the arguments of a containerd-shim name: one shim
// runs each pod (pkg/shim/util.go of containerd: -namespace k8s.io -id SANDBOX).
func shimID(p *Process) string {
	if p.PodUID != "" || !strings.HasPrefix(path.Base(p.Exe), "containerd-shim") {
		return ""
	}
	for i := 0; i+1 < len(p.Args); i++ {
		if p.Args[i] == "-id" && isContainerID(p.Args[i+1]) {
			return p.Args[i+1]
		}
	}
	return ""
}

// shimClaims are the hints of shims about the pods of their children.
func shimClaims(processes []Process) []claim {
	shims := map[int32]string{}
	for i := range processes {
		if id := shimID(&processes[i]); id != "" {
			shims[processes[i].PID] = id
		}
	}
	var claims []claim
	for i := range processes {
		p := &processes[i]
		if id := shims[p.PPID]; id != "" && p.PodUID != "" {
			claims = append(claims, claim{source: HintShim, pid: p.PPID, podUID: p.PodUID, sandboxID: id})
		}
	}
	return claims
}

// utsClaim is the hint that the node name of a process gives, if it isn't the node's.
func utsClaim(p *Process, name, hostname string) (claim, bool) {
	c := claim{source: HintUTSName, pid: p.PID, podUID: p.PodUID, pod: name}
	return c, p.PodUID != "" && name != "" && name != hostname
}

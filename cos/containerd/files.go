package containerd

import (
	"path"
	"regexp"
	"strings"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/linux"
)

// logClaims are what the log files say that containerd holds open: one for each
// container that is running.
func logClaims(p *claim.Process) []claim.Claim {
	var claims []claim.Claim
	for _, fd := range p.FDs {
		if c, ok := parseLogPath(fd.Path); ok {
			c.Origin, c.PID = claim.FromLogFile, p.PID
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
func parseLogPath(name string) (claim.Claim, bool) {
	m := logPath.FindStringSubmatch(claim.Undeleted(name))
	if m == nil {
		return claim.Claim{}, false
	}
	return claim.Claim{Namespace: m[1], Pod: m[2], PodUID: m[3], Container: m[4]}, true
}

// mountClaims are what the mounts of a process in a container say about the sandbox of its
// pod. Only mounts of whole files are looked at that containerd makes, at the places where
// it makes them; what else is mounted is up to the pod.
func mountClaims(p *claim.Process) []claim.Claim {
	var claims []claim.Claim
	for _, m := range p.Mounts {
		if sandbox, ok := sandboxFile(m); ok {
			claims = append(claims, claim.Claim{
				Origin: claim.FromMount, PID: p.PID,
				PodUID: p.PodUID, SandboxID: sandbox, ContainerID: p.ContainerID,
			})
		}
	}
	return claims
}

// sandboxPath matches the files that containerd's CRI plugin binds into all containers
// of a pod (internal/cri/server/container_create_linux.go of containerd).
var sandboxPath = regexp.MustCompile(`(?:^|/)io\.containerd\.grpc\.v1\.cri/sandboxes/([0-9a-f]{64})/(hostname|hosts|resolv\.conf)$`)

func sandboxFile(m linux.Mount) (sandbox string, ok bool) {
	found := sandboxPath.FindStringSubmatch(m.Root)
	if found == nil || !strings.HasPrefix(m.MountPoint, "/etc/") || path.Base(m.MountPoint) != found[2] {
		return "", false
	}
	return found[1], true
}

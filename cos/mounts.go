package cos

import (
	"path"
	"regexp"
	"strings"

	"github.com/nodelens/nodelens/linux"
)

// mountClaims are what the mounts of a process in a container say about its pod and
// its container. Only mounts of whole files that kubelet and containerd make are
// looked at, at the places where they make them; what else is mounted is up to the
// pod.
func mountClaims(p *Process, mounts []linux.Mount) []claim {
	var claims []claim
	for _, m := range mounts {
		c, ok := terminationLog(m)
		if !ok {
			c, ok = sandboxFile(m)
			c.podUID = p.PodUID
		}
		if ok {
			c.source, c.pid, c.containerID = FromMount, p.PID, p.ContainerID
			claims = append(claims, c)
		}
	}
	return claims
}

// terminationPath matches the file that the kubelet binds into a container for its
// last message (makeMounts of pkg/kubelet/kuberuntime, getPodContainerDir of
// pkg/kubelet): pods/UID/containers/NAME/HASH under the kubelet's directory, with a
// hash of eight digits. It is the path inside the file system, so what precedes
// depends on how the node is partitioned.
var terminationPath = regexp.MustCompile(`(?:^|/)pods/([0-9A-Za-z.-]+)/containers/([a-z0-9-]{1,63})/[0-9a-f]{8}$`)

func terminationLog(m linux.Mount) (claim, bool) {
	found := terminationPath.FindStringSubmatch(m.Root)
	if found == nil {
		return claim{}, false
	}
	return claim{podUID: found[1], container: found[2]}, true
}

// sandboxPath matches the files that containerd's CRI plugin binds into all containers
// of a pod (internal/cri/server/container_create_linux.go of containerd).
var sandboxPath = regexp.MustCompile(`(?:^|/)io\.containerd\.grpc\.v1\.cri/sandboxes/([0-9a-f]{64})/(hostname|hosts|resolv\.conf)$`)

func sandboxFile(m linux.Mount) (claim, bool) {
	found := sandboxPath.FindStringSubmatch(m.Root)
	if found == nil || !strings.HasPrefix(m.MountPoint, "/etc/") || path.Base(m.MountPoint) != found[2] {
		return claim{}, false
	}
	return claim{sandboxID: found[1]}, true
}

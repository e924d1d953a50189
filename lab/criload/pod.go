package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
)

// pod describes a pod as far as the lab needs it.
type pod struct {
	Name, Namespace string
	UID             string // a UUID, or for a static pod the 32 hex digits of its configuration's hash
	QoS             string // "guaranteed", "burstable" or "besteffort"
	Labels          map[string]string
	HostPID         bool
	HostNet         bool
	Privileged      bool
	Sysctls         map[string]string
	Volumes         []volume
	Containers      []container
}

// volume describes a volume of a pod.
type volume struct {
	Name  string
	Kind  string            // the plugin's directory after "kubernetes.io~", such as "empty-dir" or "secret", or "host-path"
	Path  string            // of a host-path
	Files map[string]string // what is in it at first, by name
	Tmpfs bool              // an empty-dir in memory; a secret or projected volume always is
}

// container describes one container of a pod.
type container struct {
	Name, Image string
	Command     []string
	Env         map[string]string
	User        int64 // user and group ID to run as
	Privileged  bool

	Kind         string // "init", "ephemeral", or a container of the usual kind
	Attempt      uint32 // how often it was restarted: so many runs end before this one
	Ends         bool   // it ends by itself, and is waited for
	Mounts       []mount
	Add, Drop    []string // capabilities
	ReadOnlyRoot bool
	NoNewPrivs   bool
	Seccomp      string // "runtime/default", or none
	Memory       int64  // limit in bytes
	CPU          int64  // limit in thousandths
	Groups       []int64
	Unmasked     bool // procMount: Unmasked
}

// mount says where a volume is in a container.
type mount struct {
	Volume, Path string
	SubPath      string // a file or directory of the volume
	ReadOnly     bool
	Shared       bool // mountPropagation: Bidirectional
}

// created says what came of a pod.
type created struct {
	Pod          pod
	SandboxID    string
	Containers   map[string]string // container IDs by name
	CgroupParent string
}

func readPods(file string) ([]pod, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var pods []pod
	if err := json.Unmarshal(b, &pods); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return pods, nil
}

// static reports whether the pod comes from a file of the node and not from the API server: its UID is then a hash without dashes.
func (p pod) static() bool {
	return !strings.Contains(p.UID, "-")
}

// hostname is the pod's own, or none where it shares the node's network.
func (p pod) hostname() string {
	if p.HostNet {
		return ""
	}
	return p.Name
}

// cgroupParent names the pod's cgroup as the kubelet does (NewPodContainerManager, and ToSystemd or ToCgroupfs in its cm package).
func (p pod) cgroupParent(systemd bool) string {
	if !systemd {
		if p.QoS == "guaranteed" {
			return "/kubepods/pod" + p.UID
		}
		return "/kubepods/" + p.QoS + "/pod" + p.UID
	}
	leaf := "pod" + strings.ReplaceAll(p.UID, "-", "_") + ".slice"
	if p.QoS == "guaranteed" {
		return "/kubepods.slice/kubepods-" + leaf
	}
	return "/kubepods.slice/kubepods-" + p.QoS + ".slice/kubepods-" + p.QoS + "-" + leaf
}

// oomScore is the kubelet's score for a container of the pod's class (its qos package); that of a burstable one depends on its memory request.
func (p pod) oomScore() int64 {
	switch p.QoS {
	case "guaranteed":
		return -997
	case "burstable":
		return 984
	default:
		return 1000
	}
}

// labels returns the labels that the kubelet gives to a sandbox, beside the pod's own.
func (p pod) labels() map[string]string {
	all := map[string]string{"io.kubernetes.pod.name": p.Name, "io.kubernetes.pod.namespace": p.Namespace, "io.kubernetes.pod.uid": p.UID}
	maps.Copy(all, p.Labels)
	return all
}

// annotations returns what tells a pod of the API server from one of a file.
func (p pod) annotations() map[string]string {
	const seen = "2026-11-20T08:00:00.000000000Z"
	all := map[string]string{"kubernetes.io/config.seen": seen, "kubernetes.io/config.source": "api"}
	if p.static() {
		all["kubernetes.io/config.source"] = "file"
		all["kubernetes.io/config.hash"] = p.UID
	}
	return all
}

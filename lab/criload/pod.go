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
	Containers      []container
}

// container describes one container of a pod.
type container struct {
	Name, Image string
	Command     []string
	Env         map[string]string
	User        int64 // user and group ID to run as
	Privileged  bool
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

package main

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The kubelet's directories on the node.
const (
	kubeletPods = "/var/lib/kubelet/pods"
	podLogs     = "/var/log/pods"
)

// short is a hash in hex, where the kubelet would take random letters: the lab's nodes are to be alike.
func short(s string) string {
	h := fnv.New32a()
	h.Write([]byte(s))
	return fmt.Sprintf("%08x", h.Sum32())
}

func (p pod) logDir() string {
	return filepath.Join(podLogs, p.Namespace+"_"+p.Name+"_"+p.UID)
}

func (p pod) dir() string {
	return filepath.Join(kubeletPods, p.UID)
}

// prepare makes the pod's directories: logs, hosts file, and the volume with the service account's token, which is a small tmpfs. A static pod has none.
func (p pod) prepare() error {
	if err := os.MkdirAll(p.logDir(), 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir(), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(p.hosts(), []byte("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"), 0o644); err != nil {
		return err
	}
	if p.static() {
		return nil
	}
	return p.mountToken()
}

func (p pod) hosts() string {
	return filepath.Join(p.dir(), "etc-hosts")
}

func (p pod) tokenDir() string {
	return filepath.Join(p.dir(), "volumes/kubernetes.io~projected/kube-api-access-"+short(p.UID)[:5])
}

func (p pod) mountToken() error {
	dir := p.tokenDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1024k"); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	for name, text := range map[string]string{"namespace": p.Namespace, "token": "lab-token-of-" + p.UID} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// mounts prepares and names what the kubelet mounts into each container.
func (p pod) mounts(c container) ([]*cri.Mount, error) {
	dir := filepath.Join(p.dir(), "containers", c.Name)
	message := filepath.Join(dir, short(p.UID+c.Name))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	if err := os.WriteFile(message, nil, 0o666); err != nil {
		return nil, err
	}
	all := []*cri.Mount{
		{HostPath: p.hosts(), ContainerPath: "/etc/hosts"},
		{HostPath: message, ContainerPath: "/dev/termination-log"},
	}
	if !p.static() {
		all = append(all, &cri.Mount{HostPath: p.tokenDir(), ContainerPath: "/var/run/secrets/kubernetes.io/serviceaccount", Readonly: true})
	}
	return all, nil
}

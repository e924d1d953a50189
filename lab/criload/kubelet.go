package main

import (
	"encoding/base64"
	"encoding/json"
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
	for _, v := range p.Volumes {
		if err := p.makeVolume(v); err != nil {
			return err
		}
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
	return tmpfs(p.tokenDir(), map[string]string{"namespace": p.Namespace, "token": token(p), "ca.crt": "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"})
}

// token is of the form of a service account's token. Its signature is none.
func token(p pod) string {
	part := func(v any) string {
		b, _ := json.Marshal(v) // maps of texts and numbers can be marshalled
		return base64.RawURLEncoding.EncodeToString(b)
	}
	type object = map[string]any
	account := "default"
	if a, ok := p.Labels["app"]; ok {
		account = a
	}
	return part(object{"alg": "RS256", "kid": "lab"}) + "." + part(object{
		"iss": "https://container.googleapis.com/v1/projects/lab/locations/nowhere/clusters/prod", "aud": []string{"https://kubernetes.default.svc"},
		"sub": "system:serviceaccount:" + p.Namespace + ":" + account, "iat": 1795000000, "nbf": 1795000000, "exp": 1826536000, "jti": p.UID,
		"kubernetes.io": object{"namespace": p.Namespace, "node": object{"name": "gke-prod-default-pool-6f3c2a91-v4kd", "uid": "5b1e7c0a-1f5e-4d0b-9a55-0c3f5d1e2b7a"},
			"pod": object{"name": p.Name, "uid": p.UID}, "serviceaccount": object{"name": account, "uid": "2c9d1f4e-7b1a-4c55-8f6a-3d2e1c0b9a88"}, "warnafter": 1795003607},
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("lab-token-of-"+p.UID))
}

// tmpfs mounts one and puts files in it, as the kubelet's atomic writer does: the names are links to those of a directory of its own.
func tmpfs(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1024k"); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return atomicWrite(dir, files)
}

func atomicWrite(dir string, files map[string]string) error {
	const data = "..2026_11_30_08_00_00.123456789"
	if len(files) == 0 {
		return nil
	}
	if err := os.Mkdir(filepath.Join(dir, data), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(data, filepath.Join(dir, "..data")); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, data, name), []byte(text), 0o644); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// dirOf is where a volume is on the node.
func (p pod) dirOf(v volume) string {
	if v.Kind == "host-path" {
		return v.Path
	}
	return filepath.Join(p.dir(), "volumes", "kubernetes.io~"+v.Kind, v.Name)
}

// makeVolume makes a volume's directory as its plugin does.
func (p pod) makeVolume(v volume) error {
	dir := p.dirOf(v)
	switch {
	case v.Kind == "host-path":
		return nil
	case v.Tmpfs || v.Kind == "secret" || v.Kind == "projected":
		return tmpfs(dir, v.Files)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return atomicWrite(dir, v.Files)
}

func (p pod) volume(name string) (volume, error) {
	for _, v := range p.Volumes {
		if v.Name == name {
			return v, nil
		}
	}
	return volume{}, fmt.Errorf("no volume %q", name)
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
	for _, m := range c.Mounts {
		v, err := p.volume(m.Volume)
		if err != nil {
			return nil, err
		}
		more := &cri.Mount{HostPath: filepath.Join(p.dirOf(v), m.SubPath), ContainerPath: m.Path, Readonly: m.ReadOnly}
		if m.Shared {
			more.Propagation = cri.MountPropagation_PROPAGATION_BIDIRECTIONAL
		}
		all = append(all, more)
	}
	return all, nil
}

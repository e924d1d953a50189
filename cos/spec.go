package cos

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxSpec bounds a container's config.json, in bytes.
const maxSpec = 8 << 20

// ociSpec is what is read of config.json of the Open Container Initiative's runtime specification.
type ociSpec struct {
	Process *struct {
		Args []string
		Env  []string
		Cwd  string
		User struct {
			UID, GID       uint32
			AdditionalGids []uint32
		}
		Capabilities    *CapabilityNames
		NoNewPrivileges bool
		ApparmorProfile string
		SelinuxLabel    string
		OOMScoreAdj     *int
		Terminal        bool
	}
	Root *struct {
		Path     string
		Readonly bool
	}
	Hostname    string
	Annotations map[string]string
	Mounts      []struct {
		Destination, Type, Source string
		Options                   []string
	}
	Linux *struct {
		Namespaces                 []SpecNamespace
		CgroupsPath                string
		Devices                    []struct{ Path, Type string }
		Seccomp                    *struct{ DefaultAction string }
		MaskedPaths, ReadonlyPaths []string
		Sysctl                     map[string]string
		Resources                  *struct {
			Memory *struct{ Limit *int64 }
			CPU    *struct {
				Shares *uint64
				Quota  *int64
				Period *uint64
			}
			Pids *struct{ Limit int64 }
		}
	}
}

// A ContainerSpec is what a container was asked to be: config.json of its bundle, as the runtime was given it.
type ContainerSpec struct {
	Args            []string         `json:"args"`
	ArgSecrets      []ArgSecret      `json:"argSecrets"` // what Args hide, or would hide
	Env             []Secret         `json:"env"`
	Cwd             string           `json:"cwd"`
	UID             uint32           `json:"uid"`
	GID             uint32           `json:"gid"`
	Groups          []uint32         `json:"groups"`
	Capabilities    *CapabilityNames `json:"capabilities"`
	NoNewPrivileges bool             `json:"noNewPrivileges"`
	AppArmor        string           `json:"appArmor" jsonx:"null"`
	SELinux         string           `json:"selinux" jsonx:"null"`
	Seccomp         string           `json:"seccomp" jsonx:"null"` // the default action of the filter; empty: none
	Terminal        bool             `json:"terminal"`
	ReadOnlyRoot    bool             `json:"readOnlyRoot"`
	Hostname        string           `json:"hostname" jsonx:"null"`
	Namespaces      []SpecNamespace  `json:"namespaces"`
	Mounts          []SpecMount      `json:"mounts"`
	Devices         []string         `json:"devices"`
	MaskedPaths     []string         `json:"maskedPaths"`
	ReadOnlyPaths   []string         `json:"readOnlyPaths"`
	Sysctls         []Secret         `json:"sysctls"`     // all but keys with their values
	Annotations     []Secret         `json:"annotations"` // all that neither sound nor look like secrets with their values
	CgroupsPath     string           `json:"cgroupsPath" jsonx:"null"`
	MemoryLimit     int64            `json:"memoryLimit"` // in bytes; 0: none
	CPUShares       uint64           `json:"cpuShares"`
	CPUQuota        int64            `json:"cpuQuota"` // in microseconds of each CPUPeriod; 0: none
	CPUPeriod       uint64           `json:"cpuPeriod"`
	PidsLimit       int64            `json:"pidsLimit"`
	OOMScoreAdj     int              `json:"oomScoreAdj"`
}

// CapabilityNames are sets of capabilities by name, such as CAP_NET_ADMIN.
type CapabilityNames struct {
	Bounding    []string `json:"bounding"`
	Effective   []string `json:"effective"`
	Inheritable []string `json:"inheritable"`
	Permitted   []string `json:"permitted"`
	Ambient     []string `json:"ambient"`
}

// A SpecNamespace is a namespace that a container has for itself, or joins by its path.
type SpecNamespace struct {
	Type string `json:"type"`
	Path string `json:"path" jsonx:"null"`
}

// A SpecMount is a mount that a container was asked to have.
type SpecMount struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Source      string   `json:"source" jsonx:"null"`
	Options     []string `json:"options"`
	// Kind is what a bind mount is from: the plugin of a pod's volume, such as secret, configmap, projected, empty-dir or csi, with the Volume's
	// name; kubelet or runtime for what these mount into each container; host-path for any other part of the node.
	// Empty for what is no bind mount.
	Kind   string `json:"kind" jsonx:"null"`
	Volume string `json:"volume" jsonx:"null"`
}

// parseSpec reads config.json. Secrets are hidden by s.
func parseSpec(b []byte, s *sealer) (*ContainerSpec, error) {
	var o ociSpec
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	c := &ContainerSpec{Hostname: o.Hostname, Annotations: s.settings(o.Annotations)}
	if p := o.Process; p != nil {
		c.Args, c.ArgSecrets = s.args(p.Args, p.Env)
		c.Env = s.environment(p.Env)
		c.Cwd, c.UID, c.GID, c.Groups, c.Capabilities = p.Cwd, p.User.UID, p.User.GID, p.User.AdditionalGids, p.Capabilities
		c.NoNewPrivileges, c.AppArmor, c.SELinux, c.Terminal = p.NoNewPrivileges, p.ApparmorProfile, p.SelinuxLabel, p.Terminal
		if p.OOMScoreAdj != nil {
			c.OOMScoreAdj = *p.OOMScoreAdj
		}
	}
	if o.Root != nil {
		c.ReadOnlyRoot = o.Root.Readonly
	}
	for _, m := range o.Mounts {
		k := SpecMount{Destination: m.Destination, Type: m.Type, Source: m.Source, Options: m.Options}
		if m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
			k.Kind, k.Volume = volumeOf(m.Source, whoseSpec(&o))
		}
		c.Mounts = append(c.Mounts, k)
	}
	o.fill(c, s)
	return c, nil
}

// fill takes what is of Linux alone.
func (o *ociSpec) fill(c *ContainerSpec, s *sealer) {
	l := o.Linux
	if l == nil {
		return
	}
	c.Namespaces, c.CgroupsPath, c.MaskedPaths, c.ReadOnlyPaths, c.Sysctls = l.Namespaces, l.CgroupsPath, l.MaskedPaths, l.ReadonlyPaths, s.settings(l.Sysctl)
	if l.Seccomp != nil {
		c.Seccomp = l.Seccomp.DefaultAction
	}
	for _, d := range l.Devices {
		c.Devices = append(c.Devices, d.Path)
	}
	r := l.Resources
	if r == nil {
		return
	}
	if r.Memory != nil && r.Memory.Limit != nil {
		c.MemoryLimit = *r.Memory.Limit
	}
	if r.Pids != nil {
		c.PidsLimit = r.Pids.Limit
	}
	if u := r.CPU; u != nil {
		c.CPUShares, c.CPUQuota, c.CPUPeriod = value(u.Shares), value(u.Quota), value(u.Period)
	}
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// settings returns settings by their names, without what may be a secret.
func (s *sealer) settings(m map[string]string) (all []Secret) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, s.setting(name, m[name]))
	}
	return all
}

// A specOwner is whose the specification of a container is.
type specOwner struct{ pod, sandbox string }

// whoseSpec returns the pod and the sandbox that the runtime wrote into a specification. Before containerd 1.7 the pod is
// in the path of the cgroup alone.
func whoseSpec(o *ociSpec) specOwner {
	w := specOwner{o.Annotations["io.kubernetes.cri.sandbox-uid"], o.Annotations["io.kubernetes.cri.sandbox-id"]}
	if w.pod == "" && o.Linux != nil {
		if g, ok := ParseCgroupPath(strings.ReplaceAll(o.Linux.CgroupsPath, ":", "/")); ok {
			w.pod = g.PodUID
		}
	}
	return w
}

// volumeOf tells what a bind mount is from, by the directories that the kubelet and containerd have for the pod. Those of
// another pod are no volumes of this one.
func volumeOf(source string, of specOwner) (kind, volume string) {
	before, rest, ok := strings.Cut(source, "/pods/")
	parts := strings.Split(rest, "/") // UID, and what is in the pod's directory
	if ok && path.Base(before) == "kubelet" && of.pod != "" && parts[0] == of.pod {
		switch {
		case len(parts) >= 4 && parts[1] == "volumes":
			if _, name, ok := strings.Cut(parts[2], "~"); ok {
				return name, parts[3]
			}
		case len(parts) >= 4 && parts[1] == "volume-subpaths":
			return "subpath", parts[2]
		case len(parts) >= 2 && (parts[1] == "etc-hosts" || parts[1] == "containers"):
			return "kubelet", ""
		}
	}
	if _, rest, ok := strings.Cut(source, "/io.containerd.grpc.v1.cri/sandboxes/"); ok && of.sandbox != "" && strings.HasPrefix(rest, of.sandbox+"/") {
		return "runtime", ""
	}
	return "host-path", ""
}

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// loader starts pods through a runtime.
type loader struct {
	runtime cri.RuntimeServiceClient
	systemd bool
}

// start creates the pod's sandbox, and then creates and starts its containers in order.
func (l *loader) start(ctx context.Context, p pod) (created, error) {
	if err := p.prepare(); err != nil {
		return created{}, err
	}
	config := l.sandboxConfig(p)
	sandbox, err := l.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config})
	if err != nil {
		return created{}, err
	}
	out := created{Pod: p, SandboxID: sandbox.PodSandboxId, Containers: map[string]string{}, CgroupParent: config.Linux.CgroupParent}
	for _, c := range p.Containers {
		id, err := l.startContainer(ctx, p, c, out.SandboxID, config)
		if err != nil {
			return created{}, fmt.Errorf("container %s: %w", c.Name, err)
		}
		out.Containers[c.Name] = id
	}
	return out, nil
}

// startContainer starts a container, after as many runs of it as ended before.
func (l *loader) startContainer(ctx context.Context, p pod, c container, sandboxID string, sandbox *cri.PodSandboxConfig) (id string, err error) {
	for attempt := range c.Attempt + 1 {
		config, err := containerConfig(p, c, attempt)
		if err != nil {
			return "", err
		}
		made, err := l.runtime.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: sandboxID, Config: config, SandboxConfig: sandbox})
		if err != nil {
			return "", err
		}
		id = made.ContainerId
		if _, err = l.runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: id}); err != nil {
			return "", err
		}
		if attempt < c.Attempt {
			_, err = l.runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: id})
		} else if c.Ends {
			err = l.ended(ctx, id)
		}
		if err != nil {
			return "", err
		}
	}
	return id, nil
}

// ended waits until a container has ended.
func (l *loader) ended(ctx context.Context, id string) error {
	for {
		status, err := l.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})
		if err != nil || status.Status.State == cri.ContainerState_CONTAINER_EXITED {
			return err
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func (l *loader) sandboxConfig(p pod) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: p.Name, Uid: p.UID, Namespace: p.Namespace},
		Hostname:     p.hostname(),
		LogDirectory: p.logDir(),
		Labels:       p.labels(),
		Annotations:  p.annotations(),
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    p.cgroupParent(l.systemd),
			Sysctls:         p.Sysctls,
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: namespaces(p), Privileged: p.Privileged},
		},
	}
}

func namespaces(p pod) *cri.NamespaceOption {
	o := &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}
	if p.HostPID {
		o.Pid = cri.NamespaceMode_NODE
	}
	if p.HostNet {
		o.Network = cri.NamespaceMode_NODE
	}
	return o
}

func containerConfig(p pod, c container, attempt uint32) (*cri.ContainerConfig, error) {
	mounts, err := p.mounts(c)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(p.logDir(), c.Name), 0o755); err != nil {
		return nil, err
	}
	labels := p.labels()
	labels["io.kubernetes.container.name"] = c.Name
	annotations := map[string]string{"io.kubernetes.container.hash": short(c.Image + c.Name), "io.kubernetes.container.restartCount": strconv.Itoa(int(attempt)),
		"io.kubernetes.container.terminationMessagePath": "/dev/termination-log", "io.kubernetes.pod.terminationGracePeriod": "30"}
	if c.Kind != "" {
		annotations["io.kubernetes.container.type"] = c.Kind
	}
	return &cri.ContainerConfig{
		Metadata:    &cri.ContainerMetadata{Name: c.Name, Attempt: attempt},
		Image:       &cri.ImageSpec{Image: c.Image},
		Command:     c.Command,
		Envs:        environment(c),
		Mounts:      mounts,
		Labels:      labels,
		Annotations: annotations,
		LogPath:     filepath.Join(c.Name, strconv.Itoa(int(attempt))+".log"),
		Linux: &cri.LinuxContainerConfig{
			Resources:       &cri.LinuxContainerResources{CpuShares: 102, OomScoreAdj: p.oomScore(), MemoryLimitInBytes: c.Memory, CpuPeriod: 100000, CpuQuota: c.CPU * 100},
			SecurityContext: securityContext(p, c),
		},
	}, nil
}

func securityContext(p pod, c container) *cri.LinuxContainerSecurityContext {
	s := &cri.LinuxContainerSecurityContext{NamespaceOptions: namespaces(p), Privileged: c.Privileged, ReadonlyRootfs: c.ReadOnlyRoot, NoNewPrivs: c.NoNewPrivs,
		RunAsUser: &cri.Int64Value{Value: c.User}, RunAsGroup: &cri.Int64Value{Value: c.User}, SupplementalGroups: c.Groups}
	if len(c.Add)+len(c.Drop) > 0 {
		s.Capabilities = &cri.Capability{AddCapabilities: c.Add, DropCapabilities: c.Drop}
	}
	if c.Seccomp == "runtime/default" {
		s.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
	}
	if !c.Unmasked && !c.Privileged {
		// As the kubelet has it for procMount: Default.
		s.MaskedPaths = []string{"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
			"/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}
		s.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	}
	return s
}

// environment is the container's own, sorted, after what the kubelet adds for the API server's service.
func environment(c container) []*cri.KeyValue {
	all := []*cri.KeyValue{{Key: "KUBERNETES_SERVICE_HOST", Value: []byte("10.96.0.1")}, {Key: "KUBERNETES_SERVICE_PORT", Value: []byte("443")}}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		all = append(all, &cri.KeyValue{Key: k, Value: []byte(c.Env[k])})
	}
	return all
}

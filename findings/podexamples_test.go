package findings_test

import (
	"fmt"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/vmem"
)

func image(name string) func(fixture) {
	return func(f fixture) { f.Pods[0].Containers[0].Image = name }
}

func named2(name string) func(fixture) {
	return func(f fixture) { f.Pods[0].Containers[0].Name, f.container().Name = name, name }
}

// differs is what a container is not as it was asked to be.
func differs(what, asked, actual string) func(fixture) {
	return func(f fixture) {
		f.container().Differences = []cos.Difference{{What: what, Asked: asked, Actual: actual}}
	}
}

var podExamples = map[string]example{
	"pod-identity-conflict": {subject: "shop/web-1",
		hit: func(f fixture) {
			f.Gaps = []vmem.Gap{{Object: "name of pod " + podUID, Err: fmt.Errorf("%w: a, b", cos.ErrConflict)}}
		},
		miss: func(f fixture) { f.Gaps = []vmem.Gap{{Object: "name of pod " + podUID, Err: vmem.ErrNotCaptured}} }},
	"pod-sandbox-program": {subject: "shop/web-1 PID 100",
		hit: func(f fixture) { f.process(pidPause).Exe = "/bin/x" }, miss: func(f fixture) { f.process(pidPause).Exe = "/usr/bin/pod" }},
	"pod-unknown-container": {subject: ofWeb,
		hit: func(f fixture) { f.container().Bundle = "" },
		miss: func(f fixture) { // bundles that were lost say nothing
			f.container().Bundle = ""
			f.Gaps = []vmem.Gap{{Object: "bundles of containers", Err: vmem.ErrNotCaptured}}
		}},
	"pod-wrong-first-process": {subject: ofWeb,
		hit: func(f fixture) { f.container().InitPID = pidHost }, miss: func(f fixture) { f.container().InitPID = 4711 }},
	"pod-ephemeral-container": {subject: "shop/web-1 container debugger-x7k2p", hit: named2("debugger-x7k2p"), miss: func(f fixture) { named2("debugger")(f) }},
	"pod-node-debugger": {subject: "shop/node-debugger-n1-x7k2p",
		hit: func(f fixture) { f.Pods[0].Name = "node-debugger-n1-x7k2p" }, miss: func(f fixture) { f.Pods[0].Name = "debugger" }},
	"pod-static-elsewhere": {subject: "shop/other",
		hit: func(f fixture) {
			f.Pods = append(f.Pods, cos.Pod{UID: "4c1d7a0e9b2f4e63a5d8c7b6f0a1e2d3", Namespace: "shop", Name: "other"})
		},
		miss: func(f fixture) {
			f.Pods = append(f.Pods, cos.Pod{UID: "4c1d7a0e9b2f4e63a5d8c7b6f0a1e2d3", Namespace: "kube-system", Name: "other"})
		}},
	"pod-system-foreign-image": {subject: "kube-system/other container other",
		hit: func(f fixture) { f.otherPod("kube-system") }, miss: func(f fixture) { f.otherPod("shop") }},
	"pod-shared-process-namespace": {subject: "shop/web-1",
		hit: func(f fixture) {
			f.Pods[0].Containers = append(f.Pods[0].Containers, cos.Container{ID: "dd", Name: "other"})
			p := f.in(200, 50, "other", "/other", "other")
			p.ContainerID = "dd"
		},
		miss: func(f fixture) { f.otherPod("shop") }},
	"pod-image-latest":              {subject: ofWeb, hit: image("registry.example:5000/web"), miss: image("registry.example:5000/web@sha256:00")},
	"container-program-added":       {subject: ofWeb, hit: runs(cos.LayerWritten, false, false), miss: runs(cos.LayerImage, false, false)},
	"container-program-replaced":    {subject: ofWeb, hit: runs(cos.LayerWritten, true, false), miss: runs(cos.LayerWritten, true, true)}, // chown copies the file
	"container-capabilities-added":  {subject: ofWeb, hit: differs("capabilities.bounding", "CAP_CHOWN", "CAP_CHOWN,CAP_SYS_ADMIN"), miss: differs("capabilities.bounding", "CAP_CHOWN,CAP_KILL", "CAP_CHOWN")},
	"container-seccomp-missing":     {subject: ofWeb, hit: differs("seccomp", "filter", "off"), miss: differs("seccomp", "off", "filter")},
	"container-privileges-unlocked": {subject: ofWeb, hit: differs("noNewPrivileges", "true", "false"), miss: differs("noNewPrivileges", "false", "true")},
	"container-root-unlocked":       {subject: ofWeb, hit: differs("readOnlyRoot", "true", "false"), miss: differs("readOnlyRoot", "false", "true")},
	"container-became-root":         {subject: ofWeb, hit: differs("uid", "1000", "0"), miss: differs("uid", "0", "1000")},
}

// runs says where the container's program is from.
func runs(layer cos.Layer, replaces, same bool) func(fixture) {
	return func(f fixture) {
		f.container().Programs = []cos.ContainerProgram{{Path: "/usr/sbin/nginx", PIDs: []int32{pidServer, pidWorker}, Layer: layer, Replaces: replaces, Same: same}}
	}
}

// mount adds a mount to the container.
func mount(m cos.SpecMount) func(fixture) {
	return func(f fixture) { f.container().Spec.Mounts = append(f.container().Spec.Mounts, m) }
}

func hostPath(source string, options ...string) func(fixture) {
	return mount(cos.SpecMount{Destination: "/host", Type: "bind", Source: source, Options: append(options, "rbind"), Kind: "host-path"})
}

func bounding(names ...string) func(fixture) {
	return func(f fixture) { f.container().Actual.Capabilities.Bounding = names }
}

func shares(namespace string) func(fixture) {
	return func(f fixture) { f.container().Actual.HostNamespaces = []string{namespace} }
}

func violates(level, check string) func(fixture) {
	return func(f fixture) {
		f.container().Violations = []cos.Violation{{Level: level, Check: check, Evidence: "evidence"}}
	}
}

func spec(change func(s *cos.ContainerSpec)) func(fixture) {
	return func(f fixture) { change(f.container().Spec) }
}

var postureExamples = map[string]example{
	"pod-privileged": {subject: ofWeb,
		hit: func(f fixture) {
			bounding("CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO")(f)
			f.container().Actual.Seccomp = "off"
		},
		miss: bounding("CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO")}, // with a filter, and masked paths
	"pod-dangerous-capabilities": {subject: ofWeb, hit: bounding("CAP_NET_ADMIN"), miss: bounding("CAP_NET_RAW")},
	"pod-host-process-namespace": {subject: ofWeb, hit: shares("pid"), miss: shares("user")},
	"pod-host-network":           {subject: ofWeb, hit: shares("network"), miss: shares("uts")},
	"pod-host-ipc":               {subject: ofWeb, hit: shares("ipc"), miss: shares("cgroup")},
	"pod-runtime-socket-mounted": {subject: ofWeb, hit: hostPath("/run/containerd/containerd.sock"), miss: hostPath("/run/containerd.d")},
	"pod-sensitive-host-path":    {subject: ofWeb, hit: hostPath("/etc"), miss: hostPath("/etc/localtime", "ro")},
	"pod-host-path":              {subject: ofWeb, hit: hostPath("/srv/data"), miss: mount(cos.SpecMount{Destination: "/data", Type: "bind", Source: "/var/lib/kubelet/pods/x", Kind: "empty-dir"})},
	"pod-shared-mounts":          {subject: ofWeb, hit: hostPath("/srv", "rshared"), miss: hostPath("/srv", "rslave")},
	"pod-cgroups-writable": {subject: ofWeb, hit: mount(cos.SpecMount{Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"rw"}}),
		miss: mount(cos.SpecMount{Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"ro"}})},
	"pod-sysfs-writable":       {subject: ofWeb, hit: mount(cos.SpecMount{Destination: "/sys", Type: "sysfs"}), miss: nothing},
	"pod-devices":              {subject: ofWeb, hit: spec(func(s *cos.ContainerSpec) { s.Devices = []string{"/dev/fuse"} }), miss: nothing},
	"pod-proc-unmasked":        {subject: ofWeb, hit: spec(func(s *cos.ContainerSpec) { s.MaskedPaths = nil }), miss: spec(func(s *cos.ContainerSpec) { s.MaskedPaths, s.ReadOnlyPaths = nil, []string{"/proc/sys"} })},
	"pod-unsafe-sysctls":       {subject: ofWeb, hit: violates("baseline", "sysctls"), miss: violates("restricted", "sysctls")},
	"pod-no-seccomp":           {subject: ofWeb, hit: func(f fixture) { f.container().Actual.Seccomp = "off" }, miss: func(f fixture) { f.container().Actual.Seccomp = "strict" }},
	"pod-root":                 {subject: ofWeb, hit: violates("restricted", "runAsNonRoot"), miss: violates("restricted", "seccompProfile")},
	"pod-privilege-escalation": {subject: ofWeb, hit: violates("restricted", "allowPrivilegeEscalation"), miss: violates("baseline", "privileged")},
	"pod-restricted-volume":    {subject: ofWeb, hit: violates("restricted", "restrictedVolumes"), miss: violates("baseline", "hostPathVolumes")},
	"pod-app-armor-off": {subject: ofWeb,
		hit: func(f fixture) {
			f.otherPod("shop")
			f.Containers[2].Spec = &cos.ContainerSpec{AppArmor: "cri-containerd.apparmor.d", MaskedPaths: []string{"/proc/kcore"}}
			f.container().Spec.AppArmor = ""
		},
		miss: spec(func(s *cos.ContainerSpec) { s.AppArmor = "" })}, // nobody has a profile
	"pod-no-memory-limit":  {subject: ofWeb, hit: spec(func(s *cos.ContainerSpec) { s.MemoryLimit = 0 }), miss: nothing},
	"pod-no-process-limit": {subject: ofWeb, hit: spec(func(s *cos.ContainerSpec) { s.PidsLimit = 0 }), miss: nothing},
	"pod-terminal":         {subject: ofWeb, hit: spec(func(s *cos.ContainerSpec) { s.Terminal = true }), miss: nothing},
}

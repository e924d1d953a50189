package containerd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/linux"
)

// Container IDs that are easy to tell apart.
var (
	idA = strings.Repeat("a", 64)
	idB = strings.Repeat("b", 64)
	idS = strings.Repeat("5", 64)
	idT = strings.Repeat("7", 64)
)

// inPod returns a process of a container in the pod uid.
func inPod(pid, ppid int32, uid, container string) claim.Process {
	return claim.Process{PID: pid, PPID: ppid, PodUID: uid, ContainerID: container}
}

func TestParseLogPath(t *testing.T) {
	for path, want := range map[string]claim.Claim{
		"/var/log/pods/analytics_python-worker-0_" + uuid + "/worker/0.log":           {Namespace: "analytics", Pod: "python-worker-0", PodUID: uuid, Container: "worker"},
		"/var/log/pods/kube-system_kube-proxy-node.a_" + static + "/kube-proxy/3.log": {Namespace: "kube-system", Pod: "kube-proxy-node.a", PodUID: static, Container: "kube-proxy"},
		"/var/log/pods/n_p_" + uuid + "/c/12.log (deleted)":                           {Namespace: "n", Pod: "p", PodUID: uuid, Container: "c"},
		"/var/log/pods/n_p_" + uuid + "/c/0.log.20260101-000000":                      {},
		"/var/log/pods/n_p_" + uuid + "/c/d/0.log":                                    {},
		"/var/log/pods/n_p_q_" + uuid + "/c/0.log":                                    {},
		"/var/log/pods/n_p\x1b[31m_" + uuid + "/c/0.log":                              {},
		"/var/log/pods/" + strings.Repeat("n", 64) + "_p_" + uuid + "/c/0.log":        {},
		"/host/var/log/pods/n_p_" + uuid + "/c/0.log":                                 {},
		"/var/log/containerd.log":                                                     {},
		"":                                                                            {},
	} {
		got, ok := parseLogPath(path)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", path, diff)
		}
		if ok != (want != claim.Claim{}) {
			t.Errorf("%q: found %v", path, ok)
		}
	}
}

func TestMountClaims(t *testing.T) {
	sandboxes := "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/" + idS
	want := []claim.Claim{{Origin: claim.FromMount, PID: 7, PodUID: uuid, ContainerID: idA, SandboxID: idS}}
	for name, test := range map[string]struct {
		mount linux.Mount
		want  []claim.Claim
	}{
		"host name": {linux.Mount{Root: sandboxes + "/hostname", MountPoint: "/etc/hostname"}, want},
		"resolver on a file system of containerd's own": {
			linux.Mount{Root: "/io.containerd.grpc.v1.cri/sandboxes/" + idS + "/resolv.conf", MountPoint: "/etc/resolv.conf"}, want,
		},
		"sandbox file elsewhere":   {linux.Mount{Root: sandboxes + "/hostname", MountPoint: "/tmp/hostname"}, nil},
		"sandbox file as another":  {linux.Mount{Root: sandboxes + "/hostname", MountPoint: "/etc/hosts"}, nil},
		"directory of the sandbox": {linux.Mount{Root: sandboxes, MountPoint: "/etc/hostname"}, nil},
		"volume":                   {linux.Mount{Root: "/var/lib/kubelet/pods/" + uuid + "/volumes/kubernetes.io~empty-dir/x", MountPoint: "/x"}, nil},
		"root of a file system":    {linux.Mount{Root: "/", MountPoint: "/"}, nil},
	} {
		p := inPod(7, 1, uuid, idA)
		p.Mounts = []linux.Mount{test.mount}
		if diff := cmp.Diff(test.want, mountClaims(&p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestIsContainerd(t *testing.T) {
	db := []linux.FD{{FD: 3, Path: "/mnt/disks/0/containerd/io.containerd.metadata.v1.bolt/meta.db"}}
	for name, test := range map[string]struct {
		process claim.Process
		want    bool
	}{
		"containerd":             {claim.Process{Exe: "/usr/bin/containerd", FDs: db}, true},
		"replaced meanwhile":     {claim.Process{Exe: "/usr/bin/containerd (deleted)", FDs: db}, true},
		"without the database":   {claim.Process{Exe: "/usr/bin/containerd"}, false},
		"another program":        {claim.Process{Exe: "/usr/bin/cp", FDs: db}, false},
		"in a pod":               {claim.Process{Exe: "/usr/bin/containerd", FDs: db, PodUID: uuid}, false},
		"in another container":   {claim.Process{Exe: "/usr/bin/containerd", FDs: db, ContainerID: idA}, false},
		"shim, with an fd of it": {claim.Process{Exe: "/usr/bin/containerd-shim-runc-v2", FDs: db}, false},
	} {
		if got := isContainerd(&test.process); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestShimClaims(t *testing.T) {
	shim := claim.Process{PID: 5, PPID: 1, Exe: "/usr/bin/containerd-shim-runc-v2", Args: []string{"/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", idS}}
	fake := inPod(6, 5, uuid, idA)
	fake.Exe, fake.Args = "/bin/containerd-shim", []string{"containerd-shim", "-id", idT}
	want := []claim.Claim{
		{Origin: claim.HintShim, PID: 5, PodUID: uuid, SandboxID: idS},
		{Origin: claim.HintShim, PID: 5, PodUID: static, SandboxID: idS},
	}
	got := shimClaims([]claim.Process{{PID: 1}, shim, fake, inPod(7, 6, uuid, idA), inPod(8, 5, static, idB), {PID: 9, PPID: 5}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func FuzzParseLogPath(f *testing.F) {
	f.Add("/var/log/pods/analytics_python-worker-0_" + uuid + "/worker/0.log")
	f.Fuzz(func(t *testing.T, path string) {
		c, ok := parseLogPath(path)
		if !ok {
			return
		}
		if !strings.HasPrefix(path, "/var/log/pods/"+c.Namespace+"_"+c.Pod+"_"+c.PodUID+"/"+c.Container+"/") {
			t.Fatalf("%q = %+v", path, c)
		}
	})
}

package cos

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
)

func TestParseLogPath(t *testing.T) {
	for path, want := range map[string]claim{
		"/var/log/pods/analytics_python-worker-0_" + uuid + "/worker/0.log":           {namespace: "analytics", pod: "python-worker-0", podUID: uuid, container: "worker"},
		"/var/log/pods/kube-system_kube-proxy-node.a_" + static + "/kube-proxy/3.log": {namespace: "kube-system", pod: "kube-proxy-node.a", podUID: static, container: "kube-proxy"},
		"/var/log/pods/n_p_" + uuid + "/c/12.log (deleted)":                           {namespace: "n", pod: "p", podUID: uuid, container: "c"},
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
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(claim{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", path, diff)
		}
		if ok != (want != claim{}) {
			t.Errorf("%q: found %v", path, ok)
		}
	}
}

func TestMountClaims(t *testing.T) {
	p := inPod(7, 1, uuid, idA)
	sandboxes := "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/" + idS
	for name, test := range map[string]struct {
		mount linux.Mount
		want  []claim
	}{
		"termination log": {
			linux.Mount{Root: "/var/lib/kubelet/pods/" + uuid + "/containers/server/0a1b2c3d", MountPoint: "/dev/termination-log"},
			[]claim{fromTermination(7, idA, "server")},
		},
		"termination log on a file system of the kubelet's own": {
			linux.Mount{Root: "/pods/" + uuid + "/containers/server/0a1b2c3d", MountPoint: "/tmp/last-words"},
			[]claim{fromTermination(7, idA, "server")},
		},
		"termination log of another pod": {
			linux.Mount{Root: "/pods/" + static + "/containers/server/0a1b2c3d", MountPoint: "/dev/termination-log"},
			[]claim{{source: FromMount, pid: 7, podUID: static, containerID: idA, container: "server"}},
		},
		"host name": {
			linux.Mount{Root: sandboxes + "/hostname", MountPoint: "/etc/hostname"},
			[]claim{fromSandboxFile(7, idA, idS)},
		},
		"resolver on a file system of containerd's own": {
			linux.Mount{Root: "/io.containerd.grpc.v1.cri/sandboxes/" + idS + "/resolv.conf", MountPoint: "/etc/resolv.conf"},
			[]claim{fromSandboxFile(7, idA, idS)},
		},
		"sandbox file elsewhere":     {linux.Mount{Root: sandboxes + "/hostname", MountPoint: "/tmp/hostname"}, nil},
		"sandbox file as another":    {linux.Mount{Root: sandboxes + "/hostname", MountPoint: "/etc/hosts"}, nil},
		"directory of the sandbox":   {linux.Mount{Root: sandboxes, MountPoint: "/etc/hostname"}, nil},
		"volume":                     {linux.Mount{Root: "/var/lib/kubelet/pods/" + uuid + "/volumes/kubernetes.io~empty-dir/x", MountPoint: "/x"}, nil},
		"hash of another length":     {linux.Mount{Root: "/pods/" + uuid + "/containers/server/0a1b2c3d4", MountPoint: "/dev/termination-log"}, nil},
		"mount point looks like one": {linux.Mount{Root: "/", MountPoint: "/pods/" + uuid + "/containers/server/0a1b2c3d"}, nil},
		"root of a file system":      {linux.Mount{Root: "/", MountPoint: "/"}, nil},
	} {
		if diff := cmp.Diff(test.want, mountClaims(&p, []linux.Mount{test.mount}), cmp.AllowUnexported(claim{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestIsContainerd(t *testing.T) {
	db := []linux.FD{{FD: 3, Path: "/mnt/disks/0/containerd/io.containerd.metadata.v1.bolt/meta.db"}}
	for name, test := range map[string]struct {
		process Process
		want    bool
	}{
		"containerd":             {Process{Exe: "/usr/bin/containerd", FDs: db}, true},
		"replaced meanwhile":     {Process{Exe: "/usr/bin/containerd (deleted)", FDs: db}, true},
		"without the database":   {Process{Exe: "/usr/bin/containerd"}, false},
		"another program":        {Process{Exe: "/usr/bin/cp", FDs: db}, false},
		"in a pod":               {Process{Exe: "/usr/bin/containerd", FDs: db, PodUID: uuid}, false},
		"in another container":   {Process{Exe: "/usr/bin/containerd", FDs: db, ContainerID: idA}, false},
		"shim, with an fd of it": {Process{Exe: "/usr/bin/containerd-shim-runc-v2", FDs: db}, false},
	} {
		if got := isContainerd(&test.process); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestShimClaims(t *testing.T) {
	shim := Process{PID: 5, PPID: 1, Exe: "/usr/bin/containerd-shim-runc-v2", Args: []string{"/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", idS}}
	fake := inPod(6, 5, uuid, idA)
	fake.Exe, fake.Args = "/bin/containerd-shim", []string{"containerd-shim", "-id", idT}
	want := []claim{
		{source: HintShim, pid: 5, podUID: uuid, sandboxID: idS},
		{source: HintShim, pid: 5, podUID: static, sandboxID: idS},
	}
	got := shimClaims([]Process{{PID: 1}, shim, fake, inPod(7, 6, uuid, idA), inPod(8, 5, static, idB), {PID: 9, PPID: 5}})
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(claim{})); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestSetCgroup(t *testing.T) {
	pod, container := "/kubepods/burstable/pod"+uuid, "/kubepods/burstable/pod"+uuid+"/"+idA
	for name, test := range map[string]struct {
		paths    []string
		cgroup   string
		uid, id  string
		conflict bool
	}{
		"none":               {},
		"v2":                 {paths: []string{container}, cgroup: container, uid: uuid, id: idA},
		"v2 outside":         {paths: []string{"/init.scope"}, cgroup: "/init.scope"},
		"deleted":            {paths: []string{container + " (deleted)"}, cgroup: container + " (deleted)", uid: uuid, id: idA},
		"v1":                 {paths: []string{container, container, "/"}, cgroup: container, uid: uuid, id: idA},
		"v1 outside":         {paths: []string{"/", "/system.slice", "/init.scope"}, cgroup: "/init.scope"},
		"pod in one":         {paths: []string{pod, container, pod}, cgroup: container, uid: uuid, id: idA},
		"two containers":     {paths: []string{container, pod + "/" + idB}, cgroup: container, uid: uuid, id: idA, conflict: true},
		"two pods":           {paths: []string{container, "/kubepods/pod" + static}, cgroup: container, uid: uuid, id: idA, conflict: true},
		"container and none": {paths: []string{"/system.slice/docker-" + idA + ".scope", "/"}, cgroup: "/system.slice/docker-" + idA + ".scope", id: idA},
	} {
		var p Process
		for i, path := range test.paths {
			p.Cgroups = append(p.Cgroups, linux.CgroupPath{Hierarchy: len(test.paths) - i, Path: path})
		}
		if err := setCgroup(&p); errors.Is(err, ErrConflict) != test.conflict {
			t.Errorf("%s: %v, want conflict: %v", name, err, test.conflict)
		}
		if p.Cgroup != test.cgroup || p.PodUID != test.uid || p.ContainerID != test.id {
			t.Errorf("%s: %q of pod %q, container %q", name, p.Cgroup, p.PodUID, p.ContainerID)
		}
	}
}

func FuzzParseLogPath(f *testing.F) {
	f.Add("/var/log/pods/analytics_python-worker-0_" + uuid + "/worker/0.log")
	f.Fuzz(func(t *testing.T, path string) {
		c, ok := parseLogPath(path)
		if !ok {
			return
		}
		if !strings.HasPrefix(path, "/var/log/pods/"+c.namespace+"_"+c.pod+"_"+c.podUID+"/"+c.container+"/") {
			t.Fatalf("%q = %+v", path, c)
		}
	})
}

package cos

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/linux"
)

func TestTerminationClaims(t *testing.T) {
	for name, test := range map[string]struct {
		mount linux.Mount
		want  []claim.Claim
	}{
		"termination log": {
			linux.Mount{Root: "/var/lib/kubelet/pods/" + uuid + "/containers/server/0a1b2c3d", MountPoint: "/dev/termination-log"},
			[]claim.Claim{fromTermination(7, idA, "server")},
		},
		"termination log on a file system of the kubelet's own": {
			linux.Mount{Root: "/pods/" + uuid + "/containers/server/0a1b2c3d", MountPoint: "/tmp/last-words"},
			[]claim.Claim{fromTermination(7, idA, "server")},
		},
		"termination log of another pod": {
			linux.Mount{Root: "/pods/" + static + "/containers/server/0a1b2c3d", MountPoint: "/dev/termination-log"},
			[]claim.Claim{{Origin: FromMount, PID: 7, PodUID: static, ContainerID: idA, Container: "server"}},
		},
		"volume":                     {linux.Mount{Root: "/var/lib/kubelet/pods/" + uuid + "/volumes/kubernetes.io~empty-dir/x", MountPoint: "/x"}, nil},
		"hash of another length":     {linux.Mount{Root: "/pods/" + uuid + "/containers/server/0a1b2c3d4", MountPoint: "/dev/termination-log"}, nil},
		"mount point looks like one": {linux.Mount{Root: "/", MountPoint: "/pods/" + uuid + "/containers/server/0a1b2c3d"}, nil},
		"root of a file system":      {linux.Mount{Root: "/", MountPoint: "/"}, nil},
	} {
		p := claim.Process{PID: 7, PodUID: uuid, ContainerID: idA, Mounts: []linux.Mount{test.mount}}
		if diff := cmp.Diff(test.want, terminationClaims(nil, &p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestUTSClaim(t *testing.T) {
	want := []claim.Claim{{Origin: HintUTSName, PID: 7, PodUID: uuid, Pod: "web"}}
	for name, test := range map[string]struct {
		uid, uts string
		want     []claim.Claim
	}{
		"pod":              {uuid, "web", want},
		"node's network":   {uuid, "node", nil},
		"not read":         {uuid, "", nil},
		"outside of a pod": {"", "web", nil},
	} {
		got := utsClaim(&claim.Node{Hostname: "node"}, &claim.Process{PID: 7, PodUID: test.uid, UTSName: test.uts})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
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

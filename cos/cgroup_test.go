package cos

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos/claim"
)

const (
	uuid   = "3f1c2a54-8c1e-4a57-9f0a-1b6c2d3e4f50"
	under  = "3f1c2a54_8c1e_4a57_9f0a_1b6c2d3e4f50" // uuid as systemd has it
	static = "09a70ae9ccc491e651e5c773579b3490"
	id     = "6c5ff1bdcd102679516e4fe8db14c0bae63764fbb7652d9b5fa4347e61cf52b7"
	outer  = "94acc75af8cf9c56e10676b0760ed424bec95dadc91f68f6564014686930200e"
)

// The paths are those that runtimes, kubelets and distributions were seen to make;
// each comment says whose.
var cgroupTests = []struct {
	path string
	want CgroupName
}{
	// containerd and kubelet, cgroupfs driver
	{"/kubepods/burstable/pod" + uuid + "/" + id, CgroupName{uuid, Burstable, id, "", Cgroupfs}},
	{"/kubepods/besteffort/pod" + uuid + "/" + id, CgroupName{uuid, BestEffort, id, "", Cgroupfs}},
	{"/kubepods/pod" + uuid + "/" + id, CgroupName{uuid, Guaranteed, id, "", Cgroupfs}},
	{"/kubepods/burstable/pod" + static + "/" + id, CgroupName{static, Burstable, id, "", Cgroupfs}},
	{"/root/below/kubepods/pod" + uuid + "/" + id, CgroupName{uuid, Guaranteed, id, "", Cgroupfs}}, // --cgroup-root
	// CRI-O, cgroupfs driver
	{"/kubepods/burstable/pod" + uuid + "/crio-" + id, CgroupName{uuid, Burstable, id, CRIO, Cgroupfs}},
	{"/kubepods/burstable/pod" + uuid + "/crio-conmon-" + id, CgroupName{uuid, Burstable, "", "", Cgroupfs}},
	// systemd driver
	{
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope",
		CgroupName{uuid, Burstable, id, Containerd, Systemd},
	},
	{
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + under + ".slice/docker-" + id + ".scope",
		CgroupName{uuid, BestEffort, id, Docker, Systemd},
	},
	{"/kubepods.slice/kubepods-pod" + under + ".slice/cri-containerd-" + id + ".scope", CgroupName{uuid, Guaranteed, id, Containerd, Systemd}},
	{"/kubepods.slice/kubepods-pod" + static + ".slice/cri-containerd-" + id + ".scope", CgroupName{static, Guaranteed, id, Containerd, Systemd}},
	{
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/crio-" + id + ".scope/container",
		CgroupName{uuid, Burstable, id, CRIO, Systemd},
	},
	{
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/crio-conmon-" + id + ".scope",
		CgroupName{uuid, Burstable, "", "", Systemd},
	},
	// systemd units inside a container
	{
		"/kubepods.slice/kubepods-pod" + under + ".slice/cri-containerd-" + id + ".scope/system.slice/sshd.service",
		CgroupName{uuid, Guaranteed, id, Containerd, Systemd},
	},
	// kubelet with systemd, containerd without
	{
		"/system.slice/containerd.service/kubepods-burstable-pod" + under + ".slice:cri-containerd:" + id,
		CgroupName{uuid, Burstable, id, Containerd, DriverMismatch},
	},
	{
		"/podruntime.slice/containerd.service/kubepods-besteffort-pod" + uuid + ".slice:cri-containerd:" + id,
		CgroupName{uuid, BestEffort, id, Containerd, DriverMismatch},
	},
	{"/kubepods-pod" + under + ".slice:crio:" + id, CgroupName{uuid, Guaranteed, id, CRIO, DriverMismatch}},
	// kind: cgroup root kubelet, with either driver; minikube
	{
		"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" + under + ".slice/cri-containerd-" + id + ".scope",
		CgroupName{uuid, BestEffort, id, Containerd, Systemd},
	},
	{
		"/docker/" + outer + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + under + ".slice/cri-containerd-" + id + ".scope",
		CgroupName{uuid, Guaranteed, id, Containerd, Systemd},
	},
	{"/system.slice/docker-" + outer + ".scope/kubelet/kubepods/burstable/pod" + static + "/" + id, CgroupName{static, Burstable, id, "", Cgroupfs}},
	{"/system.slice/docker-" + outer + ".scope/kubepods/besteffort/pod" + uuid + "/" + id, CgroupName{uuid, BestEffort, id, "", Cgroupfs}},
	{"/system.slice/docker-" + outer + ".scope/system.slice/containerd.service", CgroupName{"", "", outer, Docker, Systemd}},
	// Docker, containerd and kind inside a container of a pod
	{"/kubepods/burstable/pod" + uuid + "/" + id + "/docker/" + outer, CgroupName{uuid, Burstable, id, "", Cgroupfs}},
	{"/kubepods/burstable/pod" + uuid + "/" + id + "/kubelet/kubepods/besteffort/pod" + static + "/" + outer, CgroupName{uuid, Burstable, id, "", Cgroupfs}},
	{
		"/kubepods.slice/kubepods-pod" + under + ".slice/cri-containerd-" + id + ".scope/system.slice/docker-" + outer + ".scope",
		CgroupName{uuid, Guaranteed, id, Containerd, Systemd},
	},
	// of the pod but of no container
	{"/kubepods/burstable/pod" + uuid, CgroupName{uuid, Burstable, "", "", Cgroupfs}},
	{"/kubepods/burstable/pod" + uuid + "/init", CgroupName{uuid, Burstable, "", "", Cgroupfs}},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice", CgroupName{uuid, Burstable, "", "", Systemd}},
	// relative to a cgroup namespace
	{"/../../../burstable/pod" + uuid + "/" + id, CgroupName{uuid, Burstable, id, "", Cgroupfs}},
	{"/../../pod" + uuid + "/" + id, CgroupName{uuid, "", id, "", Cgroupfs}},
	{"/../" + id, CgroupName{"", "", id, "", Cgroupfs}},
	{"/../../kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope", CgroupName{uuid, Burstable, id, Containerd, Systemd}},
	{"/../cri-containerd-" + id + ".scope", CgroupName{"", "", id, Containerd, Systemd}},
	// outside of Kubernetes
	{"/docker/" + id, CgroupName{"", "", id, "", Cgroupfs}},
	{"/k8s.io/" + id, CgroupName{"", "", id, "", Cgroupfs}},
	{"/actions_job/" + id, CgroupName{"", "", id, "", Cgroupfs}},
	{"/system.slice/docker-" + id + ".scope", CgroupName{"", "", id, Docker, Systemd}},
	{"/machine.slice/libpod-" + id + ".scope/container", CgroupName{"", "", id, Podman, Systemd}},
	{"/libpod_parent/libpod-" + id, CgroupName{"", "", id, Podman, Cgroupfs}},
	// a cgroup that was removed while a process was in it
	{
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope (deleted)",
		CgroupName{uuid, Burstable, id, Containerd, Systemd},
	},
	{"/kubepods/burstable/pod" + uuid + "/" + id + " (deleted)", CgroupName{uuid, Burstable, id, "", Cgroupfs}},
	{"/kubepods/burstable/pod" + uuid + " (deleted)", CgroupName{uuid, Burstable, "", "", Cgroupfs}},
	{"/kubepods-pod" + under + ".slice:crio:" + id + " (deleted)", CgroupName{uuid, Guaranteed, id, CRIO, DriverMismatch}},
	{"/docker/" + id + " (deleted)", CgroupName{"", "", id, "", Cgroupfs}},
	{"/system.slice/a.service (deleted)", CgroupName{}},
	{"/docker/" + id + " (deleted) (deleted)", CgroupName{}}, // that a name ends so is the runtime's doing, and no runtime does
	// Kata: the virtual machine of a pod, under the name that its sandbox would have; and what of
	// it the pod is not to account for, with the path of the cgroup or its last element alone
	{
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/kata_" + id,
		CgroupName{uuid, Burstable, id, Kata, Systemd},
	},
	{"/kubepods/besteffort/pod" + uuid + "/kata_" + id, CgroupName{uuid, BestEffort, id, Kata, Cgroupfs}},
	{"/kubepods/besteffort/pod" + uuid + "/kata_crio-" + id, CgroupName{uuid, BestEffort, id, Kata, Cgroupfs}},
	{"/kubepods.slice/kubepods-pod" + under + ".slice/kata_cri-containerd-" + id + ".scope", CgroupName{uuid, Guaranteed, id, Kata, Systemd}},
	{"/kata_overhead/" + id, CgroupName{"", "", id, Kata, Cgroupfs}},
	{"/kubepods/kata_overhead/" + id, CgroupName{"", "", id, Kata, Cgroupfs}},
	{"/kata_overhead/kubepods/burstable/pod" + uuid + "/" + id, CgroupName{uuid, Burstable, id, Kata, Cgroupfs}},
	{"/docker/" + id + "/kata_overhead/" + outer, CgroupName{"", "", id, "", Cgroupfs}}, // made inside of a container
	{"/kata_overhead", CgroupName{}},
	{"/kubepods/burstable/pod" + uuid + "/kata_" + id[1:], CgroupName{uuid, Burstable, "", "", Cgroupfs}},
	// CRI-O with crun, which makes no scope, and containerd with a prefix but no scope
	{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + under + ".slice/crio-" + id, CgroupName{uuid, BestEffort, id, CRIO, Systemd}},
	{"/kubepods/besteffort/pod" + uuid + "/cri-containerd-" + id, CgroupName{uuid, BestEffort, id, Containerd, Cgroupfs}},
	{"/kubepods.slice/kubepods-pod" + under + ".slice/" + id, CgroupName{uuid, Guaranteed, id, "", Systemd}},
	{"/system.slice/crio-" + id + ".scope", CgroupName{"", "", id, CRIO, Systemd}},
	// kubepods below another root: k3s, LXC, Azure's agent
	{"/system.slice/k3s.service/kubepods/burstable/pod" + uuid + "/" + id, CgroupName{uuid, Burstable, id, "", Cgroupfs}},
	{"/lxc.payload.foo/kubepods/pod" + uuid + "/" + id, CgroupName{uuid, Guaranteed, id, "", Cgroupfs}},
	{"/azure.slice/azure-walinuxagent.slice/kubepods/pod" + uuid, CgroupName{uuid, Guaranteed, "", "", Cgroupfs}},
	// a node in a container, with a pod of a node in a pod's container: the outermost pod counts
	{
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope/kubepods.slice/kubepods-pod" + static + ".slice/cri-containerd-" + outer + ".scope",
		CgroupName{uuid, Burstable, id, Containerd, Systemd},
	},
	{"/kubepods/burstable/pod" + uuid + "/" + id + "/init.scope", CgroupName{uuid, Burstable, id, "", Cgroupfs}},
	{"/docker/" + outer + "/docker/" + id, CgroupName{"", "", outer, "", Cgroupfs}}, // the outer one is the node's
	// a name that is no container's: of the pod, all the same
	{"/kubepods/burstable/pod" + uuid + "/" + id + "-init", CgroupName{uuid, Burstable, "", "", Cgroupfs}},
	// containers of other schedulers: an ID is one wherever it stands, and other forms are none
	{"/ecs/2f3a/" + id, CgroupName{"", "", id, "", Cgroupfs}},
	{"/ecs-task/abc/" + id[:32] + "-1234567890", CgroupName{}},
	{"/garden/b2b8a5e1-9a5e-4e3f-5c7a-aaaa", CgroupName{}},
	{"/default/" + id, CgroupName{"", "", id, "", Cgroupfs}},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope", CgroupName{"", "", id, Podman, Systemd}},
	// UIDs that manifests of static pods name: systemd's underscores were dashes
	{"/kubepods.slice/kubepods-podmy_static_pod.slice/cri-containerd-" + id + ".scope", CgroupName{"my-static-pod", Guaranteed, id, Containerd, Systemd}},
	{"/kubepods/burstable/podnot/podes/" + id, CgroupName{"not", Burstable, id, "", Cgroupfs}},
	// a static pod whose manifest names a UID
	{"/kubepods/podkube-proxy.node1/" + id, CgroupName{"kube-proxy.node1", Guaranteed, id, "", Cgroupfs}},
	// neither pod nor container
	{"", CgroupName{}},
	{"/", CgroupName{}},
	{"/../..", CgroupName{}},
	{"/init.scope", CgroupName{}},
	{"/kubepods", CgroupName{}},
	{"/kubepods.slice/kubepods-burstable.slice", CgroupName{}},
	{"/system.slice/kubelet.service", CgroupName{}},
	{"/user.slice/user-0.slice/session-1.scope", CgroupName{}},
	{"/machine.slice/libpod-conmon-" + id + ".scope", CgroupName{}},
	{"/podman/pod" + uuid, CgroupName{}},
	{"/../podman", CgroupName{}},
	{"/kubepods/burstable/pod", CgroupName{}},
	{"/kubepods/burstable/pod\x1b[2J", CgroupName{}},
	{"/docker/" + id[1:], CgroupName{}},
	{"/docker/" + strings.ToUpper(id), CgroupName{}},
	{"/system.slice/evil-" + id + ".scope", CgroupName{}},
	{"/xkubepods-pod" + under + ".slice", CgroupName{}},
}

func TestParseCgroupPath(t *testing.T) {
	for _, test := range cgroupTests {
		got, ok := ParseCgroupPath(test.path)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
		if want := test.want != (CgroupName{}); ok != want {
			t.Errorf("%s: found %v, want %v", test.path, ok, want)
		}
	}
}

func FuzzCgroupPath(f *testing.F) {
	for _, test := range cgroupTests {
		f.Add(test.path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := ParseCgroupPath(path)
		if !ok && got != (CgroupName{}) {
			t.Fatalf("nothing found, but %+v", got)
		}
		if ok && got.PodUID == "" && got.ContainerID == "" {
			t.Fatalf("found neither pod nor container: %+v", got)
		}
		if !strings.Contains(path, got.ContainerID) || !strings.Contains(strings.ReplaceAll(path, "_", "-"), got.PodUID) {
			t.Fatalf("%+v is not in the path", got)
		}
		if got.ContainerID != "" && !claim.IsContainerID(got.ContainerID) || got.PodUID != "" && !isPodUID(got.PodUID) {
			t.Fatalf("malformed %+v", got)
		}
		inner, _ := ParseCgroupPath(path + "/docker/" + outer)
		if got.ContainerID != "" && inner != got && claim.Undeleted(path) == path {
			t.Fatalf("a container inside changes %+v to %+v", got, inner)
		}
	})
}

func BenchmarkParseCgroupPath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for _, test := range cgroupTests {
			ParseCgroupPath(test.path)
		}
	}
}

package cos

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/vmem"
)

// Container IDs that are easy to tell apart.
var (
	idA = strings.Repeat("a", 64)
	idB = strings.Repeat("b", 64)
	idS = strings.Repeat("5", 64)
	idT = strings.Repeat("7", 64)
)

// inPod returns a process of a container in the burstable pod uid.
func inPod(pid, ppid int32, uid, container string) Process {
	return Process{
		PID: pid, PPID: ppid, PodUID: uid, ContainerID: container, Address: 0x1000,
		Cgroup: "/kubepods/burstable/pod" + uid + "/" + container,
	}
}

func fromLog(container string) claim.Claim {
	return claim.Claim{Origin: FromLogFile, PID: 9, PodUID: uuid, Namespace: "default", Pod: "web", Container: container}
}

func fromTermination(pid int32, id, container string) claim.Claim {
	return claim.Claim{Origin: FromMount, PID: pid, PodUID: uuid, ContainerID: id, Container: container}
}

func fromSandboxFile(pid int32, id, sandbox string) claim.Claim {
	return claim.Claim{Origin: FromMount, PID: pid, PodUID: uuid, ContainerID: id, SandboxID: sandbox}
}

func fromDatabase(id, container, sandbox string, created int64) claim.Claim {
	return claim.Claim{
		Origin: FromMetadata, PID: 9, PodUID: uuid, Namespace: "default", Pod: "web", SandboxID: sandbox,
		ContainerID: id, Container: container, Image: "image", IsSandbox: id == sandbox, Created: created,
	}
}

// attributionTest is what the sources say and what becomes of it. The pod's UID and
// class are those of inPod, and checked in TestAttributeEvidence.
type attributionTest struct {
	processes []Process
	claims    []claim.Claim
	want      []Pod
	gaps      []error
}

var attributionTests = map[string]attributionTest{
	"cgroups alone": {
		processes: []Process{inPod(1, 0, uuid, idS), inPod(2, 0, uuid, idA), inPod(3, 0, uuid, idA), inPod(4, 0, uuid, "")},
		want:      []Pod{{UID: uuid, QoS: Burstable, Containers: []Container{{ID: idS, PIDs: []int32{1}}, {ID: idA, PIDs: []int32{2, 3}}}}},
	},
	"mounts": {
		processes: []Process{inPod(1, 0, uuid, idS), inPod(2, 0, uuid, idA), inPod(3, 0, uuid, idB)},
		claims: []claim.Claim{
			fromSandboxFile(1, idS, idS), fromSandboxFile(2, idA, idS), fromSandboxFile(3, idB, idS),
			fromTermination(2, idA, "web"), fromTermination(3, idB, "proxy"),
		},
		want: []Pod{{UID: uuid, QoS: Burstable, SandboxID: idS, Containers: []Container{
			{ID: idB, Name: "proxy", PIDs: []int32{3}}, {ID: idA, Name: "web", PIDs: []int32{2}},
		}}},
	},
	"log file of the only container": {
		processes: []Process{inPod(1, 0, uuid, idS), inPod(2, 0, uuid, idA)},
		claims:    []claim.Claim{fromSandboxFile(1, idS, idS), fromLog("server")},
		want: []Pod{{UID: uuid, QoS: Burstable, Namespace: "default", Name: "web", SandboxID: idS, Containers: []Container{
			{ID: idA, Name: "server", PIDs: []int32{2}},
		}}},
	},
	"log files of two containers": {
		processes: []Process{inPod(1, 0, uuid, idS), inPod(2, 0, uuid, idA), inPod(3, 0, uuid, idB)},
		claims:    []claim.Claim{fromSandboxFile(1, idS, idS), fromLog("server"), fromLog("proxy")},
		want: []Pod{{UID: uuid, QoS: Burstable, Namespace: "default", Name: "web", SandboxID: idS, Containers: []Container{
			{ID: idA, PIDs: []int32{2}}, {ID: idB, PIDs: []int32{3}}, {Name: "proxy"}, {Name: "server"},
		}}},
		gaps: []error{ErrAmbiguous},
	},
	"log files of two containers, one known": {
		processes: []Process{inPod(1, 0, uuid, idS), inPod(2, 0, uuid, idA), inPod(3, 0, uuid, idB)},
		claims:    []claim.Claim{fromSandboxFile(1, idS, idS), fromTermination(3, idB, "proxy"), fromLog("server"), fromLog("proxy")},
		want: []Pod{{UID: uuid, QoS: Burstable, Namespace: "default", Name: "web", SandboxID: idS, Containers: []Container{
			{ID: idB, Name: "proxy", PIDs: []int32{3}}, {ID: idA, Name: "server", PIDs: []int32{2}},
		}}},
	},
	"log files alone": {
		claims: []claim.Claim{fromLog("server"), fromLog("proxy"), fromLog("server")},
		want:   []Pod{{UID: uuid, Namespace: "default", Name: "web", Containers: []Container{{Name: "proxy"}, {Name: "server"}}}},
	},
	"database alone": {
		claims: []claim.Claim{fromDatabase(idS, "", idS, 1), fromDatabase(idA, "server", idS, 2)},
		want: []Pod{{UID: uuid, Namespace: "default", Name: "web", SandboxID: idS, Containers: []Container{
			{ID: idA, Name: "server", Image: "image"},
		}}},
	},
	"database names a container that has exited": {
		processes: []Process{inPod(1, 0, uuid, idS), inPod(2, 0, uuid, idA)},
		claims: []claim.Claim{
			fromDatabase(idS, "", idS, 1), fromDatabase(idB, "server", idS, 2), fromDatabase(idA, "server", idS, 3), fromLog("server"),
		},
		want: []Pod{{UID: uuid, QoS: Burstable, Namespace: "default", Name: "web", SandboxID: idS, Containers: []Container{
			{ID: idA, Name: "server", Image: "image", PIDs: []int32{2}}, {ID: idB, Name: "server", Image: "image"},
		}}},
	},
	"second sandbox": {
		processes: []Process{inPod(1, 0, uuid, idT), inPod(2, 0, uuid, idB)},
		claims: []claim.Claim{
			fromSandboxFile(1, idT, idT), fromSandboxFile(2, idB, idT),
			fromDatabase(idS, "", idS, 9), fromDatabase(idA, "server", idS, 2), fromDatabase(idT, "", idT, 3), fromDatabase(idB, "server", idT, 4),
		},
		want: []Pod{{UID: uuid, QoS: Burstable, Namespace: "default", Name: "web", SandboxID: idT, Containers: []Container{
			{ID: idA, Name: "server", Image: "image"}, {ID: idB, Name: "server", Image: "image", PIDs: []int32{2}},
		}}},
	},
	"both sandboxes have exited": {
		claims: []claim.Claim{fromDatabase(idS, "", idS, 1), fromDatabase(idT, "", idT, 3), fromDatabase(idA, "server", idT, 4)},
		want: []Pod{{UID: uuid, Namespace: "default", Name: "web", SandboxID: idT, Containers: []Container{
			{ID: idA, Name: "server", Image: "image"},
		}}},
	},
	"hints do not decide": {
		processes: []Process{inPod(1, 0, uuid, idS)},
		claims: []claim.Claim{
			{Origin: HintShim, PID: 8, PodUID: uuid, SandboxID: idS}, {Origin: HintUTSName, PID: 1, PodUID: uuid, Pod: "web"},
		},
		want: []Pod{{UID: uuid, QoS: Burstable, Containers: []Container{{ID: idS, PIDs: []int32{1}}}}},
	},
	"hints do not contradict": {
		processes: []Process{inPod(1, 0, uuid, idS)},
		claims: []claim.Claim{
			fromDatabase(idS, "", idS, 1), {Origin: HintUTSName, PID: 1, PodUID: uuid, Pod: "other"}, {Origin: HintShim, PID: 8, PodUID: uuid, SandboxID: idT},
		},
		want: []Pod{{UID: uuid, QoS: Burstable, Namespace: "default", Name: "web", SandboxID: idS}},
	},
	"sources disagree about a name": {
		processes: []Process{inPod(2, 0, uuid, idA)},
		claims:    []claim.Claim{fromDatabase(idA, "server", idS, 2), fromTermination(2, idA, "proxy")},
		want: []Pod{{UID: uuid, QoS: Burstable, Namespace: "default", Name: "web", Containers: []Container{
			{ID: idA, Name: "proxy", Image: "image", PIDs: []int32{2}},
		}}},
		gaps: []error{ErrConflict},
	},
	"mounts of another pod": {
		processes: []Process{inPod(2, 0, uuid, idA), inPod(3, 0, static, idB)},
		claims:    []claim.Claim{fromTermination(3, idB, "proxy")},
		want: []Pod{
			{UID: static, QoS: Burstable, Containers: []Container{{ID: idB, PIDs: []int32{3}}}},
			{UID: uuid, QoS: Burstable, Containers: []Container{{ID: idA, PIDs: []int32{2}}}},
		},
		gaps: []error{ErrConflict},
	},
	"a container that claims to be the sandbox": {
		processes: []Process{inPod(1, 0, uuid, idS), inPod(2, 0, uuid, idA)},
		claims:    []claim.Claim{fromSandboxFile(1, idS, idS), fromSandboxFile(2, idA, idA)},
		want:      []Pod{{UID: uuid, QoS: Burstable, SandboxID: idS, Containers: []Container{{ID: idA, PIDs: []int32{2}}}}},
		gaps:      []error{ErrConflict},
	},
	"two classes": {
		processes: []Process{inPod(2, 0, uuid, idA), {PID: 3, PodUID: uuid, ContainerID: idA, Cgroup: "/kubepods/pod" + uuid + "/" + idA}},
		want:      []Pod{{UID: uuid, QoS: Burstable, Containers: []Container{{ID: idA, PIDs: []int32{2, 3}}}}},
		gaps:      []error{ErrConflict},
	},
}

// claimsOf are what the cgroups of processes say.
func claimsOf(processes []Process) []claim.Claim {
	var claims []claim.Claim
	for i := range processes {
		f := facts{Process: processes[i]}
		p := f.claimant()
		claims = append(claims, cgroupClaim(nil, &p)...)
	}
	return claims
}

func TestAttribute(t *testing.T) {
	for name, test := range attributionTests {
		t.Run(name, func(t *testing.T) {
			claims := append(claimsOf(test.processes), test.claims...)
			got, gaps := attribute(test.processes, claims)
			diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Pod{}, "Evidence"), cmpopts.IgnoreFields(Container{}, "Evidence"))
			if diff != "" {
				t.Errorf("pods (-want +got):\n%s", diff)
			}
			checkGaps(t, gaps, test.gaps)

			slices.Reverse(claims)
			again, moreGaps := attribute(test.processes, claims)
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("the order of claims changes pods (-before +after):\n%s", diff)
			}
			checkGaps(t, moreGaps, test.gaps)
		})
	}
}

func checkGaps(t *testing.T, gaps []vmem.Gap, want []error) {
	t.Helper()
	if len(gaps) != len(want) {
		t.Fatalf("gaps %v, want %v", gaps, want)
	}
	for i, g := range gaps {
		if !errors.Is(g.Err, want[i]) || g.Object == "" {
			t.Errorf("gap %v, want %v", g, want[i])
		}
	}
}

func TestAttributeEvidence(t *testing.T) {
	processes := []Process{inPod(1, 0, uuid, idS), inPod(2, 0, uuid, idA), inPod(3, 0, uuid, idA)}
	claims := append(claimsOf(processes),
		fromSandboxFile(1, idS, idS), fromSandboxFile(2, idA, idS), fromLog("server"), fromDatabase(idS, "", idS, 1),
		claim.Claim{Origin: HintUTSName, PID: 1, PodUID: uuid, Pod: "host"},
	)
	got, gaps := attribute(processes, claims)
	checkGaps(t, gaps, nil)
	want := []Pod{{
		UID: uuid, QoS: Burstable, Namespace: "default", Name: "web", SandboxID: idS,
		Evidence: []Evidence{
			{"uid", uuid, FromCgroup, 1}, {"uid", uuid, FromLogFile, 9}, {"uid", uuid, FromMetadata, 9},
			{"qos", "burstable", FromCgroup, 1},
			{"namespace", "default", FromLogFile, 9}, {"namespace", "default", FromMetadata, 9},
			{"name", "web", FromLogFile, 9}, {"name", "web", FromMetadata, 9}, {"name", "host", HintUTSName, 1},
			{"sandboxID", idS, FromMount, 1}, {"sandboxID", idS, FromMetadata, 9},
		},
		Containers: []Container{{
			ID: idA, Name: "server", PIDs: []int32{2, 3},
			Evidence: []Evidence{{"id", idA, FromCgroup, 2}, {"name", "server", FromLogFileAlone, 9}},
		}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

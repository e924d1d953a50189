package cos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// ErrConflict is the reason of a gap where sources disagree about a pod. The value
// that the report has is then that of the source that comes first in the order of
// [Source]'s constants.
var ErrConflict = vmem.NewReason("conflict", "sources disagree")

// ErrAmbiguous is the reason of a gap where it is known which containers a pod has
// and how they are called, but not which is which.
var ErrAmbiguous = vmem.NewReason("ambiguous", "ambiguous")

// sourceOrder is the order in which sources are believed: what the kubelet and the
// runtime had the kernel do before what they wrote down.
var sourceOrder = map[Source]int{FromCgroup: 1, FromMount: 2, FromLogFile: 3, FromMetadata: 4, FromMetadataPage: 5, HintShim: 6, HintUTSName: 7}

// attribute joins the claims of all sources by pod UID and container ID.
func attribute(processes []Process, claims []claim) ([]Pod, []vmem.Gap) {
	claims = slices.Clone(claims)
	slices.SortStableFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(sourceOrder[a.source], sourceOrder[b.source]), cmp.Compare(a.pid, b.pid))
	})
	joins, gaps := group(processes, claims)
	var pods []Pod
	for _, uid := range slices.Sorted(maps.Keys(joins)) {
		j := joins[uid]
		pods = append(pods, j.pod())
		gaps = append(gaps, j.gaps...)
	}
	slices.SortStableFunc(pods, func(a, b Pod) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return pods, gaps
}

// group sorts claims and processes into pods. A claim that gives a container to
// another pod than the container's cgroup does is a conflict, and left out; so is a pod
// that only pages tell of which may be from long ago.
func group(processes []Process, claims []claim) (map[string]*podJoin, []vmem.Gap) {
	joins := map[string]*podJoin{}
	owner := map[string]string{} // pod UID of each container that has processes
	known := map[string]bool{}   // UIDs of pods that there are
	for _, c := range claims {
		if c.source == FromCgroup && c.containerID != "" {
			owner[c.containerID] = c.podUID
		}
		if c.source != FromMetadataPage {
			known[c.podUID] = true
		}
	}
	var gaps []vmem.Gap
	for _, c := range claims {
		if !known[c.podUID] {
			continue
		}
		if uid := owner[c.containerID]; uid != "" && uid != c.podUID {
			gaps = append(gaps, vmem.Gap{
				Object: "container " + c.containerID,
				Err:    fmt.Errorf("%w: it is in the cgroup of pod %s, of pod %s by %s", ErrConflict, uid, c.podUID, c.source),
			})
			continue
		}
		j := joins[c.podUID]
		if j == nil {
			j = &podJoin{uid: c.podUID, pids: map[string][]int32{}}
			joins[c.podUID] = j
		}
		j.claims = append(j.claims, c)
	}
	for i := range processes {
		p := &processes[i]
		if j := joins[p.PodUID]; j != nil && p.PodUID != "" {
			j.pids[p.ContainerID] = append(j.pids[p.ContainerID], p.PID)
			j.at = cmp.Or(j.at, p.Address)
		}
	}
	return joins, gaps
}

// A podJoin is the state of putting one pod together.
type podJoin struct {
	uid    string
	claims []claim            // in sourceOrder
	pids   map[string][]int32 // by container ID; of no container, by the empty string
	at     vmem.VirtAddr      // of a task of the pod, to say where a gap is
	gaps   []vmem.Gap
}

func (j *podJoin) pod() Pod {
	pod := Pod{UID: j.uid}
	e := &pod.Evidence
	j.settle("uid", e, func(c *claim) string { return c.identifies(c.podUID) })
	pod.QoS = QoS(j.settle("qos", e, func(c *claim) string { return string(c.qos) }))
	pod.Namespace = j.settle("namespace", e, func(c *claim) string { return c.namespace })
	pod.Name = j.settle("name", e, func(c *claim) string { return c.pod })
	pod.SandboxID = j.sandbox(e)
	pod.Containers = j.containers(pod.SandboxID)
	return pod
}

// settle returns the value that the sources give to a field of the pod, adds what each
// says to evidence, and notes a conflict.
func (j *podJoin) settle(field string, evidence *[]Evidence, get func(*claim) string) string {
	return j.settleOf("pod "+j.uid, field, j.claims, evidence, get)
}

func (j *podJoin) settleOf(object, field string, claims []claim, evidence *[]Evidence, get func(*claim) string) string {
	var settled Evidence
	for i := range claims {
		c := &claims[i]
		e := Evidence{Field: field, Value: get(c), Source: c.source, PID: c.pid}
		if e.Value == "" || slices.ContainsFunc(*evidence, e.repeats) {
			continue
		}
		*evidence = append(*evidence, e)
		switch {
		case c.source.Hint():
		case settled.Value == "":
			settled = e
		case settled.Value != e.Value:
			j.gap(object, ErrConflict, "%s is %q by %s, %q by %s", field, settled.Value, settled.Source, e.Value, e.Source)
		}
	}
	return settled.Value
}

// identifies returns id if the source itself tells which pod and container it speaks
// of. Of mounts and hints it is the cgroup of the process where they were found.
func (c *claim) identifies(id string) string {
	if c.source == FromMount || c.source.Hint() {
		return ""
	}
	return id
}

// recorded reports whether the claim is from containerd's database.
func (c *claim) recorded() bool { return c.source == FromMetadata || c.source == FromMetadataPage }

// repeats reports whether o says what e says, of another process.
func (e Evidence) repeats(o Evidence) bool {
	return e.Field == o.Field && e.Value == o.Value && e.Source == o.Source
}

func (j *podJoin) gap(object string, reason error, format string, args ...any) {
	var at vmem.Place
	if j.at != 0 {
		at = vmem.KernelPlace(j.at)
	}
	j.gaps = append(j.gaps, vmem.NewGap(object, at, fmt.Errorf("%w: "+format, append([]any{reason}, args...)...)))
}

// sandbox settles which container is the pod's sandbox. The mounts of running
// containers know; containerd's database also knows the sandboxes that the pod had
// before, so of that only the one that runs counts, or else the newest.
func (j *podJoin) sandbox(evidence *[]Evidence) string {
	current := j.recorded()
	claims := slices.Clone(j.claims)
	for i := range claims {
		if c := &claims[i]; c.recorded() && c.sandboxID != current {
			c.sandboxID = ""
		}
	}
	return j.settleOf("pod "+j.uid, "sandboxID", claims, evidence, func(c *claim) string { return c.sandboxID })
}

// recorded returns the pod's present sandbox as far as containerd's database tells it.
func (j *podJoin) recorded() string {
	var best *claim
	rank := func(c *claim) (bool, int64) { return len(j.pids[c.containerID]) > 0, c.created }
	for i := range j.claims {
		c := &j.claims[i]
		if !c.isSandbox {
			continue
		}
		if best == nil {
			best = c
			continue
		}
		runs, created := rank(c)
		bestRuns, bestCreated := rank(best)
		if runs && !bestRuns || runs == bestRuns && created > bestCreated {
			best = c
		}
	}
	if best == nil {
		return ""
	}
	return best.containerID
}

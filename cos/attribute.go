package cos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// ErrConflict is the reason of a gap where sources disagree about a pod. The value
// that the report has is then that of the source that comes first in the order of
// [Source]'s constants.
var ErrConflict = vmem.NewReason("conflict", "sources disagree")

// ErrAmbiguous is the reason of a gap where it is known which containers a pod has
// and how they are called, but not which is which.
var ErrAmbiguous = vmem.NewReason("ambiguous", "ambiguous")

// attribute joins the claims of all sources by pod UID and container ID.
func attribute(processes []Process, claims []claim.Claim) ([]Pod, []vmem.Gap) {
	claims = slices.Clone(claims)
	slices.SortStableFunc(claims, func(a, b claim.Claim) int {
		return cmp.Or(cmp.Compare(a.Origin.Rank(), b.Origin.Rank()), cmp.Compare(a.PID, b.PID))
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
func group(processes []Process, claims []claim.Claim) (map[string]*podJoin, []vmem.Gap) {
	joins := map[string]*podJoin{}
	owner := map[string]string{} // pod UID of each container that has processes
	known := map[string]bool{}   // UIDs of pods that there are
	for _, c := range claims {
		if c.Origin == FromCgroup && c.ContainerID != "" {
			owner[c.ContainerID] = c.PodUID
		}
		if !c.Origin.MayBePast() || c.Running {
			known[c.PodUID] = true
		}
	}
	var gaps []vmem.Gap
	for _, c := range claims {
		if !known[c.PodUID] {
			continue
		}
		if uid := owner[c.ContainerID]; uid != "" && uid != c.PodUID {
			gaps = append(gaps, vmem.Gap{
				Object: "container " + c.ContainerID,
				Err:    fmt.Errorf("%w: it is in the cgroup of pod %s, of pod %s by %s", ErrConflict, uid, c.PodUID, c.Origin),
			})
			continue
		}
		j := joins[c.PodUID]
		if j == nil {
			j = &podJoin{uid: c.PodUID, pids: map[string][]int32{}}
			joins[c.PodUID] = j
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

// maxEvidence is how many different things of a field of a pod are told.
const maxEvidence = 256

// A podJoin is the state of putting one pod together.
type podJoin struct {
	uid    string
	claims []claim.Claim      // in the order of their origins
	pids   map[string][]int32 // by container ID; of no container, by the empty string
	at     vmem.VirtAddr      // of a task of the pod, to say where a gap is
	gaps   []vmem.Gap
}

func (j *podJoin) pod() Pod {
	pod := Pod{UID: j.uid}
	e := &pod.Evidence
	j.settle("uid", e, func(c *claim.Claim) string { return identifies(c, c.PodUID) })
	pod.QoS = QoS(j.settle("qos", e, func(c *claim.Claim) string { return c.QoS }))
	pod.Namespace = j.settle("namespace", e, func(c *claim.Claim) string { return c.Namespace })
	pod.Name = j.settle("name", e, func(c *claim.Claim) string { return c.Pod })
	pod.SandboxID = j.sandbox(e)
	pod.Containers = j.containers(pod.SandboxID)
	return pod
}

// settle returns the value that the sources give to a field of the pod, adds what each
// says to evidence, and notes a conflict.
func (j *podJoin) settle(field string, evidence *[]Evidence, get func(*claim.Claim) string) string {
	return j.settleOf("pod "+j.uid, field, j.claims, evidence, get)
}

func (j *podJoin) settleOf(object, field string, claims []claim.Claim, evidence *[]Evidence, get func(*claim.Claim) string) string {
	var settled Evidence
	told := 0
	for i := range claims {
		c := &claims[i]
		e := Evidence{Field: field, Value: get(c), Source: c.Origin, PID: c.PID}
		if e.Value == "" || slices.ContainsFunc(*evidence, e.repeats) {
			continue
		}
		if told++; told > maxEvidence {
			j.gap(object, kstruct.ErrTooMany, "%s: sources say more than %d different things", field, maxEvidence)
			break
		}
		*evidence = append(*evidence, e)
		switch {
		case c.Origin.Hint():
		case settled.Value == "":
			settled = e
		case settled.Value != e.Value:
			j.gap(object, ErrConflict, "%s is %q by %s, %q by %s", field, settled.Value, settled.Source, e.Value, e.Source)
		}
	}
	return settled.Value
}

// identifies returns the ID that a claim gives, if where it was found tells which pod and
// container it speaks of.
func identifies(c *claim.Claim, id string) string {
	if !c.Origin.Identifies() {
		return ""
	}
	return id
}

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
// containers know; the runtime's database also knows the sandboxes that the pod had
// before, so of that only the one that runs counts, or else the newest.
func (j *podJoin) sandbox(evidence *[]Evidence) string {
	current := j.recorded()
	claims := slices.Clone(j.claims)
	for i := range claims {
		if c := &claims[i]; c.Origin.Recorded() && c.SandboxID != current {
			c.SandboxID = ""
		}
	}
	return j.settleOf("pod "+j.uid, "sandboxID", claims, evidence, func(c *claim.Claim) string { return c.SandboxID })
}

// recorded returns the pod's present sandbox as far as the runtime's database tells it.
func (j *podJoin) recorded() string {
	var best *claim.Claim
	rank := func(c *claim.Claim) (bool, int64) { return len(j.pids[c.ContainerID]) > 0, c.Created }
	for i := range j.claims {
		c := &j.claims[i]
		if !c.IsSandbox {
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
	return best.ContainerID
}

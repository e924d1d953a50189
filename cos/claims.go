package cos

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// attribution is what is known of the node's pods, and why not more.
type attribution struct {
	pods  []Pod
	gaps  []vmem.Gap
	notes []string
}

// attributePods collects what all sources say of pods and joins it. hostname is the
// node's.
func attributePods(all []facts, hostname string) attribution {
	var out attribution
	var claims []claim
	processes := make([]Process, len(all))
	for i := range all {
		f := &all[i]
		processes[i] = f.Process
		if c, ok := cgroupClaim(&f.Process); ok {
			claims = append(claims, c)
		}
		if c, ok := utsClaim(&f.Process, f.uts, hostname); ok {
			claims = append(claims, c)
		}
		claims = append(claims, mountClaims(&f.Process, f.mounts)...)
		if f.containerd {
			claims = append(claims, logClaims(&f.Process)...)
			claims = append(claims, f.records...)
		}
	}
	claims = append(claims, shimClaims(processes)...)
	out.pods, out.gaps = attribute(processes, claims)
	for i := range all {
		if all[i].recordErr != nil {
			out.unread(&all[i])
		}
	}
	return out
}

// unread says that the database of containerd could not be read whole. Pages of it that
// are on the node's disk alone are no loss: then it is a note, unless something is
// missing that the database would tell.
func (a *attribution) unread(f *facts) {
	object := "database of containerd, in " + f.task.String()
	if errors.Is(f.recordErr, vmem.ErrNotPresent) && !incomplete(a.pods) {
		a.notes = append(a.notes, fmt.Sprintf("%s: not all in memory, so containers that have exited may be missing: %v", object, f.recordErr))
		return
	}
	a.gaps = append(a.gaps, vmem.Gap{Object: object, Place: vmem.KernelPlace(f.Address), Err: f.recordErr})
}

// incomplete reports whether a name is missing that containerd's database would have.
func incomplete(pods []Pod) bool {
	for _, p := range pods {
		if p.Namespace == "" || p.Name == "" || p.SandboxID == "" {
			return true
		}
		if slices.ContainsFunc(p.Containers, func(c Container) bool { return c.Name == "" || c.ID == "" }) {
			return true
		}
	}
	return false
}

// readAttribution reads what the attribution needs beyond the report: of containerd
// its database, of each container its mounts and its node name.
func readAttribution(all []facts, live bool) {
	nodeMounts := uint32(0)
	for i := range all {
		if all[i].PID == 1 {
			nodeMounts = all[i].Namespaces.Mnt
		}
	}
	seen := map[view]bool{}
	for i := range all {
		f := &all[i]
		v := view{f.ContainerID, f.Namespaces.Mnt}
		switch {
		case isContainerd(&f.Process):
			*f = settle(live, func() facts { return f.withDatabase() })
		case f.PodUID != "" && v.mnt != 0 && v.mnt != nodeMounts && !seen[v]:
			seen[v] = true
			*f = settle(live, func() facts { return f.withMounts() })
		}
	}
}

// A view is a mount namespace that processes of a container are in.
type view struct {
	container string
	mnt       uint32
}

func (f facts) withMounts() facts {
	f.gaps = slices.Clip(f.gaps)
	for m, err := range f.task.Mounts() {
		f.lose(err)
		if err == nil {
			f.mounts = append(f.mounts, m)
		}
	}
	var err error
	f.uts, err = f.task.UTSName()
	f.lose(err)
	return f
}

func (f facts) withDatabase() facts {
	f.containerd = true
	mm, err := f.task.MM()
	if err != nil || mm == nil {
		return f // a gap of the process already
	}
	f.records, f.recordErr = metadataClaims(f.PID, mm)
	return f
}

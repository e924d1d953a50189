package cos

import (
	"fmt"

	"github.com/nodelens/nodelens/linux"
)

// attribution is what is known of the node's pods, and why not more.
type attribution struct {
	pods []Pod
	gaps []linux.Gap
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
	out.gaps = append(out.gaps, unread(all)...)
	return out
}

// unread returns a gap for each database of containerd that could not be read whole:
// containers that have exited may be missing.
func unread(all []facts) []linux.Gap {
	var gaps []linux.Gap
	for i := range all {
		if f := &all[i]; f.recordErr != nil {
			gaps = append(gaps, linux.Gap{
				Object: fmt.Sprintf("database of containerd, in %s", f.task), Addr: f.Address, Err: f.recordErr,
			})
		}
	}
	return gaps
}

// readAttribution reads what the attribution needs beyond the report: of containerd
// its database, of each container its mounts and its node name.
func readAttribution(all []facts) {
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
			f.readDatabase()
		case f.PodUID != "" && v.mnt != 0 && v.mnt != nodeMounts && !seen[v]:
			seen[v] = true
			f.readMounts()
		}
	}
}

// A view is a mount namespace that processes of a container are in.
type view struct {
	container string
	mnt       uint32
}

func (f *facts) readMounts() {
	for m, err := range f.task.Mounts() {
		f.lose(err)
		if err == nil {
			f.mounts = append(f.mounts, m)
		}
	}
	var err error
	f.uts, err = f.task.UTSName()
	f.lose(err)
}

func (f *facts) readDatabase() {
	f.containerd = true
	mm, err := f.task.MM()
	if err != nil || mm == nil {
		return // a gap of the process already
	}
	f.records, f.recordErr = metadataClaims(f.PID, mm)
}

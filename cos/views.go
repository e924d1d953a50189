package cos

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Views says of which of the kernel's lists of processes parts could not be read: what they
// then lack is not hidden from them.
type Views struct {
	list, table bool
	entries     map[string]bool // of the table
	near        map[int32]bool  // processes that lists lack which are damaged near them
	late        map[int32]bool  // processes that were started after the kernel's clock was captured
}

// Views says what was lost of the lists of processes.
func (r *NodeReport) Views() *Views {
	v := &Views{entries: map[string]bool{}, near: map[int32]bool{}, late: map[int32]bool{}}
	for i := range r.Processes {
		p := &r.Processes[i]
		v.late[p.PID] = r.Provenance.CapturedFrom == CapturedByClock && p.StartTime.After(r.Provenance.Captured)
	}
	for _, g := range r.Gaps {
		switch reason := g.Reason(); {
		case reason == reasonDisagree && strings.HasPrefix(g.Object, "task "):
			v.near[pidOf(g)] = strings.Contains(g.Err.Error(), "damaged near it")
		case reason == "corrupt" || reason == "cycle" || reason == reasonDisagree:
			// The list goes on behind a wrong link: who hides a process may leave one.
			if entry, ok := strings.CutPrefix(g.Object, "PID IDR entry "); ok {
				v.entries[entry] = true
			}
		case g.Object == "task list":
			v.list = true
		case strings.HasPrefix(g.Object, "PID IDR"):
			v.table = true
		}
	}
	return v
}

// explains reports whether what the lists lost is why they don't all have a process.
func (v *Views) explains(pid int32, in linux.TaskSources) bool {
	if v.near[pid] {
		return true
	}
	switch in & linux.LeaderSources {
	case linux.InPIDIDR:
		return v.list
	case linux.InTaskList:
		return v.table || v.entries[fmt.Sprint(pid)]
	}
	return false
}

// pidOf returns the PID of the task that a gap is about.
func pidOf(g vmem.Gap) (pid int32) {
	_, _ = fmt.Sscanf(g.Object, "task %d ", &pid)
	return pid
}

// whyOf returns why a gap is one.
func (v *Views) whyOf(g vmem.Gap) string {
	reason := g.Reason()
	if reason == reasonDisagree && strings.HasPrefix(g.Object, "task ") {
		pid := pidOf(g)
		in := linux.InTaskList
		if strings.Contains(g.Err.Error(), "only in the "+linux.InPIDIDR.String()) {
			in = linux.InPIDIDR
		}
		switch {
		case v.explains(pid, in):
			return "the other could not be read whole"
		case v.late[pid]:
			return "started during the capture"
		}
		return "changed during the capture, or hidden"
	}
	if words, ok := reasons[reason]; ok {
		return words
	}
	return text.Printable(string(reason))
}

// Listed says which of the kernel's lists lack a process, unless it is known why: as words, none where both have it.
func (v *Views) Listed(p *Process) []string {
	in := p.Sources & linux.LeaderSources
	switch {
	case in == linux.LeaderSources || v.explains(p.PID, p.Sources):
		return nil
	case in == 0:
		return []string{"HIDDEN: neither in the task list nor in the PID IDR, found by " + p.Sources.String()}
	case v.late[p.PID]:
		return []string{"only in the " + in.String(), "started during the capture"}
	}
	return []string{"only in the " + in.String()}
}

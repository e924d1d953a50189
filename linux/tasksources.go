package linux

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// TaskSources says which views of the set of tasks hold a task, a bit for each.
type TaskSources uint16

// The views of the set of tasks. The first two are those that every process is in. What is
// in both of them is not looked up in the others, which are for what they lack: who hides a
// task, or damage, seldom takes it out of all.
const (
	InTaskList  TaskSources = 1 << iota // linked in init_task.tasks
	InPIDIDR                            // the task of a struct pid in init_pid_ns.idr
	InListPiece                         // linked to another task by task_struct.tasks, which init_task does not lead to
	InFamily                            // another task's parent, child, sibling or group leader
	InThreads                           // linked in signal_struct.thread_head
	InCgroups                           // linked in a css_set
	InPIDLinks                          // linked in a struct pid, as a PID, process group or session
	InRunQueues                         // what a CPU runs or is about to (struct rq)
	InMMOwners                          // mm_struct.owner
	InScan                              // found in memory, and by what it points to a task that lives

	// LeaderSources are the views that hold every task that leads its thread group.
	LeaderSources = InTaskList | InPIDIDR
)

// sourceNames are the names of the views, by bit.
var sourceNames = []string{
	"task list", "PID IDR", "piece of the task list", "family", "thread groups", "cgroups", "PID links", "run queues", "mm owners", "scan",
}

// Expected returns the views that hold the task in a kernel that hides nothing: those of
// leaders, if it is one, or if one of them holds it. A task leaves all of them at once
// (__unhash_process of kernel/exit.c), so a view that lacks it was tampered with, or read
// at another time than the others.
func (t *Task) Expected() TaskSources {
	if t.Leader() || t.Sources&LeaderSources != 0 {
		return LeaderSources
	}
	return 0
}

// String names the views, joined by plus signs, or is none.
func (s TaskSources) String() string {
	if s == 0 {
		return "none"
	}
	var names []string
	for ; s != 0; s &= s - 1 {
		bit := bits.TrailingZeros16(uint16(s))
		if bit < len(sourceNames) {
			names = append(names, sourceNames[bit])
		} else {
			names = append(names, fmt.Sprintf("view %d", bit))
		}
	}
	return strings.Join(names, "+")
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s TaskSources) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (s *TaskSources) UnmarshalText(b []byte) error {
	var v TaskSources
	if string(b) != v.String() {
		for name := range strings.SplitSeq(string(b), "+") {
			bit := slices.Index(sourceNames, name)
			if bit < 0 || v>>bit != 0 { // MarshalText names them in their order
				return fmt.Errorf("linux: unknown views of the tasks: %q", b)
			}
			v |= 1 << bit
		}
	}
	*s = v
	return nil
}

package linux

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// pidMax is PID_MAX_LIMIT of include/linux/threads.h: PIDs are below it.
const pidMax = 4 << 20

// Task flags (include/linux/sched.h).
const (
	pfExiting  = 0x00000004
	pfWQWorker = 0x00000020
	pfKthread  = 0x00200000
)

type taskLayout struct {
	state, exitState, flags            field
	pid, tgid, comm                    field
	tasks, threadNode                  field
	realParent, groupLeader, signal    field
	threadPID, pidLinks                field
	startBoottime                      field
	realCred, nsproxy, mm, fs, files   field
	cgroups, workerPrivate, setChildID field
	commSize                           int
}

func newTaskLayout(r resolver) taskLayout {
	return taskLayout{
		state:       r.need("task_struct", "__state", "state"), // renamed in 5.14 (2f064a59a11f)
		exitState:   r.need("task_struct", "exit_state"),
		flags:       r.need("task_struct", "flags"),
		pid:         r.need("task_struct", "pid"),
		tgid:        r.need("task_struct", "tgid"),
		comm:        r.need("task_struct", "comm"),
		commSize:    r.count("task_struct", "comm"),
		tasks:       r.need("task_struct", "tasks"),
		threadNode:  r.need("task_struct", "thread_node"),
		realParent:  r.need("task_struct", "real_parent"),
		groupLeader: r.need("task_struct", "group_leader"),
		signal:      r.need("task_struct", "signal"),
		threadPID:   r.need("task_struct", "thread_pid"),
		pidLinks:    r.need("task_struct", "pid_links"),

		startBoottime: r.need("task_struct", "start_boottime", "real_start_time"), // renamed in 5.5 (cf25e24db61c)

		realCred: r.need("task_struct", "real_cred"),
		nsproxy:  r.need("task_struct", "nsproxy"),
		mm:       r.need("task_struct", "mm"),
		fs:       r.need("task_struct", "fs"),
		files:    r.need("task_struct", "files"),

		cgroups:       r.opt("task_struct", "cgroups"),
		workerPrivate: r.opt("task_struct", "worker_private"), // holds struct kthread since 5.17 (e32cf5dfbe22)
		setChildID:    r.opt("task_struct", "set_child_tid"),  // held it before
	}
}

// TaskSources says which views of the set of tasks hold a task.
type TaskSources uint8

// The views of the set of tasks.
const (
	InTaskList TaskSources = 1 << iota // linked in init_task.tasks
	InPIDIDR                           // the task of a struct pid in init_pid_ns.idr
)

// String names the views, joined by a plus sign.
func (s TaskSources) String() string {
	switch s {
	case InTaskList:
		return "task list"
	case InPIDIDR:
		return "PID IDR"
	case InTaskList | InPIDIDR:
		return "task list+PID IDR"
	}
	return "none"
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s TaskSources) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (s *TaskSources) UnmarshalText(b []byte) error {
	for v := range (InTaskList | InPIDIDR) + 1 {
		if v.String() == string(b) {
			*s = v
			return nil
		}
	}
	return fmt.Errorf("linux: unknown views of the tasks: %q", b)
}

// A Task is a task_struct: a process, if it leads its thread group, or a thread.
// Its fields are those that were read when the task was found; its methods read
// more. Volatility's linux.pslist and linux.psaux show the like.
//
// A Task is immutable and safe for concurrent use.
type Task struct {
	Addr         vmem.VirtAddr // of the task_struct
	PID          int32         // the thread's id in the initial PID namespace
	TGID         int32         // the process id: the PID of the thread group's leader
	PPID         int32         // TGID of the real parent; 0 if it has none, -1 if it can't be read
	Comm         string        // the name as /proc/PID/comm shows it, without the newline
	State        State
	Flags        uint32 // PF_ flags
	KernelThread bool   // PF_KTHREAD is set
	StartTime    time.Time
	SinceBoot    time.Duration // StartTime, counted from boot with suspended time (task_struct.start_boottime)
	Sources      TaskSources   // of thread group leaders; 0 for other threads

	k    *Kernel
	gaps []vmem.Gap // what of the fields above could not be read
}

// task reads the task_struct at addr. It returns an error if the structure can't be
// read or can't be a task.
func (k *Kernel) task(addr vmem.VirtAddr) (*Task, error) {
	l, r := &k.layout.task, k.reader()
	t := &Task{
		Addr: addr, k: k,
		PID: r.i32(addr, l.pid), TGID: r.i32(addr, l.tgid),
		Flags:     r.u32(addr, l.flags),
		State:     taskState(r.u32(addr, l.state), r.u32(addr, l.exitState)),
		SinceBoot: time.Duration(r.u64(addr, l.startBoottime)),
	}
	parent := r.ptr(addr, l.realParent)
	comm := r.cstring(addr+vmem.VirtAddr(l.comm), l.commSize)
	if r.err != nil {
		return nil, r.err
	}
	if t.PID < 0 || t.PID >= pidMax || t.TGID < 0 || t.TGID >= pidMax || t.SinceBoot < 0 {
		return nil, fmt.Errorf("%w: task_struct with pid %d, tgid %d", kstruct.ErrCorrupt, t.PID, t.TGID)
	}
	t.KernelThread = t.Flags&pfKthread != 0
	if t.PPID = k.tgidOf(parent); t.PPID < 0 {
		t.gaps = append(t.gaps, gapf("parent of task "+strconv.Itoa(int(t.PID)), addr, kstruct.ErrCorrupt, "real_parent leads to no task"))
	}
	var err error
	if t.Comm, err = k.procComm(t, comm); err != nil {
		t.gaps = append(t.gaps, newGap("full name of "+t.String(), addr, err))
	}
	t.StartTime = k.boot.Add(t.SinceBoot)
	return t, nil
}

// Changed reports whether the machine runs and the task_struct is no longer what it was
// when the task was found: the task has ended, and its memory was given to another.
func (t *Task) Changed() bool {
	if !t.k.phys.Live() {
		return false
	}
	l, r := &t.k.layout.task, t.k.fresh()
	same := r.i32(t.Addr, l.pid) == t.PID && r.i32(t.Addr, l.tgid) == t.TGID && time.Duration(r.u64(t.Addr, l.startBoottime)) == t.SinceBoot
	return !same || r.err != nil
}

// tgidOf returns the process id of the task at addr, or -1.
func (k *Kernel) tgidOf(addr vmem.VirtAddr) int32 {
	r := k.reader()
	tgid := r.i32(addr, k.layout.task.tgid)
	if r.err != nil || !plausible(addr) || tgid < 0 || tgid >= pidMax {
		return -1
	}
	return tgid
}

// Leader reports whether the task leads its thread group.
func (t *Task) Leader() bool { return t.PID == t.TGID }

func (t *Task) String() string { return fmt.Sprintf("task %d (%s)", t.PID, t.Comm) }

package linux

import (
	"fmt"
	"sync"
	"time"

	printable "github.com/nodelens/nodelens/internal/text" // linux has a text of its own
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// pidMax is PID_MAX_LIMIT of include/linux/threads.h: PIDs are below it.
const pidMax = 4 << 20

// commMax is the buffer in which /proc builds a name (proc_task_name,
// fs/proc/array.c); kernel threads can have names longer than task_struct.comm.
const commMax = 64

// Task flags (include/linux/sched.h).
const (
	pfExiting  = 0x00000004
	pfWQWorker = 0x00000020
	pfKthread  = 0x00200000
)

// A taskStruct is struct task_struct (include/linux/sched.h), as far as each Task has it. It
// is larger than a page, and so is read in parts, each of which can be lost.
type taskStruct struct {
	taskHead
	taskID
	taskLate
	taskName
}

// A taskHead is what of a task_struct is near its start.
type taskHead struct {
	State int64         `kernel:"__state|state"` // renamed, and long before, in 5.14 (2f064a59a11f)
	Stack vmem.VirtAddr `kernel:"stack"`
	Flags uint32        `kernel:"flags"`
}

// A taskID is what of a task_struct is in its core, or near it.
type taskID struct {
	ExitState int32         `kernel:"exit_state"`
	MM        vmem.VirtAddr `kernel:"mm"`
	PID       int32         `kernel:"pid"`
	TGID      int32         `kernel:"tgid"`
	Parent    vmem.VirtAddr `kernel:"real_parent"`
}

// A taskLate is what of a task_struct is behind its core.
type taskLate struct {
	Kthread   vmem.VirtAddr `kernel:"worker_private|set_child_tid"`   // of kernel threads; moved in 5.17 (e32cf5dfbe22)
	SinceBoot uint64        `kernel:"start_boottime|real_start_time"` // renamed in 5.5 (cf25e24db61c)
}

// A taskName is what of a task_struct is near its name.
type taskName struct {
	Comm    [commMax]byte `kernel:"comm"`
	FS      vmem.VirtAddr `kernel:"fs"`
	Files   vmem.VirtAddr `kernel:"files"`
	NSProxy vmem.VirtAddr `kernel:"nsproxy"`
	Signal  vmem.VirtAddr `kernel:"signal"`
	Sighand vmem.VirtAddr `kernel:"sighand"`
}

type taskViews struct {
	head *kstruct.View[taskHead]
	id   *kstruct.View[taskID]
	late *kstruct.View[taskLate]
	name *kstruct.View[taskName]
	tgid *kstruct.Field[int32]
	err  error
}

func bindTask(types *isf.File) (v taskViews) {
	b := kstruct.NewBinder(types)
	v.head = kstruct.Bind[taskHead](b, "task_struct")
	v.id = kstruct.Bind[taskID](b, "task_struct")
	v.late = kstruct.Bind[taskLate](b, "task_struct")
	v.name = kstruct.Bind[taskName](b, "task_struct")
	v.tgid = kstruct.BindField[int32](b, "task_struct", "tgid")
	v.err = b.Err()
	return v
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
	Flags        uint32        // PF_ flags
	KernelThread bool          // PF_KTHREAD is set
	StartTime    time.Time     // zero if the boot time is not known
	SinceBoot    time.Duration // from boot to its start, with suspended time (task_struct.start_boottime)
	Sources      TaskSources   // of thread group leaders; 0 for other threads

	k     *Kernel
	gaps  []vmem.Gap      // what of the fields above could not be read
	group []vmem.VirtAddr // other tasks of its thread group, if it was found with them
}

// task reads the task_struct at addr. It returns an error if the structure can't be
// read or can't be a task. What else can't is lost alone.
func (k *Kernel) task(addr vmem.VirtAddr) (*Task, error) {
	var s taskStruct
	if err := k.views.task.id.Read(k.space, addr, &s.taskID); err != nil {
		return nil, cause(err, k.views.task.err)
	}
	t := &Task{Addr: addr, k: k, PID: s.PID, TGID: s.TGID}
	if t.PID < 0 || t.PID >= pidMax || t.TGID < 0 || t.TGID >= pidMax {
		return nil, fmt.Errorf("%w: task_struct with pid %d, tgid %d", kstruct.ErrCorrupt, t.PID, t.TGID)
	}
	lateErr := k.views.task.late.Read(k.space, addr, &s.taskLate)
	nameErr := k.readName(addr, &s)
	headErr := k.readHead(addr, &s)
	t.set(&s, headErr, nameErr, lateErr)
	return t, nil
}

// set sets what s says of the task, and notes what of s could not be read.
func (t *Task) set(s *taskStruct, headErr, nameErr, lateErr error) {
	k := t.k
	t.Flags, t.KernelThread = s.Flags, s.Flags&pfKthread != 0
	if headErr == nil || s.ExitState != 0 {
		t.State = taskState(uint32(s.State), uint32(s.ExitState))
	}
	var err error
	if t.Comm, err = k.procComm(t.Addr, s); err != nil {
		t.lose("full name", err)
	}
	t.lose("name", nameErr)
	t.lose("state and flags", headErr)
	if t.PPID = k.tgidOf(s.Parent); t.PPID < 0 {
		t.lose("parent", fmt.Errorf("%w: real_parent leads to no task", kstruct.ErrCorrupt))
	}
	if lateErr != nil {
		t.lose("start time", cause(lateErr, k.views.task.err))
		return
	}
	t.start(s.SinceBoot)
}

// start says when the task was started.
func (t *Task) start(since uint64) {
	t.SinceBoot = time.Duration(since)
	if up := t.k.uptime; t.SinceBoot < 0 || up > 0 && t.SinceBoot > up+maxCapture {
		t.lose("start time", fmt.Errorf("%w: %d ns since boot", kstruct.ErrCorrupt, since))
	}
	if t.SinceBoot = max(t.SinceBoot, 0); !t.k.boot.IsZero() {
		t.StartTime = t.k.boot.Add(t.SinceBoot)
	}
}

// maxCapture is how long after the kernel's clock was captured tasks may still start.
const maxCapture = 24 * time.Hour

// lose notes what of a task could not be read, if err is not nil.
func (t *Task) lose(what string, err error) {
	if err != nil {
		t.gaps = append(t.gaps, newGap(what+" of "+t.String(), t.Addr, err))
	}
}

// Changed reports whether the machine runs and the task_struct is no longer what it was
// when the task was found: the task has ended, and its memory was given to another.
func (t *Task) Changed() bool {
	if !t.k.phys.Live() {
		return false
	}
	t.k.refresh()
	v := &t.k.views.task
	s, err := v.id.Load(t.k.space, t.Addr)
	late, lateErr := v.late.Load(t.k.space, t.Addr)
	return err != nil || lateErr != nil || s.PID != t.PID || s.TGID != t.TGID || time.Duration(late.SinceBoot) != t.SinceBoot
}

// tgidOf returns the process id of the task at addr, or -1.
func (k *Kernel) tgidOf(addr vmem.VirtAddr) int32 {
	if addr == k.initTask && addr != 0 {
		return 0
	}
	if k.phys.Live() {
		return k.proveTGID(addr)
	}
	return k.tgids.get(addr, k.proveTGID)
}

func (k *Kernel) proveTGID(addr vmem.VirtAddr) int32 {
	var core taskCore
	if p, err := k.prove(addr, &core); err != nil || !p.task() {
		return -1
	}
	return core.TGID
}

// A tgidCache keeps the process ids of tasks that others have as their parents. It is safe for
// concurrent use.
type tgidCache struct {
	mu    sync.Mutex // guards known
	known map[vmem.VirtAddr]int32
}

func (c *tgidCache) get(addr vmem.VirtAddr, find func(vmem.VirtAddr) int32) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	tgid, ok := c.known[addr]
	if !ok {
		tgid = find(addr)
		if c.known == nil || len(c.known) >= maxKnownPaths {
			c.known = map[vmem.VirtAddr]int32{}
		}
		c.known[addr] = tgid
	}
	return tgid
}

// Leader reports whether the task leads its thread group.
func (t *Task) Leader() bool { return t.PID == t.TGID }

// String returns the PID and the name of the task, such as task 1 (systemd), which is safe on
// a terminal.
func (t *Task) String() string { return fmt.Sprintf("task %d (%s)", t.PID, printable.Word(t.Comm)) }

// lost makes a Gap of an error about what of the task. nil and ErrNone stay what they are.
func (t *Task) lost(what string, addr vmem.VirtAddr, err error) error {
	if err == nil || err == ErrNone { //nolint:errorlint // it is never wrapped
		return err
	}
	return newGap(what+" of "+t.String(), addr, err)
}

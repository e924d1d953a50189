package linux

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A taskIdentity says whose a task_struct is.
type taskIdentity struct {
	ExitState int32         `kernel:"exit_state"`
	PID       int32         `kernel:"pid"`
	TGID      int32         `kernel:"tgid"`
	Leader    vmem.VirtAddr `kernel:"group_leader"`
	ThreadPID vmem.VirtAddr `kernel:"thread_pid"`
}

// A taskLinks is all that a task_struct is linked by.
type taskLinks struct {
	Parent   vmem.VirtAddr       `kernel:"real_parent"`
	Tracer   vmem.VirtAddr       `kernel:"parent"`
	MM       vmem.VirtAddr       `kernel:"mm"`
	Children listHead            `kernel:"children"`
	Sibling  listHead            `kernel:"sibling"`
	Links    [pidTypes]hlistNode `kernel:"pid_links"`
	Thread   listHead            `kernel:"thread_node"`
	Group    vmem.VirtAddr       `kernel:"signal"`
	Cgroups  vmem.VirtAddr       `kernel:"cgroups"`
	CgList   listHead            `kernel:"cg_list"`
}

// A leaderStruct is all that is read of a process whose task_struct is known to be one, beside
// what it is linked by.
type leaderStruct struct {
	taskIdentity
	taskStruct
}

// A pidLinks is what of struct pid (include/linux/pid.h) leads to tasks.
type pidLinks struct {
	Level uint32         `kernel:"level"`
	NR    int32          `kernel:"numbers[0].nr"`
	NS    vmem.VirtAddr  `kernel:"numbers[0].ns"`
	Heads [pidTypes]head `kernel:"tasks"`
}

// A head is struct hlist_head.
type head struct {
	First vmem.VirtAddr `kernel:"first"`
}

// A signalLinks is what of signal_struct (include/linux/sched/signal.h) leads to tasks.
type signalLinks struct {
	NrThreads int32                   `kernel:"nr_threads"`
	Threads   listHead                `kernel:"thread_head"`
	PIDs      [pidTypes]vmem.VirtAddr `kernel:"pids"`
}

// A setLinks is what of css_set (include/linux/cgroup-defs.h) leads to tasks. Those that end
// are kept in a list of their own until they are reaped.
type setLinks struct {
	NrTasks int32    `kernel:"nr_tasks"`
	Tasks   listHead `kernel:"tasks"`
	Moving  listHead `kernel:"mg_tasks"`
	Dying   listHead `kernel:"dying_tasks,optional"` // since 5.2 (c03cd7738a83)
}

// A runQueue is what of struct rq (kernel/sched/sched.h) leads to tasks.
type runQueue struct {
	Curr     vmem.VirtAddr `kernel:"curr"`
	CFSTasks listHead      `kernel:"cfs_tasks"`
}

// linkViews read what leads from one task to others, beside its core. Each fails alone and in
// silence, for it is one way of many.
type linkViews struct {
	identity  *kstruct.View[taskIdentity]
	task      *kstruct.View[taskLinks]
	leader    *kstruct.View[leaderStruct]
	pid       *kstruct.View[pidLinks]
	signal    *kstruct.View[signalLinks]
	group     *kstruct.Field[vmem.VirtAddr] // of a signal_struct: the struct pid of its thread group
	set       *kstruct.View[setLinks]
	setOf     *kstruct.Field[vmem.VirtAddr] // of a task_struct
	inSet     *kstruct.View[cgList]
	setNode   kstruct.Member    // of task_struct: in a css_set
	setHeads  [3]kstruct.Member // of css_set: where its lists of tasks begin
	setHash   kstruct.Member    // of css_set: in css_set_table
	owner     *kstruct.Field[vmem.VirtAddr]
	queue     *kstruct.View[runQueue]
	queueNode kstruct.Member // of task_struct: in rq.cfs_tasks
	err       error
}

// A cgList is the node of a task_struct in the lists of its css_set.
type cgList struct {
	Node listHead `kernel:"cg_list"`
}

func bindLinks(types *isf.File) (v linkViews) {
	b := kstruct.NewBinder(types)
	v.identity = kstruct.Bind[taskIdentity](b, "task_struct")
	v.task = kstruct.Bind[taskLinks](b, "task_struct")
	v.leader = kstruct.Bind[leaderStruct](b, "task_struct")
	v.pid = kstruct.Bind[pidLinks](b, "pid")
	v.signal = kstruct.Bind[signalLinks](b, "signal_struct")
	v.group = kstruct.BindField[vmem.VirtAddr](b, "signal_struct", "pids[1]")
	v.set = kstruct.Bind[setLinks](b, "css_set")
	v.setOf = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "cgroups")
	v.inSet = kstruct.Bind[cgList](b, "task_struct")
	v.setNode = kstruct.BindMember(b, "task_struct", "cg_list")
	v.setHeads[0] = kstruct.BindMember(b, "css_set", "tasks")
	v.setHeads[1] = kstruct.BindMember(b, "css_set", "mg_tasks")
	v.setHeads[2] = kstruct.BindOptionalMember(b, "css_set", "dying_tasks")
	v.setHash = kstruct.BindOptionalMember(b, "css_set", "hlist")
	v.owner = kstruct.BindOptionalField[vmem.VirtAddr](b, "mm_struct", "owner")
	v.queue = kstruct.Bind[runQueue](b, "rq")
	v.queueNode = kstruct.BindOptionalMember(b, "task_struct", "se.group_node")
	v.err = b.Err()
	return v
}

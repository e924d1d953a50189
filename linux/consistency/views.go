package consistency

import (
	"sync"
	"weak"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// links are a struct list_head.
type links struct {
	Next vmem.VirtAddr `kernel:"next"`
	Prev vmem.VirtAddr `kernel:"prev"`
}

// A taskStruct is struct task_struct (include/linux/sched.h), as far as invariants are
// about it.
type taskStruct struct {
	PID        int32         `kernel:"pid"`
	TGID       int32         `kernel:"tgid"`
	Tasks      links         `kernel:"tasks"`
	Children   links         `kernel:"children"`
	Sibling    links         `kernel:"sibling"`
	Thread     links         `kernel:"thread_node"`
	CgList     links         `kernel:"cg_list"`
	RealParent vmem.VirtAddr `kernel:"real_parent"`
	Leader     vmem.VirtAddr `kernel:"group_leader"`
	Signal     vmem.VirtAddr `kernel:"signal"`
	MM         vmem.VirtAddr `kernel:"mm"`
	Files      vmem.VirtAddr `kernel:"files"`
	NSProxy    vmem.VirtAddr `kernel:"nsproxy"`
	Cgroups    vmem.VirtAddr `kernel:"cgroups"`
	ThreadPID  vmem.VirtAddr `kernel:"thread_pid"`
	PIDBack    vmem.VirtAddr `kernel:"pid_links[0].pprev"`
	Flags      uint32        `kernel:"flags"`
	OnCPU      int32         `kernel:"on_cpu,optional"`
	CPU        uint32        `kernel:"thread_info.cpu|cpu,optional"` // moved in 5.16 (bcf9033e5449)
	Started    uint64        `kernel:"start_time"`                   // by the monotonic clock
	Boottime   uint64        `kernel:"start_boottime"`
	Ran        uint64        `kernel:"se.exec_start,optional"`           // by the clock of the run queue
	Arrived    uint64        `kernel:"sched_info.last_arrival,optional"` // likewise
	RunQueue   vmem.VirtAddr `kernel:"se.cfs_rq,optional"`
}

type taskViews struct {
	task                *kstruct.View[taskStruct]
	tasks, children     kstruct.Member
	sibling, threadNode kstruct.Member
	threadHead, cgList  kstruct.Member
	threads             *kstruct.Field[int32] // signal_struct.nr_threads
	pidNode             kstruct.Member
	pid                 *kstruct.View[pidStruct]
	pidHead             kstruct.Member
	idr                 kstruct.Member
	allocated           *kstruct.Field[uint32]
}

// A pidStruct is struct pid (include/linux/pid.h).
type pidStruct struct {
	NR    int32         `kernel:"numbers[0].nr"`
	NS    vmem.VirtAddr `kernel:"numbers[0].ns"`
	First vmem.VirtAddr `kernel:"tasks[0].first"`
}

// A cssSet is struct css_set (include/linux/cgroup-defs.h).
type cssSet struct {
	NR     int32         `kernel:"nr_tasks"`
	Tasks  vmem.VirtAddr `kernel:"&tasks"`
	Moving vmem.VirtAddr `kernel:"&mg_tasks"`
}

// A mmStruct is struct mm_struct (include/linux/mm_types.h).
type mmStruct struct {
	PGD   vmem.VirtAddr `kernel:"pgd"`
	Count int32         `kernel:"map_count"`
	Tree  vmem.VirtAddr `kernel:"&mm_mt,optional"` // since 6.1
	First vmem.VirtAddr `kernel:"mmap,optional"`   // before
}

// An area is struct vm_area_struct.
type area struct {
	Start vmem.VirtAddr `kernel:"vm_start"`
	End   vmem.VirtAddr `kernel:"vm_end"`
	MM    vmem.VirtAddr `kernel:"vm_mm"`
	Next  vmem.VirtAddr `kernel:"vm_next,optional"`
}

// An fdTable is struct fdtable (include/linux/fdtable.h).
type fdTable struct {
	Max  uint32        `kernel:"max_fds"`
	FD   vmem.VirtAddr `kernel:"fd"`
	Open vmem.VirtAddr `kernel:"open_fds"`
}

// A mount is struct mount (fs/mount.h).
type mount struct {
	Parent vmem.VirtAddr `kernel:"mnt_parent"`
	NS     vmem.VirtAddr `kernel:"mnt_ns"`
	Child  links         `kernel:"mnt_child"`
	Flags  int32         `kernel:"mnt.mnt_flags"`
}

type mountViews struct {
	of         *kstruct.Field[vmem.VirtAddr] // nsproxy.mnt_ns
	count      *kstruct.Field[uint32]
	tree, node kstruct.Member // since 6.8
	list, link kstruct.Member // before
	mount      *kstruct.View[mount]
	child      kstruct.Member
	err        error
}

// views are bound by themselves, so that what a kernel lacks costs one kind of checks.
type views struct {
	next, prev *kstruct.Field[vmem.VirtAddr] // of list_head
	task       taskViews
	set        *kstruct.View[cssSet]
	mm         *kstruct.View[mmStruct]
	area       *kstruct.View[area]
	table      *kstruct.Field[vmem.VirtAddr] // files_struct.fdt
	fdTable    *kstruct.View[fdTable]
	mounts     mountViews
	clocks     clockViews
}

// lastBound are the views that were bound last: most often they are of the same types.
var lastBound struct {
	mu    sync.Mutex // guards all below
	types weak.Pointer[isf.File]
	views *views
}

// bound returns the views of types.
func bound(types *isf.File) *views {
	lastBound.mu.Lock()
	defer lastBound.mu.Unlock()
	if lastBound.views == nil || lastBound.types.Value() != types {
		lastBound.types, lastBound.views = weak.Make(types), bind(types)
	}
	return lastBound.views
}

func bind(types *isf.File) *views {
	b := kstruct.NewBinder(types)
	return &views{
		next:    kstruct.BindOptionalField[vmem.VirtAddr](b, "list_head", "next"),
		prev:    kstruct.BindOptionalField[vmem.VirtAddr](b, "list_head", "prev"),
		task:    bindTask(types),
		set:     kstruct.BindOptional[cssSet](b, "css_set"),
		mm:      kstruct.BindOptional[mmStruct](b, "mm_struct"),
		area:    kstruct.BindOptional[area](b, "vm_area_struct"),
		table:   kstruct.BindOptionalField[vmem.VirtAddr](b, "files_struct", "fdt"),
		fdTable: kstruct.BindOptional[fdTable](b, "fdtable"),
		mounts:  bindMounts(types),
		clocks:  bindClocks(types),
	}
}

func bindTask(types *isf.File) (v taskViews) {
	b := kstruct.NewBinder(types)
	v.task = kstruct.BindOptional[taskStruct](b, "task_struct")
	v.tasks = kstruct.BindOptionalMember(b, "task_struct", "tasks")
	v.children = kstruct.BindOptionalMember(b, "task_struct", "children")
	v.sibling = kstruct.BindOptionalMember(b, "task_struct", "sibling")
	v.threadNode = kstruct.BindOptionalMember(b, "task_struct", "thread_node")
	v.cgList = kstruct.BindOptionalMember(b, "task_struct", "cg_list")
	v.pidNode = kstruct.BindOptionalMember(b, "task_struct", "pid_links[0]")
	v.threadHead = kstruct.BindOptionalMember(b, "signal_struct", "thread_head")
	v.threads = kstruct.BindOptionalField[int32](b, "signal_struct", "nr_threads")
	v.pid = kstruct.BindOptional[pidStruct](b, "pid")
	v.pidHead = kstruct.BindOptionalMember(b, "pid", "tasks[0]")
	v.idr = kstruct.BindOptionalMember(b, "pid_namespace", "idr")
	v.allocated = kstruct.BindOptionalField[uint32](b, "pid_namespace", "pid_allocated")
	return v
}

func bindMounts(types *isf.File) (v mountViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "nsproxy", "mnt_ns")
	v.count = kstruct.BindField[uint32](b, "mnt_namespace", "nr_mounts", "mounts")
	v.mount = kstruct.Bind[mount](b, "mount")
	v.child = kstruct.BindMember(b, "mount", "mnt_child")
	v.tree = kstruct.BindOptionalMember(b, "mnt_namespace", "mounts.rb_node")
	if v.tree.Ok() {
		v.node = kstruct.BindMember(b, "mount", "mnt_node")
	} else {
		v.list = kstruct.BindMember(b, "mnt_namespace", "list")
		v.link = kstruct.BindMember(b, "mount", "mnt_list")
	}
	v.err = b.Err()
	return v
}

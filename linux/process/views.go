package process

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A taskRun is what of a task_struct says how it is scheduled (include/linux/sched.h).
type taskRun struct {
	Flags      uint32        `kernel:"flags"`
	Ptrace     uint32        `kernel:"ptrace"`
	Prio       int32         `kernel:"prio"`
	StaticPrio int32         `kernel:"static_prio"`
	RTPriority uint32        `kernel:"rt_priority"`
	Policy     uint32        `kernel:"policy"`
	CPU        uint32        `kernel:"thread_info.cpu|cpu"` // moved in 5.16 (bcf9033e5449)
	CPUs       vmem.VirtAddr `kernel:"cpus_ptr"`
	SumExec    uint64        `kernel:"se.sum_exec_runtime"` // ns
}

// A taskExit is how a task ends, and what it told of itself.
type taskExit struct {
	ExitState   int32         `kernel:"exit_state"`
	ExitCode    int32         `kernel:"exit_code"`
	ExitSignal  int32         `kernel:"exit_signal"`
	DeathSignal int32         `kernel:"pdeath_signal"`
	Personality uint32        `kernel:"personality"`
	AtomicFlags uint64        `kernel:"atomic_flags"`
	Parent      vmem.VirtAddr `kernel:"parent"`      // whom it tells its end: the tracer of a traced task
	RealParent  vmem.VirtAddr `kernel:"real_parent"` // who made it
	Traced      vmem.VirtAddr `kernel:"&ptraced"`
}

// A prevCPUTime is struct prev_cputime.
type prevCPUTime struct {
	UTime uint64 `kernel:"utime"`
	STime uint64 `kernel:"stime"`
}

// A taskTimes is what a task has used.
type taskTimes struct {
	UTime  uint64      `kernel:"utime"`
	STime  uint64      `kernel:"stime"`
	GTime  uint64      `kernel:"gtime"`
	Prev   prevCPUTime `kernel:"prev_cputime"`
	NVCSw  uint64      `kernel:"nvcsw"`
	NIvCSw uint64      `kernel:"nivcsw"`
	Minor  uint64      `kernel:"min_flt"`
	Major  uint64      `kernel:"maj_flt"`
}

// A taskSignals is what of a task_struct is about signals and credentials.
type taskSignals struct {
	RealCred  vmem.VirtAddr `kernel:"real_cred"`
	Cred      vmem.VirtAddr `kernel:"cred"`
	FS        vmem.VirtAddr `kernel:"fs"`
	Files     vmem.VirtAddr `kernel:"files"`
	Signal    vmem.VirtAddr `kernel:"signal"`
	Sighand   vmem.VirtAddr `kernel:"sighand"`
	Blocked   uint64        `kernel:"blocked.sig[0]"`
	Queue     vmem.VirtAddr `kernel:"&pending.list"`
	Pending   uint64        `kernel:"pending.signal.sig[0]"`
	AltStack  vmem.VirtAddr `kernel:"sas_ss_sp"`
	AltSize   uint64        `kernel:"sas_ss_size"`
	LoginUID  uint32        `kernel:"loginuid.val,optional"` // if CONFIG_AUDIT
	SessionID uint32        `kernel:"sessionid,optional"`
}

// A taskSeccomp is struct seccomp in a task_struct.
type taskSeccomp struct {
	Mode   int32         `kernel:"seccomp.mode"`
	Count  int32         `kernel:"seccomp.filter_count.counter,optional"` // since 5.11, and 5.10.x
	Filter vmem.VirtAddr `kernel:"seccomp.filter"`
}

// A rlimit is struct rlimit.
type rlimit struct {
	Cur uint64 `kernel:"rlim_cur"`
	Max uint64 `kernel:"rlim_max"`
}

// rlimits is how many there are (RLIM_NLIMITS of include/uapi/asm-generic/resource.h).
const rlimits = 16

// A signalStruct is what of a struct signal_struct is about what a process does.
type signalStruct struct {
	Threads   int32            `kernel:"nr_threads"`
	Queue     vmem.VirtAddr    `kernel:"&shared_pending.list"`
	Pending   uint64           `kernel:"shared_pending.signal.sig[0]"`
	ExitCode  int32            `kernel:"group_exit_code"`
	Flags     uint32           `kernel:"flags"`
	PIDs      [4]vmem.VirtAddr `kernel:"pids"`
	Leader    int32            `kernel:"leader"`
	TTY       vmem.VirtAddr    `kernel:"tty"`
	UTime     uint64           `kernel:"utime"`
	STime     uint64           `kernel:"stime"`
	CUTime    uint64           `kernel:"cutime"`
	CSTime    uint64           `kernel:"cstime"`
	GTime     uint64           `kernel:"gtime"`
	CGTime    uint64           `kernel:"cgtime"`
	Prev      prevCPUTime      `kernel:"prev_cputime"`
	Minor     uint64           `kernel:"min_flt"`
	Major     uint64           `kernel:"maj_flt"`
	CMinor    uint64           `kernel:"cmin_flt"`
	CMajor    uint64           `kernel:"cmaj_flt"`
	SumExec   uint64           `kernel:"sum_sched_runtime"`
	Limits    [rlimits]rlimit  `kernel:"rlim"`
	CoreState vmem.VirtAddr    `kernel:"core_state,optional"` // since 5.16
	OOMAdjust int16            `kernel:"oom_score_adj"`
	OOMMin    int16            `kernel:"oom_score_adj_min"`
}

// A credStruct is struct cred (include/linux/cred.h). A kernel_cap_t is one number of 64 bits since
// 6.3 (f122a08b197d), and two of 32 before.
type credStruct struct {
	Usage       int64         `kernel:"usage.counter"`
	UID         uint32        `kernel:"uid.val"`
	GID         uint32        `kernel:"gid.val"`
	SUID        uint32        `kernel:"suid.val"`
	SGID        uint32        `kernel:"sgid.val"`
	EUID        uint32        `kernel:"euid.val"`
	EGID        uint32        `kernel:"egid.val"`
	FSUID       uint32        `kernel:"fsuid.val"`
	FSGID       uint32        `kernel:"fsgid.val"`
	SecureBits  uint32        `kernel:"securebits"`
	Inheritable [8]byte       `kernel:"cap_inheritable"`
	Permitted   [8]byte       `kernel:"cap_permitted"`
	Effective   [8]byte       `kernel:"cap_effective"`
	Bounding    [8]byte       `kernel:"cap_bset"`
	Ambient     [8]byte       `kernel:"cap_ambient"`
	Session     vmem.VirtAddr `kernel:"session_keyring,optional"` // keyrings: if CONFIG_KEYS
	Process     vmem.VirtAddr `kernel:"process_keyring,optional"`
	Thread      vmem.VirtAddr `kernel:"thread_keyring,optional"`
	Blob        vmem.VirtAddr `kernel:"security,optional"` // if CONFIG_SECURITY
	User        vmem.VirtAddr `kernel:"user"`
	UserNS      vmem.VirtAddr `kernel:"user_ns"`
	UCounts     vmem.VirtAddr `kernel:"ucounts,optional"` // since 5.14
	Groups      vmem.VirtAddr `kernel:"group_info"`
}

// A sigAction is struct k_sigaction (include/linux/signal_types.h).
type sigAction struct {
	Handler  vmem.VirtAddr `kernel:"sa.sa_handler"`
	Flags    uint64        `kernel:"sa.sa_flags"`
	Restorer vmem.VirtAddr `kernel:"sa.sa_restorer"`
	Mask     uint64        `kernel:"sa.sa_mask.sig[0]"`
}

// signals is _NSIG.
const signals = 64

// A sigHand is struct sighand_struct.
type sigHand struct {
	Actions [signals]sigAction `kernel:"action"`
}

// A sigQueue is struct sigqueue: a signal that waits, with what came with it.
type sigQueue struct {
	Signo int32  `kernel:"info.si_signo"`
	Code  int32  `kernel:"info.si_code"`
	PID   int32  `kernel:"info._sifields._kill._pid"`
	UID   uint32 `kernel:"info._sifields._kill._uid.val|info._sifields._kill._uid"`
}

// A ttyStruct is struct tty_struct.
type ttyStruct struct {
	Driver vmem.VirtAddr `kernel:"driver"`
	Index  int32         `kernel:"index"`
	Name   [64]byte      `kernel:"name"`
	PGrp   vmem.VirtAddr `kernel:"ctrl.pgrp|pgrp"` // moved in 5.16 (cb5a8b0a1b3a)
}

// A ttyDriver is struct tty_driver.
type ttyDriver struct {
	Major int32 `kernel:"major"`
	Minor int32 `kernel:"minor_start"`
}

// A mmStruct is struct mm_struct as far as it counts (include/linux/mm_types.h).
type mmStruct struct {
	HiwaterRSS uint64        `kernel:"hiwater_rss"`
	HiwaterVM  uint64        `kernel:"hiwater_vm"`
	TotalVM    uint64        `kernel:"total_vm"`
	LockedVM   uint64        `kernel:"locked_vm"`
	PinnedVM   int64         `kernel:"pinned_vm.counter"`
	DataVM     uint64        `kernel:"data_vm"`
	ExecVM     uint64        `kernel:"exec_vm"`
	StackVM    uint64        `kernel:"stack_vm"`
	PageTables int64         `kernel:"pgtables_bytes.counter"`
	StartCode  vmem.VirtAddr `kernel:"start_code"`
	EndCode    vmem.VirtAddr `kernel:"end_code"`
	StartData  vmem.VirtAddr `kernel:"start_data"`
	EndData    vmem.VirtAddr `kernel:"end_data"`
	StartBrk   vmem.VirtAddr `kernel:"start_brk"`
	Brk        vmem.VirtAddr `kernel:"brk"`
	StartStack vmem.VirtAddr `kernel:"start_stack"`
	ArgStart   vmem.VirtAddr `kernel:"arg_start"`
	ArgEnd     vmem.VirtAddr `kernel:"arg_end"`
	EnvStart   vmem.VirtAddr `kernel:"env_start"`
	EnvEnd     vmem.VirtAddr `kernel:"env_end"`
	Hugetlb    int64         `kernel:"hugetlb_usage.counter,optional"`
	RSS        vmem.VirtAddr `kernel:"&rss_stat"`
	Flags      vmem.VirtAddr `kernel:"&flags"`
	CoreState  vmem.VirtAddr `kernel:"core_state,optional"`         // of signal_struct since 5.16
	UntagMask  uint64        `kernel:"context.untag_mask,optional"` // since 6.4, if ADDRESS_MASKING
}

// counters is how many kinds of pages an mm counts (NR_MM_COUNTERS).
const counters = 4

type views struct {
	run     *kstruct.View[taskRun]
	exit    *kstruct.View[taskExit]
	times   *kstruct.View[taskTimes]
	signals *kstruct.View[taskSignals]
	seccomp *kstruct.View[taskSeccomp]
	signal  *kstruct.View[signalStruct]
	sighand *kstruct.View[sigHand]
	queue   *kstruct.View[sigQueue]
	queued  kstruct.Member // the list in struct sigqueue
	cred    *kstruct.View[credStruct]
	mm      *kstruct.View[mmStruct]
	of      *kstruct.Field[vmem.VirtAddr] // the mm of a task_struct
	mems    kstruct.Member                // mems_allowed of task_struct
	pid     *kstruct.Field[int32]
	level   *kstruct.Field[uint32] // of struct pid
	numbers kstruct.Member         // its numbers, one for each level
	upid    *kstruct.Field[int32]  // of struct upid
	tgid    *kstruct.Field[int32]  // of task_struct
	tid     *kstruct.Field[int32]
	traced  kstruct.Member // ptrace_entry of task_struct
	ngroups *kstruct.Field[int32]
	gids    kstruct.Member
	err     error

	upidSize uint64
	tty      *kstruct.View[ttyStruct]
	driver   *kstruct.View[ttyDriver]
	ttyErr   error
	umask    *kstruct.Field[int32]         // of fs_struct
	fdt      *kstruct.Field[vmem.VirtAddr] // of files_struct
	maxFDs   *kstruct.Field[uint32]        // of fdtable
	numa     *kstruct.Field[vmem.VirtAddr] // of task_struct
	ngid     *kstruct.Field[int32]         // of numa_group
	delays   *kstruct.Field[vmem.VirtAddr] // of task_struct
	blkio    *kstruct.Field[uint64]        // of task_delay_info
	rss      kstruct.Member                // rss_stat.count[0], until 6.1
	perCPU   kstruct.Member                // rss_stat[0], since 6.2 (f1a7941243c1)

	// What of the sums of users is told in /proc/PID/status.
	sigpendingUser   *kstruct.Field[int32] // of user_struct, until 5.13
	sigpendingCounts kstruct.Member        // rlimit[0] of ucounts, since 5.14 (d6469690474a)
	sigpendingIndex  int64

	ns       nsViews
	keys     keyViews
	apparmor apparmorViews
	filters  filterViews
	timers   timerViews
}

func bindViews(types *isf.File) *views {
	v := new(views)
	b := kstruct.NewBinder(types)
	v.run = kstruct.Bind[taskRun](b, "task_struct")
	v.exit = kstruct.Bind[taskExit](b, "task_struct")
	v.times = kstruct.Bind[taskTimes](b, "task_struct")
	v.signals = kstruct.Bind[taskSignals](b, "task_struct")
	v.signal = kstruct.Bind[signalStruct](b, "signal_struct")
	v.sighand = kstruct.Bind[sigHand](b, "sighand_struct")
	v.cred = kstruct.Bind[credStruct](b, "cred")
	v.mm = kstruct.Bind[mmStruct](b, "mm_struct")
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "mm")
	v.pid = kstruct.BindField[int32](b, "pid", "numbers[0].nr")
	v.level = kstruct.BindField[uint32](b, "pid", "level")
	v.numbers = kstruct.BindMember(b, "pid", "numbers[0]")
	v.upid = kstruct.BindField[int32](b, "upid", "nr")
	v.upidSize = v.numbers.Size()
	v.tgid = kstruct.BindField[int32](b, "task_struct", "tgid")
	v.tid = kstruct.BindField[int32](b, "task_struct", "pid")
	v.traced = kstruct.BindMember(b, "task_struct", "ptrace_entry")
	v.ngroups = kstruct.BindField[int32](b, "group_info", "ngroups")
	v.gids = kstruct.BindMember(b, "group_info", "gid")
	v.queue = kstruct.Bind[sigQueue](b, "sigqueue")
	v.queued = kstruct.BindMember(b, "sigqueue", "list")
	v.err = b.Err()
	v.bindOptional(types)
	v.ns, v.keys, v.apparmor, v.filters, v.timers = bindNS(types), bindKeys(types), bindAppArmor(types), bindFilters(types), bindTimers(types)
	return v
}

// bindOptional binds what kernels need not have, or what is worth losing alone.
func (v *views) bindOptional(types *isf.File) {
	b := kstruct.NewBinder(types)
	v.tty = kstruct.Bind[ttyStruct](b, "tty_struct")
	v.driver = kstruct.Bind[ttyDriver](b, "tty_driver")
	v.ttyErr = b.Err()
	b = kstruct.NewBinder(types)
	v.seccomp = kstruct.Bind[taskSeccomp](b, "task_struct") // not bound without CONFIG_SECCOMP
	b = kstruct.NewBinder(types)
	v.mems = kstruct.BindOptionalMember(b, "task_struct", "mems_allowed")
	v.umask = kstruct.BindOptionalField[int32](b, "fs_struct", "umask")
	v.fdt = kstruct.BindOptionalField[vmem.VirtAddr](b, "files_struct", "fdt")
	v.maxFDs = kstruct.BindOptionalField[uint32](b, "fdtable", "max_fds")
	v.numa = kstruct.BindOptionalField[vmem.VirtAddr](b, "task_struct", "numa_group")
	v.ngid = kstruct.BindOptionalField[int32](b, "numa_group", "gid")
	v.delays = kstruct.BindOptionalField[vmem.VirtAddr](b, "task_struct", "delays")
	v.blkio = kstruct.BindOptionalField[uint64](b, "task_delay_info", "blkio_delay")
	v.rss = kstruct.BindOptionalMember(b, "mm_struct", "rss_stat.count[0]")
	if !v.rss.Ok() {
		v.perCPU = kstruct.BindOptionalMember(b, "mm_struct", "rss_stat[0].counters")
		if v.perCPU.Ok() {
			v.perCPU = kstruct.BindOptionalMember(b, "mm_struct", "rss_stat[0]")
		}
	}
	v.sigpendingUser = kstruct.BindOptionalField[int32](b, "user_struct", "sigpending.counter")
	v.sigpendingCounts = kstruct.BindOptionalMember(b, "ucounts", "rlimit[0]")
	v.sigpendingIndex = 2
	for _, enum := range []string{"rlimit_type", "ucount_type"} {
		if n, err := types.Constant(enum, "UCOUNT_RLIMIT_SIGPENDING"); err == nil {
			v.sigpendingIndex = n
		}
	}
}

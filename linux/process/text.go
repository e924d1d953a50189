package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// stateNames are the states as /proc/PID/status spells them (task_state_array of fs/proc/array.c).
var stateNames = map[byte]string{
	'R': "running", 'S': "sleeping", 'D': "disk sleep", 'T': "stopped", 't': "tracing stop", 'X': "dead", 'Z': "zombie", 'P': "parked", 'I': "idle",
}

// A statusText writes lines of /proc/PID/status.
type statusText struct {
	strings.Builder
	r    *Reader
	t    *linux.Task
	ctx  context.Context //nolint:containedctx // it lives as long as one call
	errs []error
}

func (s *statusText) line(name, format string, args ...any) {
	fmt.Fprintf(s, name+":\t"+format+"\n", args...)
}

func (s *statusText) keep(err error) {
	if err != nil && !errors.Is(err, linux.ErrNone) {
		s.errs = append(s.errs, err)
	}
}

// Status returns what the task's /proc/PID/status shows to root in the initial namespaces (proc_pid_status of
// fs/proc/array.c), without the lines on speculation. It has all the lines that the newest kernels show: what kernels before 6.12 do not show are the lines
// Kthread, untag_mask and those on features of threads. Errors are those of what it is made from, joined; a line that could not be read is left out, or has zeros where the rest of it is known.
func (r *Reader) Status(ctx context.Context, t *linux.Task) (string, error) {
	s := &statusText{r: r, t: t, ctx: ctx}
	s.line("Name", "%s", escaped(t.Comm))
	s.identity()
	s.memory()
	s.signals()
	s.rights()
	s.switches()
	return s.String(), errors.Join(s.errs...)
}

// escaped writes a name as proc_task_name does.
func escaped(name string) string { return strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(name) }

// identity writes the lines of task_state.
func (s *statusText) identity() {
	r, t := s.r, s.t
	ts, err := r.views.signals.Load(r.mem, t.Addr)
	s.keep(err)
	if ts.FS != 0 && r.views.umask.Ok() {
		if v, err := r.views.umask.Load(r.mem, ts.FS); err == nil {
			s.line("Umask", "%04o", v)
		}
	}
	s.line("State", "%c (%s)", byte(t.State), stateNames[byte(t.State)])
	s.line("Tgid", "%d", t.TGID)
	s.line("Ngid", "%d", s.numaGroup())
	s.line("Pid", "%d", t.PID)
	s.line("PPid", "%d", max(t.PPID, 0))
	rel, err := r.Relations(s.ctx, t)
	s.keep(err)
	s.line("TracerPid", "%d", rel.Tracer)
	c, err := r.Credentials(t)
	s.keep(err)
	s.line("Uid", "%d\t%d\t%d\t%d", c.UID, c.EUID, c.SUID, c.FSUID)
	s.line("Gid", "%d\t%d\t%d\t%d", c.GID, c.EGID, c.SGID, c.FSGID)
	s.line("FDSize", "%d", s.descriptors(ts.Files))
	groups := ""
	for _, g := range c.Groups {
		groups += fmt.Sprintf("%d ", g)
	}
	if groups == "" {
		groups = " "
	}
	s.line("Groups", "%s", groups)
	s.namespaced()
}

func (s *statusText) numaGroup() int32 {
	v := s.r.views
	if !v.numa.Ok() || !v.ngid.Ok() {
		return 0
	}
	group, err := v.numa.Load(s.r.mem, s.t.Addr)
	if err != nil || group == 0 {
		return 0
	}
	n, err := v.ngid.Load(s.r.mem, group)
	s.keep(lost(s.t, "NUMA group", group, err))
	return n
}

func (s *statusText) descriptors(files vmem.VirtAddr) uint32 {
	if files == 0 {
		return 0
	}
	fdt, err := s.r.views.fdt.Load(s.r.mem, files)
	var n uint32
	if err == nil {
		n, err = s.r.views.maxFDs.Load(s.r.mem, fdt)
	}
	s.keep(lost(s.t, "size of the descriptor table", files, err))
	return n
}

// namespaced writes the numbers in all PID namespaces.
func (s *statusText) namespaced() {
	_, sig, err := s.r.signal(s.t)
	if err != nil {
		return // told already
	}
	own, err := s.t.NamespacedPIDs()
	s.keep(err)
	for _, l := range []struct {
		name string
		pid  vmem.VirtAddr
	}{{"NStgid", sig.PIDs[1]}, {"NSpid", 0}, {"NSpgid", sig.PIDs[2]}, {"NSsid", sig.PIDs[3]}} {
		numbers := own
		if l.pid != 0 {
			numbers = s.r.pidNumbers(l.pid, len(own))
		}
		var text strings.Builder
		for _, n := range numbers {
			fmt.Fprintf(&text, "\t%d", n)
		}
		fmt.Fprintf(s, "%s:%s\n", l.name, text.String())
	}
	s.line("Kthread", "%d", one(s.t.KernelThread))
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// pidNumbers returns a struct pid's numbers in as many namespaces, 0 in those that it is not in.
func (r *Reader) pidNumbers(at vmem.VirtAddr, levels int) []int32 {
	numbers := make([]int32, levels)
	level, err := r.views.level.Load(r.mem, at)
	for i := range numbers {
		if err == nil && i <= int(level) {
			numbers[i], err = r.views.upid.Load(r.mem, r.views.numbers.Of(at)+vmem.VirtAddr(uint64(i)*r.views.upidSize))
		}
	}
	return numbers
}

// memory writes the lines of task_mem and its like.
func (s *statusText) memory() {
	m, err := s.r.Memory(s.t)
	s.keep(err)
	if err != nil {
		return
	}
	for _, l := range []struct {
		name  string
		bytes uint64
	}{
		{"VmPeak", m.Peak}, {"VmSize", m.Size}, {"VmLck", m.Locked}, {"VmPin", m.Pinned}, {"VmHWM", m.PeakRSS}, {"VmRSS", m.RSS},
		{"RssAnon", m.RSSAnon}, {"RssFile", m.RSSFile}, {"RssShmem", m.RSSShmem}, {"VmData", m.Data}, {"VmStk", m.Stack},
		{"VmExe", m.Code}, {"VmLib", m.Libraries}, {"VmPTE", m.PageTables}, {"VmSwap", m.Swap}, {"HugetlbPages", m.Hugetlb},
	} {
		s.line(l.name, "%8d kB", l.bytes>>10)
	}
	s.line("CoreDumping", "%d", one(m.dumping))
	s.line("THP_enabled", "%d", one(s.r.hugePages && m.flags&disableTHP == 0))
	s.line("untag_mask", "%#x", m.untagMask)
}

// signals writes the lines of task_sig.
func (s *statusText) signals() {
	g, err := s.r.Signals(s.ctx, s.t)
	s.keep(err)
	_, sig, err := s.r.signal(s.t)
	if err != nil {
		return // told already
	}
	s.line("Threads", "%d", sig.Threads)
	n, err := s.r.signalsOfUser(s.t)
	s.keep(lost(s.t, "signals of its user", s.t.Addr, err))
	s.line("SigQ", "%d/%d", n, sig.Limits[11].Cur)
	s.line("SigPnd", "%v", g.Pending)
	s.line("ShdPnd", "%v", g.SharedPending)
	s.line("SigBlk", "%v", g.Blocked)
	s.line("SigIgn", "%v", g.Ignored)
	s.line("SigCgt", "%v", g.Caught)
}

// signalsOfUser returns how many signals wait for all processes of the task's user.
func (r *Reader) signalsOfUser(t *linux.Task) (int64, error) {
	c, err := r.Credentials(t)
	if err != nil {
		return 0, nil //nolint:nilerr // told already
	}
	if r.views.sigpendingCounts.Ok() && c.ucounts != 0 {
		n, err := r.mem.Uint64(r.views.sigpendingCounts.Of(c.ucounts) + vmem.VirtAddr(8*r.views.sigpendingIndex))
		return max(int64(n), 0), err
	}
	if r.views.sigpendingUser.Ok() {
		n, err := r.views.sigpendingUser.Load(r.mem, c.user)
		return int64(n), err
	}
	return 0, fmt.Errorf("%w: neither user_struct nor ucounts counts them", kstruct.ErrUnsupported)
}

// rights writes the lines of task_cap and task_seccomp.
func (s *statusText) rights() {
	c, err := s.r.Credentials(s.t)
	if err != nil {
		return // told already
	}
	s.line("CapInh", "%v", c.Inheritable)
	s.line("CapPrm", "%v", c.Permitted)
	s.line("CapEff", "%v", c.Effective)
	s.line("CapBnd", "%v", c.Bounding)
	s.line("CapAmb", "%v", c.Ambient)
	exit, err := s.r.views.exit.Load(s.r.mem, s.t.Addr)
	s.keep(err)
	s.line("NoNewPrivs", "%d", exit.AtomicFlags&noNewPrivs)
	if v := s.r.views.seccomp; v.Ok() {
		sc, err := v.Load(s.r.mem, s.t.Addr)
		s.keep(err)
		s.line("Seccomp", "%d", sc.Mode)
		if v.Has("Count") {
			s.line("Seccomp_filters", "%d", sc.Count)
		}
	}
}

// switches writes the lines on processors, memory nodes and context switches.
func (s *statusText) switches() {
	p, err := s.r.Scheduling(s.t)
	s.keep(err)
	cpus, err := s.r.objects.CPUs()
	if err == nil && len(cpus) > 0 {
		s.line("Cpus_allowed", "%s", maskText(p.cpus, cpus[len(cpus)-1]+1))
		s.line("Cpus_allowed_list", "%s", listText(p.CPUs))
	}
	if s.r.views.mems.Ok() {
		s.line("Mems_allowed", "%s", maskText(p.nodes, 8*len(p.nodes)))
		s.line("Mems_allowed_list", "%s", listText(p.MemoryNodes))
	}
	times, err := s.r.ThreadTimes(s.t)
	s.keep(err)
	s.line("voluntary_ctxt_switches", "%d", times.Voluntary)
	s.line("nonvoluntary_ctxt_switches", "%d", times.Involuntary)
}

// clockTick is the unit of times in /proc: USER_HZ is 100.
const clockTick = time.Second / 100

const (
	groupExit     = 0x4 // SIGNAL_GROUP_EXIT of include/linux/sched/signal.h
	stopStopped   = 0x1 // SIGNAL_STOP_STOPPED
	signalsInStat = 1<<31 - 1
)

// Stat returns what /proc/PID/stat shows to root in the initial namespaces of a process, of all its threads together (do_task_stat of
// fs/proc/array.c). The error is what keeps it from being made.
func (r *Reader) Stat(ctx context.Context, t *linux.Task) (string, error) {
	times, err := r.Times(ctx, t)
	if err != nil {
		return "", err
	}
	return r.stat(ctx, t, &times, true)
}

// ThreadStat is [Reader.Stat] of one thread alone: /proc/PID/task/TID/stat.
func (r *Reader) ThreadStat(ctx context.Context, t *linux.Task) (string, error) {
	times, err := r.ThreadTimes(t)
	if err != nil {
		return "", err
	}
	return r.stat(ctx, t, &times, false)
}

func (r *Reader) stat(ctx context.Context, t *linux.Task, times *Times, whole bool) (string, error) {
	_, sig, err := r.signal(t)
	var exit taskExit
	if err == nil {
		exit, err = r.views.exit.Load(r.mem, t.Addr)
	}
	if err != nil {
		return "", lost(t, "stat", t.Addr, cause(err, r.views.err))
	}
	g, sErr := r.Signals(ctx, t)
	rel, rErr := r.Relations(ctx, t)
	p, pErr := r.Scheduling(t)
	m, mErr := r.Memory(t)
	hasMM := mErr == nil
	if errors.Is(mErr, linux.ErrNone) {
		mErr = nil
	}
	if err := errors.Join(sErr, rErr, pErr, mErr); err != nil {
		return "", err
	}
	if !whole { // children are those of the process
		times.ChildUser, times.ChildSystem, times.ChildGuest = time.Duration(sig.CUTime), time.Duration(sig.CSTime), time.Duration(sig.CGTime)
		times.ChildMinor, times.ChildMajor = sig.CMinor, sig.CMajor
	}
	exitCode := exit.ExitCode
	if whole && r.newer && sig.Flags&(groupExit|stopStopped) != 0 {
		exitCode = sig.ExitCode
	}
	ended := t.State == 'Z' || t.State == 'X'
	waits := one(t.State != 'R' && (r.newer || !ended) && (!whole || sig.Threads < 2))
	var b strings.Builder
	fmt.Fprintf(&b, "%d (%s) %c %d %d %d %d %d %d", t.PID, t.Comm, byte(t.State), max(t.PPID, 0), rel.Group, rel.Session, int32(rel.terminal), rel.Foreground, t.Flags)
	fmt.Fprintf(&b, " %d %d %d %d", times.MinorFaults, times.ChildMinor, times.MajorFaults, times.ChildMajor)
	fmt.Fprintf(&b, " %d %d %d %d", times.User/clockTick, times.System/clockTick, times.ChildUser/clockTick, times.ChildSystem/clockTick)
	fmt.Fprintf(&b, " %d %d %d 0 %d", p.Priority, p.Nice, sig.Threads, t.SinceBoot/clockTick)
	fmt.Fprintf(&b, " %d %d %d", m.Size, m.RSS/vmem.PageSize, sig.Limits[5].Cur)
	fmt.Fprintf(&b, " %d %d %d 0 0", uint64(m.StartCode), uint64(m.EndCode), uint64(m.StartStack))
	fmt.Fprintf(&b, " %d %d %d %d", g.Pending&signalsInStat, g.Blocked&signalsInStat, g.Ignored&signalsInStat, g.Caught&signalsInStat)
	fmt.Fprintf(&b, " %d 0 0 %d %d %d %d", waits, exit.ExitSignal, p.CPU, p.RTPriority, p.policy)
	fmt.Fprintf(&b, " %d %d %d", times.BlockIO/clockTick, times.Guest/clockTick, times.ChildGuest/clockTick)
	if hasMM {
		fmt.Fprintf(&b, " %d %d %d %d %d %d %d", uint64(m.StartData), uint64(m.EndData), uint64(m.StartBrk), uint64(m.ArgStart), uint64(m.ArgEnd), uint64(m.EnvStart), uint64(m.EnvEnd))
	} else {
		b.WriteString(" 0 0 0 0 0 0 0")
	}
	fmt.Fprintf(&b, " %d\n", exitCode)
	return b.String(), nil
}

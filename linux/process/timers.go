package process

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Timers are the timers of a process.
type Timers struct {
	POSIX    []Timer   `json:"posix"`    // of timer_create, as /proc/PID/timers orders them
	Interval [3]ITimer `json:"interval"` // ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF
}

// A Timer is a POSIX timer (struct k_itimer; /proc/PID/timers).
type Timer struct {
	ID      int32         `json:"id"`
	Clock   int32         `json:"clock"`   // CLOCK_ number; negative for the processor time of a process or a thread
	Signal  int32         `json:"signal"`  // by which it tells
	Value   uint64        `json:"value"`   // the program's own
	Notify  string        `json:"notify"`  // signal, none or thread
	Thread  bool          `json:"thread"`  // a thread is told, not the process
	PID     int32         `json:"pid"`     // of which, in the initial namespace
	Expires time.Duration `json:"expires"` // on ExpiresOn; of one that is not set, 0 or when it was last
	// ExpiresOn is the clock of Expires. It is another than Clock for CLOCK_REALTIME when it was set to a time from then on: setting the
	// clock is not to move that, so it is of CLOCK_MONOTONIC.
	ExpiresOn int32         `json:"expiresOn"`
	Interval  time.Duration `json:"interval"` // 0 for one that expires once
	Overruns  int64         `json:"overruns"` // expiries since its signal was taken, less one
}

// An ITimer is a timer of setitimer.
type ITimer struct {
	Expires  time.Duration `json:"expires"` // ITIMER_REAL: on CLOCK_MONOTONIC; others: of processor time used; 0 for one that is not set
	Interval time.Duration `json:"interval"`
}

// String returns the timer as /proc/PID/timers shows it.
func (t *Timer) String() string {
	kind := "pid"
	if t.Thread {
		kind = "tid"
	}
	return fmt.Sprintf("ID: %d\nsignal: %d/%016x\nnotify: %s/%s.%d\nClockID: %d\n", t.ID, t.Signal, t.Value, t.Notify, kind, t.PID, t.Clock)
}

// String returns the POSIX timers as /proc/PID/timers shows them.
func (t *Timers) String() string {
	var b strings.Builder
	for i := range t.POSIX {
		b.WriteString(t.POSIX[i].String())
	}
	return b.String()
}

// A timerStruct is struct k_itimer (include/linux/posix-timers.h).
type timerStruct struct {
	ID       int32         `kernel:"it_id"`
	Clock    int32         `kernel:"it_clock"`
	Notify   int32         `kernel:"it_sigev_notify"`
	Interval int64         `kernel:"it_interval"`
	Signal   vmem.VirtAddr `kernel:"it_signal"` // the process; bit 0 is set in one that is being deleted since 6.14
	PID      vmem.VirtAddr `kernel:"it_pid"`
	Real     int64         `kernel:"it.real.timer.node.expires"`
	Base     vmem.VirtAddr `kernel:"it.real.timer.base"`
	CPU      int64         `kernel:"it.cpu.node.expires"`
	Alarm    int64         `kernel:"it.alarm.alarmtimer.node.expires"`
	Overruns int64         `kernel:"it_overrun_last"`
	SigQ     vmem.VirtAddr `kernel:"&sigq"` // a pointer until 6.12, the structure itself since (6017a158beb1)
}

// A signalTimers is what of a signal_struct is timers.
type signalTimers struct {
	Head     vmem.VirtAddr `kernel:"&posix_timers"` // a list until 6.10, a hlist since (647da5f709f1)
	Real     int64         `kernel:"real_timer.node.expires"`
	Queued   uint8         `kernel:"real_timer.is_queued|real_timer.state"` // renamed in 7.0
	RealIncr int64         `kernel:"it_real_incr"`
	Prof     uint64        `kernel:"it[0].expires"` // by CPUCLOCK_PROF and CPUCLOCK_VIRT (include/linux/posix-timers_types.h)
	ProfIncr uint64        `kernel:"it[0].incr"`
	Virtual  uint64        `kernel:"it[1].expires"`
	VirtIncr uint64        `kernel:"it[1].incr"`
}

type timerViews struct {
	timer  *kstruct.View[timerStruct]
	signal *kstruct.View[signalTimers]
	link   kstruct.Member // of k_itimer
	head   kstruct.Member // of signal_struct
	sigq   kstruct.Member
	signo  *kstruct.Field[int32] // of sigqueue
	value  *kstruct.Field[vmem.VirtAddr]
	base   *kstruct.Field[int32] // clockid of hrtimer_clock_base
	err    error
}

func bindTimers(types *isf.File) (v timerViews) {
	b := kstruct.NewBinder(types)
	v.timer = kstruct.Bind[timerStruct](b, "k_itimer")
	v.signal = kstruct.Bind[signalTimers](b, "signal_struct")
	v.link = kstruct.BindMember(b, "k_itimer", "list")
	v.head = kstruct.BindMember(b, "signal_struct", "posix_timers")
	v.sigq = kstruct.BindMember(b, "k_itimer", "sigq")
	v.signo = kstruct.BindField[int32](b, "sigqueue", "info.si_signo")
	v.value = kstruct.BindField[vmem.VirtAddr](b, "sigqueue", "info._sifields._timer._sigval.sival_ptr")
	v.base = kstruct.BindField[int32](b, "hrtimer_clock_base", "clockid")
	v.err = b.Err()
	return v
}

// How timers tell (include/uapi/asm-generic/siginfo.h).
var notifies = map[int32]string{0: "signal", 1: "none", 2: "thread"}

const notifyThread = 4 // SIGEV_THREAD_ID

// maxTimers bounds the timers of a process, and pointerSize tells a hlist_head from a list_head.
const (
	maxTimers   = 1 << 20
	pointerSize = 8
)

// Timers reads the timers of a task's process. The error is a [vmem.Gap], or the context's own; with it comes what could be read.
func (r *Reader) Timers(ctx context.Context, t *linux.Task) (Timers, error) {
	v := &r.views.timers
	out := Timers{POSIX: []Timer{}}
	ts, _, err := r.signal(t)
	var s signalTimers
	if err == nil {
		s, err = v.signal.Load(r.mem, ts.Signal)
	}
	if err != nil {
		return out, lost(t, "timers", t.Addr, cause(err, v.err))
	}
	out.Interval = [3]ITimer{
		{0, time.Duration(s.RealIncr)},
		{time.Duration(s.Virtual), time.Duration(s.VirtIncr)}, {time.Duration(s.Prof), time.Duration(s.ProfIncr)},
	}
	if s.Queued != 0 {
		out.Interval[0].Expires = time.Duration(s.Real)
	}
	w := r.objects.Walk(ctx, &kstruct.WalkOptions{Object: "timers of " + t.String(), Nodes: maxTimers})
	nodes := w.List(s.Head)
	if v.head.Size() == pointerSize {
		nodes = w.HList(s.Head)
	}
	var first error
	for node, err := range nodes {
		var one Timer
		deleted := false
		if err == nil {
			one, deleted, err = r.timer(v.link.Container(node))
		}
		if err != nil && first == nil {
			first = err
		}
		if err == nil && !deleted {
			out.POSIX = append(out.POSIX, one)
		}
	}
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	return out, lost(t, "timers", ts.Signal, first)
}

// timer reads a struct k_itimer (show_timer of fs/proc/base.c).
func (r *Reader) timer(at vmem.VirtAddr) (out Timer, deleted bool, err error) {
	v := &r.views.timers
	k, err := v.timer.Load(r.mem, at)
	if err != nil {
		return out, false, cause(err, v.err)
	}
	queue := k.SigQ
	if v.sigq.Size() == pointerSize {
		q, err := r.mem.Uint64(k.SigQ)
		if err != nil {
			return out, false, err
		}
		queue = vmem.VirtAddr(q)
	}
	if !plausible(queue) {
		return out, false, corrupt("sigqueue pointer %v", queue)
	}
	out = Timer{ID: k.ID, Clock: k.Clock, Notify: notifies[k.Notify&^notifyThread], Thread: k.Notify&notifyThread != 0, Interval: time.Duration(k.Interval), Overruns: k.Overruns}
	if out.Signal, err = v.signo.Load(r.mem, queue); err != nil {
		return out, false, err
	}
	value, err := v.value.Load(r.mem, queue)
	if err != nil {
		return out, false, err
	}
	out.Value, out.ExpiresOn = uint64(value), k.Clock
	switch {
	case k.Clock < 0 || k.Clock == 2 || k.Clock == 3: // of processor time
		out.Expires = time.Duration(k.CPU)
	case k.Clock == 8 || k.Clock == 9: // CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM
		out.Expires = time.Duration(k.Alarm)
	default:
		out.Expires = time.Duration(k.Real)
		if out.ExpiresOn, err = v.base.Load(r.mem, k.Base); err != nil {
			return out, false, err
		}
	}
	out.PID, err = r.pid(k.PID)
	return out, k.Signal&1 != 0, err
}

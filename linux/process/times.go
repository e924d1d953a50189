package process

import (
	"context"
	"math/bits"
	"time"

	"github.com/nodelens/nodelens/linux"
)

// Times are what a task, or a process, used of time and had of faults.
type Times struct {
	User        time.Duration `json:"user"`   // as /proc shows it, scaled to what it ran in all
	System      time.Duration `json:"system"` // likewise
	Guest       time.Duration `json:"guest"`  // of virtual machines, part of User
	MinorFaults uint64        `json:"minorFaults"`
	MajorFaults uint64        `json:"majorFaults"`

	ChildUser   time.Duration `json:"childUser"` // of children that were waited for, of a process
	ChildSystem time.Duration `json:"childSystem"`
	ChildGuest  time.Duration `json:"childGuest"`
	ChildMinor  uint64        `json:"childMinorFaults"`
	ChildMajor  uint64        `json:"childMajorFaults"`

	Voluntary   uint64        `json:"voluntarySwitches"`    // of this thread: it waited for something
	Involuntary uint64        `json:"nonvoluntarySwitches"` // of this thread: others ran instead
	BlockIO     time.Duration `json:"blockIO"`              // it waited for block devices, where that is counted
}

// Times reads what the process of a task used, all its threads together, those that ended included. The error is a
// [vmem.Gap], or the context's own; with it comes what could be read.
func (r *Reader) Times(ctx context.Context, t *linux.Task) (Times, error) {
	_, s, err := r.signal(t)
	if err != nil {
		return Times{}, lost(t, "times", t.Addr, err)
	}
	sum := taskTimes{UTime: s.UTime, STime: s.STime, GTime: s.GTime, Minor: s.Minor, Major: s.Major, Prev: s.Prev}
	ran := s.SumExec
	var first error
	for thread, err := range t.Threads(ctx) {
		var one taskTimes
		var run taskRun
		if err == nil {
			if one, err = r.views.times.Load(r.mem, thread.Addr); err == nil {
				run, err = r.views.run.Load(r.mem, thread.Addr)
			}
		}
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		sum.UTime, sum.STime, sum.GTime = sum.UTime+one.UTime, sum.STime+one.STime, sum.GTime+one.GTime
		sum.Minor, sum.Major = sum.Minor+one.Minor, sum.Major+one.Major
		ran += run.SumExec
	}
	out := timesOf(&sum, ran)
	out.ChildUser, out.ChildSystem, out.ChildGuest = time.Duration(s.CUTime), time.Duration(s.CSTime), time.Duration(s.CGTime)
	out.ChildMinor, out.ChildMajor = s.CMinor, s.CMajor
	if err := r.ownTimes(t, &out); first == nil {
		first = err
	}
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	return out, lost(t, "times", t.Addr, first)
}

// ThreadTimes is [Reader.Times] of one thread alone.
func (r *Reader) ThreadTimes(t *linux.Task) (Times, error) {
	r.k.Physical().Refresh()
	one, err := r.views.times.Load(r.mem, t.Addr)
	var run taskRun
	if err == nil {
		run, err = r.views.run.Load(r.mem, t.Addr)
	}
	if err != nil {
		return Times{}, lost(t, "times", t.Addr, cause(err, r.views.err))
	}
	out := timesOf(&one, run.SumExec)
	return out, lost(t, "times", t.Addr, r.ownTimes(t, &out))
}

// ownTimes reads what is of one thread.
func (r *Reader) ownTimes(t *linux.Task, out *Times) error {
	one, err := r.views.times.Load(r.mem, t.Addr)
	if err != nil {
		return cause(err, r.views.err)
	}
	out.Voluntary, out.Involuntary = one.NVCSw, one.NIvCSw
	if !r.views.delays.Ok() {
		return nil
	}
	delays, err := r.views.delays.Load(r.mem, t.Addr)
	if err != nil || delays == 0 {
		return err
	}
	d, err := r.views.blkio.Load(r.mem, delays)
	out.BlockIO = time.Duration(d)
	return err
}

// timesOf scales the ticks that a task was seen in to the time it ran, and never shows less than was shown before
// (cputime_adjust of kernel/sched/cputime.c).
func timesOf(s *taskTimes, ran uint64) Times {
	out := Times{Guest: time.Duration(s.GTime), MinorFaults: s.Minor, MajorFaults: s.Major}
	user, system := s.Prev.UTime, s.Prev.STime
	if user+system < ran {
		switch {
		case s.STime == 0:
			system = 0
		case s.UTime == 0:
			system = ran
		default:
			hi, lo := bits.Mul64(s.STime, ran)
			if total := s.STime + s.UTime; hi < total {
				system, _ = bits.Div64(hi, lo, total)
			}
		}
		system = max(system, s.Prev.STime)
		user = ran - system
		if user < s.Prev.UTime {
			user = s.Prev.UTime
			system = ran - user
		}
	}
	out.User, out.System = time.Duration(user), time.Duration(system)
	return out
}

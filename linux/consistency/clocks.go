package consistency

import (
	"cmp"
	"slices"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A runQueue is struct rq (kernel/sched/sched.h). Its clock is that of the scheduler, which
// is some milliseconds off the monotonic one, and drifts from it.
type runQueue struct {
	Clock uint64        `kernel:"clock"`
	Curr  vmem.VirtAddr `kernel:"curr"`
	Idle  vmem.VirtAddr `kernel:"idle"`
	CPU   int32         `kernel:"cpu"`
}

// A tickSched is struct tick_sched (kernel/time/tick-sched.h), by the monotonic clock.
type tickSched struct {
	Entry int64 `kernel:"idle_entrytime"` // when the CPU last became idle, or was interrupted in that
}

type clockViews struct {
	rqOf *kstruct.Field[vmem.VirtAddr] // cfs_rq.rq
	rq   *kstruct.View[runQueue]
	tick *kstruct.View[tickSched]
}

func bindClocks(types *isf.File) (v clockViews) {
	b := kstruct.NewBinder(types)
	v.rqOf = kstruct.BindOptionalField[vmem.VirtAddr](b, "cfs_rq", "rq")
	v.rq = kstruct.BindOptional[runQueue](b, "rq")
	v.tick = kstruct.BindOptional[tickSched](b, "tick_sched")
	return v
}

// maxApart bounds what can be a clock: one that is further from another is none.
const maxApart = 6 * time.Hour

// A span is what clocks of one kind say, as the time since boot.
type span struct {
	now  []time.Duration // clocks that ticked while their page was captured
	past []time.Duration // what had happened before a page was captured
}

// ends returns the earliest and the latest moment. What happened tells of the latest alone.
func (s *span) ends() (first, last time.Duration, ok bool) {
	if len(s.now) == 0 {
		return 0, 0, false
	}
	first, last = slices.Min(s.now), slices.Max(s.now)
	for _, p := range s.past {
		if p-first < maxApart {
			last = max(last, p)
		}
	}
	return first, last, true
}

// A window is the time from which the evidence is.
type window struct {
	boot        time.Time
	first, last time.Duration // since boot
	known       bool
	placed      bool // boot is known
}

// window reads the clocks.
func (c *checker) window() (w window) {
	kernel, scheduler := c.kernelClocks(&w), c.schedulerClocks()
	queues := c.runQueues()
	for _, q := range queues {
		scheduler.past = append(scheduler.past, time.Duration(q.Clock))
		if t := c.known[q.Curr]; t != nil && t.PID != 0 && q.Curr != q.Idle {
			scheduler.now = append(scheduler.now, time.Duration(q.Clock))
		}
	}
	lead, entries := c.lead(queues)
	kernel.past = append(kernel.past, entries...)
	if len(entries) > 0 && c.views.task.task.Has("Ran") {
		c.lastRuns(lead)
	}
	if _, _, ok := kernel.ends(); ok && len(entries) > 0 {
		for _, d := range scheduler.now {
			kernel.now = appendNear(kernel.now, d+lead)
		}
		for _, d := range scheduler.past {
			kernel.past = append(kernel.past, d+lead)
		}
	}
	first, last, ok := kernel.ends()
	w.first, w.last, w.known = first, last, ok
	// Without the way from one kind of clocks to the other each tells by itself.
	if first, last, ok := scheduler.ends(); ok && (!w.known || last-first > w.last-w.first) {
		if w.placed = w.placed && w.known; !w.placed {
			w.first = first
		}
		w.last, w.known = w.first+last-first, true
	}
	return w
}

// appendNear appends a clock that is not too far from the others.
func appendNear(all []time.Duration, d time.Duration) []time.Duration {
	if (d - all[0]).Abs() < maxApart {
		all = append(all, d)
	}
	return all
}

// kernelClocks returns what the timekeeper says, and when tasks were started.
func (c *checker) kernelClocks(w *window) (s span) {
	now, err := c.k.Clock()
	if err != nil {
		return s
	}
	if w.boot, err = c.k.BootTime(); err != nil || !now.After(w.boot) {
		return s
	}
	w.placed = true
	s.now = append(s.now, now.Sub(w.boot))
	for _, t := range c.tasks {
		s.past = append(s.past, time.Duration(t.Boottime))
	}
	return s
}

// schedulerClocks returns when tasks ran: those that ran while they were captured, and others.
func (c *checker) schedulerClocks() (s span) {
	for _, t := range c.tasks {
		if t.PID == 0 {
			continue
		}
		if t.OnCPU == 1 && t.Ran > t.Started/2 {
			s.now = append(s.now, time.Duration(t.Ran))
		}
		s.past = append(s.past, time.Duration(t.Ran), time.Duration(t.Arrived))
	}
	return s
}

// lastRuns notes when those that share an mm or files last ran.
func (c *checker) lastRuns(lead time.Duration) {
	c.ran = map[vmem.VirtAddr]time.Duration{}
	for _, t := range c.tasks {
		last := max(time.Duration(t.Ran), time.Duration(t.Arrived)) + lead
		for _, shared := range [...]vmem.VirtAddr{t.MM, t.Files} {
			c.ran[shared] = max(c.ran[shared], last)
		}
	}
}

// runQueues returns the run queue of each CPU, by the tasks on it.
func (c *checker) runQueues() map[int32]*runQueue {
	v := &c.views.clocks
	queues := map[int32]*runQueue{}
	seen := map[vmem.VirtAddr]bool{}
	for _, t := range c.tasks {
		if seen[t.RunQueue] || !v.rqOf.Ok() {
			continue
		}
		seen[t.RunQueue] = true
		at, err := v.rqOf.Load(c.space, t.RunQueue)
		q := new(runQueue)
		if err == nil && v.rq.Read(c.space, at, q) == nil && pointer("", 0, q.Curr) == nil && pointer("", 0, q.Idle) == nil && q.CPU >= 0 {
			queues[q.CPU] = q
		}
	}
	return queues
}

// lead returns how far the clock since boot is before the scheduler's, by the moments at which
// CPUs became idle, which stand beside both; and these moments, since boot.
func (c *checker) lead(queues map[int32]*runQueue) (time.Duration, []time.Duration) {
	suspended := c.suspended()
	var leads, entries []time.Duration
	for cpu, q := range queues {
		at, _, err := c.k.Objects().PerCPU("tick_cpu_sched", int(cpu))
		if err != nil {
			continue
		}
		t, err := c.views.clocks.tick.Load(c.space, at)
		entry := time.Duration(t.Entry) + suspended
		if err == nil && t.Entry > 0 && (entry-time.Duration(q.Clock)).Abs() < maxApart {
			leads, entries = append(leads, entry-time.Duration(q.Clock)), append(entries, entry)
		}
	}
	return median(leads), entries
}

// suspended returns how long the machine was suspended: the clock that counts it, and the
// one that does not, at the start of tasks.
func (c *checker) suspended() time.Duration {
	var all []time.Duration
	for _, t := range c.tasks {
		if t.PID != 0 {
			all = append(all, time.Duration(t.Boottime-t.Started))
		}
	}
	return median(all)
}

// median returns the middle one, and 0 of none.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.SortFunc(all, cmp.Compare[time.Duration])
	return all[len(all)/2]
}

// set writes the window into a report.
func (w *window) set(r *Report) {
	r.Window = Seconds((w.last - w.first).Round(time.Millisecond))
	if w.placed {
		r.Earliest, r.Latest = w.boot.Add(w.first).UTC(), w.boot.Add(w.last).UTC()
	}
}

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
	addr  vmem.VirtAddr
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

// A moment is a time since boot that stands in memory, and the object that has it.
type moment struct {
	at   time.Duration
	addr vmem.VirtAddr
}

func earlier(a, b moment) int { return cmp.Compare(a.at, b.at) }

// A span is what clocks of one kind say.
type span struct {
	now  []moment // clocks that ticked while their page was captured
	past []moment // what had happened before a page was captured
}

// ends returns the earliest and the latest moment. What happened tells of the latest alone.
func (s *span) ends() (first, last time.Duration, ok bool) {
	if len(s.now) == 0 {
		return 0, 0, false
	}
	first, last = slices.MinFunc(s.now, earlier).at, slices.MaxFunc(s.now, earlier).at
	for _, p := range s.past {
		if p.at-first < maxApart {
			last = max(last, p.at)
		}
	}
	return first, last, true
}

// shift adds the moments of another clock, which is so much behind. Of those that tick one that is too far from the others is none.
func (s *span) shift(o *span, lead time.Duration) {
	for _, m := range o.now {
		if m.at += lead; (m.at - s.now[0].at).Abs() < maxApart {
			s.now = append(s.now, m)
		}
	}
	for _, m := range o.past {
		m.at += lead
		s.past = append(s.past, m)
	}
}

// A window is the time from which the evidence is.
type window struct {
	boot        time.Time
	first, last time.Duration // since boot
	known       bool
	placed      bool // boot is known

	began, took time.Duration // of the capture, since boot, as pace estimates it; took is 0 where it can't
}

// window reads the clocks.
func (c *checker) window() (w window) {
	queues := c.runQueues()
	kernel, scheduler := c.kernelClocks(&w), c.schedulerClocks(queues)
	kernel.past = append(kernel.past, c.idleEntries(queues)...)
	lead, ok := c.lead(queues)
	if ok && c.views.task.task.Has("Ran") {
		c.lastRuns(lead)
	}
	if _, _, timed := kernel.ends(); timed && ok {
		kernel.shift(&scheduler, lead)
	}
	first, last, ok := kernel.ends()
	w.first, w.last, w.known = first, last, ok
	if ok {
		w.began, w.took = c.pace(&kernel)
	}
	// Without the way from one kind of clocks to the other each tells by itself.
	if first, last, ok := scheduler.ends(); ok && (!w.known || last-first > w.last-w.first) {
		if w.placed = w.placed && w.known; !w.placed {
			w.first = first
		}
		w.last, w.known = w.first+last-first, true
	}
	return w
}

// since returns the moment from which on memory may have changed while it was captured: that of the earliest clock, and where
// the capture is estimated to have begun before that, somewhat earlier still.
func (w *window) since() time.Duration {
	if w.took == 0 {
		return w.first
	}
	return min(w.first, w.began-w.took/8)
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
	at, _ := c.k.Symbol("tk_core") // where it is not known, it has no part in the pace
	s.now = append(s.now, moment{now.Sub(w.boot), at})
	for _, t := range c.tasks {
		s.past = append(s.past, moment{time.Duration(t.Boottime), t.addr})
	}
	return s
}

// schedulerClocks returns when tasks ran, those that ran while they were captured and others; and the clocks of CPUs, which tick
// as long as these work.
func (c *checker) schedulerClocks(queues map[int32]*runQueue) (s span) {
	for _, t := range c.tasks {
		if t.PID == 0 {
			continue
		}
		if t.OnCPU == 1 && t.Ran > t.Started/2 {
			s.now = append(s.now, moment{time.Duration(t.Ran), t.addr})
		}
		s.past = append(s.past, moment{time.Duration(t.Ran), t.addr}, moment{time.Duration(t.Arrived), t.addr})
	}
	for _, q := range queues {
		m := moment{time.Duration(q.Clock), q.addr}
		s.past = append(s.past, m)
		if t := c.known[q.Curr]; t != nil && t.PID != 0 && q.Curr != q.Idle {
			s.now = append(s.now, m)
		}
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
			q.addr = at
			queues[q.CPU] = q
		}
	}
	return queues
}

// idleEntries returns the moments at which CPUs became idle.
func (c *checker) idleEntries(queues map[int32]*runQueue) (all []moment) {
	suspended := c.suspended()
	for cpu, q := range queues {
		at, _, err := c.k.Objects().PerCPU("tick_cpu_sched", int(cpu))
		if err != nil {
			continue
		}
		t, err := c.views.clocks.tick.Load(c.space, at)
		if entry := time.Duration(t.Entry) + suspended; err == nil && t.Entry > 0 && (entry-time.Duration(q.Clock)).Abs() < maxApart {
			all = append(all, moment{entry, at})
		}
	}
	return all
}

// lead returns how far the clock since boot is before the scheduler's. No task runs before it is started,
// so the lead is at least what is between the two; and of threads of the kernel, which ran once
// and sleep since, and of what was started just now, it is hardly more. That several agree keeps out what is none of it.
func (c *checker) lead(queues map[int32]*runQueue) (time.Duration, bool) {
	var least []time.Duration
	for _, t := range c.tasks {
		if ran := max(t.Ran, t.Arrived); t.PID != 0 && t.Boottime > 0 && ran > 0 {
			least = append(least, time.Duration(t.Boottime)-time.Duration(ran))
		}
	}
	const agree, near = 3, 20 * time.Millisecond
	slices.Sort(least)
	for i := len(least) - 1; i >= agree-1; i-- {
		if least[i]-least[i-agree+1] < near && least[i] < maxApart {
			return least[i], len(queues) > 0
		}
	}
	return 0, false
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
	r.Capture = max(r.Window, Seconds(w.took.Round(time.Millisecond)))
	if w.placed {
		r.Earliest, r.Latest = w.boot.Add(w.first).UTC(), w.boot.Add(w.last).UTC()
	}
}

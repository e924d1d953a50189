package linux

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A mainView is what became of one of the two views that have every process.
type mainView struct {
	broken bool           // parts of it are lost
	leaves map[int32]bool // of the IDR, by PID/64: those that have entries
	bad    map[int32]bool // of the IDR: entries that lead to no struct pid
}

// taskList takes the tasks that init_task.tasks links (for_each_process).
func (c *census) taskList() {
	const object = "task list"
	k, v := c.k, &c.k.views.core
	k.refresh()
	lost := k.losses()
	for node, err := range c.walk(object).List(v.list.Of(k.initTask)) {
		if err != nil {
			c.lose(&c.list, newGap(object, node, err))
			continue
		}
		addr := v.list.Container(node)
		if c.must(addr, InTaskList, 0, true) != nil {
			lost.found()
		} else if l := c.lost[addr]; l != nil {
			lost.tell(newGap(object, addr, l.err)) // which is told with those of other views
		}
		if err := lost.hopeless(); err != nil {
			c.lose(&c.list, newGap(object, addr, err))
			return
		}
	}
}

// lose notes a loss of one of the main views.
func (c *census) lose(v *mainView, g vmem.Gap) {
	v.broken = true
	c.gaps = append(c.gaps, g)
}

// pidIDR takes the tasks of the struct pids in the IDR of the initial PID namespace.
func (c *census) pidIDR() {
	const object = "PID IDR"
	k, v := c.k, &c.k.views.pid
	k.refresh()
	if err := cmp.Or(k.pidNSErr, v.err); err != nil {
		c.lose(&c.idr, newGap(object, 0, err))
		return
	}
	lost := k.losses()
	for e, err := range c.walk(object).IDR(v.idr.Of(k.initPIDNS)) {
		if err != nil {
			c.lose(&c.idr, newGap(object, 0, err))
			continue
		}
		if e.Kind != kstruct.PointerEntry {
			continue
		}
		if err := c.entry(e); err != nil {
			if g := newGap(fmt.Sprintf("%s entry %d", object, e.First), e.Ptr, err); lost.tell(g) {
				c.gaps = append(c.gaps, g)
			}
		}
	}
	c.gaps = append(c.gaps, lost.rest(object)...)
}

// entry takes the task of an entry of the IDR.
func (c *census) entry(e kstruct.Entry) error {
	if e.First < pidMax {
		c.idr.leaves[int32(e.First>>6)] = true
	}
	if !plausible(e.Ptr) {
		return c.badEntry(e, errPointer("struct pid", e.Ptr))
	}
	s, err := c.k.views.links.pid.Load(c.k.space, e.Ptr)
	switch {
	case err != nil:
		return c.badEntry(e, err)
	case uint64(uint32(s.NR)) != e.First:
		return c.badEntry(e, fmt.Errorf("%w: struct pid %v is of PID %d", kstruct.ErrCorrupt, e.Ptr, s.NR))
	case !c.k.validPID(&s):
		return c.badEntry(e, fmt.Errorf("%w: what is at %v is no struct pid", kstruct.ErrCorrupt, e.Ptr))
	}
	c.pid(e.Ptr, InPIDIDR)
	return nil
}

func (c *census) badEntry(e kstruct.Entry, err error) error {
	if e.First < pidMax {
		c.idr.bad[int32(e.First)] = true
	}
	return err
}

// closure takes all that what was found leads to.
func (c *census) closure() {
	if core, err := c.k.views.core.core.Load(c.k.space, c.k.initTask); err == nil {
		c.follow(&counted{addr: c.k.initTask, core: core})
	}
	if c.k.pidNSErr == nil {
		if reaper, err := c.k.views.pid.reaper.Load(c.k.space, c.k.initPIDNS); err == nil {
			_, _ = c.take(reaper, InFamily)
		}
	}
	c.runQueues()
	c.run()
	c.setTable()
	c.run()
}

// setTable takes all css_sets: css_set_table of kernel/cgroup/cgroup.c has those that no task
// known leads to.
func (c *census) setTable() {
	v := &c.k.views.links
	at, err := c.k.Symbol("css_set_table")
	if err != nil || !v.setHash.Ok() {
		return
	}
	w := c.walk("css_set_table")
	for i := range setBuckets {
		for node, err := range w.HList(at + vmem.VirtAddr(i*8)) {
			if err == nil {
				c.cssSet(v.setHash.Container(node))
			}
		}
	}
}

// setBuckets is how many buckets css_set_table has: CSS_SET_HASH_BITS is 7.
const setBuckets = 128

// runQueues takes what CPUs run and are about to.
func (c *census) runQueues() {
	c.k.eachRunning(c.ctx, func(task vmem.VirtAddr) { _, _ = c.take(task, InRunQueues) })
}

// eachRunning calls take for what CPUs run and are about to, idle tasks among them.
func (k *Kernel) eachRunning(ctx context.Context, take func(vmem.VirtAddr)) {
	v := &k.views.links
	cpus, err := k.objects.CPUs()
	if err != nil {
		return
	}
	w := k.walk(ctx, "run queues", k.taskNodes())
	for _, cpu := range cpus {
		at, _, err := k.objects.PerCPU("runqueues", cpu)
		if err != nil {
			return
		}
		rq, err := v.queue.Load(k.space, at)
		if err != nil {
			continue
		}
		take(rq.Curr)
		if !v.queueNode.Ok() {
			continue
		}
		head, _ := v.queue.Offset("CFSTasks")
		for node, err := range w.List(at + vmem.VirtAddr(head)) {
			if err == nil {
				take(v.queueNode.Container(node))
			}
		}
	}
}

// walk returns a walk whose budget is that of tasks.
func (c *census) walk(object string) *kstruct.Walk { return c.k.walk(c.ctx, object, c.k.taskNodes()) }

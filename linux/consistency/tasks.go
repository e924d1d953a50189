package consistency

import (
	"math"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// checkTasks checks the list of tasks, and parents against children.
func (c *checker) checkTasks() {
	v := &c.views.task
	children := map[vmem.VirtAddr]bool{} // in the list of their parent
	torn := map[vmem.VirtAddr]bool{}     // parents whose list is
	for _, t := range c.tasks {
		if t.leads() {
			c.of(t, taskList, t.addr, c.linked("task list", v.tasks.Of(t.addr), t.Tasks))
		}
		f := c.linked("list of children", v.children.Of(t.addr), t.Children)
		if f == nil {
			f = c.linked("list of siblings", v.sibling.Of(t.addr), t.Sibling)
		}
		c.of(t, childLists, t.addr, f)
		_, lost := c.ring(v.children.Of(t.addr), func(node vmem.VirtAddr) {
			child := v.sibling.Container(node)
			children[child] = true
			if s := c.known[child]; s != nil && s.RealParent != t.addr {
				c.count(parents, child, tornParent(s, t.addr))
			}
		})
		if torn[t.addr] = lost != nil; lost != nil && c.left.nodes < 0 {
			c.of(t, childLists, t.addr, lost)
		}
	}
	for _, t := range c.tasks {
		if !t.leads() {
			continue
		}
		f := pointer("real_parent", t.addr, t.RealParent)
		switch parent := c.known[t.RealParent]; {
		case f != nil:
		case parent == nil:
			f = tornParent(t, 0)
		case t.PID != 0 && !children[t.addr] && !torn[parent.addr]:
			f = tornParent(t, 0)
		}
		c.of(t, parents, t.addr, f)
	}
}

func tornParent(t *task, by vmem.VirtAddr) *fault {
	if by == 0 {
		return torn("task %d is not among the children of its parent at %v", t.PID, t.RealParent)
	}
	return torn("task %d is a child of the task at %v, but its parent is at %v", t.PID, by, t.RealParent)
}

// checkThreads checks thread groups.
func (c *checker) checkThreads() {
	v := &c.views.task
	for _, t := range c.tasks {
		group := t.Leader
		if leader := c.known[group]; leader == nil || leader.TGID != t.TGID || t.leads() && leader != t {
			f := pointer("group_leader", t.addr, t.Leader)
			if f == nil {
				f = torn("task %d is of group %d, whose leader is not at %v", t.PID, t.TGID, t.Leader)
			}
			c.of(t, threadGroups, t.addr, f)
			group = t.addr
		} else {
			c.count(threadGroups, group, nil)
		}
		if t.PID == 0 { // the idle tasks are no threads of the first
			continue
		}
		c.of(t, threadList, group, c.linked("list of threads", v.threadNode.Of(t.addr), t.Thread))
		if t.leads() && v.threads.Ok() {
			c.of(t, threadCounts, group, c.threadCount(t))
		}
	}
}

func (c *checker) threadCount(t *task) *fault {
	v := &c.views.task
	if f := pointer("signal", t.addr, t.Signal); f != nil {
		return f
	}
	n, f := t.threads, t.unknown
	if f != nil {
		return f
	}
	want, f := load(c, v.threads, "nr_threads", t.Signal)
	if f == nil && int(want) != n {
		f = torn("task %d has %d threads, nr_threads says %d", t.PID, n, want)
	}
	return f
}

// checkPIDs checks the links between tasks and struct pids, and the IDR of the latter.
func (c *checker) checkPIDs() {
	v := &c.views.task
	if !v.pid.Ok() || !v.task.Ok() {
		return
	}
	spaces := map[vmem.VirtAddr]int{}
	for _, t := range c.tasks {
		if t.PID == 0 {
			continue
		}
		ns, f := c.pidLink(t)
		c.of(t, pidLinks, t.addr, f)
		if f == nil {
			spaces[ns]++
		}
	}
	var initial vmem.VirtAddr // the initial namespace has the PIDs of all
	for ns, n := range spaces {
		if n > spaces[initial] {
			initial = ns
		}
	}
	if initial != 0 && v.idr.Ok() && v.allocated.Ok() {
		c.pidTable(initial)
	}
}

// pidLink returns the namespace of the struct pid of a task, and what is wrong with it.
func (c *checker) pidLink(t *task) (vmem.VirtAddr, *fault) {
	v := &c.views.task
	if t.ThreadPID == 0 {
		return 0, torn("task %d has no struct pid", t.PID)
	}
	if f := pointer("thread_pid", t.addr, t.ThreadPID); f != nil {
		return 0, f
	}
	p, err := v.pid.Load(c.space, t.ThreadPID)
	switch {
	case err != nil:
		return 0, impossible("struct pid at %v can't be read", t.ThreadPID)
	case p.NR != t.PID:
		return 0, torn("task %d has the struct pid of %d", t.PID, p.NR)
	case p.First != v.pidNode.Of(t.addr):
		return 0, torn("struct pid of task %d leads to %v", t.PID, p.First)
	case t.PIDBack != v.pidHead.Of(t.ThreadPID):
		return 0, torn("task %d is not linked to its struct pid", t.PID)
	}
	return p.NS, pointer("namespace of the struct pid", t.ThreadPID, p.NS)
}

// pidsAdding is PIDNS_ADDING of include/linux/pid_namespace.h.
const pidsAdding = 1 << 31

// pidTable checks the IDR of a PID namespace, and how many PIDs it has.
func (c *checker) pidTable(ns vmem.VirtAddr) {
	v := &c.views.task
	n := uint32(0)
	w := c.k.Objects().Walk(c.ctx, &kstruct.WalkOptions{Object: "PID IDR"})
	for e, err := range w.IDR(v.idr.Of(ns)) {
		switch {
		case err != nil:
			c.count(pidLinks, ns, walked("PID IDR", ns, err))
			continue
		case e.Kind != kstruct.PointerEntry:
			continue
		}
		n++
		f := pointer("PID IDR", ns, e.Ptr)
		if f == nil {
			p, err := v.pid.Load(c.space, e.Ptr)
			switch {
			case err != nil:
				f = impossible("struct pid at %v can't be read", e.Ptr)
			case e.First > math.MaxInt32 || p.NR != int32(e.First):
				f = torn("struct pid of %d says that it is of %d", e.First, p.NR)
			}
		}
		c.count(pidLinks, e.Ptr, f)
	}
	want, f := load(c, v.allocated, "pid_allocated", ns)
	if f == nil && want&^pidsAdding != n {
		f = torn("%d PIDs are in the IDR, pid_allocated says %d", n, want&^pidsAdding)
	}
	c.count(pidCount, ns, f)
}

// checkCgroups checks the lists of tasks of css_sets.
func (c *checker) checkCgroups() {
	v := &c.views.task
	if !c.views.set.Ok() || !v.cgList.Ok() {
		return
	}
	seen := map[vmem.VirtAddr]bool{}
	for _, t := range c.tasks {
		if t.PID == 0 {
			continue
		}
		f := pointer("cgroups", t.addr, t.Cgroups)
		if f != nil {
			c.of(t, cgroupLists, t.addr, f)
			continue
		}
		c.of(t, cgroupLists, t.Cgroups, c.linked("list of a css_set", v.cgList.Of(t.addr), t.CgList))
		if !seen[t.Cgroups] {
			seen[t.Cgroups] = true
			c.of(t, cgroupCounts, t.Cgroups, c.cgroupCount(t.Cgroups))
		}
	}
}

func (c *checker) cgroupCount(set vmem.VirtAddr) *fault {
	s, err := c.views.set.Load(c.space, set)
	if err != nil {
		return impossible("css_set at %v can't be read", set)
	}
	sum := 0
	for _, head := range []vmem.VirtAddr{s.Tasks, s.Moving} {
		n, f := c.ring(head, nil)
		if f != nil {
			return f
		}
		sum += n
	}
	if sum != int(s.NR) {
		return torn("css_set at %v has %d tasks, nr_tasks says %d", set, sum, s.NR)
	}
	return nil
}

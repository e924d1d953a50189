package linux

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An agreement is the set of tasks where nothing contradicts it: the task list and the IDR of
// PIDs have the same processes, each task and its struct pid lead to each other, and the kernel
// counts as many. A thorough one also has no link from one of the tasks to what is not
// among them: not along any list that tasks are in, to a parent, a tracer or the owner of an mm. It takes
// a fraction of the time of a census, for it reads each structure once.
type agreement struct {
	k        *Kernel
	ctx      context.Context //nolint:containedctx // it lives as long as one call of its user
	thorough bool

	pids    int                       // struct pids of the initial namespace
	leaders []member                  // by ascending PID
	threads []member                  // others
	groups  map[int32][]vmem.VirtAddr // the others, by the PID of their leader
	list    linkSum                   // of the task list
	links   linkSums
	sets    map[vmem.VirtAddr]int32 // tasks that do not end, by css_set
	kin     map[vmem.VirtAddr]bool  // parents, tracers, owners of an mm
	scratch leaderStruct
	linked  taskLinks
}

// A member is a task that a struct pid leads to.
type member struct {
	task, pid vmem.VirtAddr
	nr        int32
}

// agreed returns the processes where all views of them agree. Where they do not, or memory
// changes meanwhile, a census has to tell.
func (k *Kernel) agreed(ctx context.Context, thorough bool) ([]*Task, bool) {
	if k.phys.Live() || k.scanWhen == ScanAlways || cmp.Or(k.pidNSErr, k.views.pid.err, k.views.links.err) != nil {
		return nil, false
	}
	a, ok := agreements.Get().(*agreement)
	if !ok {
		a = &agreement{sets: map[vmem.VirtAddr]int32{}, kin: map[vmem.VirtAddr]bool{}}
	}
	a.k, a.ctx, a.thorough = k, ctx, thorough
	defer a.end()
	counts := k.taskCounts()
	if !a.pidIDR(counts) || !a.taskList(counts) || !a.counted(counts) {
		return nil, false
	}
	tasks, ok := a.tasks()
	if !ok || thorough && !a.closed() {
		return nil, false
	}
	return tasks, ctx.Err() == nil
}

// agreements keep the memory of those that are done.
var agreements sync.Pool // of *agreement

// end leaves the agreement's memory to another.
func (a *agreement) end() {
	clear(a.sets)
	clear(a.kin)
	*a = agreement{leaders: a.leaders[:0], threads: a.threads[:0], sets: a.sets, kin: a.kin}
	agreements.Put(a)
}

// closed reports whether all that the tasks are linked by leads to them alone.
func (a *agreement) closed() bool {
	return a.related() && a.roots() && a.cssSets() && a.runQueues() && a.links == linkSums{}
}

// related reports whether parents, tracers and owners are among the tasks.
func (a *agreement) related() bool {
	for task := range a.kin {
		if !a.knows(task) {
			return false
		}
	}
	return true
}

// pidIDR takes the tasks of the struct pids in the IDR, and reports whether all of these are
// sound.
func (a *agreement) pidIDR(counts []taskCount) bool {
	k, v := a.k, &a.k.views.links
	for e, err := range k.walk(a.ctx, "PID IDR", k.countedTasks(counts)).IDR(k.views.pid.idr.Of(k.initPIDNS)) {
		if err != nil {
			return false
		}
		if e.Kind != kstruct.PointerEntry {
			continue
		}
		var s pidLinks
		if !plausible(e.Ptr) || v.pid.Read(k.space, e.Ptr, &s) != nil || uint64(uint32(s.NR)) != e.First || !k.validPID(&s) {
			return false
		}
		a.pids++
		a.pid(e.Ptr, &s)
	}
	return true
}

// pid takes the task of a struct pid, and what its lists begin with.
func (a *agreement) pid(addr vmem.VirtAddr, s *pidLinks) {
	if a.thorough {
		for _, h := range s.Heads {
			a.links.pids.leads(h.First)
		}
	}
	if s.Heads[0].First == 0 {
		return // it is the number of a process group or a session alone
	}
	m := member{a.k.views.core.links[0].Container(s.Heads[0].First), addr, s.NR}
	if s.Heads[1].First != 0 {
		a.leaders = append(a.leaders, m)
		a.list.at(m.task)
	} else {
		a.threads = append(a.threads, m)
	}
}

// taskList reports whether the task list has the same processes.
func (a *agreement) taskList(counts []taskCount) bool {
	k, v := a.k, &a.k.views.core
	n := 0
	for node, err := range k.walk(a.ctx, "task list", k.countedTasks(counts)).List(v.list.Of(k.initTask)) {
		if err != nil {
			return false
		}
		n++
		a.list.leads(v.list.Container(node))
	}
	return n == len(a.leaders) && a.list == 0
}

// counted reports whether the kernel counts as many.
func (a *agreement) counted(counts []taskCount) bool {
	found := [...]int{countPIDs: a.pids, countThreads: len(a.leaders) + len(a.threads), countProcesses: len(a.leaders)}
	var known [len(found)]bool
	for _, c := range counts {
		if c.n != uint64(found[c.kind]) {
			return false
		}
		known[c.kind] = true
	}
	return known[countThreads] && known[countProcesses] // what is not counted agrees with nothing
}

// tasks reads all tasks, and reports whether each is what its struct pid says.
func (a *agreement) tasks() ([]*Task, bool) {
	tasks := make([]*Task, 0, len(a.leaders))
	for _, m := range a.leaders {
		t := a.leader(m)
		if t == nil {
			return nil, false
		}
		tasks = append(tasks, t)
	}
	for _, m := range a.threads {
		if !a.thread(m) {
			return nil, false
		}
	}
	left := len(a.threads)
	for _, t := range tasks {
		if left > 0 {
			t.group = a.groups[t.PID]
			left -= len(t.group)
		}
		slices.Sort(t.group)
	}
	return tasks, left == 0
}

// leader reads the leader of a thread group; nil if anything about it is not as it should be.
func (a *agreement) leader(m member) *Task {
	k, s := a.k, &a.scratch
	if !m.aligned() || k.views.links.leader.Read(k.space, m.task, s) != nil || !a.is(m, &s.taskIdentity, true) || !s.hasStack() {
		return nil
	}
	if group, err := k.views.links.group.Load(k.space, s.Signal); err != nil || group != m.pid {
		return nil
	}
	t := &Task{Addr: m.task, k: k, PID: m.nr, TGID: m.nr, Sources: LeaderSources}
	if t.set(&s.taskStruct, nil, nil, nil); len(t.gaps) > 0 {
		return nil
	}
	return t
}

// thread reads another thread of a group.
func (a *agreement) thread(m member) bool {
	t := &a.scratch.taskIdentity
	if !m.aligned() || a.k.views.links.identity.Read(a.k.space, m.task, t) != nil || !a.is(m, t, false) {
		return false
	}
	if a.groups == nil {
		a.groups = map[int32][]vmem.VirtAddr{}
	}
	a.groups[t.TGID] = append(a.groups[t.TGID], m.task)
	return true
}

// aligned reports whether a task can be where it should be.
func (m member) aligned() bool { return m.task%taskAlign == 0 && plausible(m.task) }

// is reports whether a task is the one that its struct pid says, and takes what it is linked to,
// if that is asked for.
func (a *agreement) is(m member, t *taskIdentity, leads bool) bool {
	if t.PID != m.nr || t.ThreadPID != m.pid || (t.TGID == t.PID) != leads || (t.Leader == m.task) != leads {
		return false
	}
	return !a.thorough || a.link(m.task, t.ExitState == 0, leads)
}

// link takes all that a task is linked to.
func (a *agreement) link(task vmem.VirtAddr, lives, leads bool) bool {
	k, v, t := a.k, &a.k.views.core, &a.linked
	if k.views.links.task.Read(k.space, task, t) != nil {
		return false
	}
	if lives {
		a.sets[t.Cgroups]++
	} else {
		a.sets[t.Cgroups] += 0
	}
	a.kin[t.Parent], a.kin[t.Tracer] = true, true
	if plausible(t.MM) {
		if owner, err := k.views.links.owner.Load(k.space, t.MM); err == nil && owner != 0 {
			a.kin[owner] = true
		}
	}
	a.links.family.node(v.children.Of(task), t.Children)
	a.links.family.node(v.sibling.Of(task), t.Sibling)
	a.links.threads.node(v.thread.Of(task), t.Thread)
	a.links.cgroups.node(k.views.links.setNode.Of(task), t.CgList)
	for i, link := range t.Links {
		if plausible(link.PPrev) { // it is linked
			a.links.pids.leads(link.Next)
			a.links.pids.at(v.links[i].Of(task))
		}
	}
	return !leads || a.threadHead(t.Group)
}

// threadHead takes the head of the list of threads of a process.
func (a *agreement) threadHead(signal vmem.VirtAddr) bool {
	s, err := a.k.views.links.signal.Load(a.k.space, signal)
	a.links.threads.node(a.k.views.threads.head.Of(signal), s.Threads)
	return err == nil
}

// roots takes what the idle task is linked to, which is in no list of tasks itself.
func (a *agreement) roots() bool {
	k, v, t := a.k, &a.k.views.core, &a.linked
	id, err := k.views.links.identity.Load(k.space, k.initTask)
	if err != nil || k.views.links.task.Read(k.space, k.initTask, t) != nil {
		return false
	}
	a.links.family.node(v.children.Of(k.initTask), t.Children)
	s, err := k.views.links.pid.Load(k.space, id.ThreadPID)
	for _, h := range s.Heads { // process groups and sessions of the kernel's own tasks
		a.links.pids.leads(h.First)
	}
	reaper, lost := k.views.pid.reaper.Load(k.space, k.initPIDNS)
	return err == nil && (lost != nil || a.knows(reaper))
}

// cssSets takes the heads of the lists of tasks of all css_sets, and reports whether each
// counts the tasks that say that they are of it.
func (a *agreement) cssSets() bool {
	a.setTable()
	v := &a.k.views.links
	for addr, n := range a.sets {
		var s setLinks
		if !plausible(addr) || v.set.Read(a.k.space, addr, &s) != nil || s.NrTasks != n {
			return false
		}
		for i, head := range v.setHeads {
			if head.Ok() {
				a.links.cgroups.node(head.Of(addr), [...]listHead{s.Tasks, s.Moving, s.Dying}[i])
			}
		}
	}
	return true
}

// setTable adds the css_sets that no task is of. What of the table can't be read is lost in
// silence, as by a census.
func (a *agreement) setTable() {
	v := &a.k.views.links
	at, err := a.k.Symbol("css_set_table")
	if err != nil || !v.setHash.Ok() {
		return
	}
	w := a.k.walk(a.ctx, "css_set_table", minTaskNodes)
	for i := range setBuckets {
		first, err := a.k.space.Uint64(at + vmem.VirtAddr(i*8))
		if err != nil || first == 0 {
			continue
		}
		for node, err := range w.HList(at + vmem.VirtAddr(i*8)) {
			if err == nil {
				a.sets[v.setHash.Container(node)] += 0
			}
		}
	}
}

// runQueues reports whether what CPUs run and are about to is among the tasks.
func (a *agreement) runQueues() bool {
	known := true
	a.k.eachRunning(a.ctx, func(task vmem.VirtAddr) { known = known && (a.knows(task) || a.idles(task)) })
	return known
}

// idles reports whether a task is the idle one of a CPU: these are in no list.
func (a *agreement) idles(task vmem.VirtAddr) bool {
	t, err := a.k.views.task.id.Load(a.k.space, task)
	return err == nil && t.PID == 0
}

// knows reports whether a task is among those that were found, or the first one.
func (a *agreement) knows(task vmem.VirtAddr) bool {
	t, err := a.k.views.task.id.Load(a.k.space, task)
	if err != nil {
		return false
	}
	for _, all := range [...][]member{a.leaders, a.threads} {
		i, ok := slices.BinarySearchFunc(all, t.PID, func(m member, pid int32) int { return cmp.Compare(m.nr, pid) })
		if ok && all[i].task == task {
			return true
		}
	}
	return task == a.k.initTask
}

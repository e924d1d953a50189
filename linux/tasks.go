package linux

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Processes yields the leaders of all thread groups by ascending PID: the union of
// the task list (init_task.tasks) and of the PIDs of the initial namespace
// (init_pid_ns.idr), which is how a process shows that was unlinked from one of
// them. The idle task (PID 0) is not among them.
//
// Errors are [vmem.Gap], come before all tasks, and do not end the walk: where a view
// broke off, where a task could not be read, and one for each task that one view
// alone has. A cancelled context ends it with the context's error.
func (k *Kernel) Processes(ctx context.Context) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		tasks, gaps := k.settled(ctx)
		for _, g := range gaps {
			if !yield(nil, g) {
				return
			}
		}
		for _, t := range tasks {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(t, nil) {
				return
			}
		}
	}
}

// unionTries is how often the processes of a running machine are listed, for some begin
// and end between one view and the other. Where no try is without gaps the one with the
// fewest counts; what is hidden from a view is so in all of them.
const unionTries = 4

func (k *Kernel) settled(ctx context.Context) ([]*Task, []vmem.Gap) {
	tasks, gaps := k.union(ctx)
	for try := 1; k.phys.Live() && len(gaps) > 0 && try < unionTries && ctx.Err() == nil; try++ {
		if t, g := k.union(ctx); len(g) < len(gaps) {
			tasks, gaps = t, g
		}
	}
	return tasks, gaps
}

func (k *Kernel) union(ctx context.Context) ([]*Task, []vmem.Gap) {
	var tasks []*Task
	var gaps []vmem.Gap
	index := map[vmem.VirtAddr]*Task{}
	add := func(from TaskSources, addr vmem.VirtAddr, err error) {
		t := index[addr]
		if err == nil && t == nil {
			t, err = k.task(addr)
		}
		if err != nil {
			gaps = append(gaps, newGap(from.String(), addr, err))
			return
		}
		if t.Sources == 0 {
			index[addr] = t
			tasks = append(tasks, t)
			gaps = append(gaps, t.gaps...)
		}
		t.Sources |= from
	}
	k.phys.Refresh()
	for addr, err := range k.taskList() {
		add(InTaskList, addr, err)
		if ctx.Err() != nil {
			return nil, gaps
		}
	}
	k.phys.Refresh()
	for addr, err := range k.pidLeaders() {
		add(InPIDIDR, addr, err)
		if ctx.Err() != nil {
			return nil, gaps
		}
	}
	slices.SortFunc(tasks, func(a, b *Task) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Addr, b.Addr))
	})
	return tasks, append(gaps, disagreements(tasks)...)
}

// disagreements returns a Gap for each task that one view alone holds.
func disagreements(tasks []*Task) []vmem.Gap {
	var gaps []vmem.Gap
	for _, t := range tasks {
		if t.Sources != InTaskList|InPIDIDR {
			gaps = append(gaps, gapf(t.String(), t.Addr, ErrDisagree, "only in the %v", t.Sources))
		}
	}
	return gaps
}

// taskList yields the task_structs that init_task.tasks links (for_each_process).
func (k *Kernel) taskList() iter.Seq2[vmem.VirtAddr, error] {
	off := vmem.VirtAddr(k.layout.task.tasks)
	return func(yield func(vmem.VirtAddr, error) bool) {
		for node, err := range k.list("task list", k.initTask+off) {
			if err != nil {
				node += off
			}
			if !yield(node-off, err) {
				return
			}
		}
	}
}

// Threads yields all tasks of the thread group that t belongs to, the leader among
// them, in the order in which the kernel links them (signal_struct.thread_head).
// Errors are [vmem.Gap] and do not end the walk.
func (t *Task) Threads() iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		k := t.k
		r := k.fresh()
		signal := r.ptr(t.Addr, k.layout.task.signal)
		if r.err != nil || !plausible(signal) {
			yield(nil, newGap("threads of "+t.String(), t.Addr, cmp.Or(r.err, errPointer("signal_struct", signal))))
			return
		}
		off := vmem.VirtAddr(k.layout.task.threadNode)
		for node, err := range k.list("threads of "+t.String(), signal+vmem.VirtAddr(k.layout.signal)) {
			var thread *Task
			if err == nil {
				thread, err = k.thread(t, node-off)
			}
			if !yield(thread, err) || thread != nil && thread != t && !yieldGaps(thread.gaps, yield) {
				return
			}
		}
	}
}

func yieldGaps(gaps []vmem.Gap, yield func(*Task, error) bool) bool {
	for _, g := range gaps {
		if !yield(nil, g) {
			return false
		}
	}
	return true
}

// thread reads the task at addr and checks that it is of t's group.
func (k *Kernel) thread(t *Task, addr vmem.VirtAddr) (*Task, error) {
	if addr == t.Addr {
		return t, nil
	}
	thread, err := k.task(addr)
	if err != nil {
		return nil, newGap("thread of "+t.String(), addr, err)
	}
	if thread.TGID != t.TGID {
		return nil, gapf("thread of "+t.String(), addr, kstruct.ErrCorrupt, "task %d is of thread group %d", thread.PID, thread.TGID)
	}
	return thread, nil
}

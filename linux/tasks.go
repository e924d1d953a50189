package linux

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strconv"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Processes yields the leaders of all thread groups by ascending PID: those of the task list
// (init_task.tasks), of the PIDs of the initial namespace (init_pid_ns.idr), and of all that
// leads from one task to another; where that is not enough (see [TaskScan]) those that are
// found in memory. The idle tasks (PID 0) are not among them, nor is a task that has ended
// and was reaped, whatever is left of it in memory.
//
// Errors are [vmem.Gap], come before all tasks, and do not end the walk: where a view
// broke off, where a task is lost, one for each task that the task list or the IDR lacks
// (with ErrHidden if both do and neither is damaged near it), and one for each count of the
// kernel that what was found does not fit. A cancelled context ends it with the context's
// error.
//
// Where the task list and the IDR have the same processes, and the kernel counts as many tasks,
// the rest is not looked at: see [Kernel.Census].
func (k *Kernel) Processes(ctx context.Context) iter.Seq2[*Task, error] {
	return k.processes(ctx, false)
}

// Census yields what [Kernel.Processes] does, but also holds all that tasks are linked by
// against each other where the main views and the kernel's counts agree: parents and
// children, threads, process groups and sessions, cgroups and run queues. Who hides a task from
// it must have taken it out of all of these, and changed all counts.
func (k *Kernel) Census(ctx context.Context) iter.Seq2[*Task, error] {
	return k.processes(ctx, true)
}

func (k *Kernel) processes(ctx context.Context, thorough bool) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		tasks, gaps := k.settled(ctx, thorough)
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
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

func (k *Kernel) settled(ctx context.Context, thorough bool) ([]*Task, []vmem.Gap) {
	tasks, gaps := k.union(ctx, thorough)
	for try := 1; k.phys.Live() && len(gaps) > 0 && try < unionTries && ctx.Err() == nil; try++ {
		if t, g := k.union(ctx, thorough); len(g) < len(gaps) {
			tasks, gaps = t, g
		}
	}
	return tasks, gaps
}

func (k *Kernel) union(ctx context.Context, thorough bool) ([]*Task, []vmem.Gap) {
	err := k.views.core.err
	if !k.views.task.id.Ok() { // what else is lacking each task loses by itself
		err = cmp.Or(err, k.views.task.err)
	}
	if err != nil {
		return nil, []vmem.Gap{newGap("tasks", k.initTask, err)}
	}
	if tasks, ok := k.agreed(ctx, thorough); ok {
		return tasks, nil
	}
	c := k.newCensus(ctx)
	c.taskList()
	c.pidIDR()
	c.closure()
	counts := c.search(c.countGaps())
	if c.ended() {
		return nil, nil
	}
	return c.result(counts)
}

// result returns the leaders among the tasks that were found, each with the threads of its
// group, and all gaps.
func (c *census) result(counts []vmem.Gap) ([]*Task, []vmem.Gap) {
	c.settleTwins()
	gaps := slices.Concat(c.gaps, c.lostGaps())
	groups := map[int32][]vmem.VirtAddr{}
	var tasks []*Task
	for _, addr := range sortedKeys(c.tasks) {
		t := c.tasks[addr]
		if !t.isProcess() {
			groups[t.core.TGID] = append(groups[t.core.TGID], addr)
			continue
		}
		task, err := c.k.task(addr)
		if err != nil {
			gaps = append(gaps, newGap("task "+strconv.Itoa(int(t.core.PID)), addr, err))
			continue
		}
		task.Sources = t.shownSources()
		tasks = append(tasks, task)
		gaps = append(gaps, task.gaps...)
	}
	for _, t := range tasks {
		t.group = groups[t.TGID]
	}
	slices.SortFunc(tasks, func(a, b *Task) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Addr, b.Addr))
	})
	gaps = append(gaps, c.disagreements(tasks)...)
	return tasks, append(gaps, counts...)
}

// each yields the structures whose member the nodes of a walk are, and its errors. It
// reports whether to go on.
func each(nodes iter.Seq2[vmem.VirtAddr, error], m kstruct.Member, yield func(vmem.VirtAddr, error) bool) bool {
	for node, err := range nodes {
		if err == nil {
			node = m.Container(node)
		}
		if !yield(node, err) {
			return false
		}
	}
	return true
}

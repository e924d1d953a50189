package linux

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/isf"
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
	add := func(from TaskSources, addr vmem.VirtAddr, err error, lost *losses) {
		t := index[addr]
		if err == nil && t == nil {
			t, err = k.task(addr)
		}
		if err != nil {
			if g := newGap(from.String(), addr, err); lost.tell(g) {
				gaps = append(gaps, g)
			}
			return
		}
		lost.found()
		if t.Sources == 0 {
			index[addr] = t
			tasks = append(tasks, t)
			gaps = append(gaps, t.gaps...)
		}
		t.Sources |= from
	}
	for _, view := range []struct {
		from TaskSources
		walk iter.Seq2[vmem.VirtAddr, error]
	}{{InTaskList, k.taskList(ctx)}, {InPIDIDR, k.pidLeaders(ctx)}} {
		k.refresh()
		lost := k.losses()
		for addr, err := range view.walk {
			if ctx.Err() != nil {
				return nil, nil
			}
			add(view.from, addr, err, &lost)
			if err := lost.hopeless(); err != nil && view.from == InTaskList {
				gaps = append(gaps, newGap(view.from.String(), addr, err))
				break
			}
		}
		gaps = append(gaps, lost.rest(view.from.String())...)
	}
	slices.SortFunc(tasks, func(a, b *Task) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Addr, b.Addr))
	})
	return tasks, append(gaps, disagreements(tasks)...)
}

// disagreements returns a Gap for each task that a view lacks.
func disagreements(tasks []*Task) []vmem.Gap {
	var gaps []vmem.Gap
	for _, t := range tasks {
		if t.Expected()&^t.Sources != 0 {
			gaps = append(gaps, gapf(t.String(), t.Addr, ErrDisagree, "only in the %v", t.Sources))
		}
	}
	return gaps
}

// taskList yields the task_structs that init_task.tasks links (for_each_process).
func (k *Kernel) taskList(ctx context.Context) iter.Seq2[vmem.VirtAddr, error] {
	const object = "task list"
	return func(yield func(vmem.VirtAddr, error) bool) {
		v := &k.views.task
		if v.err != nil {
			yield(0, newGap(object, k.initTask, v.err))
			return
		}
		each(k.walk(ctx, object, k.taskNodes()).List(v.tasks.Of(k.initTask)), v.tasks, yield)
	}
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

type threadViews struct {
	signal *kstruct.Field[vmem.VirtAddr]
	head   kstruct.Member        // of signal_struct: the list of its threads
	node   kstruct.Member        // of task_struct
	count  *kstruct.Field[int32] // of signal_struct
	err    error
}

func bindThreads(types *isf.File) (v threadViews) {
	b := kstruct.NewBinder(types)
	v.signal = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "signal")
	v.head = kstruct.BindMember(b, "signal_struct", "thread_head")
	v.node = kstruct.BindMember(b, "task_struct", "thread_node")
	v.count = kstruct.BindOptionalField[int32](b, "signal_struct", "nr_threads")
	v.err = b.Err()
	return v
}

// Threads yields all tasks of the thread group that t belongs to, the leader among
// them, in the order in which the kernel links them (signal_struct.thread_head).
// Errors are [vmem.Gap] and do not end the walk, but for the context's own; a count that
// differs from signal_struct.nr_threads is one, at the end.
func (t *Task) Threads(ctx context.Context) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		k, v := t.k, &t.k.views.threads
		k.refresh()
		signal, err := v.signal.Load(k.space, t.Addr)
		if err == nil && !plausible(signal) {
			err = errPointer("signal_struct", signal)
		}
		if err = cmp.Or(v.err, err); err != nil {
			yield(nil, t.lost("threads", t.Addr, err))
			return
		}
		w := threadWalk{Task: t, yield: yield, lost: k.losses()}
		if each(k.walk(ctx, "threads of "+t.String(), k.taskNodes()).List(v.head.Of(signal)), v.node, w.visit) && ctx.Err() == nil {
			w.end(signal)
		}
	}
}

// A threadWalk goes over the threads of a task.
type threadWalk struct {
	*Task
	yield func(*Task, error) bool
	lost  losses
	found int
}

// visit reads the thread at addr, and reports whether to go on.
func (w *threadWalk) visit(addr vmem.VirtAddr, err error) bool {
	if err != nil {
		return w.yield(nil, err)
	}
	thread, err := w.k.thread(w.Task, addr)
	if err != nil {
		if g := newGap("thread of "+w.String(), addr, err); w.lost.tell(g) && !w.yield(nil, g) {
			return false
		}
		if err := w.lost.hopeless(); err != nil {
			w.yield(nil, w.Task.lost("threads", addr, err))
			return false
		}
		return true
	}
	w.lost.found()
	w.found++
	return w.yield(thread, nil) && (thread == w.Task || yieldGaps(thread.gaps, w.yield))
}

// end tells what was not told, and compares the number of threads with the kernel's.
func (w *threadWalk) end(signal vmem.VirtAddr) {
	if !yieldGaps(w.lost.rest("threads of "+w.String()), w.yield) {
		return
	}
	if n, err := w.k.views.threads.count.Load(w.k.space, signal); err == nil && int(n) != w.found {
		w.yield(nil, gapf("threads of "+w.String(), signal, ErrDisagree, "found %d, nr_threads says %d", w.found, n))
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

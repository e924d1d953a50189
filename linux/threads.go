package linux

import (
	"cmp"
	"context"
	"iter"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

type threadViews struct {
	signal *kstruct.Field[vmem.VirtAddr]
	head   kstruct.Member        // of signal_struct: the list of its threads
	count  *kstruct.Field[int32] // of signal_struct
	node   kstruct.Member        // of task_struct
	err    error
}

func bindThreads(types *isf.File) (v threadViews) {
	b := kstruct.NewBinder(types)
	v.signal = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "signal")
	v.head = kstruct.BindMember(b, "signal_struct", "thread_head")
	v.count = kstruct.BindOptionalField[int32](b, "signal_struct", "nr_threads")
	v.node = kstruct.BindMember(b, "task_struct", "thread_node")
	v.err = b.Err()
	return v
}

// Threads yields all tasks of the thread group that t belongs to, the leader among
// them, in the order in which the kernel links them (signal_struct.thread_head); of a leader
// that [Kernel.Processes] gave, then those that it found by other views and that the list
// lacks.
//
// Errors are [vmem.Gap] and do not end the walk, but for the context's own: where the list
// broke off, where a thread could not be read, one for each that a whole list lacks, and one if
// they are not as many as signal_struct.nr_threads says.
func (t *Task) Threads(ctx context.Context) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		t.k.refresh()
		w := &threadWalk{Task: t, yield: yield, seen: map[vmem.VirtAddr]bool{}, lost: t.k.losses()}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		signal, err := t.signal()
		if err != nil {
			w.broken = true
			w.tell(t.lost("threads", t.Addr, err))
			w.others()
			return
		}
		w.list(ctx, signal)
		w.others()
		w.end(signal)
	}
}

// signal returns the address of the signal_struct of the task's group.
func (t *Task) signal() (vmem.VirtAddr, error) {
	v := &t.k.views.threads
	signal, err := v.signal.Load(t.k.space, t.Addr)
	if err == nil && !plausible(signal) {
		err = errPointer("signal_struct", signal)
	}
	return signal, cmp.Or(v.err, err)
}

// A threadWalk goes over the threads of a task.
type threadWalk struct {
	*Task
	yield  func(*Task, error) bool
	seen   map[vmem.VirtAddr]bool
	lost   losses
	found  int
	broken bool // the list is
	over   bool // nothing more is to be yielded
}

// tell yields a loss.
func (w *threadWalk) tell(err error) { w.over = w.over || !w.yield(nil, err) }

// list yields what the list of threads links.
func (w *threadWalk) list(ctx context.Context, signal vmem.VirtAddr) {
	v := &w.k.views.threads
	for node, err := range w.k.walk(ctx, "threads of "+w.String(), w.k.taskNodes()).List(v.head.Of(signal)) {
		if err != nil {
			w.broken = true
			w.tell(err)
			w.over = w.over || ctx.Err() != nil
		} else {
			w.give(v.node.Container(node))
		}
		if err := w.lost.hopeless(); err != nil {
			w.tell(w.Task.lost("threads", node, err))
			return
		}
		if w.over {
			return
		}
	}
}

// give yields the thread at addr.
func (w *threadWalk) give(addr vmem.VirtAddr) {
	w.seen[addr] = true
	thread, err := w.k.thread(w.Task, addr)
	if err != nil {
		w.broken = true
		if g := newGap("thread of "+w.String(), addr, err); w.lost.tell(g) {
			w.tell(g)
		}
		return
	}
	w.lost.found()
	w.found++
	w.over = w.over || !w.yield(thread, nil)
	if thread == w.Task {
		return // its gaps were told with it
	}
	for i := 0; i < len(thread.gaps) && !w.over; i++ {
		w.tell(thread.gaps[i])
	}
}

// others yields the threads that the list lacks.
func (w *threadWalk) others() {
	for _, addr := range append([]vmem.VirtAddr{w.Addr}, w.group...) {
		if w.over || w.seen[addr] {
			continue
		}
		whole := !w.broken
		if w.give(addr); whole && !w.over {
			w.tell(gapf("threads of "+w.String(), addr, ErrDisagree, "one of them is not in their list, which is whole"))
		}
	}
}

// end tells what was not told, and compares the number of threads with the kernel's.
func (w *threadWalk) end(signal vmem.VirtAddr) {
	for _, g := range w.lost.rest("threads of " + w.String()) {
		w.tell(g)
	}
	if n, err := w.k.views.threads.count.Load(w.k.space, signal); err == nil && int(n) != w.found && !w.over {
		w.tell(gapf("threads of "+w.String(), signal, ErrDisagree, "found %d, nr_threads says %d", w.found, n))
	}
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

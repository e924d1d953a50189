package linux

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxVerified is how many tasks a layout is held against that is not the kernel's own, and
// minVerified how many must be as it says.
const (
	maxVerified = 64
	minVerified = 4
)

// A verifiedTask is of struct task_struct what tells that it is one.
type verifiedTask struct {
	PID    int32         `kernel:"pid"`
	TGID   int32         `kernel:"tgid"`
	Parent vmem.VirtAddr `kernel:"real_parent"`
	Comm   [16]byte      `kernel:"comm"`
}

type verifyViews struct {
	task  *kstruct.View[verifiedTask]
	tasks kstruct.Member
}

func bindVerify(types *isf.File) (v verifyViews, err error) {
	b := kstruct.NewBinder(types)
	v.task = kstruct.Bind[verifiedTask](b, "task_struct")
	v.tasks = kstruct.BindMember(b, "task_struct", "tasks")
	return v, b.Err()
}

// verifyLayout holds what the kernel is read with against the kernel where what tasks are read
// with is not the kernel's own: init_task must be the idle task and its own parent, and the
// tasks around it in the list must be tasks. Damage may end the list on both sides, but not make
// tasks of what is none: where it does, all that any view has are asked. Where init_task itself is lost, types of the same build are believed
// if other objects are where and as they say; holds are the witnesses of the kernel.
func (k *Kernel) verifyLayout(ctx context.Context, foreign bool, holds []string) error {
	if !borrowsTasks(k.symbols) {
		return nil
	}
	v, err := bindVerify(k.symbols)
	if err != nil {
		return err
	}
	init, err := v.task.Load(k.space, k.initTask)
	if err == nil && !strings.HasPrefix(text(init.Comm[:]), "swapper") {
		err = fmt.Errorf("%w: it is called %q", kstruct.ErrCorrupt, text(init.Comm[:]))
	}
	switch {
	case err != nil && !foreign && objectsHold(holds) >= minObjects:
		return nil
	case err != nil:
		return fmt.Errorf("init_task: %w", err)
	case init.PID != 0 || init.TGID != 0 || init.Parent != k.initTask:
		return fmt.Errorf("%w: init_task has PID %d, TGID %d and the parent %v", kstruct.ErrCorrupt, init.PID, init.TGID, init.Parent)
	}
	n := k.verifyList(&v)
	if n.hold(foreign) {
		return nil
	}
	all := k.verifyAll(ctx, &v)
	if ctx.Err() != nil || all.hold(foreign) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: of the tasks next to init_task %d are as the types say, %d are not, and of all that are found %d and %d", kstruct.ErrCorrupt,
		n.good, n.bad, all.good, all.bad)
}

// A verdictOfTasks counts tasks that are as a layout says, and those that are not.
type verdictOfTasks struct{ good, bad int }

func (n *verdictOfTasks) add(good bool) {
	if good {
		n.good++
	} else {
		n.bad++
	}
}

// hold reports whether they bear a layout out.
func (n *verdictOfTasks) hold(foreign bool) bool {
	if foreign {
		return n.good >= minVerified && n.bad <= n.good/4
	}
	return n.bad <= n.good
}

// minObjects is how many objects have to be as a layout says where init_task is lost.
const minObjects = 2

// objectsHold counts the witnesses that are objects, which symbols say where to find and types
// how to read.
func objectsHold(holds []string) int {
	n := 0
	for _, name := range holds {
		if name == "linux_banner" || strings.HasPrefix(name, "init_") {
			n++
		}
	}
	return n
}

// borrowsTasks reports whether anything of task_struct, or where init_task is, is not the
// kernel's own.
func borrowsTasks(symbols *isf.File) bool {
	return slices.ContainsFunc(symbols.Origins(), func(o isf.Origin) bool {
		return strings.HasSuffix(o.Object, " task_struct") || strings.Contains(o.Object, " task_struct.") || strings.HasSuffix(o.Object, " init_task")
	})
}

// The members of struct list_head.
const (
	listNext = vmem.VirtAddr(0)
	listPrev = vmem.VirtAddr(8)
)

// verifyList follows the list of tasks from init_task in both directions. It ends at the first that is not
// linked as it should be.
func (k *Kernel) verifyList(v *verifyViews) (n verdictOfTasks) {
	head := v.tasks.Of(k.initTask)
	for _, there := range []vmem.VirtAddr{listNext, listPrev} {
		for i, node := 0, head; i < maxVerified/2; i++ {
			next, ok := k.link(node, there)
			if next == head || next == 0 {
				break
			}
			n.add(ok && k.isTask(v, v.tasks.Container(next)))
			if !ok {
				break
			}
			node = next
		}
	}
	return n
}

// verifyAll looks at all tasks that any view has: where the list is broken on both sides of init_task it says little.
func (k *Kernel) verifyAll(ctx context.Context, v *verifyViews) (n verdictOfTasks) {
	for t, err := range k.Census(ctx) {
		if err != nil {
			continue
		}
		node := v.tasks.Of(t.Addr)
		_, next := k.link(node, listNext)
		_, prev := k.link(node, listPrev)
		n.add((next || prev) && k.isTask(v, t.Addr))
	}
	return n
}

// link returns the node that one of a list leads to, 0 where it can't be read, and whether that leads back.
func (k *Kernel) link(node, there vmem.VirtAddr) (next vmem.VirtAddr, ok bool) {
	at, err := k.space.Uint64(node + there)
	if err != nil {
		return 0, false
	}
	back, err := k.space.Uint64(vmem.VirtAddr(at) + listPrev - there)
	return vmem.VirtAddr(at), err == nil && vmem.VirtAddr(back) == node
}

// isTask reports whether a process is at addr, as far as its own members tell.
func (k *Kernel) isTask(v *verifyViews, addr vmem.VirtAddr) bool {
	t, err := v.task.Load(k.space, addr)
	if err != nil || t.PID <= 0 || t.PID > pidMax || t.TGID != t.PID || !plausible(t.Parent) {
		return false
	}
	n := bytes.IndexByte(t.Comm[:], 0)
	return n > 0
}

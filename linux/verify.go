package linux

import (
	"bytes"
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
// tasks of what is none. Where init_task itself is lost, types of the same build are believed
// if other objects are where and as they say; holds are the witnesses of the kernel.
func (k *Kernel) verifyLayout(foreign bool, holds []string) error {
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
	good, bad := 0, 0
	for _, next := range []bool{true, false} {
		g, b := k.verifyTasks(&v, next)
		good, bad = good+g, bad+b
	}
	if foreign && (good < minVerified || bad > good/4) || bad > good {
		return fmt.Errorf("%w: of the tasks next to init_task %d are as the types say, %d are not", kstruct.ErrCorrupt, good, bad)
	}
	return nil
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

// verifyTasks follows the list of tasks from init_task in one direction, and counts those that
// are as they should be and those that are not. It ends at the first that is not linked as
// it should be.
func (k *Kernel) verifyTasks(v *verifyViews, forward bool) (good, bad int) {
	there, back := vmem.VirtAddr(0), vmem.VirtAddr(8) // list_head.next, .prev
	if !forward {
		there, back = back, there
	}
	head := v.tasks.Of(k.initTask)
	for node := head; good+bad < maxVerified; {
		next, err := k.space.Uint64(node + there)
		if err != nil || vmem.VirtAddr(next) == head {
			return good, bad
		}
		link, err := k.space.Uint64(vmem.VirtAddr(next) + back)
		if err != nil || vmem.VirtAddr(link) != node {
			return good, bad + 1
		}
		node = vmem.VirtAddr(next)
		if k.isTask(v, v.tasks.Container(node)) {
			good++
		} else {
			bad++
		}
	}
	return good, bad
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

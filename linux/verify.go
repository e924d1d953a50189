package linux

import (
	"bytes"
	"fmt"

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

// verifyLayout holds what the kernel is read with against the kernel where not all of it is the
// kernel's own: init_task must be the idle task, its own parent and the leader of its
// group, and the tasks around it in the list must be tasks. Damage may end the list on both sides,
// but not make tasks of what is none.
func (k *Kernel) verifyLayout() error {
	if len(k.symbols.Origins()) == 0 {
		return nil
	}
	v, err := bindVerify(k.symbols)
	if err != nil {
		return err
	}
	init, err := v.task.Load(k.space, k.initTask)
	switch {
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
	if good < minVerified || bad > good/4 {
		return fmt.Errorf("%w: of the tasks next to init_task %d are as the types say, %d are not", kstruct.ErrCorrupt, good, bad)
	}
	return nil
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

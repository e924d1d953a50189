package linux

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// readHead reads the head of the task_struct at addr, which is in another page than its core
// as a rule, and verifies it by the stack, which every task has until it is dead. Without it,
// whether the task is a kernel's thread is known by its memory.
func (k *Kernel) readHead(addr vmem.VirtAddr, s *taskStruct) error {
	v := &k.views.task
	err := cause(v.head.Read(k.space, addr, &s.taskHead), v.err)
	if err == nil && !s.hasStack() {
		err = errPointer("stack", s.Stack)
	}
	if err == nil {
		return nil
	}
	s.taskHead = taskHead{}
	if s.MM == 0 && s.ExitState == 0 {
		s.Flags = pfKthread
		if strings.HasPrefix(text(s.Comm[:]), "kworker/") {
			s.Flags |= pfWQWorker
		}
	}
	return err
}

// hasStack reports whether a task has a stack, or has none any more.
func (s *taskStruct) hasStack() bool {
	return plausible(s.Stack) && s.Stack%pageSize == 0 || s.Stack == 0 && s.ExitState != 0
}

// minPointers is how many of the pointers around a task's name must be some where nothing else
// says whose they are.
const minPointers = 3

// readName reads the name of the task_struct at addr and what surrounds it, which may be in
// another page than its core, and verifies that it is this task's: signal_struct has the struct
// pid of the group.
func (k *Kernel) readName(addr vmem.VirtAddr, s *taskStruct) error {
	v := k.views
	if err := v.task.name.Read(k.space, addr, &s.taskName); err != nil {
		return cause(err, v.task.err)
	}
	if plausible(s.Signal) {
		if nr, err := k.groupOf(s.Signal); err == nil && nr == s.TGID {
			return nil
		} else if err == nil && nr > 0 && nr < pidMax {
			return fmt.Errorf("%w: what surrounds the name is of process %d", kstruct.ErrCorrupt, nr)
		}
	}
	n := 0
	for _, p := range []vmem.VirtAddr{s.FS, s.Files, s.NSProxy, s.Signal, s.Sighand} {
		if plausible(p) {
			n++
		}
	}
	if n < minPointers || !isName(text(s.Comm[:])) {
		return fmt.Errorf("%w: what surrounds the name is of no task", kstruct.ErrCorrupt)
	}
	return nil
}

// groupOf returns the PID of the thread group of a signal_struct.
func (k *Kernel) groupOf(signal vmem.VirtAddr) (int32, error) {
	s, err := k.views.links.signal.Load(k.space, signal)
	if err != nil {
		return 0, err
	}
	if !plausible(s.PIDs[1]) {
		return 0, errPointer("struct pid", s.PIDs[1])
	}
	return k.views.pid.nr.Load(k.space, s.PIDs[1])
}

// isName reports whether a name is one that programs have, though the kernel takes any bytes.
func isName(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

package linux

import (
	"fmt"
	"sync"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

const pageSize = vmem.PageSize

// A mmStruct is struct mm_struct (include/linux/mm_types.h).
type mmStruct struct {
	PGD        vmem.VirtAddr `kernel:"pgd"`
	ArgStart   vmem.VirtAddr `kernel:"arg_start"`
	ArgEnd     vmem.VirtAddr `kernel:"arg_end"`
	EnvStart   vmem.VirtAddr `kernel:"env_start"`
	EnvEnd     vmem.VirtAddr `kernel:"env_end"`
	StartBrk   vmem.VirtAddr `kernel:"start_brk"`
	Brk        vmem.VirtAddr `kernel:"brk"`
	StartStack vmem.VirtAddr `kernel:"start_stack"`
	VDSO       vmem.VirtAddr `kernel:"context.vdso,optional"`
	Users      int32         `kernel:"mm_users.counter"`
	Owner      vmem.VirtAddr `kernel:"owner,optional"` // a task that has it, if CONFIG_MEMCG
}

type mmViews struct {
	of  *kstruct.Field[vmem.VirtAddr] // the mm of a task_struct
	mm  *kstruct.View[mmStruct]
	err error
}

func bindMM(types *isf.File) (v mmViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "mm")
	v.mm = kstruct.Bind[mmStruct](b, "mm_struct")
	v.err = b.Err()
	return v
}

// An MM is the user address space of a process (mm_struct). Its fields are immutable. It
// is safe for concurrent use.
type MM struct {
	Addr             vmem.VirtAddr // of the mm_struct
	ArgStart, ArgEnd vmem.VirtAddr // the argument area, end exclusive
	EnvStart, EnvEnd vmem.VirtAddr // the environment area, end exclusive
	StartBrk, Brk    vmem.VirtAddr // the heap, end exclusive
	StartStack       vmem.VirtAddr
	VDSO             vmem.VirtAddr

	space *vmem.AddressSpace
	k     *Kernel
	name  string // of the task, and its PID
	pid   int32

	onStack func() (argv, envp []vmem.VirtAddr) // what pointers gives, once; nil where it may change

	mu    sync.Mutex
	spans *spans // what is mapped, once it was asked for
}

// MM returns the user address space of the task. The error is [ErrNone] for a task that
// has none, a kernel thread or one that has exited, and a [vmem.Gap] otherwise.
func (t *Task) MM() (*MM, error) {
	t.k.refresh()
	v := &t.k.views.mm
	addr, err := v.of.Load(t.k.space, t.Addr)
	switch {
	case err != nil:
		return nil, t.lost("mm", t.Addr, cause(err, v.err))
	case t.KernelThread || addr == 0 && t.helper():
		return nil, ErrNone
	case addr == 0:
		return nil, t.lost("mm", t.Addr, t.without("mm_struct"))
	}
	mm, err := t.k.newMM(addr, t)
	if err != nil {
		return nil, t.lost("mm", addr, cause(err, v.err))
	}
	return mm, nil
}

func (k *Kernel) newMM(addr vmem.VirtAddr, t *Task) (*MM, error) {
	s, err := k.views.mm.mm.Load(k.space, addr)
	if err != nil {
		return nil, err
	}
	if err := k.owned(addr, &s, t); err != nil {
		return nil, err
	}
	root, err := k.space.Translate(s.PGD)
	if err != nil {
		return nil, fmt.Errorf("page table root: %w", err)
	}
	m := &MM{
		Addr: addr, k: k, name: t.String(), pid: t.PID,
		ArgStart: s.ArgStart, ArgEnd: s.ArgEnd, EnvStart: s.EnvStart, EnvEnd: s.EnvEnd,
		StartBrk: s.StartBrk, Brk: s.Brk, StartStack: s.StartStack, VDSO: s.VDSO,
	}
	if !k.phys.Live() {
		m.onStack = sync.OnceValues(m.readPointers)
	}
	m.space, err = k.userSpace(root.At(s.PGD))
	return m, err
}

// owned returns what is wrong with the mm_struct at addr as that of a task: it is in use,
// and its owner is the task, or another one that has it too.
func (k *Kernel) owned(addr vmem.VirtAddr, s *mmStruct, t *Task) error {
	owner := addr
	if s.Owner != 0 && s.Owner != t.Addr {
		var err error
		if owner, err = k.views.mm.of.Load(k.space, s.Owner); err != nil {
			return fmt.Errorf("its owner: %w", err)
		}
	}
	if s.Users <= 0 || owner != addr || s.PGD%pageSize != 0 || s.ArgStart > s.ArgEnd || s.EnvStart > s.EnvEnd {
		return fmt.Errorf("%w: mm_struct %v in use %d times, of an owner with mm %v, with page tables at %v", kstruct.ErrCorrupt, addr, s.Users, owner, s.PGD)
	}
	return nil
}

// ReadVirt reads user memory at addr into p. It returns the number of bytes before
// the first that could not be read, and a *vmem.Fault for that one.
func (m *MM) ReadVirt(p []byte, addr vmem.VirtAddr) (int, error) { return m.space.ReadVirt(p, addr) }

// Space returns the page tables of the process.
func (m *MM) Space() *vmem.AddressSpace { return m.space }

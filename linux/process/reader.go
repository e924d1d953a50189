package process

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A Reader reads the tasks of one kernel. It is safe for concurrent use.
type Reader struct {
	k       *linux.Kernel
	mem     *vmem.AddressSpace
	objects *kstruct.Space
	views   *views
	// newer: tasks are shown as kernels of 6.1 and later show them, of which 5.10 differs in what a process that ended or is stopped has in stat.
	newer bool

	hugePages bool // the kernel was built with CONFIG_TRANSPARENT_HUGEPAGE

	policies *policyCache
}

// New returns a Reader of a kernel's tasks. What the kernel's types lack is an error of the methods that
// need it.
func New(k *linux.Kernel) *Reader {
	_, err := k.Symbols().Constant("vm_event_item", "THP_FAULT_ALLOC")
	return &Reader{
		hugePages: err == nil,
		k:         k, mem: k.Space(), objects: k.Objects(), views: bindViews(k.Symbols()), policies: new(policyCache), newer: k.Symbols().HasField("task_struct", "__state"),
	}
}

// lost makes a Gap of an error about what of a task; nil stays nil.
func lost(t *linux.Task, what string, addr vmem.VirtAddr, err error) error {
	if err == nil {
		return nil
	}
	return vmem.NewGap(what+" of "+t.String(), vmem.KernelPlace(addr), err)
}

// corrupt describes what contradicts itself.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// cause returns err, and where it says no more than that something was not bound, what the
// types lack.
func cause(err, lacks error) error {
	if err != nil && lacks != nil && errors.Is(err, kstruct.ErrUnsupported) {
		return lacks
	}
	return err
}

// plausible reports whether a can be the address of a kernel object.
func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// pid returns the number of a struct pid in the initial namespace, 0 for none.
func (r *Reader) pid(at vmem.VirtAddr) (int32, error) {
	if at == 0 {
		return 0, nil
	}
	if !plausible(at) {
		return 0, corrupt("struct pid pointer %v", at)
	}
	n, err := r.views.pid.Load(r.mem, at)
	return n, cause(err, r.views.err)
}

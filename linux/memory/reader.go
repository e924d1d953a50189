package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/process"
	"github.com/nodelens/nodelens/linux/swap"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A Reader reads the memory of one kernel's processes. It is immutable and safe for concurrent use.
type Reader struct {
	k       *linux.Kernel
	mem     *vmem.AddressSpace
	views   views
	process *process.Reader
	maps    mapViews
	swap    func() (*swap.Reader, error) // once

	flagNames [64]string                 // of mappings
	pageTable func() (*pageTable, error) // once
}

// Options are the settings of New. A nil pointer means the zero value.
type Options struct {
	// Swap reads pages that were swapped out, which are then as good as pages in memory. Nil: those that the image itself has are, in zram and in the
	// swap cache.
	Swap *swap.Reader
}

// New returns a Reader. What the kernel's types lack is an error of the methods that need it.
func New(k *linux.Kernel, opts *Options) *Reader {
	areas := func() (*swap.Reader, error) { return swap.Open(context.Background(), k, nil) }
	if opts != nil && opts.Swap != nil {
		areas = func() (*swap.Reader, error) { return opts.Swap, nil }
	}
	return &Reader{
		k: k, mem: k.Space(), views: bindViews(k.Symbols()), process: process.New(k), flagNames: vmFlagNames(k.Symbols()),
		maps: bindMaps(k.Symbols()), swap: sync.OnceValues(areas),
		pageTable: sync.OnceValues(func() (*pageTable, error) { return newPageTable(k) }),
	}
}

// A userRegs is struct pt_regs (arch/x86/include/asm/ptrace.h). Since 6.9 the selectors have other things in their words (ee63291aa8287).
type userRegs struct {
	R15     uint64 `kernel:"r15"`
	R14     uint64 `kernel:"r14"`
	R13     uint64 `kernel:"r13"`
	R12     uint64 `kernel:"r12"`
	RBP     uint64 `kernel:"bp"`
	RBX     uint64 `kernel:"bx"`
	R11     uint64 `kernel:"r11"`
	R10     uint64 `kernel:"r10"`
	R9      uint64 `kernel:"r9"`
	R8      uint64 `kernel:"r8"`
	RAX     uint64 `kernel:"ax"`
	RCX     uint64 `kernel:"cx"`
	RDX     uint64 `kernel:"dx"`
	RSI     uint64 `kernel:"si"`
	RDI     uint64 `kernel:"di"`
	OrigRAX uint64 `kernel:"orig_ax"`
	RIP     uint64 `kernel:"ip"`
	CS      uint64 `kernel:"cs"`
	Flags   uint64 `kernel:"flags"`
	RSP     uint64 `kernel:"sp"`
	SS      uint64 `kernel:"ss"`
}

// A threadRegs is what of registers is in a task_struct (struct thread_struct, arch/x86/include/asm/processor.h).
type threadRegs struct {
	ES     uint16 `kernel:"thread.es"`
	DS     uint16 `kernel:"thread.ds"`
	FS     uint16 `kernel:"thread.fsindex"`
	GS     uint16 `kernel:"thread.gsindex"`
	FSBase uint64 `kernel:"thread.fsbase"`
	GSBase uint64 `kernel:"thread.gsbase"`
}

type views struct {
	regs    *kstruct.View[userRegs]
	thread  *kstruct.View[threadRegs]
	stack   *kstruct.Field[vmem.VirtAddr] // of task_struct
	onCPU   kstruct.Member                // an int, since 7.0 a byte
	mm      *kstruct.Field[vmem.VirtAddr]
	auxv    kstruct.Member // saved_auxv of mm_struct
	regsErr error
	err     error
}

func bindViews(types *isf.File) (v views) {
	b := kstruct.NewBinder(types)
	v.regs = kstruct.Bind[userRegs](b, "pt_regs")
	v.thread = kstruct.Bind[threadRegs](b, "task_struct")
	v.stack = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "stack")
	v.onCPU = kstruct.BindMember(b, "task_struct", "on_cpu")
	v.regsErr = b.Err()
	b = kstruct.NewBinder(types)
	v.mm = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "mm")
	v.auxv = kstruct.BindMember(b, "mm_struct", "saved_auxv")
	v.err = b.Err()
	return v
}

// lost makes a Gap of an error about what of a task; nil stays nil.
func lost(t *linux.Task, what string, addr vmem.VirtAddr, err error) error {
	if err == nil {
		return nil
	}
	return vmem.NewGap(what+" of "+t.String(), vmem.KernelPlace(addr), err)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// cause returns err, and where it says no more than that something was not bound, what the types lack.
func cause(err, lacks error) error {
	if err != nil && lacks != nil && errors.Is(err, kstruct.ErrUnsupported) {
		return lacks
	}
	return err
}

func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

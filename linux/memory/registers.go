package memory

import (
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Registers are those of a thread in user mode, as it left it: at a system call, an interrupt or a fault.
type Registers struct {
	R15     uint64 `json:"r15" jsonx:"hex"`
	R14     uint64 `json:"r14" jsonx:"hex"`
	R13     uint64 `json:"r13" jsonx:"hex"`
	R12     uint64 `json:"r12" jsonx:"hex"`
	RBP     uint64 `json:"rbp" jsonx:"hex"`
	RBX     uint64 `json:"rbx" jsonx:"hex"`
	R11     uint64 `json:"r11" jsonx:"hex"`
	R10     uint64 `json:"r10" jsonx:"hex"`
	R9      uint64 `json:"r9" jsonx:"hex"`
	R8      uint64 `json:"r8" jsonx:"hex"`
	RAX     uint64 `json:"rax" jsonx:"hex"`
	RCX     uint64 `json:"rcx" jsonx:"hex"`
	RDX     uint64 `json:"rdx" jsonx:"hex"`
	RSI     uint64 `json:"rsi" jsonx:"hex"`
	RDI     uint64 `json:"rdi" jsonx:"hex"`
	OrigRAX uint64 `json:"origRAX" jsonx:"hex"` // the number of the system call; all ones if it is in none
	RIP     uint64 `json:"rip" jsonx:"hex"`
	CS      uint64 `json:"cs" jsonx:"hex"`
	Flags   uint64 `json:"flags" jsonx:"hex"`
	RSP     uint64 `json:"rsp" jsonx:"hex"`
	SS      uint64 `json:"ss" jsonx:"hex"`
	FSBase  uint64 `json:"fsBase" jsonx:"hex"`
	GSBase  uint64 `json:"gsBase" jsonx:"hex"`
	DS      uint64 `json:"ds" jsonx:"hex"`
	ES      uint64 `json:"es" jsonx:"hex"`
	FS      uint64 `json:"fs" jsonx:"hex"`
	GS      uint64 `json:"gs" jsonx:"hex"`

	// Running says that a processor ran the thread when the memory was imaged: then the registers are those of when it
	// entered the kernel last, and may be older than what is in memory.
	Running bool `json:"running"`
}

// Selectors of user mode (arch/x86/include/asm/segment.h).
const (
	userCS   = 0x33
	userCS32 = 0x23
	userSS   = 0x2b
)

// pfIOWorker is PF_IO_WORKER of include/linux/sched.h: a thread that the kernel made in a process, for io_uring.
const pfIOWorker = 0x10

// Sizes of a kernel stack (THREAD_SIZE: the second with KASAN), and what is left free at its end: with CONFIG_X86_FRED room for two
// words more (TOP_OF_KERNEL_STACK_PADDING, arch/x86/include/asm/thread_info.h).
var (
	stackSizes   = []vmem.VirtAddr{16 << 10, 32 << 10}
	stackPadding = []vmem.VirtAddr{0, 16}
)

// Registers returns the registers of a thread in user mode, which it leaves at the end of its kernel stack (task_pt_regs). Which of
// the places that kernels have it is, the selectors there tell. The error is [linux.ErrNone] for a thread that has no user
// mode, as those of the kernel and those that it makes in processes, and a [vmem.Gap] otherwise.
func (r *Reader) Registers(t *linux.Task) (Registers, error) {
	r.k.Physical().Refresh()
	mm, err := r.views.mm.Load(r.mem, t.Addr)
	if err == nil && (mm == 0 || t.KernelThread) {
		return Registers{}, linux.ErrNone
	}
	var stack vmem.VirtAddr
	if err == nil {
		stack, err = r.views.stack.Load(r.mem, t.Addr)
	}
	if err == nil && (!plausible(stack) || stack%vmem.PageSize != 0) {
		err = corrupt("stack pointer %v", stack)
	}
	if err != nil {
		return Registers{}, lost(t, "registers", t.Addr, cause(err, r.views.regsErr))
	}
	s, err := r.userRegs(stack)
	if err == nil && (t.Flags&pfIOWorker != 0 || s.RIP == 0 && s.RSP == 0) {
		return Registers{}, linux.ErrNone
	}
	if err != nil {
		return Registers{}, lost(t, "registers", stack, err)
	}
	out := Registers{
		R15: s.R15, R14: s.R14, R13: s.R13, R12: s.R12, RBP: s.RBP, RBX: s.RBX, R11: s.R11, R10: s.R10, R9: s.R9, R8: s.R8, RAX: s.RAX,
		RCX: s.RCX, RDX: s.RDX, RSI: s.RSI, RDI: s.RDI, OrigRAX: s.OrigRAX, RIP: s.RIP, CS: s.CS & 0xffff, Flags: s.Flags, RSP: s.RSP, SS: s.SS & 0xffff,
	}
	thread, err := r.views.thread.Load(r.mem, t.Addr)
	out.FSBase, out.GSBase = thread.FSBase, thread.GSBase
	out.DS, out.ES, out.FS, out.GS = uint64(thread.DS), uint64(thread.ES), uint64(thread.FS), uint64(thread.GS)
	if err == nil {
		var on uint8
		on, err = r.mem.Uint8(r.views.onCPU.Of(t.Addr))
		out.Running = on != 0
	}
	return out, lost(t, "registers", t.Addr, err)
}

// userRegs reads the struct pt_regs at the end of a stack.
func (r *Reader) userRegs(stack vmem.VirtAddr) (userRegs, error) {
	var first error
	for _, size := range stackSizes {
		for _, padding := range stackPadding {
			s, err := r.views.regs.Load(r.mem, stack+size-padding-vmem.VirtAddr(r.views.regs.Size()))
			switch {
			case err != nil:
				if first == nil {
					first = cause(err, r.views.regsErr)
				}
			case (s.CS&0xffff == userCS || s.CS&0xffff == userCS32) && s.SS&0xffff == userSS:
				return s, nil
			}
		}
	}
	if first == nil {
		first = corrupt("no registers of user mode at the end of the stack")
	}
	return userRegs{}, first
}

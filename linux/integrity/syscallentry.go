package integrity

import (
	"fmt"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/vmem"
)

// syscallEntries are the functions that system calls go through, from where the processor enters the kernel to what finds the
// function by its number (arch/x86/entry). Where the processor enters is in its registers (MSR_LSTAR and the like), which no image of memory
// holds: that these are as the kernel set them can't be seen.
var syscallEntries = []string{
	"entry_SYSCALL_64", "entry_SYSCALL_64_safe_stack", "entry_SYSCALL_64_after_hwframe",
	"entry_SYSENTER_compat", "entry_SYSENTER_compat_after_hwframe", "entry_SYSCALL_compat", "entry_SYSCALL_compat_safe_stack", "entry_SYSCALL_compat_after_hwframe",
	"entry_INT80_compat", "asm_int80_emulation",
	"do_syscall_64", "do_SYSENTER_32", "do_fast_syscall_32", "__do_fast_syscall_32", "do_int80_syscall_32", "do_int80_emulation", "int80_emulation",
}

// readSyscallEntries yields what the code calls that system calls go through.
func readSyscallEntries(r *reader) {
	any := false
	for _, name := range syscallEntries {
		f, err := r.function(name)
		if err != nil {
			continue // kernels differ in which they have
		}
		any = true
		if !r.readCalls(f) {
			return
		}
	}
	if !any {
		_, err := r.function(syscallEntries[0])
		r.lost("syscall_entry", 0, err)
	}
}

// readCalls yields where a function leads: its direct calls, and jumps out of it. Each has to be to code
// of the kernel itself.
func (r *reader) readCalls(f *function) bool {
	seen := map[vmem.VirtAddr]bool{}
	sure := true
	f.each(func(in *inst) bool {
		if in.Op == x86asm.UD2 && in.Len == 1 { // what follows may not be where instructions begin
			sure = false
		}
		to, ok := in.target()
		if !ok || in.Op != x86asm.CALL && in.Op != x86asm.JMP || f.contains(to) || seen[to] {
			return true
		}
		seen[to] = true
		h := r.Hook("syscall_entry", "", 0, to)
		h.Entry = fmt.Sprintf("%s calls %s", f.name, h.Symbol)
		if in.Op == x86asm.JMP {
			h.Entry = fmt.Sprintf("%s jumps to %s", f.name, h.Symbol)
		}
		switch {
		case r.callsFtrace(to):
		case !sure && h.Verdict.Kind != Kernel:
			return true
		default:
			h.mustBeKernel()
			if !h.Suspect && in.Op == x86asm.CALL {
				r.checkEntry(&h, to)
			}
		}
		return r.found(h)
	})
	return !r.over
}

package integrity

import (
	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/vmem"
)

// maxEntry is how many bytes of a function are its entry: more than what is patched over to lead elsewhere.
const maxEntry = 48

// checkEntry looks at the first instructions of a function. What leads out of the kernel's code there, and is neither of ftrace
// nor of a kprobe, does not belong.
func (r *reader) checkEntry(h *Hook, at vmem.VirtAddr) {
	f := &function{at: at, text: make([]byte, maxEntry)}
	n, err := r.k.Space().ReadVirt(f.text, at)
	if f.text = f.text[:n]; err != nil && n < maxEntry/2 {
		r.lost("code of "+h.Symbol, at, err)
		return
	}
	r.scanEntry(h, f)
}

// scanEntry looks at the first instructions of code.
func (r *reader) scanEntry(h *Hook, f *function) {
	regs := map[x86asm.Reg]vmem.VirtAddr{}
	var pushed vmem.VirtAddr
	for off, i := 0, 0; i < 4 && off < len(f.text)-15; i++ {
		in := f.decode(off)
		to, direct := in.target()
		switch {
		case in.Op == x86asm.INT && f.text[off] == breakpoint:
			r.breakpoint(h, in.at)
			return
		case in.Op == x86asm.CALL && direct:
			r.entryCall(h, &in, to)
		case in.Op == x86asm.JMP && direct:
			r.entryJump(h, to)
			return
		case in.Op == x86asm.JMP:
			if to, ok := r.indirect(&in, regs); ok {
				r.entryJump(h, to)
			}
			return
		case in.Op == x86asm.RET:
			if pushed != 0 {
				r.entryJump(h, pushed)
			}
			return
		case in.Op == x86asm.PUSH:
			pushed = pushedBy(&in, regs)
		case in.Op == x86asm.MOV:
			reg, ok := in.Args[0].(x86asm.Reg)
			if imm, ok2 := in.Args[1].(x86asm.Imm); ok && ok2 {
				regs[reg] = vmem.VirtAddr(int64(imm))
			}
		}
		off += in.Len
	}
}

// breakpoint is int3.
const breakpoint = 0xcc

// pushedBy returns the address that an instruction pushes, 0 where it is not known.
func pushedBy(in *inst, regs map[x86asm.Reg]vmem.VirtAddr) vmem.VirtAddr {
	switch a := in.Args[0].(type) {
	case x86asm.Imm:
		return vmem.VirtAddr(int64(int32(a)))
	case x86asm.Reg:
		return regs[a]
	}
	return 0
}

// indirect returns where a jump through a register or memory leads, if that can be told.
func (r *reader) indirect(in *inst, regs map[x86asm.Reg]vmem.VirtAddr) (vmem.VirtAddr, bool) {
	switch a := in.Args[0].(type) {
	case x86asm.Reg:
		to, ok := regs[a]
		return to, ok
	case x86asm.Mem:
		if a.Base != x86asm.RIP || a.Index != 0 || a.Segment != 0 {
			return 0, false
		}
		to, err := r.k.Space().Uint64(in.next() + vmem.VirtAddr(a.Disp))
		return vmem.VirtAddr(to), err == nil
	}
	return 0, false
}

// entryCall tells of a call among the first instructions: that of the tracer.
func (r *reader) entryCall(h *Hook, in *inst, to vmem.VirtAddr) {
	switch v := r.Verdict(to); {
	case r.callsFtrace(to):
		h.add("traced: %s is called at its entry", r.symbols.Describe(to))
	case v.Kind != Kernel:
		h.suspect("code at its entry calls %s, %v", r.symbols.Describe(to), v)
	}
}

// entryJump tells of a jump among the first instructions.
func (r *reader) entryJump(h *Hook, to vmem.VirtAddr) {
	switch v := r.Verdict(to); v.Kind {
	case Kernel:
	case Trampoline:
		h.add("code at its entry jumps to %s, a trampoline", r.symbols.Describe(to))
	default:
		h.suspect("code at its entry jumps to %s, %v", r.symbols.Describe(to), v)
	}
}

// breakpoint tells of an int3 among the first instructions: that of a kprobe, or one that nobody knows of.
func (r *reader) breakpoint(h *Hook, at vmem.VirtAddr) {
	if r.kprobeAt(at) {
		h.add("a kprobe is at its entry")
		return
	}
	h.suspect("a breakpoint is at its entry, which is of no kprobe")
}

// kprobeAt reports whether a kprobe is at an address.
func (r *reader) kprobeAt(a vmem.VirtAddr) bool { return r.probes.at[a] }

package kstack

import (
	"github.com/nodelens/nodelens/vmem"
)

// stackSize bounds a kernel stack: THREAD_SIZE is 16 KiB, 32 KiB with KASAN (arch/x86/include/asm/page_64_types.h).
const stackSize = 32 << 10

// struct inactive_task_frame of arch/x86/include/asm/switch_to.h: r15 to r12, bx, bp, the return address.
const (
	frameBP   = 40
	frameRet  = 48
	frameSize = 56
)

// Offsets of struct pt_regs (arch/x86/include/asm/ptrace.h).
const (
	ptR13 = 16
	ptBP  = 32
	ptR10 = 56
	ptAX  = 80
	ptDX  = 96
	ptDI  = 112
	ptIP  = 128
	ptCS  = 136
	ptSP  = 152
)

// maxFrames bounds the frames of a stack: each takes 8 bytes at least.
const maxFrames = stackSize / 8

// A state is struct unwind_state: where an unwinding is.
type state struct {
	r       *Reader
	stack   vmem.Range[vmem.VirtAddr]
	ip      vmem.VirtAddr
	sp, bp  vmem.VirtAddr
	regs    vmem.VirtAddr // struct pt_regs that the frame is of; 0 for none
	prev    vmem.VirtAddr // a whole one before a partial one
	whole   bool          // regs is whole
	signal  bool
	guessed bool
	user    bool // it came to where user mode was left
}

// unwind follows a stack (__unwind_start and unwind_next_frame of arch/x86/kernel/unwind_orc.c).
func (r *Reader) unwind(t *taskStack) ([]Frame, error) {
	s := &state{r: r, stack: vmem.Range[vmem.VirtAddr]{Start: t.Stack, Size: stackSize}, sp: t.SP + frameSize}
	bp, err := s.word(t.SP + frameBP)
	if err != nil {
		return nil, err
	}
	ip, err := s.word(t.SP + frameRet)
	if err != nil {
		return nil, err
	}
	s.bp, s.ip = vmem.VirtAddr(bp), vmem.VirtAddr(ip)
	s.signal = s.ip == r.fork
	var frames []Frame
	for range maxFrames {
		f, ok := r.frame(s.ip, s.guessed)
		if !ok {
			if s.guessed {
				return frames, nil
			}
			return frames, corrupt("%v is to be returned to, and no code", s.ip)
		}
		frames = append(frames, f)
		if more, err := s.next(); !more || err != nil {
			return frames, err
		}
	}
	return frames, corrupt("a stack of more than %d frames", maxFrames)
}

// word reads a word of the stack.
func (s *state) word(at vmem.VirtAddr) (uint64, error) {
	if !s.stack.Contains(at) || at%8 != 0 {
		return 0, corrupt("%v is not on the stack at %v", at, s.stack.Start)
	}
	return s.r.mem.Uint64(at)
}

// reg returns a register of the frame's struct pt_regs (get_reg).
func (s *state) reg(offset vmem.VirtAddr) (vmem.VirtAddr, bool) {
	at := s.regs
	if !s.whole {
		at = s.prev
	}
	if s.regs == 0 || at == 0 {
		return 0, false
	}
	v, err := s.word(at + offset)
	return vmem.VirtAddr(v), err == nil
}

// next goes to the frame of the caller. It reports whether there is one.
func (s *state) next() (bool, error) {
	at := s.ip - 1
	if s.signal {
		at = s.ip
	}
	orc, ok, err := s.r.orc(at)
	if err != nil {
		return false, err
	}
	if !ok {
		orc, s.guessed = framePointer, true
	}
	switch orc.kind {
	case kindUndefined, kindBad:
		if s.guessed {
			return false, nil
		}
		return false, corrupt("no frame is told at %v", at)
	case kindEnd:
		return false, nil
	}
	s.signal = orc.signal
	before := s.sp
	sp, err := s.previous(&orc)
	if err == nil {
		err = s.caller(&orc, sp)
	}
	if err == nil && !s.user {
		err = s.framePointer(&orc, sp)
	}
	if err == nil && !s.user && s.sp <= before {
		err = corrupt("the stack goes from %v to %v", before, s.sp)
	}
	if s.user || err != nil && s.guessed { // what is not told ends it
		return false, nil
	}
	return err == nil, err
}

// previous returns the stack pointer before the frame.
func (s *state) previous(orc *orcEntry) (vmem.VirtAddr, error) {
	offset := vmem.VirtAddr(orc.spOffset)
	var sp uint64
	var err error
	switch orc.sp {
	case regSP:
		return s.sp + offset, nil
	case regBP:
		return s.bp + offset, nil
	case spIndirect:
		sp, err = s.word(s.sp)
		return vmem.VirtAddr(sp) + offset, err
	case bpIndirect:
		sp, err = s.word(s.bp + offset)
		return vmem.VirtAddr(sp), err
	}
	register, ok := map[reg]vmem.VirtAddr{regAX: ptAX, regDX: ptDX, regDI: ptDI, regR10: ptR10, regR13: ptR13}[orc.sp]
	if ok {
		var v vmem.VirtAddr
		if v, ok = s.reg(register); ok {
			return v, nil
		}
	}
	return 0, corrupt("the stack pointer before %v is in a register that is not known", s.ip)
}

// caller finds the instruction and stack pointers of the caller.
func (s *state) caller(orc *orcEntry, sp vmem.VirtAddr) error {
	if orc.kind == kindCall {
		ip, err := s.word(sp - 8)
		s.ip, s.sp, s.regs, s.prev = vmem.VirtAddr(ip), sp, 0, 0
		return err
	}
	regs := sp
	if orc.kind == kindRegsPartial {
		regs = sp - ptIP
	}
	ip, err := s.word(regs + ptIP)
	if err != nil {
		return err
	}
	next, err := s.word(regs + ptSP)
	if err != nil {
		return err
	}
	if s.prev = 0; orc.kind == kindRegsPartial && s.whole {
		s.prev = s.regs
	}
	s.ip, s.regs, s.whole = vmem.VirtAddr(ip), regs, orc.kind == kindRegs
	if cs, err := s.word(regs + ptCS); err == nil && cs&3 != 0 {
		s.user = true
		return nil
	}
	s.sp = vmem.VirtAddr(next)
	return nil
}

// framePointer finds the frame pointer of the caller.
func (s *state) framePointer(orc *orcEntry, sp vmem.VirtAddr) error {
	switch orc.bp {
	case undefined:
		if bp, ok := s.reg(ptBP); ok {
			s.bp = bp
		}
		return nil
	case prevSP:
		bp, err := s.word(sp + vmem.VirtAddr(orc.bpOffset))
		s.bp = vmem.VirtAddr(bp)
		return err
	case regBP:
		bp, err := s.word(s.bp + vmem.VirtAddr(orc.bpOffset))
		s.bp = vmem.VirtAddr(bp)
		return err
	}
	return corrupt("the frame pointer before %v is in a register that is not known", s.ip)
}

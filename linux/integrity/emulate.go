package integrity

import (
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A machine follows the code of a function that finds another by a number: through the comparisons that a compiler makes
// of a switch, or through its table of jumps. It knows no more of a CPU than such code uses. What it does not know of a register
// stays unknown, and a jump that depends on it is an error.
type machine struct {
	c     *Checker
	f     *function
	cache map[vmem.VirtAddr]inst
	regs  [16]value
	left  value // what was compared last
	right value
	and   bool // by a bitwise and
	width uint
}

// A value is what is in a register, as far as that is known.
type value struct {
	v  uint64
	ok bool
}

func (c *Checker) machine(f *function) *machine {
	return &machine{c: c, f: f, cache: map[vmem.VirtAddr]inst{}}
}

// maxSteps is how many instructions are followed: a switch of a thousand cases takes some forty.
const maxSteps = 1000

// rsi is the number of the register with the second argument.
const rsi = 6

// A leap is where code leads out of a function.
type leap struct {
	at     vmem.VirtAddr // of the instruction
	target vmem.VirtAddr // 0: it returns
}

// run follows the function, called with nr as its second argument, up to the first call or jump out of it.
func (m *machine) run(nr uint64) (leap, error) {
	m.regs = [16]value{rsi: {nr, true}}
	m.left, m.right = value{}, value{}
	at := m.f.at
	for range maxSteps {
		if !m.f.contains(at) {
			return leap{}, fmt.Errorf("%w: %s leads to %v", kstruct.ErrCorrupt, m.f.name, at)
		}
		in, ok := m.cache[at]
		if !ok {
			in = m.f.decode(int(at - m.f.at))
			m.cache[at] = in
		}
		to, out, err := m.step(&in)
		switch {
		case err != nil:
			return leap{at: at}, err
		case out && m.f.contains(to) && to != m.f.at:
			at = to
		case out && m.entry(at) && m.c.callsFtrace(to): // the call of the tracer
			at = in.next()
		case out:
			return leap{at, to}, nil
		default:
			at = to
		}
	}
	return leap{}, fmt.Errorf("%w: %s does not end", kstruct.ErrTooLong, m.f.name)
}

// entry reports whether an address is that of the instruction at which the tracer is called: the first, but for endbr64.
func (m *machine) entry(at vmem.VirtAddr) bool { return at == m.f.at || at == m.f.at+4 }

// callsFtrace reports whether an address is of code that functions call at their entry: of the kernel's own, or
// of a trampoline.
func (c *Checker) callsFtrace(at vmem.VirtAddr) bool {
	if c.Verdict(at).Kind == Trampoline {
		return true
	}
	l, ok := c.symbols.Resolve(at)
	return ok && l.Owner == "" && l.Offset == 0 && (strings.HasPrefix(l.Symbol, "ftrace_") && strings.HasSuffix(l.Symbol, "caller") || strings.HasSuffix(l.Symbol, "fentry__"))
}

// step does an instruction. out says that it is a call or a jump, which may lead out of the function; to is 0 for a
// return.
func (m *machine) step(in *inst) (to vmem.VirtAddr, out bool, err error) {
	switch in.Op {
	case x86asm.RET:
		return 0, true, nil
	case x86asm.CALL, x86asm.JMP:
		return m.leap(in)
	case x86asm.INT, x86asm.UD2, x86asm.UD1, x86asm.HLT:
		return 0, false, fmt.Errorf("%w: %v in %s at %v", kstruct.ErrCorrupt, in.Op, m.f.name, in.at)
	}
	if strings.HasPrefix(in.Op.String(), "J") {
		return m.branch(in)
	}
	m.compute(in)
	return in.next(), false, nil
}

// leap follows a call or a jump, also through the thunks that stand for indirect ones and for returns.
func (m *machine) leap(in *inst) (to vmem.VirtAddr, out bool, err error) {
	to, ok := in.target()
	if !ok {
		v := m.value(in, in.Args[0], 64)
		if !v.ok {
			return 0, false, fmt.Errorf("%w: %s jumps to what is not known at %v", kstruct.ErrUnsupported, m.f.name, in.at)
		}
		return vmem.VirtAddr(v.v), true, nil
	}
	if m.f.contains(to) {
		return to, true, nil
	}
	l, _ := m.c.symbols.Resolve(to)
	switch {
	case strings.Contains(l.Symbol, "return_thunk"):
		return 0, true, nil
	case strings.HasPrefix(l.Symbol, "__x86_indirect_") && l.Offset == 0:
		name := strings.ToUpper(l.Symbol[strings.LastIndexByte(l.Symbol, '_')+1:])
		for r := x86asm.RAX; r <= x86asm.R15; r++ {
			if v := m.regs[r-x86asm.RAX]; r.String() == name && v.ok {
				return vmem.VirtAddr(v.v), true, nil
			}
		}
		return 0, false, fmt.Errorf("%w: %s jumps to what is not known at %v", kstruct.ErrUnsupported, m.f.name, in.at)
	}
	return to, true, nil
}

// branch follows a conditional jump.
func (m *machine) branch(in *inst) (to vmem.VirtAddr, out bool, err error) {
	taken, ok := m.condition(in.Op)
	if !ok {
		return 0, false, fmt.Errorf("%w: %s depends on what is not known at %v", kstruct.ErrUnsupported, m.f.name, in.at)
	}
	if !taken {
		return in.next(), false, nil
	}
	to, _ = in.target()
	return to, true, nil
}

// condition evaluates what a conditional jump depends on.
func (m *machine) condition(op x86asm.Op) (taken, ok bool) {
	if !m.left.ok || !m.right.ok {
		return false, false
	}
	a, b := m.left.v, m.right.v
	if m.and {
		a, b = a&b, 0
	}
	shift := 64 - m.width
	sa, sb := int64(a<<shift)>>shift, int64(b<<shift)>>shift
	a, b = a<<shift>>shift, b<<shift>>shift
	switch op {
	case x86asm.JE:
		return a == b, true
	case x86asm.JNE:
		return a != b, true
	case x86asm.JA:
		return a > b, true
	case x86asm.JAE:
		return a >= b, true
	case x86asm.JB:
		return a < b, true
	case x86asm.JBE:
		return a <= b, true
	case x86asm.JG:
		return sa > sb, true
	case x86asm.JGE:
		return sa >= sb, true
	case x86asm.JL:
		return sa < sb, true
	case x86asm.JLE:
		return sa <= sb, true
	case x86asm.JS:
		return (sa-sb)<<shift < 0, true
	case x86asm.JNS:
		return (sa-sb)<<shift >= 0, true
	}
	return false, false
}

// register returns the number and width of a register.
func register(r x86asm.Reg) (n int, width uint, ok bool) {
	switch {
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), 64, true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), 32, true
	}
	return 0, 0, false
}

// value returns what an argument of an instruction is worth.
func (m *machine) value(in *inst, arg x86asm.Arg, width uint) value {
	switch a := arg.(type) {
	case x86asm.Imm:
		return value{uint64(int64(a)), true}
	case x86asm.Reg:
		if n, w, ok := register(a); ok {
			v := m.regs[n]
			if w == 32 {
				v.v = uint64(uint32(v.v))
			}
			return v
		}
	case x86asm.Mem:
		at := m.address(in, a)
		if !at.ok {
			return value{}
		}
		if width == 32 {
			v, err := m.c.k.Space().Uint32(vmem.VirtAddr(at.v))
			return value{uint64(v), err == nil}
		}
		v, err := m.c.k.Space().Uint64(vmem.VirtAddr(at.v))
		return value{v, err == nil && width == 64}
	}
	return value{}
}

// address returns the address of an argument in memory.
func (m *machine) address(in *inst, a x86asm.Mem) value {
	if a.Segment != 0 {
		return value{}
	}
	sum := value{uint64(a.Disp), true}
	if a.Base == 0 {
		sum.v = uint64(int64(int32(a.Disp)))
	}
	if a.Base == x86asm.RIP {
		sum.v += uint64(in.next())
	} else if a.Base != 0 {
		v := m.value(in, a.Base, 64)
		sum.v, sum.ok = sum.v+v.v, sum.ok && v.ok
	}
	if a.Index != 0 {
		v := m.value(in, a.Index, 64)
		sum.v, sum.ok = sum.v+v.v*uint64(a.Scale), sum.ok && v.ok
	}
	return sum
}

// compute does what instructions do that lead nowhere.
func (m *machine) compute(in *inst) {
	width := uint(in.DataSize)
	switch in.Op {
	case x86asm.CMP, x86asm.TEST:
		m.left, m.right = m.value(in, in.Args[0], width), m.value(in, in.Args[1], width)
		m.and, m.width = in.Op == x86asm.TEST, width
		if width != 32 && width != 64 {
			m.left = value{}
		}
		return
	case x86asm.NOP, x86asm.PUSH, x86asm.LFENCE:
		return
	}
	r, ok := in.Args[0].(x86asm.Reg)
	n, w, ok2 := register(r)
	if !ok || !ok2 {
		if ok || in.Op != x86asm.MOV { // part of a register, or flags
			m.forget(in)
		}
		return
	}
	m.regs[n] = m.result(in, w)
	if w == 32 {
		m.regs[n].v = uint64(uint32(m.regs[n].v))
	}
	switch in.Op {
	case x86asm.MOV, x86asm.LEA, x86asm.MOVSXD, x86asm.MOVZX, x86asm.POP:
	default:
		m.left = value{} // it sets flags
		if in.Op == x86asm.SUB || in.Op == x86asm.ADD || in.Op == x86asm.AND {
			m.left, m.right, m.and, m.width = m.regs[n], value{0, true}, false, w
		}
	}
}

// forget forgets what an instruction may have changed.
func (m *machine) forget(in *inst) {
	m.left = value{}
	if r, ok := in.Args[0].(x86asm.Reg); ok && r < x86asm.EAX { // of 8 or 16 bits
		m.regs = [16]value{}
	}
}

// result returns what an instruction puts into its register.
func (m *machine) result(in *inst, width uint) value {
	a, b := m.value(in, in.Args[0], width), value{}
	if in.Args[1] != nil {
		b = m.value(in, in.Args[1], width)
	}
	both := a.ok && b.ok
	switch in.Op {
	case x86asm.MOV:
		return b
	case x86asm.MOVSXD:
		b = m.value(in, in.Args[1], 32)
		return value{uint64(int64(int32(b.v))), b.ok}
	case x86asm.LEA:
		if mem, ok := in.Args[1].(x86asm.Mem); ok {
			return m.address(in, mem)
		}
	case x86asm.ADD:
		return value{a.v + b.v, both}
	case x86asm.SUB:
		return value{a.v - b.v, both}
	case x86asm.AND:
		return value{a.v & b.v, both}
	case x86asm.XOR:
		if in.Args[0] == in.Args[1] {
			return value{0, true}
		}
		return value{a.v ^ b.v, both}
	case x86asm.SHL:
		return value{a.v << (b.v & 63), both}
	}
	return value{}
}

package bpf

import (
	"context"
	"fmt"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/linux/internal/x86code"
	"github.com/nodelens/nodelens/vmem"
)

var (
	classNames  = [8]string{"ld", "ldx", "st", "stx", "alu", "jmp", "jmp32", "alu64"}
	aluNames    = [16]string{"+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian"}
	jumpNames   = [16]string{"jmp", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<="}
	sizeNames   = [4]string{"u32", "u16", "u8", "u64"}
	signedNames = [4]string{"s32", "s16", "s8"}
	atomicNames = map[uint8]string{opAdd: "add", opAnd: "and", opOr: "or", opXor: "xor"}
	signNames   = map[int16]string{8: "(s8)", 16: "(s16)", 32: "(s32)"}
)

// A disassembler prints instructions as bpftool does (print_bpf_insn of kernel/bpf/disasm.c).
type disassembler struct {
	call  func(in *Instruction) string // the function that is called
	value func(in *Instruction, high int32) string
}

// text returns an instruction with the one behind it, whose immediate value is the upper half of a wide load.
func (d *disassembler) text(in *Instruction, high int32) string {
	code := fmt.Sprintf("(%02x) ", in.Code)
	switch in.class() {
	case classALU, classALU64:
		return code + aluText(in)
	case classSTX:
		return storeText(in, code)
	case classST:
		switch in.mode() {
		case modeMem:
			return code + fmt.Sprintf("*(%s *)(r%d %+d) = %d", sizeName(in), in.Dst, in.Offset, in.Imm)
		case modeAtomic: // BPF_NOSPEC
			return code + "nospec"
		}
		return fmt.Sprintf("BUG_st_%02x", in.Code)
	case classLDX:
		switch in.mode() {
		case modeMem:
			return code + fmt.Sprintf("r%d = *(%s *)(r%d %+d)", in.Dst, sizeName(in), in.Src, in.Offset)
		case modeMemSX:
			return code + fmt.Sprintf("r%d = *(%s *)(r%d %+d)", in.Dst, signedNames[in.size()>>3], in.Src, in.Offset)
		}
		return fmt.Sprintf("BUG_ldx_%02x", in.Code)
	case classLD:
		switch {
		case in.mode() == modeAbs:
			return code + fmt.Sprintf("r0 = *(%s *)skb[%d]", sizeName(in), in.Imm)
		case in.mode() == modeInd:
			return code + fmt.Sprintf("r0 = *(%s *)skb[r%d + %d]", sizeName(in), in.Src, in.Imm)
		case in.isWide():
			return code + fmt.Sprintf("r%d = %s", in.Dst, d.value(in, high))
		}
		return fmt.Sprintf("BUG_ld_%02x", in.Code)
	}
	return code + d.jumpText(in)
}

func sizeName(in *Instruction) string { return sizeNames[in.size()>>3] }

// register returns the letter of registers of 32 and of 64 bits.
func register(wide bool) string {
	if wide {
		return "r"
	}
	return "w"
}

func aluText(in *Instruction) string {
	wide := in.class() == classALU64
	r := register(wide)
	name := aluNames[in.op()>>4]
	if (in.op() == opDiv || in.op() == opMod) && in.Offset == 1 {
		name = "s" + name
	}
	switch {
	case in.op() == opEnd && wide:
		return fmt.Sprintf("r%d = bswap%d r%d", in.Dst, in.Imm, in.Dst)
	case in.op() == opEnd:
		to := "le"
		if in.Code&srcX != 0 {
			to = "be"
		}
		return fmt.Sprintf("r%d = %s%d r%d", in.Dst, to, in.Imm, in.Dst)
	case in.op() == opNeg:
		return fmt.Sprintf("%s%d = -%s%d", r, in.Dst, r, in.Dst)
	case in.Code&srcX == 0:
		return fmt.Sprintf("%s%d %s %d", r, in.Dst, name, in.Imm)
	case wide && in.op() == opMov && in.Offset == 1: // BPF_ADDR_SPACE_CAST
		return fmt.Sprintf("r%d = addr_space_cast(r%d, %d, %d)", in.Dst, in.Src, uint32(in.Imm)>>16, uint16(in.Imm))
	case wide && in.op() == opMov && in.Offset == -1: // BPF_ADDR_PERCPU
		return fmt.Sprintf("r%d = &(void __percpu *)(r%d)", in.Dst, in.Src)
	}
	sign := ""
	if in.op() == opMov {
		sign = signNames[in.Offset]
	}
	return fmt.Sprintf("%s%d %s %s%s%d", r, in.Dst, name, sign, r, in.Src)
}

// Immediate values of atomic instructions (include/uapi/linux/bpf.h).
const (
	atomicFetch   = 0x01
	atomicXchg    = 0xe0 | atomicFetch
	atomicCmpXchg = 0xf0 | atomicFetch
	atomicLoad    = 0x100
	atomicStore   = 0x110
)

func storeText(in *Instruction, code string) string {
	switch in.mode() {
	case modeMem:
		return code + fmt.Sprintf("*(%s *)(r%d %+d) = r%d", sizeName(in), in.Dst, in.Offset, in.Src)
	case modeAtomic:
	default:
		return fmt.Sprintf("BUG_%02x", in.Code)
	}
	bits := ""
	if in.size() == sizeDW {
		bits = "64"
	}
	place := fmt.Sprintf("(%s *)(r%d %+d)", sizeName(in), in.Dst, in.Offset)
	name, known := atomicNames[uint8(in.Imm)&0xf0]
	switch {
	case in.Imm == atomicXchg:
		return code + fmt.Sprintf("r%d = atomic%s_xchg(%s, r%d)", in.Src, bits, place, in.Src)
	case in.Imm == atomicCmpXchg:
		return code + fmt.Sprintf("r0 = atomic%s_cmpxchg(%s, r0, r%d)", bits, place, in.Src)
	case in.Imm == atomicLoad:
		return code + fmt.Sprintf("r%d = load_acquire((%s *)(r%d %+d))", in.Dst, sizeName(in), in.Src, in.Offset)
	case in.Imm == atomicStore:
		return code + fmt.Sprintf("store_release(%s, r%d)", place, in.Src)
	case known && in.Imm&^0xf0 == 0:
		return code + fmt.Sprintf("lock *%s %s r%d", place, aluNames[uint8(in.Imm)>>4], in.Src)
	case known && in.Imm&^0xf0 == atomicFetch:
		return code + fmt.Sprintf("r%d = atomic%s_fetch_%s(%s, r%d)", in.Src, bits, name, place, in.Src)
	}
	return fmt.Sprintf("BUG_%02x", in.Code)
}

func (d *disassembler) jumpText(in *Instruction) string {
	wide := in.class() == classJMP
	switch {
	case in.op() == opCall && in.Src == pseudoCall:
		return "call pc" + d.call(in)
	case in.op() == opCall:
		return fmt.Sprintf("call %s#%d", d.call(in), in.Imm)
	case in.Code == classJMP|opJA:
		return fmt.Sprintf("goto pc%+d", in.Offset)
	case in.Code == classJMP|opJA|srcX:
		return fmt.Sprintf("gotox r%d", in.Dst)
	case in.Code == classJMP|opJCond && in.Src == 0:
		return fmt.Sprintf("may_goto pc%+d", in.Offset)
	case in.Code == classJMP32|opJA:
		return fmt.Sprintf("gotol pc%+d", in.Imm)
	case in.Code == classJMP|opExit:
		return "exit"
	case jumpNames[in.op()>>4] == "":
		return classNames[in.class()]
	case in.Code&srcX != 0:
		r := register(wide)
		return fmt.Sprintf("if %s%d %s %s%d goto pc%+d", r, in.Dst, jumpNames[in.op()>>4], r, in.Src, in.Offset)
	}
	return fmt.Sprintf("if %s%d %s %#x goto pc%+d", register(wide), in.Dst, jumpNames[in.op()>>4], uint32(in.Imm), in.Offset)
}

// Disassemble returns the instructions of Xlated as lines, as `bpftool prog dump xlated` shows them
// without their numbers: one for a load of 64 bits, which has two places.
func (s *Set) Disassemble(p *Program) ([]string, error) {
	all, err := s.Xlated(p)
	d := &disassembler{
		call:  func(in *Instruction) string { return s.callText(p, in) },
		value: valueText,
	}
	return d.lines(all), err
}

// lines prints all instructions.
func (d *disassembler) lines(all []Instruction) []string {
	var lines []string
	for i := 0; i < len(all); i++ {
		in, high := &all[i], int32(0)
		if in.isWide() && i+1 < len(all) {
			i++
			high = all[i].Imm
		}
		lines = append(lines, d.text(in, high))
	}
	return lines
}

// valueText prints what a wide load loads.
func valueText(in *Instruction, high int32) string {
	switch in.Src {
	case pseudoMapFD:
		return fmt.Sprintf("map[id:%d]", in.Imm)
	case pseudoMapValue:
		return fmt.Sprintf("map[id:%d][0]+%d", in.Imm, high)
	case pseudoMapIdxValue:
		return fmt.Sprintf("map[idx:%d]+%d", in.Imm, high)
	case pseudoFunc:
		return fmt.Sprintf("subprog[%+d]", in.Imm)
	}
	return fmt.Sprintf("0x%x", uint64(uint32(high))<<32|uint64(uint32(in.Imm)))
}

// callText names the function that is called: of the program itself by the distance and its name in
// kallsyms.
func (s *Set) callText(p *Program, in *Instruction) string {
	switch {
	case in.Src == pseudoCall && !p.JITed:
		return fmt.Sprintf("%+d", in.Offset)
	case in.Src == pseudoCall:
		name := s.callBase + vmem.VirtAddr(int64(in.Imm))
		if i := int(in.Imm); i >= 0 && i < len(p.funcs) {
			return fmt.Sprintf("%+d#%s", in.Offset, cString(p.funcs[i].aux.Ksym.Name[:]))
		}
		return fmt.Sprintf("%+d#%#x", in.Offset, uint64(name))
	case in.Src == 0 && in.Imm == helperTailCall:
		return "bpf_tail_call"
	}
	at, ok := s.helperOf(in)
	if !ok {
		return "unknown"
	}
	if name := s.function(at); name != "" {
		return name
	}
	return at.String()
}

// A Code is a compiled function of a program.
type Code struct {
	Name    string // as /proc/kallsyms has it
	Address vmem.VirtAddr
	Bytes   []byte
}

// maxCompiled is the largest function that is read, in bytes.
const maxCompiled = 16 << 20

// JITed returns the compiled functions of a program, the main one first: none of one that is interpreted. What could be
// read comes with an error, a [vmem.Gap].
func (s *Set) JITed(p *Program) (all []Code, err error) {
	read := func(ksym *ksymStruct, raw *progStruct) {
		if err != nil || !raw.JITed {
			return
		}
		c := Code{Name: cString(ksym.Name[:]), Address: raw.Func, Bytes: make([]byte, min(raw.JITedLen, maxCompiled))}
		n, err2 := s.mem.ReadVirt(c.Bytes, c.Address)
		c.Bytes = c.Bytes[:n]
		if err2 != nil {
			err = vmem.NewGap("code of program "+p.String(), vmem.KernelPlace(c.Address), err2)
		}
		all = append(all, c)
	}
	for _, f := range p.funcs {
		read(&f.aux.Ksym, &f.raw)
	}
	if len(p.funcs) == 0 {
		read(&p.aux.Ksym, &p.raw)
	}
	return all, err
}

// DisassembleJITed returns compiled code as lines: address, bytes and instruction in the syntax of Intel, with the names of
// what is called. What is no instruction is a line of one byte.
func (s *Set) DisassembleJITed(ctx context.Context, c *Code) ([]string, error) {
	var lines []string
	at, code := c.Address, c.Bytes
	for len(code) > 0 {
		if err := ctx.Err(); err != nil {
			return lines, err
		}
		n, text := s.machineText(code, at)
		lines = append(lines, fmt.Sprintf("%#x  %-22x  %s", uint64(at), code[:n], text))
		code, at = code[n:], at+vmem.VirtAddr(n)
	}
	return lines, nil
}

// machineText returns how long an instruction of the processor is, and what it is.
func (s *Set) machineText(code []byte, at vmem.VirtAddr) (int, string) {
	inst, name, err := x86code.Decode(code)
	switch {
	case err != nil:
		return 1, "(bad)"
	case name != "":
		return inst.Len, name
	}
	return inst.Len, x86asm.IntelSyntax(inst, uint64(at), func(a uint64) (string, uint64) {
		if i, ok := s.ImageAt(vmem.VirtAddr(a)); ok {
			return i.Name, uint64(i.Range.Start)
		}
		if name := s.function(vmem.VirtAddr(a)); name != "" {
			return name, a
		}
		return "", 0
	})
}

package bpf

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// An Instruction is struct bpf_insn (include/uapi/linux/bpf.h).
type Instruction struct {
	Code   uint8
	Dst    uint8 // register, 0 to 15
	Src    uint8
	Offset int16
	Imm    int32
}

// Parts of opcodes (include/uapi/linux/bpf_common.h, bpf.h), and what the kernel has beyond these (include/linux/filter.h).
const (
	classLD, classLDX, classST, classSTX       = 0, 1, 2, 3
	classALU, classJMP, classJMP32, classALU64 = 4, 5, 6, 7

	modeImm, modeAbs, modeInd, modeMem, modeMemSX, modeAtomic = 0x00, 0x20, 0x40, 0x60, 0x80, 0xc0
	modeProbeMem, modeProbeMemSX, modeProbeMem32              = 0x20, 0x40, 0xa0 // of loads from memory that may not be there

	sizeW, sizeDW = 0x00, 0x18

	opAdd, opDiv, opOr, opAnd, opNeg, opMod, opXor, opMov, opEnd = 0x00, 0x30, 0x40, 0x50, 0x80, 0x90, 0xa0, 0xb0, 0xd0
	opJA, opCall, opExit, opTailCall, opJCond                    = 0x00, 0x80, 0x90, 0xf0, 0xe0
	opCallArgs                                                   = 0xe0 // of the interpreter

	srcX = 0x08

	// What the source register of a call or of a load of 64 bits says.
	pseudoMapFD, pseudoMapValue, pseudoMapIdxValue, pseudoFunc = 1, 2, 6, 4
	pseudoCall                                                 = 1

	helperTailCall = 12 // BPF_FUNC_tail_call
)

func (i Instruction) class() uint8 { return i.Code & 7 }
func (i Instruction) mode() uint8  { return i.Code & 0xe0 }
func (i Instruction) size() uint8  { return i.Code & 0x18 }
func (i Instruction) op() uint8    { return i.Code & 0xf0 }

// isWide reports whether an instruction has two places: a load of 64 bits.
func (i Instruction) isWide() bool { return i.Code == classLD|modeImm|sizeDW }

// Append appends the bytes of an instruction as the kernel has them.
func (i Instruction) Append(b []byte) []byte {
	b = append(b, i.Code, i.Dst&15|i.Src<<4)
	b = binary.LittleEndian.AppendUint16(b, uint16(i.Offset))
	return binary.LittleEndian.AppendUint32(b, uint32(i.Imm))
}

// decodeInstructions decodes whole instructions.
func decodeInstructions(b []byte) []Instruction {
	all := make([]Instruction, 0, len(b)/insnSize)
	for ; len(b) >= insnSize; b = b[insnSize:] {
		all = append(all, Instruction{
			Code: b[0], Dst: b[1] & 15, Src: b[1] >> 4, Offset: int16(binary.LittleEndian.Uint16(b[2:])), Imm: int32(binary.LittleEndian.Uint32(b[4:])),
		})
	}
	return all
}

// maxRaw is how many bytes of instructions are read of one program: those of a million.
const maxRaw = 8 << 20

// raw reads the instructions of a program as the kernel has them.
func (s *Set) raw(p *Program) ([]Instruction, error) {
	n := p.Instructions * insnSize
	if n > maxRaw {
		return nil, vmem.NewGap("instructions of program "+p.String(), vmem.KernelPlace(p.Address), corrupt("%d instructions", p.Instructions))
	}
	b := make([]byte, n)
	got, err := s.mem.ReadVirt(b, p.raw.Insns)
	if err != nil {
		err = vmem.NewGap("instructions of program "+p.String(), vmem.KernelPlace(p.raw.Insns), err)
	}
	return decodeInstructions(b[:got]), err
}

// Xlated returns the instructions of a program after the verifier rewrote them, as `bpftool prog dump
// xlated` gets them: with IDs of maps instead of their addresses (bpf_insn_prepare_dump of
// kernel/bpf/syscall.c). The second place of a load of 64 bits is an instruction of its own. What could
// be read comes with an error, a [vmem.Gap].
func (s *Set) Xlated(p *Program) ([]Instruction, error) {
	all, err := s.raw(p)
	for i := range all {
		s.sanitize(p, all, i)
	}
	return all, err
}

// sanitize gives an instruction the form that the kernel shows.
func (s *Set) sanitize(p *Program, all []Instruction, i int) {
	in := &all[i]
	if in.Code == classJMP|opTailCall {
		in.Code, in.Imm = classJMP|opCall, helperTailCall
	}
	class := in.class()
	switch {
	case in.Code == classJMP|opCall, in.Code == classJMP|opCallArgs && in.Src == pseudoCall:
		if in.Src == pseudoCall && s.swappedCall(p, i, in) {
			in.Imm, in.Offset = int32(in.Offset), narrow(in.Imm)
		}
		in.Code = classJMP | opCall
	case class == classLDX && in.mode() == modeProbeMem:
		in.Code = classLDX | in.size() | modeMem
	case (class == classLDX || class == classST || class == classSTX) && in.mode() == modeProbeMem32 && s.hasArenas:
		in.Code = class | in.size() | modeMem
	case in.isWide() && i+1 < len(all):
		s.sanitizeMap(p, in, &all[i+1])
	}
}

// narrow returns an offset that fits into an instruction, 0 for another.
func narrow(n int32) int16 {
	if int32(int16(n)) != n {
		return 0
	}
	return int16(n)
}

// swappedCall reports whether a call of a function of the program itself has the function's number as
// its offset and the distance as its immediate value, as it is since 7.1; before, it was the other way round.
func (s *Set) swappedCall(p *Program, i int, in *Instruction) bool {
	if p.aux.NumInfo > 0 && p.aux.NumInfo <= maxFuncs {
		start := func(n int64) (uint32, bool) {
			if n < 0 || n >= int64(p.aux.NumInfo) {
				return 0, false
			}
			at, err := s.mem.Uint32(p.aux.FuncInfo + vmem.VirtAddr(n)*8)
			return at, err == nil
		}
		if at, ok := start(int64(in.Imm)); ok && int64(at) == int64(i)+int64(in.Offset)+1 {
			return false
		}
		if at, ok := start(int64(in.Offset)); ok && int64(at) == int64(i)+int64(in.Imm)+1 {
			return true
		}
	}
	return s.swapped
}

// sanitizeMap replaces the address of a map, or one in it, by its ID: bpf_map_from_imm.
func (s *Set) sanitizeMap(p *Program, low, high *Instruction) {
	at := vmem.VirtAddr(uint64(uint32(high.Imm))<<32 | uint64(uint32(low.Imm)))
	for _, addr := range p.maps {
		m := s.mapAt[addr]
		if m == nil {
			continue
		}
		if addr == at {
			low.Src, low.Imm, high.Imm = pseudoMapFD, int32(m.ID), 0
			return
		}
		if offset, ok := s.inValue(m, at); ok {
			low.Src, low.Imm, high.Imm = pseudoMapValue, int32(m.ID), int32(offset)
			return
		}
	}
}

// inValue returns where in the value of a map an address is: of an array of one value, such as global
// variables are in.
func (s *Set) inValue(m *Map, at vmem.VirtAddr) (uint32, bool) {
	v := &s.views.maps.content
	if m.Type != Array || m.MaxEntries != 1 || !v.array.Ok() {
		return 0, false
	}
	size, err := v.elemSize.Load(s.mem, m.Address)
	base := v.array.Of(m.Address)
	if err != nil || at < base || uint64(at-base) >= uint64(size) {
		return 0, false
	}
	return uint32(at - base), true
}

// helperOf returns the function of the kernel that an instruction calls, as the kernel's form has it: its
// distance from __bpf_call_base.
func (s *Set) helperOf(in *Instruction) (vmem.VirtAddr, bool) {
	if in.Code != classJMP|opCall || in.Src == pseudoCall || s.callBase == 0 {
		return 0, false
	}
	return s.callBase + vmem.VirtAddr(int64(in.Imm)), true
}

// readHelpers notes which functions of the kernel a program calls. Calls that the verifier or the compiler made into
// other instructions are not there any more.
func (s *Set) readHelpers(p *Program) {
	all, err := s.raw(p)
	s.lose("instructions of program "+p.String(), p.raw.Insns, err)
	seen := map[string]bool{}
	for i := 0; i < len(all); i++ {
		in := &all[i]
		name := ""
		if in.isWide() {
			i++
		} else if in.Code == classJMP|opTailCall {
			name = "bpf_tail_call"
		} else if at, ok := s.helperOf(in); ok {
			name = s.helperName(at)
		}
		if name != "" && !seen[name] {
			seen[name] = true
			p.Helpers = append(p.Helpers, name)
		}
	}
}

// helperName returns the name of a function that programs call, or its address.
func (s *Set) helperName(at vmem.VirtAddr) string {
	name, ok := s.helpers[at]
	if !ok {
		if name = s.function(at); name == "" {
			name = at.String()
		}
		s.helpers[at] = name
	}
	return name
}

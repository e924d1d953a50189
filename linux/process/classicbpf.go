package process

// Offsets in struct seccomp_data, which filters read (include/uapi/linux/seccomp.h), and what 64-bit programs have there.
const (
	dataNumber = 0
	dataArch   = 4
	archX86_64 = 0xc000003e // AUDIT_ARCH_X86_64
)

// Classes and operations of classic BPF (include/uapi/linux/bpf_common.h).
const (
	classLD, classLDX, classST, classSTX, classALU, classJMP, classRET, classMISC = 0, 1, 2, 3, 4, 5, 6, 7

	modeImm, modeAbs, modeMem, modeLen = 0x00, 0x20, 0x60, 0x80
	sourceX                            = 0x08
	returnA                            = 0x10
	txa                                = 0x80

	jumpAlways, jumpEqual, jumpGreater, jumpNotLess, jumpSet = 0x00, 0x10, 0x20, 0x30, 0x40

	scratchWords = 16 // BPF_MEMWORDS
	dataSize     = 64 // of struct seccomp_data, what BPF_LEN gives
)

// A word is a value in a filter, which depends on a call's arguments where it is not known.
type word struct {
	v     uint32
	known bool
}

func known(v uint32) word { return word{v, true} }

// A filterState is where a filter is, with what. Jumps go forward only, so that no state comes back.
type filterState struct {
	pc      int
	a, x    word
	scratch [scratchWords]word
}

const (
	// maxSteps bounds how many instructions are followed for a call, and maxForks at how many of them both ways are.
	maxSteps = 1 << 17
	maxForks = 1 << 13
)

// ask follows a filter with the number of a system call of a 64-bit program and with any arguments, and returns all the answers that it can give.
func ask(prog []Instruction, nr uint32, budget *int) verdict {
	v := verdict{answers: map[uint32]bool{}}
	var seen map[filterState]bool // of those where a way forked
	queue, steps := []filterState{{}}, 0
	for len(queue) > 0 && !v.unknown {
		next := queue[len(queue)-1].step(prog, nr, &v)
		queue = queue[:len(queue)-1]
		*budget--
		if steps++; steps > maxSteps || len(seen) > maxForks || *budget <= 0 {
			v.unknown = true
		}
		if len(next) < 2 {
			queue = append(queue, next...)
			continue
		}
		for _, s := range next {
			if !seen[s] {
				if seen == nil {
					seen = map[filterState]bool{}
				}
				seen[s] = true
				queue = append(queue, s)
			}
		}
	}
	return v
}

// step makes one step, and returns where it leads to: nowhere at an answer.
func (s filterState) step(prog []Instruction, nr uint32, v *verdict) []filterState {
	if s.pc < 0 || s.pc >= len(prog) {
		v.unknown = true // the kernel takes no such filter
		return nil
	}
	in := prog[s.pc]
	s.pc++
	switch in.Code & 7 {
	case classRET:
		s.answer(in, v)
		return nil
	case classJMP:
		return s.jump(in)
	case classLD:
		s.a = s.load(in, nr, v)
	case classLDX:
		s.x = s.load(in, nr, v)
	case classST, classSTX:
		if in.K < scratchWords {
			s.scratch[in.K] = s.a
			if in.Code&7 == classSTX {
				s.scratch[in.K] = s.x
			}
		}
	case classALU:
		s.a = s.compute(in)
	case classMISC:
		if in.Code&txa != 0 {
			s.a = s.x
		} else {
			s.x = s.a
		}
	}
	return []filterState{s}
}

// answer notes what a filter returns.
func (s *filterState) answer(in Instruction, v *verdict) {
	switch {
	case in.Code&0x18 != returnA:
		v.answers[in.K] = true
	case s.a.known:
		v.answers[s.a.v] = true
	default:
		v.unknown = true
	}
}

// load returns what an instruction loads. Arguments are not known.
func (s *filterState) load(in Instruction, nr uint32, v *verdict) word {
	switch in.Code & 0xe0 {
	case modeImm:
		return known(in.K)
	case modeLen:
		return known(dataSize)
	case modeMem:
		if in.K < scratchWords {
			return s.scratch[in.K]
		}
	case modeAbs:
		switch in.K {
		case dataNumber:
			return known(nr)
		case dataArch:
			return known(archX86_64)
		}
		v.reads = true
	}
	return word{}
}

// operand returns what an instruction has beside the accumulator.
func (s *filterState) operand(in Instruction) word {
	if in.Code&sourceX != 0 {
		return s.x
	}
	return known(in.K)
}

// jump returns where a jump leads to: both ways where that depends on arguments.
func (s filterState) jump(in Instruction) []filterState {
	if in.Code&0xf0 == jumpAlways {
		if in.K > maxInstructions {
			in.K = maxInstructions // out of the program
		}
		s.pc += int(in.K)
		return []filterState{s}
	}
	yes, no := s, s
	yes.pc += int(in.JT)
	no.pc += int(in.JF)
	b := s.operand(in)
	if !s.a.known || !b.known {
		return []filterState{yes, no}
	}
	var taken bool
	switch in.Code & 0xf0 {
	case jumpEqual:
		taken = s.a.v == b.v
	case jumpGreater:
		taken = s.a.v > b.v
	case jumpNotLess:
		taken = s.a.v >= b.v
	case jumpSet:
		taken = s.a.v&b.v != 0
	default:
		return []filterState{yes, no}
	}
	if taken {
		return []filterState{yes}
	}
	return []filterState{no}
}

// compute returns what an arithmetic instruction leaves in the accumulator.
func (s *filterState) compute(in Instruction) word {
	b := s.operand(in)
	if in.Code&0xf0 == 0x80 { // BPF_NEG has no operand
		b = known(0)
	}
	if !s.a.known || !b.known {
		return word{}
	}
	a := s.a.v
	switch in.Code & 0xf0 {
	case 0x00:
		return known(a + b.v)
	case 0x10:
		return known(a - b.v)
	case 0x20:
		return known(a * b.v)
	case 0x30:
		if b.v != 0 {
			return known(a / b.v)
		}
	case 0x40:
		return known(a | b.v)
	case 0x50:
		return known(a & b.v)
	case 0x60:
		return known(a << (b.v & 31))
	case 0x70:
		return known(a >> (b.v & 31))
	case 0x80:
		return known(-a)
	case 0xa0:
		return known(a ^ b.v)
	}
	return word{}
}

package ktext

import (
	"bytes"
	"encoding/binary"

	"github.com/nodelens/nodelens/linux/internal/x86code"
)

// Opcodes that the kernel patches with.
const (
	opCall  = 0xe8
	opJmp   = 0xe9
	opJmp8  = 0xeb
	opRet   = 0xc3
	opInt3  = 0xcc
	opNop   = 0x90
	opLock  = 0xf0
	opDS    = 0x3e // the prefix that takes the place of a lock
	opCS    = 0x2e // a prefix without a meaning in 64-bit mode
	opIndir = 0xff
)

// insnLen returns the length of the instruction that b begins with, 1 where it is not known.
func insnLen(b []byte) int {
	in, _, err := x86code.Decode(b)
	if err != nil {
		return 1
	}
	return in.Len
}

// nopLen returns the length of the NOP that b begins with: 0x90 or NOPL, with prefixes that mean nothing. It is 0 for
// all else, and PAUSE (0xf3 0x90) is none.
func nopLen(b []byte) int {
	i := 0
	for i < len(b) && i < 11 && (b[i] == 0x66 || b[i] == opCS) {
		i++
	}
	switch {
	case i < len(b) && b[i] == opNop:
		return i + 1
	case i+2 < len(b) && b[i] == 0x0f && b[i+1] == 0x1f:
		n := i + 3 + modRMLen(b[i+2:])
		if n <= len(b) {
			return n
		}
	}
	return 0
}

// isNop reports whether b is one NOP as the kernel makes them: the operand that NOPL has is register A without
// any displacement. Others do nothing either, but nobody puts them there.
func isNop(b []byte) bool {
	if nopLen(b) != len(b) {
		return false
	}
	i := bytes.Index(b, []byte{0x0f, 0x1f})
	if i < 0 {
		return true
	}
	if b[i+2]&^0xc4 != 0 { // mod, and a SIB byte
		return false
	}
	return !bytes.ContainsFunc(b[i+3:], func(r rune) bool { return r != 0 })
}

// modRMLen returns how many bytes of an operand follow the ModRM byte that b begins with
// (Intel SDM volume 2, section 2.1.3).
func modRMLen(b []byte) int {
	mod, rm := b[0]>>6, b[0]&7
	n := 0
	switch mod {
	case 1:
		n = 1
	case 2:
		n = 4
	case 3:
		return 0
	}
	if rm == 4 {
		n++
		if mod == 0 && len(b) > 1 && b[1]&7 == 5 {
			n += 4
		}
	} else if mod == 0 && rm == 5 {
		n += 4
	}
	return n
}

// nopRun returns how many bytes at the beginning of b are NOPs.
func nopRun(b []byte) int {
	i := 0
	for n := nopLen(b); n > 0; n = nopLen(b[i:]) {
		i += n
	}
	return i
}

// idle reports whether b does nothing from its first to its last byte: NOPs, or a jump to its end with INT3 behind it, which
// the kernel makes of long runs since 6.6 (add_nop of arch/x86/kernel/alternative.c).
func idle(b []byte) bool {
	for len(b) > 0 {
		if n := nopLen(b); n > 0 {
			b = b[n:]
			continue
		}
		j, ok := decodeBranch(b, 0)
		return ok && j.kind == jump && j.target == uint64(len(b)) && filled(b[j.size:])
	}
	return true
}

// filled reports whether b is nothing but INT3 and NOPs, as what follows a jump or a return is.
func filled(b []byte) bool {
	for len(b) > 0 {
		n := nopLen(b)
		if b[0] == opInt3 {
			n = 1
		}
		if n == 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// A branchKind is a kind of direct branch.
type branchKind uint8

const (
	call branchKind = iota + 1
	jump
	conditional
)

// A branch is a direct branch.
type branch struct {
	kind   branchKind
	cc     byte // the condition
	size   int
	target uint64
}

// decodeBranch decodes a direct branch at an address, with prefixes that mean nothing.
func decodeBranch(b []byte, at uint64) (br branch, ok bool) {
	i := 0
	for i < len(b) && i < 4 && b[i] == opCS {
		i++
	}
	wide := 4
	switch {
	case i >= len(b):
		return br, false
	case b[i] == opCall:
		br.kind = call
	case b[i] == opJmp:
		br.kind = jump
	case b[i] == opJmp8:
		br.kind, wide = jump, 1
	case b[i]&0xf0 == 0x70:
		br.kind, br.cc, wide = conditional, b[i]&0xf, 1
	case b[i] == 0x0f && i+1 < len(b) && b[i+1]&0xf0 == 0x80:
		br.kind, br.cc = conditional, b[i+1]&0xf
		i++
	default:
		return br, false
	}
	i++
	if i+wide > len(b) {
		return br, false
	}
	disp := int64(int8(b[i]))
	if wide == 4 {
		disp = int64(int32(binary.LittleEndian.Uint32(b[i:])))
	}
	br.size = i + wide
	br.target = at + uint64(br.size) + uint64(disp)
	return br, true
}

// gen returns a branch with a displacement of 32 bits, as text_gen_insn makes it.
func gen(op byte, at, target uint64) []byte {
	return binary.LittleEndian.AppendUint32([]byte{op}, uint32(target-at-5))
}

// An indirect is a branch through a register.
type indirect struct {
	kind branchKind
	reg  int
	size int
}

// decodeIndirect decodes a branch through a register, with prefixes that mean nothing.
func decodeIndirect(b []byte) (in indirect, ok bool) {
	i := 0
	for i < len(b) && i < 4 && b[i] == opCS {
		i++
	}
	if i < len(b) && b[i] == 0x41 {
		in.reg = 8
		i++
	}
	if i+1 >= len(b) || b[i] != opIndir {
		return in, false
	}
	switch b[i+1] & 0xf8 {
	case 0xd0:
		in.kind = call
	case 0xe0:
		in.kind = jump
	default:
		return in, false
	}
	in.reg += int(b[i+1] & 7)
	in.size = i + 2
	return in, true
}

// ripOperand returns where in an instruction the displacement of an operand is that is relative to the next instruction, and
// the length of the instruction.
func ripOperand(b []byte) (off, size int, ok bool) {
	in, _, err := x86code.Decode(b)
	if err != nil || in.PCRel != 4 || in.PCRelOff+4 > in.Len || in.Len > len(b) {
		return 0, 0, false
	}
	return in.PCRelOff, in.Len, true
}

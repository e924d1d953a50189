package ktext

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// alternative checks a place that has alternatives: the last one whose feature the processors have (or have not) is there, or what the
// compiler made (apply_alternatives of arch/x86/kernel/alternative.c).
func (v *verifier) alternative(s *site, want, got []byte) outcome {
	group := v.sites.groups[s.ref]
	chosen, known := -1, true
	for i, a := range group {
		has, k := v.has(a.feature)
		known = known && k
		if has != a.not {
			chosen = i
		}
	}
	if known {
		if v.isAlternative(group, chosen, want, s.at, got) {
			return outcome{ok: true}
		}
		return outcome{want: v.padded(group, chosen, want), why: v.other(group, chosen, want, s.at, got)}
	}
	for i := -1; i < len(group); i++ {
		if v.isAlternative(group, i, want, s.at, got) {
			return outcome{ok: true}
		}
	}
	return outcome{why: "none of its alternatives"}
}

// other says which alternative is there instead of the chosen one.
func (v *verifier) other(group []alternative, chosen int, want []byte, at uint64, got []byte) string {
	for i := -1; i < len(group); i++ {
		if i == chosen || !v.isAlternative(group, i, want, at, got) {
			continue
		}
		if i < 0 {
			return fmt.Sprintf("it was not replaced, though feature %s says so", group[chosen])
		}
		return fmt.Sprintf("the alternative for feature %s is here, which does not apply", group[i])
	}
	return "none of its alternatives"
}

// String returns the number of the feature as the kernel's sources write it, such as 9*32+20.
func (a alternative) String() string {
	not := ""
	if a.not {
		not = "not "
	}
	return fmt.Sprintf("%s%d*32+%d", not, a.feature/32, a.feature%32)
}

// padded returns an alternative as far as its bytes are known, with the NOPs that fill the place.
func (v *verifier) padded(group []alternative, i int, want []byte) []byte {
	if i < 0 {
		return want
	}
	a := &group[i]
	out := bytes.Repeat([]byte{opNop}, len(want))
	copy(out, v.code.at(a.repl, int(a.replacement)))
	return out
}

// isAlternative reports whether an alternative is what memory has; i is -1 for what the compiler made.
func (v *verifier) isAlternative(group []alternative, i int, want []byte, at uint64, got []byte) bool {
	if i < 0 {
		return v.sameCode(at, want, at, got)
	}
	a := &group[i]
	if a.direct {
		return v.direct(want, at, got)
	}
	return v.sameCode(a.repl, v.padded(group, i, want), at, got)
}

// direct checks a call through pv_ops that was made a call of what pv_ops has (alt_replace_call; since 6.8).
func (v *verifier) direct(want []byte, at uint64, got []byte) bool {
	off, size, ok := ripOperand(want)
	if !ok || want[0] != opIndir {
		return false
	}
	slot := at + uint64(size) + uint64(int64(int32(binary.LittleEndian.Uint32(want[off:]))))
	fn, err := v.pvOps(slot)
	if err != nil {
		v.lose("pv_ops", slot, err)
		return false
	}
	if fn == 0 {
		fn, _ = v.kernel.address("BUG_func")
	}
	if v.isNamed(fn, "nop_func") {
		return idle(got)
	}
	br, ok := decodeBranch(got, at)
	return ok && br.kind == call && br.target == fn && idle(got[br.size:])
}

// sameCode compares code that the file has at src with code that is in memory at dst, instruction by instruction: NOPs are
// joined, branches and operands relative to code are adjusted, and what is patched in both is patched.
func (v *verifier) sameCode(src uint64, want []byte, dst uint64, got []byte) bool {
	for i := 0; i < len(want); {
		if n := nopRun(want[i:]); n > 0 {
			if !idle(got[i : i+n]) {
				return false
			}
			i += n
			continue
		}
		n, ok := v.sameInsn(src, want, dst, got, i)
		if !ok {
			return false
		}
		i += n
	}
	return true
}

// sameInsn compares one instruction, and returns its length.
func (v *verifier) sameInsn(src uint64, want []byte, dst uint64, got []byte, i int) (n int, ok bool) {
	at := src + uint64(i)
	if s, ok := v.sites.inner[at]; ok {
		if n := int(s.size); i+n <= len(want) {
			return v.sameSite(&s, src, want, dst, got, i)
		}
	}
	if br, ok := decodeBranch(want[i:], at); ok {
		return v.sameBranch(br, src, want, dst, got, i)
	}
	if off, n, ok := ripOperand(want[i:]); ok {
		return n, sameOperand(want[i:i+n], at, got[i:i+n], dst+uint64(i), off, n, v.code)
	}
	n = insnLen(want[i:])
	linked := at - v.code.slide
	return n, v.code.same(want[i:i+n], got[i:i+n], linked, 0, false) == n
}

// sameSite compares a place that is patched in code that is an alternative.
func (v *verifier) sameSite(s *site, src uint64, want []byte, dst uint64, got []byte, i int) (n int, ok bool) {
	n = int(s.size)
	w, g, to := want[i:i+n], got[i:i+n], dst+uint64(i)
	switch s.kind {
	case Retpoline:
		return n, v.retpoline(s.at, w, to, g)
	case Return:
		if br, ok := decodeBranch(g, to); ok && br.kind == jump {
			return n, v.isThunk(br.target) && filled(g[br.size:])
		}
		return n, g[0] == opRet && filled(g[1:])
	case Lock:
		return n, g[0] == w[0] || w[0] == opLock && g[0] == opDS && v.up
	case Paravirt:
		return n, v.paravirt(s, w, g).ok
	case CallDepth:
		w, ok := decodeBranch(w, s.at)
		g, ok2 := decodeBranch(g, to)
		return n, ok && ok2 && w.kind == g.kind && (w.target == g.target || v.pads(g.target, w.target))
	case JumpLabel:
		return n, src == dst && v.jumpLabel(&v.sites.jumps[s.ref], w, g).ok
	case StaticCall:
		return n, src == dst && v.staticCall(&v.sites.statics[s.ref], w, g).ok
	}
	return n, bytes.Equal(w, g)
}

// sameBranch compares a direct branch. One of 5 bytes can have become one of 2, with NOPs or INT3 behind it, which the NOPs that
// follow are joined with.
func (v *verifier) sameBranch(br branch, src uint64, want []byte, dst uint64, got []byte, i int) (n int, ok bool) {
	target := br.target
	if src != dst && target >= src && target <= src+uint64(len(want)) {
		target += dst - src // it stays in the code that is moved
	}
	g, ok := decodeBranch(got[i:], dst+uint64(i))
	if !ok || g.kind != br.kind || g.cc != br.cc || g.target != target {
		return 0, false
	}
	if g.size == br.size {
		return br.size, true
	}
	end := i + br.size + nopRun(want[min(i+br.size, len(want)):])
	return end - i, g.size < br.size && filled(got[i+g.size:end])
}

// sameOperand compares an instruction with an operand relative to the next one, which the kernel adjusts since 6.6 where
// it moves the instruction.
func sameOperand(want []byte, src uint64, got []byte, dst uint64, off, n int, c *code) bool {
	w := src + uint64(n) + uint64(int64(int32(binary.LittleEndian.Uint32(want[off:]))))
	g := dst + uint64(n) + uint64(int64(int32(binary.LittleEndian.Uint32(got[off:]))))
	if !bytes.Equal(want[:off], got[:off]) || c.same(want[off+4:], got[off+4:], 0, 0, false) != n-off-4 {
		return false
	}
	return w == g || w-c.slide < c.perCPU && g == w-c.slide
}

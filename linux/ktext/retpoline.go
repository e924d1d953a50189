package ktext

import (
	"bytes"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// retpoline checks a branch through a register, which the file has at src as one to a thunk, and memory at dst
// (patch_retpoline of arch/x86/kernel/alternative.c).
func (v *verifier) retpoline(src uint64, want []byte, dst uint64, got []byte) bool {
	w, ok := decodeBranch(want, src)
	reg, isThunk := v.register(w.target)
	if !ok || !isThunk {
		return v.sameCodeAt(src, want, dst, got)
	}
	if g, ok := decodeBranch(got, dst); ok && g.kind == w.kind && g.cc == w.cc && (g.target == w.target || v.thunkFor(g.target, reg)) {
		return idle(got[g.size:])
	}
	rest := got
	kind := w.kind
	if kind == conditional {
		// Jncc over what follows.
		if len(rest) < 2 || rest[0] != 0x70|w.cc^1 || int(rest[1]) != len(got)-2 {
			return false
		}
		rest, kind = rest[2:], jump
	}
	if lfence := []byte{0x0f, 0xae, 0xe8}; bytes.HasPrefix(rest, lfence) {
		rest = rest[len(lfence):]
	}
	in, ok := decodeIndirect(rest)
	if !ok || in.kind != kind || in.reg != reg {
		return false
	}
	if kind == call {
		return idle(rest[in.size:])
	}
	return filled(rest[in.size:])
}

// sameCodeAt compares code in which nothing is patched.
func (v *verifier) sameCodeAt(src uint64, want []byte, dst uint64, got []byte) bool {
	w, ok := decodeBranch(want, src)
	g, ok2 := decodeBranch(got, dst)
	if ok && ok2 {
		return w == g
	}
	return bytes.Equal(want, got)
}

// register returns the register that a thunk of the kernel branches through.
func (v *verifier) register(thunk uint64) (int, bool) {
	r, ok := v.sites.thunks[thunk]
	return r, ok
}

// thunkFor reports whether there is a thunk for a register at an address: one that counts calls, or one for ITS, which the kernel makes
// in memory of its own. What that does is read there.
func (v *verifier) thunkFor(at uint64, reg int) bool {
	for _, n := range []string{"__x86_indirect_call_thunk_array", "__x86_indirect_jump_thunk_array"} {
		if a, ok := v.kernel.address(n); ok && at == a+uint64(reg)*32 {
			return true
		}
	}
	var b [8]byte
	if _, err := v.mem.ReadVirt(b[:], vmem.VirtAddr(at)); err != nil {
		return false
	}
	in, ok := decodeIndirect(b[:])
	return ok && in.kind == jump && in.reg == reg && b[in.size] == opInt3
}

// native is what 5.10 puts in place of calls of the functions of these names (arch/x86/kernel/paravirt_patch.c).
var native = map[string][]byte{
	"native_irq_disable":          {0xfa},
	"native_irq_enable":           {0xfb},
	"native_save_fl":              {0x9c, 0x58},
	"native_restore_fl":           {0x57, 0x9d},
	"native_read_cr2":             {0x0f, 0x20, 0xd0},
	"__native_read_cr3":           {0x0f, 0x20, 0xd8},
	"native_write_cr3":            {0x0f, 0x22, 0xdf},
	"native_wbinvd":               {0x0f, 0x09},
	"_paravirt_ident_64":          {0x48, 0x89, 0xf8},
	"__native_queued_spin_unlock": {0xc6, 0x07, 0x00},
	"native_queued_spin_unlock":   {0xc6, 0x07, 0x00},
	"__native_vcpu_is_preempted":  {0x31, 0xc0},
}

// paravirt checks a call through an element of pv_ops (apply_paravirt): a call of what that leads to, or code
// in its place.
func (v *verifier) paravirt(s *site, want, got []byte) outcome {
	p := &v.sites.para[s.ref]
	ops, ok := v.kernel.address("pv_ops")
	if !ok {
		return outcome{why: "there is no pv_ops"}
	}
	fn, err := v.pvOps(ops + 8*uint64(p.index))
	if err != nil {
		v.lose("pv_ops", ops+8*uint64(p.index), err)
		return good(true)
	}
	if br, ok := decodeBranch(got, s.at); ok && br.target == fn && (br.kind == call || br.kind == jump && want[0] == opIndir && want[1]&0x38 == 0x20) {
		return good(idle(got[br.size:]))
	}
	expect := append(gen(opCall, s.at, fn), bytes.Repeat([]byte{opNop}, max(0, len(got)-5))...)
	switch {
	case fn == 0 && (bytes.HasPrefix(got, []byte{0x0f, 0x0b}) || v.callsNamed(got, s.at, "paravirt_BUG")):
		return good(true)
	case v.isNamed(fn, "_paravirt_nop"):
		return good(idle(got))
	}
	n, ok := v.kernel.at(fn)
	if ok && n.addr == fn {
		if b, ok := native[strings.TrimPrefix(n.text, "__raw_callee_save_")]; ok && bytes.HasPrefix(got, b) && idle(got[len(b):]) {
			return good(true)
		}
	}
	return outcome{want: expect, why: "pv_ops calls something else"}
}

func (v *verifier) callsNamed(b []byte, at uint64, symbol string) bool {
	br, ok := decodeBranch(b, at)
	return ok && br.kind == call && v.isNamed(br.target, symbol)
}

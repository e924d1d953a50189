package ktext

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// A verifier holds code in memory against what the file and the kernel's own data say of it.
type verifier struct {
	*state
	code   *code // what is compared
	kernel names // of the kernel
	sites  *sites
}

// An outcome says whether a place holds what it must.
type outcome struct {
	ok   bool
	want []byte // what it should hold; nil where that is what the file has
	why  string // where it does not
}

func good(ok bool) outcome { return outcome{ok: ok} }

// is compares what is in memory with the one thing that may be there.
func is(got, want []byte, why string) outcome {
	if bytes.Equal(got, want) {
		return outcome{ok: true}
	}
	return outcome{want: want, why: why}
}

// verify checks a site that the file has as want, and memory as got.
func (v *verifier) verify(s *site, want, got []byte) outcome {
	switch s.kind {
	case Alternative:
		return v.alternative(s, want, got)
	case Paravirt:
		return v.paravirt(s, want, got)
	case Retpoline:
		return good(v.retpoline(s.at, want, s.at, got))
	case Return:
		return v.ret(s.at, want, got)
	case CallDepth:
		return good(v.counted(want, got, s.at))
	case Seal:
		return good(bytes.Equal(want, got) || isNop(got) || bytes.Equal(got, sealed))
	case Lock:
		return good(got[0] == want[0] || want[0] == opLock && got[0] == opDS && v.up)
	case JumpLabel:
		return v.jumpLabel(&v.sites.jumps[s.ref], want, got)
	case StaticCall:
		return v.staticCall(&v.sites.statics[s.ref], want, got)
	case Trampoline:
		return v.trampoline(s, got)
	case Ftrace:
		return v.traced(s.at, got)
	case FtraceCall:
		return v.ftraceCall(s.at, got)
	case Constant:
		return v.constant(s, got)
	}
	return good(bytes.Equal(want, got))
}

// sealed is what stands for ENDBR where nothing may lead to since 6.16: a NOP that is no other.
var sealed = []byte{0x0f, 0x1f, 0x40, 0xd6}

// jumpLabel checks a jump label: a jump where its key is as its entry says, else a NOP (jump_label_type of
// kernel/jump_label.c).
func (v *verifier) jumpLabel(j *jumpEntry, want, got []byte) outcome {
	n, err := v.on(j.key)
	if err != nil {
		v.lose("key of a jump label", j.key, err)
		return good(isNop(got) || jumps(got, j.at, j.target))
	}
	on := gen(opJmp, j.at, j.target)
	if len(want) == 2 {
		on = []byte{opJmp8, byte(j.target - j.at - 2)}
	}
	switch {
	case n < 0 && (isNop(got) || bytes.Equal(got, on)): // it is being switched on
		return good(true)
	case (n != 0) != j.branch:
		return is(got, on, fmt.Sprintf("the key at %#x is %d: the jump should be taken", j.key, n))
	case isNop(got):
		return good(true)
	}
	return outcome{want: nop(len(got)), why: fmt.Sprintf("the key at %#x is %d: the jump should not be taken", j.key, n)}
}

func jumps(b []byte, at, target uint64) bool {
	br, ok := decodeBranch(b, at)
	return ok && br.kind == jump && br.target == target
}

// nop returns a NOP of 2 or 5 bytes.
func nop(n int) []byte {
	if n == 2 {
		return []byte{0x66, 0x90}
	}
	return []byte{0x0f, 0x1f, 0x44, 0, 0}
}

// returns are what a return becomes: an instruction and INT3 behind it, or a jump to the thunk.
func (v *verifier) returns(at uint64, got []byte) bool {
	if got[0] == opRet {
		return filled(got[1:]) && !v.mustThunk(at)
	}
	br, ok := decodeBranch(got, at)
	return ok && br.kind == jump && v.isThunk(br.target) && filled(got[br.size:])
}

// Features whose numbers have been the same since they came (arch/x86/include/asm/cpufeatures.h).
const featureRethunk = 11*32 + 14

// mustThunk reports whether a return has to go through a thunk: cpu_wants_rethunk_at. With the mitigation for ITS that
// depends on the address.
func (v *verifier) mustThunk(at uint64) bool {
	has, known := v.has(featureRethunk)
	if !known || !has || v.thunk == 0 {
		return false
	}
	its, ok := v.kernel.address("its_return_thunk")
	return !ok || v.thunk != its || at&0x20 == 0
}

// isThunk reports whether returns may lead to an address. Before the mitigation is chosen it is __x86_return_thunk.
func (v *verifier) isThunk(at uint64) bool {
	a, ok := v.kernel.address("__x86_return_thunk")
	return v.thunk != 0 && at == v.thunk || ok && at == a && (v.thunk == 0 || v.thunk == a)
}

func (v *verifier) ret(at uint64, want, got []byte) outcome {
	if v.returns(at, got) {
		return outcome{ok: true}
	}
	if has, known := v.has(featureRethunk); bytes.Equal(want, got) && (!known || has) {
		br, ok := decodeBranch(got, at)
		a, have := v.kernel.address("__x86_return_thunk")
		return outcome{ok: ok && have && br.target == a && v.thunk == a, why: "a return that was not patched"}
	}
	if v.mustThunk(at) {
		return outcome{want: gen(opJmp, at, v.thunk), why: "it should go to the return thunk"}
	}
	return outcome{want: append([]byte{opRet}, bytes.Repeat([]byte{opInt3}, len(got)-1)...), why: "it should return"}
}

// staticCall checks the place of a static call (__static_call_transform of arch/x86/kernel/static_call.c).
func (v *verifier) staticCall(s *staticSite, want, got []byte) outcome {
	fn, err := v.fn(s.key)
	if err != nil {
		v.lose("key of a static call", s.key, err)
		return good(true)
	}
	why := fmt.Sprintf("the key at %#x calls %#x", s.key, fn)
	br, isBranch := decodeBranch(got, s.at)
	if len(want) == 6 {
		end, _ := v.kernel.address("__static_call_return")
		ok := isBranch && br.kind == conditional && got[1] == want[1] && (fn != 0 && br.target == fn || fn == 0 && (br.target == end || v.isThunk(br.target)))
		return outcome{ok: ok, want: append([]byte{0x0f}, gen(want[1], s.at+1, fn)...), why: why}
	}
	switch {
	case s.tail && fn == 0:
		return outcome{ok: v.returns(s.at, got), want: []byte{opRet, opInt3, opInt3, opInt3, opInt3}, why: why}
	case s.tail:
		return is(got, gen(opJmp, s.at, fn), why)
	case fn == 0:
		return outcome{ok: isNop(got), want: nop(5), why: why}
	case v.isNamed(fn, "__static_call_return0") && zeroes(got), v.isNamed(fn, "__WARN_trap") && bytes.Equal(got, warns):
		return good(true)
	case isBranch && br.kind == call && v.depth && v.pads(br.target, fn):
		return good(true)
	}
	return is(got, gen(opCall, s.at, fn), why)
}

// warns is UD1 with an operand, which stands for a call of __WARN_trap.
var warns = []byte{0x67, 0x48, 0x0f, 0xb9, 0x3a}

// zeroes reports whether b sets RAX to 0: XOR EAX,EAX with prefixes, in 5 bytes.
func zeroes(b []byte) bool {
	return bytes.Equal(b, []byte{0x2e, 0x2e, 0x2e, 0x31, 0xc0}) || bytes.Equal(b, []byte{0x66, 0x66, 0x48, 0x31, 0xc0})
}

func (v *verifier) isNamed(at uint64, symbol string) bool {
	a, ok := v.kernel.address(symbol)
	return ok && a == at
}

// trampoline checks the trampoline of a static call, through which go the calls of modules and those that are not inline.
func (v *verifier) trampoline(s *site, got []byte) outcome {
	key := v.sites.keys[s.ref]
	fn, err := v.fn(key)
	if err != nil {
		v.lose("key of a static call", key, err)
		return good(true)
	}
	why := fmt.Sprintf("the key at %#x calls %#x", key, fn)
	if fn == 0 {
		return outcome{ok: v.returns(s.at, got), want: []byte{opRet, opInt3, opInt3, opInt3, opInt3}, why: why}
	}
	if v.isNamed(fn, "__static_call_return0") && bytes.HasPrefix(got, []byte{0x31, 0xc0}) {
		return good(got[2] == opRet || v.isJumpToThunk(got[2:], s.at+2)) // ARCH_DEFINE_STATIC_CALL_RET0_TRAMP
	}
	return is(got, gen(opJmp, s.at, fn), why)
}

func (v *verifier) isJumpToThunk(b []byte, at uint64) bool {
	br, ok := decodeBranch(b, at)
	return ok && br.kind == jump && v.isThunk(br.target)
}

// traced checks the place at which a function calls ftrace (ftrace_get_addr_curr of kernel/trace/ftrace.c).
func (v *verifier) traced(at uint64, got []byte) outcome {
	r, ok := v.ftrace.record(at)
	if !ok || r.flags&ftraceEnabled == 0 {
		if isNop(got) {
			return outcome{ok: true}
		}
		// A module that is loaded once ftrace has disabled itself keeps what its file has.
		if br, isBranch := decodeBranch(got, at); isBranch && !ok && br.kind == call && v.isNamed(br.target, "__fentry__") {
			return good(true)
		}
		if v.dispatches(at, got) {
			return good(true)
		}
		why := "ftrace says that the function is not traced"
		if !v.ftrace.known {
			why = "ftrace's records are not known"
		}
		return outcome{want: nop(5), why: why}
	}
	if to := v.ftrace.direct[at]; r.flags&ftraceDirect != 0 && to&1 != 0 { // since 6.19: ftrace_is_jmp of include/linux/ftrace.h
		return is(got, gen(opJmp, at, to&^1), "ftrace has the function jump elsewhere")
	}
	br, ok := decodeBranch(got, at)
	if !ok || br.kind != call || br.size != 5 {
		return outcome{want: nop(5), why: "ftrace says that the function is traced, but it does not call it"}
	}
	target := uint64(0)
	switch {
	case r.flags&ftraceDirect != 0:
		target = v.ftrace.direct[at]
	case r.flags&ftraceTramp != 0:
		if v.ftrace.tramps[br.target] != 0 {
			return good(true)
		}
	case r.flags&ftraceRegs != 0:
		target, _ = v.kernel.address("ftrace_regs_caller")
	default:
		target, _ = v.kernel.address("ftrace_caller")
	}
	return outcome{ok: target == br.target, want: gen(opCall, at, target), why: "ftrace calls something else here"}
}

// dispatches reports whether code jumps to what a dispatcher of BPF made, as the functions do from which it calls the
// programs (bpf_dispatcher_update of kernel/bpf/dispatcher.c; they are in the table of ftrace, until 6.2).
func (v *verifier) dispatches(at uint64, got []byte) bool {
	n, ok := v.kernel.at(at)
	name, isFunc := strings.CutSuffix(n.text, "_func")
	if !ok || !isFunc || !strings.HasPrefix(name, "bpf_dispatcher_") {
		return false
	}
	d, ok := v.kernel.address(name)
	if !ok {
		return false
	}
	image, err := v.k.Struct("bpf_dispatcher", vmem.VirtAddr(d)).At("image").Uint()
	br, isBranch := decodeBranch(got, at)
	return err == nil && isBranch && br.kind == jump && image != 0 && br.target-image < vmem.PageSize
}

// ftraceCall checks what ftrace's own code calls: ftrace_trace_function (ftrace_update_ftrace_func of
// arch/x86/kernel/ftrace.c).
func (v *verifier) ftraceCall(at uint64, got []byte) outcome {
	fn := v.word("ftrace_trace_function")
	br, ok := decodeBranch(got, at)
	if ok && br.kind == call {
		for _, n := range []string{"ftrace_stub", "ftrace_ops_list_func", "arch_ftrace_ops_list_func"} {
			if v.isNamed(br.target, n) {
				return good(true)
			}
		}
	}
	return is(got, gen(opCall, at, fn), "ftrace_trace_function is something else")
}

// constant checks a runtime constant: the value of its variable as it was at boot, which does not change after. Where the compiler left no
// variable, it is a pointer, the same at most of its places.
func (v *verifier) constant(s *site, got []byte) outcome {
	symbol := v.sites.values[s.ref]
	if _, ok := v.kernel.address(symbol); ok {
		value := binary.LittleEndian.AppendUint64(nil, v.word(symbol))
		return is(got, value[:len(got)], symbol+" has another value")
	}
	value := v.sites.common(v, s.ref)
	if len(got) == 8 && int8(value[7]) >= 0 {
		return outcome{why: "it is no pointer of the kernel"}
	}
	return is(got, value[:len(got)], symbol+" has another value at other places")
}

// common returns what most places of a runtime constant hold.
func (t *sites) common(v *verifier, ref int32) (value [8]byte) {
	if value, ok := t.agreed[ref]; ok {
		return value
	}
	count := map[[8]byte]int{}
	for _, s := range t.list {
		if s.kind != Constant || s.ref != ref {
			continue
		}
		var b [8]byte
		if _, err := v.mem.ReadVirt(b[:s.size], vmem.VirtAddr(s.at)); err == nil {
			count[b]++
		}
	}
	for b, n := range count {
		if n > count[value] || n == count[value] && string(b[:]) < string(value[:]) {
			value = b
		}
	}
	t.agreed[ref] = value
	return value
}

// counted checks a call where calls are counted (callthunks_patch_builtin_calls of arch/x86/kernel/callthunks.c).
func (v *verifier) counted(want, got []byte, at uint64) bool {
	w, ok := decodeBranch(want, at)
	g, ok2 := decodeBranch(got, at)
	return bytes.Equal(want, got) || ok && ok2 && w.kind == call && g.kind == call && v.pads(g.target, w.target)
}

// pads reports whether at is the counting of calls in the padding before a function.
func (v *verifier) pads(at, fn uint64) bool {
	start, ok := v.kernel.address("skl_call_thunk_template")
	end, ok2 := v.kernel.address("skl_call_thunk_tail")
	return ok && ok2 && fn-at == end-start
}

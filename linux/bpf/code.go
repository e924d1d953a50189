package bpf

import (
	"encoding/binary"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/internal/x86code"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// The tables of IDs.
const (
	progIDR = "prog_idr"
	mapIDR  = "map_idr"
	linkIDR = "link_idr"
	btfIDR  = "btf_idr"
)

// users are functions, in all kernels that are supported, whose code has the address of a variable: the first
// that a kernel has counts. Code is in kallsyms also where data is not (without CONFIG_KALLSYMS_ALL).
var users = map[string][]string{
	progIDR:                {"bpf_prog_get_curr_or_next", "bpf_prog_by_id", "bpf_prog_free_id"},
	mapIDR:                 {"bpf_map_get_curr_or_next", "bpf_map_get", "bpf_map_free_id"},
	linkIDR:                {"bpf_link_get_curr_or_next", "bpf_link_by_id", "bpf_link_prime", "bpf_link_alloc_id", "bpf_link_free", "bpf_link_free_id", "bpf_link_cleanup", "__do_sys_bpf", "__sys_bpf"},
	btfIDR:                 {"btf_get_fd_by_id", "btf_put"},
	"trampoline_table":     {"bpf_trampoline_lookup", "bpf_trampoline_get"},
	"trampoline_key_table": {"bpf_trampoline_lookup", "bpf_trampoline_get"},
	"ftrace_events":        {"perf_trace_init", "trace_event_enable_disable"},
	rawStart:               {"bpf_get_raw_tracepoint"},
	rawStop:                {"bpf_get_raw_tracepoint"},
}

// symbol returns the address of a variable of the kernel: by its symbol, or by the code of a function
// that uses it.
func (s *Set) symbol(name string) (vmem.VirtAddr, bool) {
	if at, err := s.k.Symbol(name); err == nil {
		return at, true
	}
	at, ok := s.fromCode[name]
	if !ok {
		at = s.findInCode(name)
		s.fromCode[name] = at
	}
	return at, at != 0
}

// findInCode returns the address of a variable that the code of its users has and that looks as
// what it is, 0 for none. A table with objects goes before one that is empty, which may be any.
func (s *Set) findInCode(name string) vmem.VirtAddr {
	check := s.checks()[name]
	if check == nil {
		return 0
	}
	for _, user := range users[name] {
		at, err := s.k.Symbol(user)
		if err != nil {
			continue
		}
		var empty vmem.VirtAddr
		for _, a := range s.references(at) {
			switch is, sure := check(a); {
			case is && sure:
				return a
			case is && empty == 0:
				empty = a
			}
		}
		if empty != 0 {
			return empty
		}
	}
	return 0
}

// checks are what tells a variable from others. sure says that it is no other, as what is empty may be.
func (s *Set) checks() map[string]func(vmem.VirtAddr) (is, sure bool) {
	isProgram := func(at vmem.VirtAddr, id uint32) bool {
		p, err := s.readProgram(at)
		return err == nil && p.ID == id
	}
	certain := func(is func(vmem.VirtAddr) bool) func(vmem.VirtAddr) (bool, bool) {
		return func(a vmem.VirtAddr) (bool, bool) { return is(a), true }
	}
	return map[string]func(vmem.VirtAddr) (is, sure bool){
		progIDR: func(a vmem.VirtAddr) (is, sure bool) { return s.isIDR(a, isProgram) },
		mapIDR: func(a vmem.VirtAddr) (is, sure bool) {
			return s.isIDR(a, func(at vmem.VirtAddr, id uint32) bool { m, err := s.readMap(at); return err == nil && m.ID == id })
		},
		linkIDR: func(a vmem.VirtAddr) (is, sure bool) {
			return s.isIDR(a, func(at vmem.VirtAddr, id uint32) bool { l, err := s.readLink(at); return err == nil && l.ID == id })
		},
		"ftrace_events": certain(s.isEventList),
		rawStart:        certain(s.isRawEvent),
		// The end has no sign of its own, but follows what has: the last entry.
		rawStop: certain(func(a vmem.VirtAddr) bool {
			return s.isRawEvent(a-vmem.VirtAddr(s.views.trace.raw.Size())) && !s.isRawEvent(a)
		}),
		"trampoline_table":     certain(s.isTrampolineTable),
		"trampoline_key_table": certain(s.isTrampolineTable),
		btfIDR: func(a vmem.VirtAddr) (is, sure bool) {
			return s.isIDR(a, func(at vmem.VirtAddr, id uint32) bool { b, err := s.readBTF(at); return err == nil && b.ID == id })
		},
	}
}

// idrMarker is what a table of IDs has in xa_flags: ROOT_IS_IDR of lib/radix-tree.c.
const idrMarker = 4

// isIDR reports whether a table of IDs is at an address, all of whose objects have theirs. One
// that is empty tells itself by its flags alone, which is not sure.
func (s *Set) isIDR(a vmem.VirtAddr, object func(at vmem.VirtAddr, id uint32) bool) (is, sure bool) {
	if !s.inImage(a) {
		return false, false
	}
	idr := s.objects.Struct("idr", a)
	flags, err := idr.At("idr_rt.xa_flags").Uint()
	base, err2 := idr.At("idr_base").Uint()
	if err != nil || err2 != nil || flags&idrMarker == 0 || base > 1 {
		return false, false
	}
	good, bad := 0, 0
	for e, err := range s.walk("IDR").IDR(a) {
		switch {
		case err != nil:
			bad++
		case e.Kind != kstruct.PointerEntry || e.Ptr == 0:
		case object(e.Ptr, uint32(e.First)):
			good++
		default:
			bad++
		}
	}
	return good > bad || good+bad == 0, good > bad
}

// isEventList reports whether a list of trace_event_call is at an address: of which the first has a name of
// its system.
func (s *Set) isEventList(a vmem.VirtAddr) bool {
	first, err := s.ptr(a)
	if err != nil || !s.inImage(a) || !plausible(first) {
		return false
	}
	back, err := s.ptr(first + 8)
	if err != nil || back != a {
		return false
	}
	system, err := s.objects.Struct("trace_event_call", s.views.trace.list.Container(first)).At("class->system").CString()
	return err == nil && system != ""
}

// isRawEvent reports whether a struct bpf_raw_event_map is at an address, of a tracepoint and a function of the kernel.
func (s *Set) isRawEvent(a vmem.VirtAddr) bool {
	if !s.inImage(a) {
		return false
	}
	e, err := s.views.trace.raw.Load(s.mem, a)
	return err == nil && s.inImage(e.Tracepoint) && s.inImage(e.Func) && s.tracepointName(e.Tracepoint) != ""
}

// maxCode is how many bytes of a function are looked at: the largest is that of the system call.
const maxCode = 16 << 10

// references returns the addresses in the data of the kernel that the code of a function has, in
// their order.
func (s *Set) references(function vmem.VirtAddr) []vmem.VirtAddr {
	code := make([]byte, maxCode)
	n, _ := s.mem.ReadVirt(code, function)
	var all []vmem.VirtAddr
	for _, a := range codeAddresses(code[:n], function) {
		if s.inImage(a) {
			all = append(all, a)
		}
	}
	return all
}

// codeAddresses returns the addresses of the kernel's image that instructions have: relative to themselves
// (lea, mov) or as sign-extended immediates. It stops at the end of a function, an int3 or what is no instruction.
func codeAddresses(code []byte, at vmem.VirtAddr) (all []vmem.VirtAddr) {
	for len(code) > 0 {
		if code[0] == 0xcc { // between functions
			return all
		}
		inst, _, err := x86code.Decode(code)
		if err != nil {
			return all
		}
		next := at + vmem.VirtAddr(inst.Len)
		for _, arg := range inst.Args {
			switch a := arg.(type) {
			case x86asm.Mem:
				if a.Base == x86asm.RIP {
					all = append(all, next+vmem.VirtAddr(a.Disp))
				} else if a.Disp < 0 && vmem.VirtAddr(a.Disp) >= x86.StartKernelMap { // of an array
					all = append(all, vmem.VirtAddr(a.Disp))
				}
			case x86asm.Imm:
				if a < 0 && vmem.VirtAddr(a) >= x86.StartKernelMap {
					all = append(all, vmem.VirtAddr(a))
				}
			}
		}
		code, at = code[inst.Len:], next
	}
	return all
}

// ptr reads a pointer.
func (s *Set) ptr(at vmem.VirtAddr) (vmem.VirtAddr, error) {
	p, err := s.mem.Uint64(at)
	return vmem.VirtAddr(p), err
}

// pointers reads up to n pointers, with what was read before an error.
func (s *Set) pointers(at vmem.VirtAddr, n int) ([]vmem.VirtAddr, error) {
	buf := make([]byte, 8*n)
	got, err := s.mem.ReadVirt(buf, at)
	all := make([]vmem.VirtAddr, 0, got/8)
	for i := range got / 8 {
		all = append(all, vmem.VirtAddr(binary.LittleEndian.Uint64(buf[i*8:])))
	}
	return all, err
}

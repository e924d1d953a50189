package integrity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/internal/syscalls"
	"github.com/nodelens/nodelens/vmem"
)

// A syscallTable is a way from the number of a system call to what serves it.
type syscallTable struct {
	name     string
	abi      int
	prefixes []string // of the functions that serve it
	users    []string // functions that use it, for a table
}

// syscallTables are the arrays of pointers (arch/x86/entry/syscall_64.c and the like). In kernels with a switch, the first is
// what tracing of system calls takes their addresses from, and no call goes through it.
var syscallTables = []syscallTable{
	{"sys_call_table", syscalls.ABI64, []string{"__x64_"}, []string{"do_syscall_64"}},
	{"x32_sys_call_table", syscalls.ABIX32, []string{"__x32_", "__x64_"}, []string{"do_syscall_64"}},
	{"ia32_sys_call_table", syscalls.ABI32, []string{"__ia32_"}, []string{"do_int80_syscall_32", "__do_fast_syscall_32", "do_fast_syscall_32", "do_syscall_32_irqs_on"}},
}

// syscallSwitches are the functions that have taken their place since 6.9 ("x86/syscall: Don't force use of indirect calls for
// system calls"), and in stable releases before it.
var syscallSwitches = []syscallTable{
	{"x64_sys_call", syscalls.ABI64, []string{"__x64_"}, nil},
	{"x32_sys_call", syscalls.ABIX32, []string{"__x64_", "__x32_"}, nil},
	{"ia32_sys_call", syscalls.ABI32, []string{"__ia32_"}, nil},
}

// x32First is the first number of the system calls that x32 has of its own.
const x32First = 512

// readSyscalls yields what serves each system call: by the tables, and by the code of the switches.
func readSyscalls(r *reader) {
	switched := false
	for _, t := range syscallSwitches {
		f, err := r.function(t.name)
		if _, none := errors.AsType[*isf.LookupError](err); none {
			continue
		}
		if err != nil {
			r.lost(t.name, 0, err)
			continue
		}
		switched = true
		r.readSwitch(t, f)
	}
	for _, t := range syscallTables {
		if !r.alive() {
			return
		}
		at, n, err := r.findSyscalls(t)
		if err != nil && !switched && t.abi != syscalls.ABIX32 { // there is none else; few kernels have x32
			r.lost(t.name, 0, err)
		}
		r.readSyscallTable(t, at, n)
	}
}

// readSyscallTable yields the entries of a table.
func (r *reader) readSyscallTable(t syscallTable, table vmem.VirtAddr, n int) {
	for nr := range n {
		at := table + vmem.VirtAddr(8*nr)
		target, err := r.k.Space().Uint64(at)
		if err != nil {
			r.lost(t.name, at, err)
			continue
		}
		if !r.syscall(t, nr, at, vmem.VirtAddr(target)) {
			return
		}
	}
}

// maxSyscalls is more than a kernel has.
const maxSyscalls = 1024

// findSyscalls returns where a table is, and how many entries it has: up to the next symbol, or as the code
// that uses it checks numbers.
func (r *reader) findSyscalls(t syscallTable) (at vmem.VirtAddr, n int, err error) {
	if at, err = r.k.Symbol(t.name); err == nil {
		if extent, ok := r.symbols.Extent(at); ok {
			n = int(min(extent.Size/8, maxSyscalls))
		}
		return at, r.trim(at, n), nil
	}
	for _, user := range t.users {
		f, err2 := r.function(user)
		if err2 != nil {
			continue
		}
		if at, n = arrayIn(f, t.abi); n > 0 {
			return at, min(n, maxSyscalls), nil
		}
	}
	return 0, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
}

// trim returns how many of n entries are before what fills the room up to the next symbol.
func (r *reader) trim(at vmem.VirtAddr, n int) int {
	for ; n > 0; n-- {
		if v, err := r.k.Space().Uint64(at + vmem.VirtAddr(8*(n-1))); err != nil || v != 0 {
			break
		}
	}
	return n
}

// arrayIn returns the array of pointers that a function takes one of by a number, and for how many numbers, which it
// compares with before. One for x32 is used behind the other.
func arrayIn(f *function, abi int) (at vmem.VirtAddr, n int) {
	var arrays []vmem.VirtAddr
	counts := map[vmem.VirtAddr]int{}
	limit := 0
	f.each(func(in *inst) bool {
		if imm, ok := in.Args[1].(x86asm.Imm); ok && in.Op == x86asm.CMP && imm > 2 {
			limit = max(limit, int(imm))
		}
		if mem, ok := in.Args[1].(x86asm.Mem); ok && in.Op == x86asm.MOV && mem.Base == 0 && mem.Index != 0 && mem.Scale == 8 && limit > 0 {
			a := vmem.VirtAddr(int64(int32(mem.Disp)))
			if counts[a] == 0 {
				arrays = append(arrays, a)
			}
			counts[a], limit = max(counts[a], limit), 0
		}
		return true
	})
	i := 0
	if abi == syscalls.ABIX32 {
		i = 1
	}
	if i >= len(arrays) {
		return 0, 0
	}
	return arrays[i], counts[arrays[i]]
}

// readSwitch yields where the code of a switch leads for each number that has a system call: those for which it does
// not lead where it does for numbers that there are not.
func (r *reader) readSwitch(t syscallTable, f *function) {
	m := r.machine(f)
	none, err := m.run(1 << 20)
	if err != nil {
		r.lost(t.name, none.at, err)
		return
	}
	names := syscalls.Names()[t.abi]
	for nr := range maxSyscalls {
		to, err := m.run(uint64(nr))
		switch {
		case err != nil:
			r.lost(fmt.Sprintf("%s %d", t.name, nr), cmp.Or(to.at, f.at), err)
		case to.target != none.target || names[nr].Name != "":
			r.syscall(t, nr, 0, to.target)
		}
		if r.over {
			return
		}
	}
}

// syscall yields what serves a system call.
func (r *reader) syscall(t syscallTable, nr int, at, target vmem.VirtAddr) bool {
	known := syscalls.Names()[t.abi][nr]
	if t.abi == syscalls.ABIX32 && nr < x32First { // as for 64-bit programs
		known = syscalls.Names()[syscalls.ABI64][nr]
	}
	symbol, ok := r.servedBy(t, known, target)
	name := known.Name
	if name == "" {
		name = syscallOf(symbol, t)
	}
	h := r.Hook(t.name, strings.TrimSpace(fmt.Sprintf("%d %s", nr, name)), at, target)
	switch {
	case ok:
		h.Symbol = symbol
	case !h.Suspect && known.Name != "":
		h.suspect("it is not %s that serves this number", strings.Join(known.Functions, " or "))
	case !h.Suspect:
		h.suspect("it is no function that serves system calls")
	}
	if h.Verdict.Kind == Kernel {
		r.checkEntry(&h, target)
	}
	return r.found(h)
}

// servedBy returns the symbol of what serves a system call, and whether it is a function that may: one of those known for
// it, or the one for numbers that are not used. For numbers that are not known it is any function that serves system calls.
func (r *reader) servedBy(t syscallTable, known syscalls.Call, target vmem.VirtAddr) (string, bool) {
	for _, prefix := range t.prefixes {
		for _, function := range slices.Concat(known.Functions, []string{"sys_ni_syscall"}) {
			if at, err := r.k.Symbol(prefix + function); err == nil && at == target {
				return prefix + function, true
			}
		}
	}
	if at, err := r.k.Symbol("sys_ni_syscall"); err == nil && at == target {
		return "sys_ni_syscall", true
	}
	l, _ := r.symbols.Resolve(target)
	if known.Name == "" && l.Owner == "" && l.Offset == 0 && syscallOf(l.Symbol, t) != "" {
		return l.Symbol, true
	}
	return l.Symbol, false
}

// syscallOf returns the name of the system call that a function serves by its own name, empty if it serves
// none.
func syscallOf(symbol string, t syscallTable) string {
	for _, prefix := range append(slices.Clone(t.prefixes), "__do_") { // which is the same where there are no arguments
		for _, sys := range []string{"sys_", "compat_sys_"} {
			if name, ok := strings.CutPrefix(symbol, prefix+sys); ok {
				return name
			}
		}
	}
	return ""
}

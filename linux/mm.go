package linux

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxArea bounds the argument and environment areas that are read. The kernel lets
// execve fill 6 MiB at most (fs/exec.c, bprm_stack_limits); prctl can move the bounds
// anywhere.
const maxArea = 32 << 20

const pageSize = vmem.PageSize

type mmLayout struct {
	pgd, exeFile, mapCount             field
	argStart, argEnd, envStart, envEnd field
	startBrk, brk, startStack          field
	vdso                               field
	mmap, tree                         field
}

func newMMLayout(r resolver) mmLayout {
	l := mmLayout{
		pgd:        r.need("mm_struct", "pgd"),
		exeFile:    r.need("mm_struct", "exe_file"),
		mapCount:   r.opt("mm_struct", "map_count"),
		argStart:   r.need("mm_struct", "arg_start"),
		argEnd:     r.need("mm_struct", "arg_end"),
		envStart:   r.need("mm_struct", "env_start"),
		envEnd:     r.need("mm_struct", "env_end"),
		startBrk:   r.opt("mm_struct", "start_brk"),
		brk:        r.opt("mm_struct", "brk"),
		startStack: r.opt("mm_struct", "start_stack"),
		vdso:       r.opt("mm_struct", "context.vdso"),
		tree:       r.opt("mm_struct", "mm_mt"), // since 6.1 (d4af56c5c7c6)
		mmap:       r.opt("mm_struct", "mmap"),  // before
	}
	if !l.mmap.ok() {
		r.need("mm_struct", "mm_mt")
	}
	return l
}

// An MM is the user address space of a process (mm_struct). It is immutable and safe
// for concurrent use.
type MM struct {
	Addr             vmem.VirtAddr // of the mm_struct
	ArgStart, ArgEnd vmem.VirtAddr // the argument area, end exclusive
	EnvStart, EnvEnd vmem.VirtAddr // the environment area, end exclusive
	StartBrk, Brk    vmem.VirtAddr // the heap, end exclusive
	StartStack       vmem.VirtAddr
	VDSO             vmem.VirtAddr

	space *vmem.AddressSpace
	k     *Kernel
	name  string // of the task, and its PID
	pid   int32
}

// MM returns the user address space of the task, or nil for one that has none: a
// kernel thread, or a task that has exited.
func (t *Task) MM() (*MM, error) {
	r := t.k.fresh()
	addr := r.ptr(t.Addr, t.k.layout.task.mm)
	if r.err != nil {
		return nil, t.lost("mm", t.Addr, r.err)
	}
	if addr == 0 || t.KernelThread {
		return nil, nil
	}
	mm, err := t.k.newMM(addr, t)
	if err != nil {
		return nil, t.lost("mm", addr, err)
	}
	return mm, nil
}

func (k *Kernel) newMM(addr vmem.VirtAddr, t *Task) (*MM, error) {
	l, r := &k.layout.mm, k.reader()
	m := &MM{
		Addr: addr, k: k, name: t.String(), pid: t.PID,
		ArgStart: r.ptr(addr, l.argStart), ArgEnd: r.ptr(addr, l.argEnd),
		EnvStart: r.ptr(addr, l.envStart), EnvEnd: r.ptr(addr, l.envEnd),
		StartBrk: r.ptr(addr, l.startBrk), Brk: r.ptr(addr, l.brk),
		StartStack: r.ptr(addr, l.startStack), VDSO: r.ptr(addr, l.vdso),
	}
	pgd := r.ptr(addr, l.pgd)
	if r.err != nil {
		return nil, r.err
	}
	root, err := k.space.Translate(pgd)
	if err != nil {
		return nil, fmt.Errorf("page table root: %w", err)
	}
	m.space, err = k.userSpace(root.At(pgd))
	return m, err
}

// ReadVirt reads user memory at addr into p. It returns the number of bytes before
// the first that could not be read, and a *vmem.Fault for that one.
func (m *MM) ReadVirt(p []byte, addr vmem.VirtAddr) (int, error) { return m.space.ReadVirt(p, addr) }

// Space returns the page tables of the process.
func (m *MM) Space() *vmem.AddressSpace { return m.space }

// Args returns the arguments as /proc/PID/cmdline shows them, whatever their length:
// the argument area, or what a process that overwrites it (setproctitle) left there
// and in the environment area behind it.
//
// Pages that can't be read are Gaps. A string that leads into one is cut short, and
// what follows the lost part starts a string of its own.
func (m *MM) Args() ([]string, []vmem.Gap) {
	m.k.phys.Refresh()
	start, end := m.ArgStart, m.ArgEnd
	if start == 0 || end <= start {
		return nil, nil
	}
	// get_mm_cmdline of fs/proc/base.c: a last byte that is not NUL is a title, which
	// may go on into the environment if that follows at once.
	if last, err := m.space.Uint8(end - 1); err == nil && last != 0 {
		if m.EnvStart == end && m.EnvEnd >= end {
			end = m.EnvEnd
		}
		return m.title(start, end)
	}
	return m.strings("args", start, end)
}

// title follows get_mm_proctitle of fs/proc/base.c: one page at the most, up to the
// first NUL.
func (m *MM) title(start, end vmem.VirtAddr) ([]string, []vmem.Gap) {
	b := make([]byte, min(pageSize, uint64(end-start)))
	n, err := m.space.ReadVirt(b, start)
	if i := bytes.IndexByte(b[:n], 0); i >= 0 {
		return []string{string(b[:i])}, nil
	}
	return []string{string(b[:n])}, m.areaGap(nil, "args", start+vmem.VirtAddr(n), err)
}

// areaGap adds a Gap for user memory at addr that could not be read, unless the process
// has no mapping there: then there is nothing to lose, and /proc shows nothing either.
func (m *MM) areaGap(gaps []vmem.Gap, what string, addr vmem.VirtAddr, err error) []vmem.Gap {
	if err == nil || errors.Is(err, vmem.ErrNotPresent) && !m.mapped(addr) {
		return gaps
	}
	return append(gaps, vmem.NewGap(what+" of "+m.name, vmem.UserPlace(addr, m.pid), err))
}

// mapped reports whether a mapping of the process holds addr; where the mappings can't
// be walked it may.
func (m *MM) mapped(addr vmem.VirtAddr) bool {
	for v, err := range m.VMAs() {
		if err != nil || v.Range.Contains(addr) {
			return true
		}
	}
	return false
}

// Env returns the environment that the process started with, as /proc/PID/environ
// shows it now. Gaps are as with Args.
func (m *MM) Env() ([]string, []vmem.Gap) {
	m.k.phys.Refresh()
	return m.strings("env", m.EnvStart, m.EnvEnd)
}

// strings reads the NUL-separated strings from start up to end, exclusive.
func (m *MM) strings(what string, start, end vmem.VirtAddr) ([]string, []vmem.Gap) {
	if start == 0 || end <= start {
		return nil, nil
	}
	var gaps []vmem.Gap
	if uint64(end-start) > maxArea {
		err := fmt.Errorf("%w: area of %d bytes", kstruct.ErrTooLong, uint64(end-start))
		gaps = append(gaps, vmem.NewGap(what+" of "+m.name, vmem.UserPlace(start+maxArea, m.pid), err))
		end = start + maxArea
	}
	var all []string
	for start < end {
		piece, next, err := m.run(start, end)
		all = append(all, split(piece)...)
		gaps = m.areaGap(gaps, what, start+vmem.VirtAddr(len(piece)), err)
		start = next
	}
	return all, gaps
}

// areaChunk is how much of an area is read at a time.
const areaChunk = 64 << 10

// run reads what can be read from start on and returns the address at which to try
// next: end, or the first readable page behind the fault. One run of unreadable pages
// makes one error.
func (m *MM) run(start, end vmem.VirtAddr) ([]byte, vmem.VirtAddr, error) {
	var b []byte
	for at := start; at < end; at += areaChunk {
		have := len(b)
		b = append(b, make([]byte, min(areaChunk, uint64(end-at)))...)
		n, err := m.space.ReadVirt(b[have:], at)
		if err != nil {
			return b[:have+n], m.nextReadable(at+vmem.VirtAddr(n), end), err
		}
	}
	return b, end, nil
}

// nextReadable returns the first readable page above the one that at is in, or end.
func (m *MM) nextReadable(at, end vmem.VirtAddr) vmem.VirtAddr {
	for at = at&^(pageSize-1) + pageSize; at < end; at += pageSize {
		if _, err := m.space.Uint8(at); err == nil {
			return at
		}
	}
	return end
}

// split cuts b at its NULs; the one at the end ends the last string.
func split(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
}

package kstack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// ErrRunning is the reason for which a stack is not told: the task was running on a processor, so what its stack holds is of the past.
var ErrRunning = errors.New("the task is running")

// A Reader unwinds the stacks of one kernel's tasks. It is safe for concurrent use.
type Reader struct {
	k       *linux.Kernel
	mem     *vmem.AddressSpace
	views   views
	modules *module.Set
	symbols *module.Symbolizer
	kernel  *table
	format  format
	sched   [2]vmem.Range[vmem.VirtAddr] // functions of the scheduler and of locks
	fork    vmem.VirtAddr                // ret_from_fork, where a task that never ran begins

	mu    sync.Mutex // guards below
	known map[*module.Module]*table
}

// New returns a Reader. modules are those of the kernel. The error is a [vmem.Gap] that wraps kstruct.ErrUnsupported for a kernel without ORC, or the
// context's own.
func New(ctx context.Context, k *linux.Kernel, modules *module.Set) (*Reader, error) {
	r := &Reader{k: k, mem: k.Space(), views: bindViews(k.Symbols()), modules: modules, known: map[*module.Module]*table{}}
	var err error
	if r.symbols, err = module.NewSymbolizer(ctx, modules, nil); err != nil {
		return nil, err
	}
	if r.kernel, err = kernelTable(k); err == nil {
		r.format, err = newFormat(k.Symbols(), r.kernel.entries)
	}
	if err = firstOf(err, r.views.err); err != nil {
		return nil, vmem.NewGap("ORC tables", vmem.Place{}, err)
	}
	for i, name := range []string{"sched", "lock"} {
		start, err := k.Symbol("__" + name + "_text_start")
		end, err2 := k.Symbol("__" + name + "_text_end")
		if err == nil && err2 == nil && end > start {
			r.sched[i] = vmem.Range[vmem.VirtAddr]{Start: start, Size: uint64(end - start)}
		}
	}
	for _, name := range []string{"ret_from_fork_asm", "ret_from_fork"} { // the code of the latter is in C since 6.5
		if a, err := k.Symbol(name); err == nil {
			r.fork = a
			break
		}
	}
	return r, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// A Frame is a function on a kernel stack.
type Frame struct {
	Address  vmem.VirtAddr   `json:"address"` // where it goes on
	Location module.Location `json:"location"`
	Size     uint64          `json:"size"` // of the function; 0 if it is not known
	// Sched: it is of the scheduler or of locks; /proc/PID/stack leaves it out.
	Sched bool `json:"sched"`
	// Guessed: it was reached through code that nothing is told of.
	Guessed bool `json:"guessed"`
}

// String returns the frame as /proc/PID/stack shows it: [<0>] symbol+0xoffset/0xsize [module].
func (f *Frame) String() string {
	text := fmt.Sprintf("[<0>] %s+%#x/%#x", f.Location.Symbol, f.Location.Offset, f.Size)
	if f.Location.Owner != "" {
		text += " [" + f.Location.Owner + "]"
	}
	return text
}

// frame tells of an address. It is of the call before it, as the last call of a function can be of one that does not return (%pB).
func (r *Reader) frame(ip vmem.VirtAddr, guessed bool) (Frame, bool) {
	l, ok := r.symbols.Resolve(ip - 1)
	if !ok {
		return Frame{}, false
	}
	l.Offset++
	f := Frame{Address: ip, Location: l, Guessed: guessed}
	if e, ok := r.symbols.Extent(ip - 1); ok {
		f.Size = e.Size
	}
	for _, s := range r.sched {
		f.Sched = f.Sched || s.Contains(ip)
	}
	return f, true
}

// Stack returns the functions on a task's kernel stack, from the innermost on. The error is ErrRunning for one that is running, [linux.ErrNone] for one that has ended, or a [vmem.Gap], with
// which comes what was found before it.
func (r *Reader) Stack(t *linux.Task) ([]Frame, error) {
	on, err := r.mem.Uint8(r.views.onCPU.Of(t.Addr))
	var s taskStack
	if err == nil {
		if on != 0 {
			return nil, ErrRunning
		}
		s, err = r.views.task.Load(r.mem, t.Addr)
	}
	if err == nil && s.Stack == 0 { // it has ended
		return nil, linux.ErrNone
	}
	if err == nil && (!x86.IsObject(s.Stack) || s.SP < s.Stack || s.SP >= s.Stack+stackSize) {
		err = corrupt("stack pointer %v of a stack at %v", s.SP, s.Stack)
	}
	var frames []Frame
	if err == nil {
		frames, err = r.unwind(&s)
	}
	if err != nil {
		return frames, vmem.NewGap("kernel stack of "+t.String(), vmem.KernelPlace(t.Addr), err)
	}
	return frames, nil
}

// Text returns the frames as the lines of /proc/PID/stack.
func Text(frames []Frame) string {
	var b strings.Builder
	for i := range frames {
		if !frames[i].Sched {
			fmt.Fprintln(&b, &frames[i])
		}
	}
	return b.String()
}

// WChan returns the function in which a task waits, as /proc/PID/wchan does since 5.16: "0" if it does not wait. The error is the [vmem.Gap] of [Reader.Stack].
func (r *Reader) WChan(t *linux.Task) (string, error) {
	if t.State == linux.Running {
		return "0", nil
	}
	frames, err := r.Stack(t)
	if errors.Is(err, linux.ErrNone) || errors.Is(err, ErrRunning) {
		return "0", nil
	}
	for i := range frames {
		if frames[i].Sched {
			continue
		}
		l, ok := r.symbols.Resolve(frames[i].Address) // the kernel looks up the address itself there
		if !ok {
			break
		}
		return l.Symbol, nil
	}
	if err != nil {
		return "", err
	}
	return "0", nil
}

// orc returns what is told of an address, by the kernel or a module.
func (r *Reader) orc(ip vmem.VirtAddr) (e orcEntry, ok bool, err error) {
	t := r.kernel
	if m := r.modules.At(ip); m != nil {
		if t, err = r.moduleTable(m); err != nil {
			return e, false, err
		}
	} else if ip < r.kernel.ip(0) || ip > r.kernel.ip(r.kernel.len()-1) {
		return e, false, nil
	}
	if t == nil {
		return e, false, nil
	}
	b, ok := t.find(ip)
	if !ok {
		return e, false, nil
	}
	return r.format.decode(b), true, nil
}

// moduleTable returns the table of a module, nil where it has none.
func (r *Reader) moduleTable(m *module.Module) (*table, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.known[m]; ok {
		return t, nil
	}
	if !r.views.module.Ok() {
		return nil, nil
	}
	o, err := r.views.module.Load(r.mem, m.Address)
	if err != nil {
		return nil, err
	}
	var t *table
	if o.Count > maxEntries {
		return nil, corrupt("module %s has %d ORC entries", m.Name, o.Count)
	}
	if o.Count > 0 {
		if t, err = readTable(r.mem, o.IPs, o.Entries, uint64(o.Count)); err != nil {
			return nil, err
		}
	}
	r.known[m] = t
	return t, nil
}

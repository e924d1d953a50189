package consistency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// Options are the settings of Check. Nil stands for the zero Options.
type Options struct {
	// Tasks are what [linux.Kernel.Processes] yields, where the caller has walked it
	// already. Nil: Check walks it. Their threads are found by Check.
	Tasks []*linux.Task

	// Pages has each page of each process held against its mappings, for which all page
	// tables are read, also those of the lowest level.
	Pages bool
}

// Check counts the invariants that the package comment lists. The error is that of ctx.
func Check(ctx context.Context, k *linux.Kernel, opts *Options) (*Report, error) {
	if opts == nil {
		opts = new(Options)
	}
	leaders := opts.Tasks
	if leaders == nil {
		for t, err := range k.Processes(ctx) {
			if err == nil {
				leaders = append(leaders, t)
			}
		}
	}
	k.Physical().Refresh()
	c := newChecker(ctx, k)
	c.collect(leaders)
	w := c.window()
	c.since = w.since()
	c.dated = w.known && w.placed
	for _, check := range []func(){c.checkTasks, c.checkThreads, c.checkPIDs, c.checkCgroups, c.checkFiles, c.checkMounts} {
		if ctx.Err() == nil {
			check()
		}
	}
	c.checkMemory(opts.Pages)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("consistency: %w", err)
	}
	r := c.report()
	w.set(r)
	r.Verdict = r.judge(w.known)
	return r, nil
}

// A checker is one check of a kernel.
type checker struct {
	*tally
	ctx   context.Context //nolint:containedctx // a checker lives as long as Check
	k     *linux.Kernel
	space *vmem.AddressSpace
	views *views
	left  budget

	tasks []*task // all: the idle task, leaders and their threads
	known map[vmem.VirtAddr]*task

	since time.Duration                   // from boot to when the capture may have begun
	dated bool                            // since is known
	ran   map[vmem.VirtAddr]time.Duration // when a task last ran, from boot, by the mm and by the files_struct that it has
}

func newChecker(ctx context.Context, k *linux.Kernel) *checker {
	size := uint64(0)
	for _, r := range k.Physical().Ranges() {
		size += r.Size
	}
	return &checker{ctx: ctx, k: k, space: k.Space(), tally: newTally(), views: bound(k.Symbols()), left: budgetFor(size)}
}

// slept reports whether no task that shares the mm or the files of t ran while memory was
// captured: then nothing changed them, and no smear tears them.
func (c *checker) slept(t *task, part partID) bool {
	of := t.MM
	if part == filesPart {
		of = t.Files
	}
	last, known := c.ran[of]
	return c.dated && known && last < c.since-still
}

// young reports whether a task was started while memory was captured: then pages of its
// structures may be from before, and hold anything.
func (c *checker) young(t *task) bool { return c.dated && time.Duration(t.Boottime) >= c.since }

// of counts an instance of an invariant, of an object that a task has.
func (c *checker) of(t *task, i id, object vmem.VirtAddr, f *fault) {
	switch part := invariantNames[i].part; {
	case f == nil:
	case c.young(t):
		f.impossible = false
	case part == mapsPart || part == tablesPart || part == filesPart:
		f.impossible = f.impossible || c.slept(t, part)
	}
	c.count(i, object, f)
}

// A task is a task_struct that was read.
type task struct {
	taskStruct
	addr vmem.VirtAddr

	threads int    // of a leader: in the list of its threads
	unknown *fault // what is wrong with that
}

// leads reports whether the task is the leader of its threads.
func (t *task) leads() bool { return t.PID == t.TGID }

// collect reads the idle task, all leaders, and the threads in the lists of these.
func (c *checker) collect(leaders []*linux.Task) {
	c.known = map[vmem.VirtAddr]*task{}
	if addr, err := c.k.Symbol("init_task"); err == nil {
		c.add(addr)
	}
	v := &c.views.task
	for _, l := range leaders {
		t := c.add(l.Addr)
		if t == nil || !x86.IsObject(t.Signal) {
			continue
		}
		t.threads, t.unknown = c.ring(v.threadHead.Of(t.Signal), func(node vmem.VirtAddr) { c.thread(t, v.threadNode.Container(node)) })
	}
}

// thread reads what is in the list of the threads of a leader. What says to be of another group, and has
// not even its signals, is none of them, and may be no task at all.
func (c *checker) thread(leader *task, addr vmem.VirtAddr) {
	t, known := c.known[addr]
	if !known {
		t = c.read(addr)
	}
	switch {
	case t == nil:
	case t.TGID != leader.TGID && t.Signal != leader.Signal:
		c.count(threadGroups, leader.addr, torn("task %d of group %d is in the list of the threads of %d", t.PID, t.TGID, leader.TGID))
	case !known:
		c.keep(t)
	}
}

// add reads the task at addr, if it can be one.
func (c *checker) add(addr vmem.VirtAddr) *task {
	if t := c.known[addr]; t != nil {
		return t
	}
	t := c.read(addr)
	if t != nil {
		c.keep(t)
	}
	return t
}

// taskAlign is what the address of every task_struct is a multiple of: L1_CACHE_BYTES
// (fork_init of kernel/fork.c).
const taskAlign = 64

// read reads what may be a task_struct; nil if it can't be one.
func (c *checker) read(addr vmem.VirtAddr) *task {
	if !x86.IsObject(addr) || addr%taskAlign != 0 {
		return nil
	}
	t := &task{addr: addr}
	if c.views.task.task.Read(c.space, addr, &t.taskStruct) != nil || t.PID < 0 || t.TGID < 0 {
		return nil
	}
	return t
}

// keep takes a task among those that are checked.
func (c *checker) keep(t *task) {
	if spend(&c.left.tasks) {
		c.known[t.addr] = t
		c.tasks = append(c.tasks, t)
	}
}

// walked returns what an error of a walk says: contradictions come of smear too, but not that
// what a node leads to can't be read.
func walked(what string, at vmem.VirtAddr, err error) *fault {
	switch {
	case errors.Is(err, kstruct.ErrTooLong):
		return unread(what, at)
	case errors.Is(err, kstruct.ErrCorrupt):
		return torn("%s at %v does not hang together", what, at)
	}
	return impossible("%s at %v can't be read", what, at)
}

// The values of links that were taken out of a list (include/linux/poison.h, with
// CONFIG_ILLEGAL_POINTER_VALUE of x86-64).
const (
	listPoison1 = 0xdead000000000100
	listPoison2 = 0xdead000000000122
)

// pointer returns what is wrong with a pointer to an object of the kernel.
func pointer(what string, at, to vmem.VirtAddr) *fault {
	switch {
	case x86.IsObject(to):
		return nil
	case to == listPoison1 || to == listPoison2:
		return torn("%s at %v was taken out", what, at)
	}
	return impossible("%s at %v leads to %v", what, at, to)
}

// load reads a pointer that the object at an address has.
func load[T kstruct.Number](c *checker, f *kstruct.Field[T], what string, at vmem.VirtAddr) (T, *fault) {
	v, err := f.Load(c.space, at)
	if err != nil {
		return v, impossible("%s at %v can't be read", what, at)
	}
	return v, nil
}

// linked returns what is wrong with a node of a list, whose neighbours must point back.
func (c *checker) linked(what string, node vmem.VirtAddr, l links) *fault {
	for _, dir := range [...]struct {
		to   vmem.VirtAddr
		back *kstruct.Field[vmem.VirtAddr]
	}{{l.Next, c.views.prev}, {l.Prev, c.views.next}} {
		if f := pointer(what, node, dir.to); f != nil {
			return f
		}
		if dir.to == node {
			continue
		}
		back, f := load(c, dir.back, what, dir.to)
		if f != nil {
			return f
		}
		if back != node {
			return torn("%s at %v leads to %v, which points back to %v", what, node, dir.to, back)
		}
	}
	return nil
}

// checkEvery is how many nodes of a list are visited between two looks at the context.
const checkEvery = 256

// ring goes along the list whose head is at an address, as long as nodes point back, and
// returns how many there are. Such a list can't cycle without its head.
func (c *checker) ring(head vmem.VirtAddr, visit func(node vmem.VirtAddr)) (n int, f *fault) {
	const what = "list"
	for at := head; ; n++ {
		next, f := load(c, c.views.next, what, at)
		if f == nil {
			f = pointer(what, at, next)
		}
		var back vmem.VirtAddr
		if f == nil {
			back, f = load(c, c.views.prev, what, next)
		}
		if f == nil && back != at {
			f = torn("%s at %v leads to %v, which points back to %v", what, at, next, back)
		}
		if f == nil && next != head && !spend(&c.left.nodes) {
			f = unread(what, head)
		}
		if f != nil || next == head || n%checkEvery == 0 && c.ctx.Err() != nil {
			return n, f
		}
		if visit != nil {
			visit(next)
		}
		at = next
	}
}

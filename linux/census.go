package linux

import (
	"context"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A census finds the tasks of a kernel, threads among them: from init_task and the IDR of PIDs, and from each task
// that is found by all that leads from it to others, until nothing new is found. What is
// damaged then costs what is in it, and not what it led to; and who hides a task must take it
// out of every structure that has it.
type census struct {
	k   *Kernel
	ctx context.Context //nolint:containedctx // a census lives as long as one call of its user

	tasks map[vmem.VirtAddr]*counted
	lost  map[vmem.VirtAddr]*lostTask // where a task should be, and none is
	pids  map[vmem.VirtAddr]*countedPID
	seen  map[place]bool // what else was looked at
	queue []*counted
	left  int // addresses that may still be looked at

	sets map[vmem.VirtAddr]setLinks
	list mainView
	idr  mainView
	gaps []vmem.Gap
}

// A place is where something of a kind may be.
type place struct {
	kind placeKind
	addr vmem.VirtAddr
}

// A placeKind is what may be at a place.
type placeKind uint8

const (
	placeTask placeKind = iota
	placeSignal
	placeMM
	placeSet
	placePID
)

// A counted is a task that a census found.
type counted struct {
	addr    vmem.VirtAddr
	core    taskCore
	proof   proof
	sources TaskSources
	set     vmem.VirtAddr // its css_set
}

// A lostTask is a task_struct that structures lead to and that is none (any more).
type lostTask struct {
	addr vmem.VirtAddr
	by   TaskSources
	pid  int32 // of the struct pid, or the group, that leads to it; 0 if none does
	lead bool  // it leads its group
	err  error
}

// A countedPID is a struct pid that a census found.
type countedPID struct {
	nr   int32
	task vmem.VirtAddr // that has it as its PID, or 0
}

func (k *Kernel) newCensus(ctx context.Context) *census {
	return &census{
		k: k, ctx: ctx, left: k.places(),
		tasks: map[vmem.VirtAddr]*counted{}, lost: map[vmem.VirtAddr]*lostTask{}, pids: map[vmem.VirtAddr]*countedPID{},
		seen: map[place]bool{}, sets: map[vmem.VirtAddr]setLinks{},
		idr: mainView{leaves: map[int32]bool{}, bad: map[int32]bool{}},
	}
}

// ended reports whether the context of the census has.
func (c *census) ended() bool { return c.ctx.Err() != nil }

// take looks at what may be a task_struct, and returns the task if it is one that lives.
func (c *census) take(addr vmem.VirtAddr, by TaskSources) (*counted, error) {
	if t := c.tasks[addr]; t != nil {
		t.sources |= by
		return t, nil
	}
	if l := c.lost[addr]; l != nil {
		l.by |= by
		return nil, l.err
	}
	if addr == c.k.initTask || c.seen[place{placeTask, addr}] && by&(LeaderSources|InScan) == 0 {
		return nil, nil
	}
	if c.left--; c.left < 0 {
		return nil, c.full(addr)
	}
	t := &counted{addr: addr, sources: by}
	var err error
	if t.proof, err = c.k.prove(addr, &t.core); err != nil {
		c.seen[place{placeTask, addr}] = true
		return nil, err
	}
	switch {
	case t.core.PID == 0: // an idle task
		c.seen[place{placeTask, addr}] = true
		return nil, errNoTask(&t.core, 0)
	case !t.proof.task() || !t.proof.alive():
		c.seen[place{placeTask, addr}] = true
		return nil, errNoTask(&t.core, t.proof)
	}
	c.tasks[addr] = t
	c.queue = append(c.queue, t)
	return t, nil
}

// full tells once that the census has looked at as much as it may.
func (c *census) full(addr vmem.VirtAddr) error {
	err := fmt.Errorf("%w: more places where tasks could be than a census looks at", kstruct.ErrTooLong)
	if c.left == -1 {
		c.gaps = append(c.gaps, newGap("tasks", addr, err))
	}
	return err
}

// must takes the task at addr, that a structure says to be there, and notes the loss if it
// is not. pid is 0 where the structure does not say of which task.
func (c *census) must(addr vmem.VirtAddr, by TaskSources, pid int32, leads bool) *counted {
	t, err := c.take(addr, by)
	if t != nil || addr == c.k.initTask {
		return t
	}
	l := c.lost[addr]
	if l == nil {
		if err == nil {
			var core taskCore
			var p proof
			if p, err = c.k.prove(addr, &core); err == nil {
				err = errNoTask(&core, p)
			}
			if core.PID == 0 && p.task() { // an idle task
				return nil
			}
		}
		l = &lostTask{addr: addr, err: err}
		c.lost[addr] = l
	}
	l.by |= by
	l.lead = l.lead || leads
	if l.pid == 0 {
		l.pid = pid
	}
	return nil
}

// run follows all tasks that were found, and those that they lead to.
func (c *census) run() {
	for len(c.queue) > 0 && !c.ended() {
		t := c.queue[len(c.queue)-1]
		c.queue = c.queue[:len(c.queue)-1]
		c.follow(t)
	}
}

// first reports whether a structure is looked at for the first time, and can be one.
func (c *census) first(kind placeKind, addr vmem.VirtAddr) bool {
	at := place{kind, addr}
	if c.seen[at] || !plausible(addr) {
		return false
	}
	c.seen[at] = true
	return true
}

// each takes the tasks whose member the neighbours of a list node are. One of them may be
// the head of the list, which is in no task_struct.
func (c *census) each(node listHead, m kstruct.Member, by TaskSources) {
	for _, n := range [...]vmem.VirtAddr{node.Next, node.Prev} {
		if !plausible(n) || !m.Ok() {
			continue
		}
		if at := m.Container(n); at%taskAlign == 0 { // what a head is in hardly is
			_, _ = c.take(at, by)
		}
	}
}

// follow takes what a task leads to.
func (c *census) follow(t *counted) {
	v := &c.k.views.core
	s := &t.core
	c.each(s.List, v.list, InListPiece)
	c.each(s.Children, v.sibling, InFamily)
	c.each(s.Sibling, v.sibling, InFamily)
	c.each(s.Thread, v.thread, InThreads)
	for i, link := range s.Links {
		c.each(listHead{link.Next, link.PPrev}, v.links[i], InPIDLinks)
	}
	_, _ = c.take(s.Tracer, InFamily)
	c.must(s.Parent, InFamily, 0, false)
	if s.PID != s.TGID {
		c.must(s.Leader, InFamily, s.TGID, true)
	}
	c.pid(s.ThreadPID, InPIDLinks)
	c.followRest(t)
}

// followRest takes what the parts of a task_struct beside its core lead to. They may be in
// other pages: what can't be read leads to nothing here, and is told where it is read for
// what it is.
func (c *census) followRest(t *counted) {
	k, v := c.k, c.k.views
	if signal, err := v.threads.signal.Load(k.space, t.addr); err == nil && c.first(placeSignal, signal) {
		c.signal(signal)
	}
	if mm, err := v.mm.of.Load(k.space, t.addr); err == nil && c.first(placeMM, mm) {
		if owner, err := v.links.owner.Load(k.space, mm); err == nil && owner != 0 {
			_, _ = c.take(owner, InMMOwners)
		}
	}
	if in, err := v.links.inSet.Load(k.space, t.addr); err == nil {
		c.each(in.Node, v.links.setNode, InCgroups)
	}
	if set, err := v.links.setOf.Load(k.space, t.addr); err == nil {
		t.set = set
		c.cssSet(set)
	}
}

func (c *census) signal(addr vmem.VirtAddr) {
	s, err := c.k.views.links.signal.Load(c.k.space, addr)
	if err != nil {
		return
	}
	c.each(s.Threads, c.k.views.core.thread, InThreads)
	for _, pid := range s.PIDs {
		c.pid(pid, InPIDLinks)
	}
}

func (c *census) cssSet(addr vmem.VirtAddr) {
	v := &c.k.views.links
	if !c.first(placeSet, addr) {
		return
	}
	s, err := v.set.Load(c.k.space, addr)
	if err != nil {
		return
	}
	for _, list := range [...]listHead{s.Tasks, s.Moving, s.Dying} {
		c.each(list, v.setNode, InCgroups)
	}
	c.sets[addr] = s
}

// pid takes the tasks of the struct pid at addr, if it is one of the initial namespace.
func (c *census) pid(addr vmem.VirtAddr, by TaskSources) {
	if p := c.pids[addr]; p != nil {
		if p.task != 0 {
			c.must(p.task, by, p.nr, false)
		}
		return
	}
	if !c.first(placePID, addr) {
		return
	}
	s, err := c.k.views.links.pid.Load(c.k.space, addr)
	if err != nil || !c.k.validPID(&s) {
		return
	}
	p := &countedPID{nr: s.NR}
	c.pids[addr] = p
	links := &c.k.views.core.links
	if s.Heads[0].First != 0 {
		p.task = links[0].Container(s.Heads[0].First)
		c.must(p.task, by, s.NR, s.Heads[1].First != 0)
	}
	for i, h := range s.Heads {
		if h.First != 0 {
			_, _ = c.take(links[i].Container(h.First), InPIDLinks)
		}
	}
}

// validPID reports whether what was read can be a struct pid with a number in the initial
// namespace, as each has.
func (k *Kernel) validPID(p *pidLinks) bool {
	for _, h := range p.Heads {
		if h.First != 0 && !plausible(h.First) {
			return false
		}
	}
	return p.NR > 0 && p.NR < pidMax && p.Level <= maxPIDLevel && (k.pidNSErr != nil || p.NS == k.initPIDNS)
}

// places returns how many places a census looks at: in proportion to what the kernel counts,
// but never more than memory has room for.
func (k *Kernel) places() int {
	room := uint64(0)
	for _, r := range k.phys.Ranges() {
		room += r.Size / taskAlign
	}
	return int(min(placesPerNode*uint64(k.taskNodes()), max(room, 1024)))
}

// placesPerNode is how many pointers of a task lead to others, or to the heads of lists.
const placesPerNode = 4

// sortedKeys returns the keys of a map in ascending order.
func sortedKeys[V any](m map[vmem.VirtAddr]V) []vmem.VirtAddr {
	keys := make([]vmem.VirtAddr, 0, len(m))
	for a := range m {
		keys = append(keys, a)
	}
	slices.Sort(keys)
	return keys
}

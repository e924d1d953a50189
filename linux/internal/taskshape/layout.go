package taskshape

import (
	"bytes"
	"fmt"
	"slices"
)

// A layout is where members are, as far as it was found out. Offsets are those of task_struct
// unless they are named after another structure.
type layout struct {
	*node
	least  int               // how many of a hundred tasks must speak for a place
	at     map[string]uint64 // by structure and member, such as cred.user
	failed []string
}

func newLayout(n *node, least int) *layout {
	return &layout{node: n, least: least, at: map[string]uint64{}}
}

// layout infers the layout that most tasks speak for, of those that have all that is needed.
func (n *node) layout() *layout {
	var l *layout
	for _, least := range shares {
		l = newLayout(n, least)
		if l.infer(); l.complete() {
			break
		}
	}
	return l
}

// needed are the members without which no task can be told to be one.
var needed = []string{"tasks", "exit_state", "mm", "pid", "comm", "thread_pid", "thread_node", "pid.numbers", "pid.tasks"}

// complete reports whether all is there that a list of processes needs.
func (l *layout) complete() bool {
	return !slices.ContainsFunc(needed, func(name string) bool { return !l.has(name) })
}

func (l *layout) has(name string) bool {
	_, ok := l.at[name]
	return ok
}

// infer finds out what it can, what others build on first.
func (l *layout) infer() {
	kin := l.init.kin
	for name, off := range map[string]uint64{
		"real_parent": 0, "parent": offParent, "children": offChildren, "sibling": offSibling, "group_leader": offLeader,
	} {
		l.at[name] = kin + off
	}
	l.comm()
	l.tasksList()
	l.pids()
	l.memory()
	l.head()
	l.exit()
	l.threadPID()
	l.threadNode()
	l.kthread()
	l.signal()
	l.aroundSignal()
	l.startTime()
	l.creds()
}

// shares are how many of a hundred tasks must speak for a place, the strictest first: damage and
// what just begins or ends make exceptions, and the fewer must agree the more places there are
// for which these do.
var shares = [...]int{95, 90, 85, 80}

// mostOf is how many of a hundred tasks are ordinary: have one thread, and a value of their own.
const mostOf = 60

// share returns how many of a hundred tasks something holds for.
func (l *layout) share(holds func(t sample) bool) int {
	n := 0
	for _, t := range l.tasks {
		if holds(t) {
			n++
		}
	}
	return 100 * n / len(l.tasks)
}

// distinct returns how many of a hundred tasks have a value that no other has, of those whose
// value is not 0.
func (l *layout) distinct(value func(t sample) uint64) int {
	count := map[uint64]int{}
	all, once := 0, 0
	for _, t := range l.tasks {
		if v := value(t); v != 0 {
			count[v]++
			all++
		}
	}
	for _, n := range count {
		if n == 1 {
			once++
		}
	}
	return 100 * once / max(all, 1)
}

// only sets a member to the one place at which it can be; it is not set where there is none, or
// several.
func (l *layout) only(name string, from, to, step uint64, fits func(off uint64) bool) bool {
	var all []uint64
	for off := from; off+16 <= min(to, taskWindow); off += step {
		if fits(off) {
			all = append(all, off)
		}
	}
	switch len(all) {
	case 0:
		l.fail(name, "no place fits")
	case 1:
		l.at[name] = all[0]
		return true
	default:
		l.fail(name, fmt.Sprintf("%d places fit, such as %d and %d", len(all), all[0], all[1]))
	}
	return false
}

func (l *layout) fail(name, why string) { l.failed = append(l.failed, name+": "+why) }

// comm finds the name: that of init_task is known, and all others have one.
func (l *layout) comm() {
	l.only("comm", l.init.kin, taskWindow, 8, func(off uint64) bool {
		idle := l.idle.b
		return uint64(len(idle)) >= off+16 && bytes.HasPrefix(idle[off:], []byte("swapper")) &&
			l.share(func(t sample) bool { return isComm(t.b[off : off+16]) }) >= l.least
	})
}

// isComm reports whether b can be a name: text that ends.
func isComm(b []byte) bool {
	n := bytes.IndexByte(b, 0)
	return n > 0 && !bytes.ContainsFunc(b[:n], func(r rune) bool { return r < ' ' })
}

// tasksList finds the list of all processes: the next and the previous of each are processes, and
// what they map comes soon after it. (The list of sched_ext has all tasks, too.)
func (l *layout) tasksList() {
	l.only("tasks", 8, l.init.kin, 8, func(off uint64) bool {
		return l.share(func(t sample) bool {
			next, prev := word(t.b, off)-off, word(t.b, off+8)-off
			return l.known[next] && next != t.va || l.known[prev] && prev != t.va
		}) >= l.least && len(l.memoryAfter(off)) > 0
	})
}

// pids finds pid and tgid, which are right before the parent, with the canary of the stack
// between them as a rule: the same in a leader, and in no other.
func (l *layout) pids() {
	kin := l.init.kin
	if kin < 64 {
		l.fail("pid", "no place fits")
		return
	}
	if l.only("pid", kin-24, kin+8, 8, func(off uint64) bool {
		return off < kin && l.share(func(t sample) bool {
			v := half(t.b, off)
			return v == half(t.b, off+4) && v > 0 && v < pidMax
		}) >= l.least && l.distinct(func(t sample) uint64 { return uint64(half(t.b, off)) }) >= l.least
	}) {
		l.at["tgid"] = l.at["pid"] + 4
	}
}

// memory finds mm and active_mm.
func (l *layout) memory() {
	if !l.has("tasks") {
		l.fail("mm", "tasks is not known")
		return
	}
	switch all := l.memoryAfter(l.at["tasks"]); len(all) {
	case 1:
		l.at["mm"] = all[0]
	default:
		l.fail("mm", fmt.Sprintf("%d places fit", len(all)))
	}
}

// memoryAfter returns where mm and active_mm can be if the list of processes is at an offset. They are
// the same but for kernel threads: these have no mm. Between the list and them are the nodes of
// queues of tasks that may be pushed to another CPU.
func (l *layout) memoryAfter(list uint64) (all []uint64) {
	const near = 128
	for off := list + 16; off < min(list+near, l.init.kin); off += 8 {
		with, without := 0, 0
		ok := l.share(func(t sample) bool {
			mm, active := word(t.b, off), word(t.b, off+8)
			if mm == 0 {
				without++
				return active == 0 || plausible(active)
			}
			with++
			return mm == active && plausible(mm)
		}) >= l.least
		if ok && with > 2 && without > 2 && l.distinct(func(t sample) uint64 { return word(t.b, off) }) >= mostOf {
			all = append(all, off)
		}
	}
	return all
}

// pfKthread is PF_KTHREAD.
const pfKthread = 0x00200000

// head finds the stack, the state before it and the flags behind it.
func (l *layout) head() {
	if !l.has("mm") {
		l.fail("stack", "mm is not known")
		return
	}
	mm := l.at["mm"]
	if l.only("stack", 8, 256, 8, func(off uint64) bool {
		return l.share(func(t sample) bool { v := word(t.b, off); return v%4096 == 0 && plausible(v) }) >= l.least &&
			l.distinct(func(t sample) uint64 { return word(t.b, off) }) >= l.least &&
			l.share(func(t sample) bool { return (half(t.b, off+12)&pfKthread != 0) == (word(t.b, mm) == 0) }) >= l.least &&
			l.share(func(t sample) bool { return half(t.b, off-8) < 1<<16 }) >= l.least
	}) {
		l.at["__state"], l.at["flags"] = l.at["stack"]-8, l.at["stack"]+12
	}
}

// sigchld is SIGCHLD, which nearly all processes tell their parents of their end with.
const sigchld = 17

// exit finds exit_state: before exit_code and exit_signal.
func (l *layout) exit() {
	if !l.has("mm") {
		l.fail("exit_state", "mm is not known")
		return
	}
	if l.only("exit_signal", l.at["mm"]+16, l.init.kin, 4, func(off uint64) bool {
		return l.share(func(t sample) bool { return half(t.b, off) == sigchld }) >= mostOf &&
			l.share(func(t sample) bool { return half(t.b, off-8) == 0 && half(t.b, off-4) == 0 }) >= l.least
	}) {
		l.at["exit_state"] = l.at["exit_signal"] - 8
	}
}

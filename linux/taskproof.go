package linux

import (
	"fmt"
	"math/bits"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// taskAlign is what the address of every task_struct is a multiple of: L1_CACHE_BYTES and
// what the state of the FPU at its end needs (fork_init of kernel/fork.c).
const taskAlign = 64

// A listHead is struct list_head.
type listHead struct {
	Next vmem.VirtAddr `kernel:"next"`
	Prev vmem.VirtAddr `kernel:"prev"`
}

// An hlistNode is struct hlist_node.
type hlistNode struct {
	Next  vmem.VirtAddr `kernel:"next"`
	PPrev vmem.VirtAddr `kernel:"pprev"`
}

// pidTypes is how many kinds of links a task has to struct pids (PIDTYPE_MAX of
// include/linux/pid_types.h): as a thread, a thread group, a process group and a session.
const pidTypes = 4

// A taskCore is what of a task_struct (include/linux/sched.h) says that it is one. The
// kernel has all of it close together, so that it is lost or kept as a whole, for the most part.
type taskCore struct {
	List      listHead            `kernel:"tasks"`
	ExitState int32               `kernel:"exit_state"`
	PID       int32               `kernel:"pid"`
	TGID      int32               `kernel:"tgid"`
	Parent    vmem.VirtAddr       `kernel:"real_parent"`
	Tracer    vmem.VirtAddr       `kernel:"parent"`
	Children  listHead            `kernel:"children"`
	Sibling   listHead            `kernel:"sibling"`
	Leader    vmem.VirtAddr       `kernel:"group_leader"`
	ThreadPID vmem.VirtAddr       `kernel:"thread_pid"`
	Links     [pidTypes]hlistNode `kernel:"pid_links"`
	Thread    listHead            `kernel:"thread_node"`
}

type coreViews struct {
	core     *kstruct.View[taskCore]
	list     kstruct.Member
	children kstruct.Member
	sibling  kstruct.Member
	thread   kstruct.Member
	links    [pidTypes]kstruct.Member
	leader   *kstruct.Field[vmem.VirtAddr]
	next     vmem.VirtAddr // of list_head
	prev     vmem.VirtAddr
	err      error
}

func bindCore(types *isf.File) (v coreViews) {
	b := kstruct.NewBinder(types)
	v.core = kstruct.Bind[taskCore](b, "task_struct")
	v.list = kstruct.BindMember(b, "task_struct", "tasks")
	v.children = kstruct.BindMember(b, "task_struct", "children")
	v.sibling = kstruct.BindMember(b, "task_struct", "sibling")
	v.thread = kstruct.BindMember(b, "task_struct", "thread_node")
	for i := range v.links {
		v.links[i] = kstruct.BindMember(b, "task_struct", fmt.Sprintf("pid_links[%d]", i))
	}
	v.leader = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "group_leader")
	v.next = vmem.VirtAddr(kstruct.BindMember(b, "list_head", "next").Offset())
	v.prev = vmem.VirtAddr(kstruct.BindMember(b, "list_head", "prev").Offset())
	v.err = b.Err()
	return v
}

// A proof is what speaks for a task_struct, a bit for each fact. Pointers that are right
// only for its own address tell it from a copy, and those of other structures that lead back
// to it tell that it is alive: a task leaves them all at once (__unhash_process of
// kernel/exit.c), and is reaped then.
type proof uint8

const (
	proofLeader   proof = 1 << iota // it leads its group, or the leader's group is its own
	proofChildren                   // the list of its children is empty, or its neighbours point back
	proofSibling                    // a neighbour in the list of its parent's children points back
	proofList                       // a neighbour in the task list points back
	proofThread                     // a neighbour in the list of threads points back
	proofPID                        // its struct pid has its number
	proofLink                       // its struct pid leads to it

	// proofLife are those that a reaped task does not have.
	proofLife = proofSibling | proofList | proofThread | proofLink
)

// task reports whether what it speaks for is a task_struct, which may be a dead one: one fact
// alone may be a chance, or damaged itself.
func (p proof) task() bool {
	n := bits.OnesCount8(uint8(p))
	return p&proofLeader != 0 && n > 1 || p&proofPID != 0 && p&proofLife != 0
}

// alive reports whether others know of the task.
func (p proof) alive() bool { return p&proofLife != 0 }

// prove reads the core of the task_struct at addr and gathers what speaks for it. The error
// says why nothing can.
func (k *Kernel) prove(addr vmem.VirtAddr, t *taskCore) (p proof, err error) {
	v := &k.views.core
	if addr%taskAlign != 0 || !plausible(addr) {
		return 0, errPointer("task_struct", addr)
	}
	if err := v.core.Read(k.space, addr, t); err != nil {
		return 0, cause(err, v.err)
	}
	if t.PID < 0 || t.PID >= pidMax || t.TGID < 0 || t.TGID >= pidMax {
		return 0, fmt.Errorf("%w: task_struct with pid %d, tgid %d", kstruct.ErrCorrupt, t.PID, t.TGID)
	}
	for _, fact := range [...]struct {
		holds bool
		proof proof
	}{
		{k.ledBy(addr, t), proofLeader},
		{k.linked(v.children.Of(addr), t.Children) || t.Children == listHead{v.children.Of(addr), v.children.Of(addr)}, proofChildren},
		{k.linked(v.sibling.Of(addr), t.Sibling), proofSibling},
		{k.linked(v.list.Of(addr), t.List), proofList},
		{k.linked(v.thread.Of(addr), t.Thread), proofThread},
		{t.ThreadPID != 0 && k.numbered(t.ThreadPID, t.PID), proofPID},
		{t.ThreadPID != 0 && k.leadsTo(t.Links[0].PPrev, v.links[0].Of(addr)), proofLink},
	} {
		if fact.holds {
			p |= fact.proof
		}
	}
	return p, nil
}

// ledBy reports whether group_leader of the task at addr is right: itself, or the leader of
// the group that it says to be of.
func (k *Kernel) ledBy(addr vmem.VirtAddr, t *taskCore) bool {
	v := k.views
	if t.Leader == addr || t.Leader%taskAlign != 0 || !plausible(t.Leader) {
		return t.Leader == addr && t.PID == t.TGID
	}
	leader, err := v.core.leader.Load(k.space, t.Leader)
	if err != nil || leader != t.Leader {
		return false
	}
	tgid, err := v.task.tgid.Load(k.space, t.Leader)
	return err == nil && tgid == t.TGID && t.PID != t.TGID
}

// linked reports whether the node at addr is in a list beside itself: a neighbour points
// back to it.
func (k *Kernel) linked(addr vmem.VirtAddr, node listHead) bool {
	v := &k.views.core
	return node.Next != addr && k.leadsTo(node.Next+v.prev, addr) || node.Prev != addr && k.leadsTo(node.Prev+v.next, addr)
}

// leadsTo reports whether the pointer at one address leads to the other.
func (k *Kernel) leadsTo(at, addr vmem.VirtAddr) bool {
	if !plausible(at) {
		return false
	}
	p, err := k.space.Uint64(at)
	return err == nil && vmem.VirtAddr(p) == addr
}

// numbered reports whether the struct pid at addr is of a PID.
func (k *Kernel) numbered(addr vmem.VirtAddr, pid int32) bool {
	if !plausible(addr) {
		return false
	}
	nr, err := k.views.pid.nr.Load(k.space, addr)
	return err == nil && nr == pid && pid != 0
}

// errNoTask says what is where a task_struct should be.
func errNoTask(t *taskCore, p proof) error {
	if p.task() {
		return fmt.Errorf("%w: task_struct of pid %d, which no other structure leads to any more", kstruct.ErrCorrupt, t.PID)
	}
	return fmt.Errorf("%w: no task_struct, though it has pid %d, tgid %d", kstruct.ErrCorrupt, t.PID, t.TGID)
}

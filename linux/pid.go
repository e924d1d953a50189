package linux

import (
	"cmp"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Indices of struct pid.tasks and task_struct.pid_links (enum pid_type,
// include/linux/pid_types.h).
const (
	pidtypePID  = 0
	pidtypeTGID = 1
)

// maxPIDLevel is MAX_PID_NS_LEVEL of include/linux/pid_namespace.h.
const maxPIDLevel = 32

type pidLayout struct {
	level, tasks, numbers field
	nr, ns                field
	upidSize              uint64
	nsIDR, reaper         field // pid_namespace
}

func newPIDLayout(r resolver) pidLayout {
	return pidLayout{
		level:    r.need("pid", "level"),
		tasks:    r.need("pid", "tasks"),
		numbers:  r.need("pid", "numbers"),
		nr:       r.need("upid", "nr"),
		ns:       r.need("upid", "ns"),
		upidSize: r.size("upid"),
		nsIDR:    r.need("pid_namespace", "idr"),
		reaper:   r.need("pid_namespace", "child_reaper"),
	}
}

// pidLeaders yields the task_struct of each thread group leader that a struct pid in
// the IDR of the initial PID namespace points to.
func (k *Kernel) pidLeaders() iter.Seq2[vmem.VirtAddr, error] {
	const object = "PID IDR"
	return func(yield func(vmem.VirtAddr, error) bool) {
		idr := k.initPIDNS + vmem.VirtAddr(k.layout.pid.nsIDR) + vmem.VirtAddr(k.layout.xa.idr)
		for e, err := range k.xarray(object, idr) {
			if err != nil {
				if !yield(0, err) {
					return
				}
				continue
			}
			addr, err := k.pidLeader(e)
			if err != nil {
				err = newGap(fmt.Sprintf("%s entry %d", object, e.index), e.ptr, err)
			}
			if (addr != 0 || err != nil) && !yield(addr, err) {
				return
			}
		}
	}
}

// pidLeader returns the thread group leader whose PID the entry is, or 0 if the PID
// is that of another thread, or of a process group or session without its leader.
func (k *Kernel) pidLeader(e xaEntry) (vmem.VirtAddr, error) {
	if !plausible(e.ptr) {
		return 0, errPointer("struct pid", e.ptr)
	}
	l, r := &k.layout.pid, k.reader()
	nr := r.i32(e.ptr, l.numbers+l.nr)
	first := r.ptr(e.ptr, l.tasks+8*pidtypePID)
	group := r.ptr(e.ptr, l.tasks+8*pidtypeTGID)
	if r.err != nil {
		return 0, r.err
	}
	if uint64(uint32(nr)) != e.index {
		return 0, fmt.Errorf("%w: struct pid %v is of PID %d", kstruct.ErrCorrupt, e.ptr, nr)
	}
	if first == 0 || group == 0 {
		return 0, nil
	}
	// hlist_entry(first, struct task_struct, pid_links[PIDTYPE_PID]) of pid_task().
	addr := first - vmem.VirtAddr(k.layout.task.pidLinks) - 16*pidtypePID
	if pid := r.i32(addr, k.layout.task.pid); r.err != nil || uint64(uint32(pid)) != e.index {
		return 0, cmp.Or(r.err, fmt.Errorf("%w: task of PID %d has pid %d", kstruct.ErrCorrupt, e.index, pid))
	}
	return addr, nil
}

// NamespacedPIDs returns the task's PID in every PID namespace that it is visible
// in, from the initial one to its own, as NSpid of /proc/PID/status.
func (t *Task) NamespacedPIDs() ([]int32, error) {
	l, r := &t.k.layout.pid, t.k.fresh()
	pid := r.ptr(t.Addr, t.k.layout.task.threadPID)
	level := r.u32(pid, l.level)
	if r.err != nil || level > maxPIDLevel {
		return nil, newGap("PIDs of "+t.String(), pid, cmp.Or(r.err, fmt.Errorf("%w: PID namespace level %d", kstruct.ErrCorrupt, level)))
	}
	pids := make([]int32, 0, level+1)
	for i := range field(level) + 1 {
		pids = append(pids, r.i32(pid, l.numbers+i*field(l.upidSize)+l.nr))
	}
	if r.err != nil {
		return nil, newGap("PIDs of "+t.String(), pid, r.err)
	}
	return pids, nil
}

package linux

import (
	"cmp"
	"context"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxPIDLevel is MAX_PID_NS_LEVEL of include/linux/pid_namespace.h.
const maxPIDLevel = 32

// A pidStruct is struct pid (include/linux/pid.h).
type pidStruct struct {
	Level uint32        `kernel:"level"`          // of its own namespace
	NR    int32         `kernel:"numbers[0].nr"`  // in the initial namespace
	First vmem.VirtAddr `kernel:"tasks[0].first"` // PIDTYPE_PID: the thread that has it
	Group vmem.VirtAddr `kernel:"tasks[1].first"` // PIDTYPE_TGID: the thread group that has it
}

// A upid is struct upid: a PID in one namespace.
type upid struct {
	NR int32         `kernel:"nr"`
	NS vmem.VirtAddr `kernel:"ns"`
}

type pidViews struct {
	of      *kstruct.Field[vmem.VirtAddr]
	links   kstruct.Member // of task_struct: its node in pid.tasks[0]
	pid     *kstruct.View[pidStruct]
	numbers kstruct.Member
	upid    *kstruct.View[upid]
	idr     kstruct.Member // of pid_namespace
	reaper  *kstruct.Field[vmem.VirtAddr]
	count   *kstruct.Field[uint32] // of pid_namespace: the PIDs in use, with a bit above
	err     error
}

func bindPID(types *isf.File) (v pidViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "thread_pid")
	v.links = kstruct.BindMember(b, "task_struct", "pid_links[0]")
	v.pid = kstruct.Bind[pidStruct](b, "pid")
	v.numbers = kstruct.BindMember(b, "pid", "numbers[0]")
	v.upid = kstruct.Bind[upid](b, "upid")
	v.idr = kstruct.BindMember(b, "pid_namespace", "idr")
	v.reaper = kstruct.BindField[vmem.VirtAddr](b, "pid_namespace", "child_reaper")
	v.count = kstruct.BindOptionalField[uint32](b, "pid_namespace", "pid_allocated")
	v.err = b.Err()
	return v
}

// upidAt returns the address of a pid's number in the namespace at a level.
func (v *pidViews) upidAt(pid vmem.VirtAddr, level uint32) vmem.VirtAddr {
	return v.numbers.Of(pid) + vmem.VirtAddr(uint64(level)*v.upid.Size())
}

// pidOf returns the struct pid of the task at addr, and where it is: at 0 if the task has
// none any more.
func (k *Kernel) pidOf(task vmem.VirtAddr) (vmem.VirtAddr, pidStruct, error) {
	v := &k.views.pid
	addr, err := v.of.Load(k.space, task)
	if err != nil || addr == 0 {
		return 0, pidStruct{}, cause(err, v.err)
	}
	p, err := v.pid.Load(k.space, addr)
	return addr, p, cause(err, v.err)
}

// pidLeaders yields the task_struct of each thread group leader that a struct pid in
// the IDR of the initial PID namespace points to.
func (k *Kernel) pidLeaders(ctx context.Context) iter.Seq2[vmem.VirtAddr, error] {
	const object = "PID IDR"
	return func(yield func(vmem.VirtAddr, error) bool) {
		v := &k.views.pid
		if err := cmp.Or(k.pidNSErr, v.err); err != nil {
			yield(0, newGap(object, 0, err))
			return
		}
		w := k.walk(ctx, object, k.taskNodes())
		for e, err := range w.IDR(v.idr.Of(k.initPIDNS)) {
			var addr vmem.VirtAddr
			if err == nil && e.Kind == kstruct.PointerEntry {
				addr, err = k.pidLeader(e)
				if err != nil {
					err = newGap(fmt.Sprintf("%s entry %d", object, e.First), e.Ptr, err)
				}
			}
			if (addr != 0 || err != nil) && !yield(addr, err) {
				return
			}
		}
	}
}

// pidLeader returns the thread group leader whose PID the entry is, or 0 if the PID
// is that of another thread, or of a process group or session without its leader.
func (k *Kernel) pidLeader(e kstruct.Entry) (vmem.VirtAddr, error) {
	v := &k.views.pid
	if !plausible(e.Ptr) {
		return 0, errPointer("struct pid", e.Ptr)
	}
	p, err := v.pid.Load(k.space, e.Ptr)
	switch {
	case err != nil:
		return 0, err
	case uint64(uint32(p.NR)) != e.First:
		return 0, fmt.Errorf("%w: struct pid %v is of PID %d", kstruct.ErrCorrupt, e.Ptr, p.NR)
	case p.First == 0 || p.Group == 0:
		return 0, nil
	}
	// hlist_entry(first, struct task_struct, pid_links[PIDTYPE_PID]) of pid_task().
	addr := v.links.Container(p.First)
	id, err := k.views.task.pid.Load(k.space, addr)
	switch {
	case err != nil:
		return 0, err
	case uint64(uint32(id)) != e.First:
		return 0, fmt.Errorf("%w: task of PID %d has pid %d", kstruct.ErrCorrupt, e.First, id)
	}
	return addr, nil
}

// NamespacedPIDs returns the task's PID in every PID namespace that it is visible
// in, from the initial one to its own, as NSpid of /proc/PID/status. The error is a
// [vmem.Gap].
func (t *Task) NamespacedPIDs() ([]int32, error) {
	v := &t.k.views.pid
	t.k.refresh()
	addr, p, err := t.k.pidOf(t.Addr)
	if err == nil && addr == 0 {
		err = errPointer("struct pid", addr)
	}
	if err == nil && p.Level > maxPIDLevel {
		err = fmt.Errorf("%w: PID namespace level %d", kstruct.ErrCorrupt, p.Level)
	}
	if err != nil {
		return nil, t.lost("PIDs", addr, err)
	}
	pids := make([]int32, 0, p.Level+1)
	for level := range p.Level + 1 {
		u, err := v.upid.Load(t.k.space, v.upidAt(addr, level))
		if err != nil {
			return nil, t.lost("PIDs", addr, cause(err, v.err))
		}
		pids = append(pids, u.NR)
	}
	return pids, nil
}

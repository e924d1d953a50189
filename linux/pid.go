package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxPIDLevel is MAX_PID_NS_LEVEL of include/linux/pid_namespace.h.
const maxPIDLevel = 32

// A pidStruct is struct pid (include/linux/pid.h).
type pidStruct struct {
	Level uint32 `kernel:"level"` // of its own namespace
}

// A upid is struct upid: a PID in one namespace.
type upid struct {
	NR int32         `kernel:"nr"`
	NS vmem.VirtAddr `kernel:"ns"`
}

type pidViews struct {
	of      *kstruct.Field[vmem.VirtAddr]
	nr      *kstruct.Field[int32] // of struct pid: in the initial namespace
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
	v.nr = kstruct.BindField[int32](b, "pid", "numbers[0].nr")
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
	if err == nil && v.nr.Ok() && !t.k.numbered(addr, t.PID) {
		err = fmt.Errorf("%w: struct pid %v is of another PID", kstruct.ErrCorrupt, addr)
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

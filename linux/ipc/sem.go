package ipc

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Sem is a set of semaphores (struct sem_array of ipc/sem.c; /proc/sysvipc/sem).
type Sem struct {
	Perm
	Count  int32       `json:"count"`
	OTime  int64       `json:"otime"` // seconds since 1970: used, changed
	CTime  int64       `json:"ctime"`
	Values []Semaphore `json:"values"`
}

// A Semaphore is one of a set.
type Semaphore struct {
	Value int32 `json:"value"`
	PID   int32 `json:"pid"` // who changed it last
}

// String returns the set as a line of /proc/sysvipc/sem.
func (s *Sem) String() string {
	return fmt.Sprintf("%10d %10d  %4o %10d %5d %5d %5d %5d %10d %10d", s.Key, s.ID, s.Mode, s.Count, s.UID, s.GID, s.CUID, s.CGID, s.OTime, s.CTime)
}

type semArray struct {
	Count int32 `kernel:"sem_nsems"`
	CTime int64 `kernel:"sem_ctime"`
}

type semStruct struct {
	Value int32         `kernel:"semval"`
	PID   vmem.VirtAddr `kernel:"sempid"`
	OTime int64         `kernel:"sem_otime"`
}

type semViews struct {
	array *kstruct.View[semArray]
	perm  kstruct.Member
	sems  kstruct.Member
	sem   *kstruct.View[semStruct]
	err   error
}

func bindSem(types *isf.File) (v semViews) {
	b := kstruct.NewBinder(types)
	v.array = kstruct.Bind[semArray](b, "sem_array")
	v.perm = kstruct.BindMember(b, "sem_array", "sem_perm")
	v.sems = kstruct.BindMember(b, "sem_array", "sems")
	v.sem = kstruct.Bind[semStruct](b, "sem")
	v.err = b.Err()
	return v
}

// maxSemaphores is SEMMSL of include/uapi/linux/sem.h.
const maxSemaphores = 32000

func (r *Reader) readSem(at vmem.VirtAddr, p Perm) (Sem, error) {
	v := &r.views.sem
	out := Sem{Perm: p, Values: []Semaphore{}}
	base := v.perm.Container(at)
	a, err := v.array.Load(r.mem, base)
	if err != nil {
		return out, cause(err, v.err)
	}
	out.Count, out.CTime = a.Count, a.CTime
	if a.Count < 0 || a.Count > maxSemaphores {
		return out, corrupt("%d semaphores", a.Count)
	}
	for i := range uint64(a.Count) {
		s, err := v.sem.Load(r.mem, v.sems.Of(base)+vmem.VirtAddr(i*v.sem.Size()))
		if err != nil {
			return out, err
		}
		pid, err := r.pidOf(s.PID)
		out.Values = append(out.Values, Semaphore{s.Value, pid})
		out.OTime = max(out.OTime, s.OTime)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

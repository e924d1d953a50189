package linux

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Cred holds a task's objective credentials (task_struct.real_cred), as ids of the
// initial user namespace: what the lines Uid and Gid of /proc/PID/status show.
type Cred struct {
	UID   uint32 `kernel:"uid.val" json:"uid"`
	EUID  uint32 `kernel:"euid.val" json:"euid"`
	SUID  uint32 `kernel:"suid.val" json:"suid"`
	FSUID uint32 `kernel:"fsuid.val" json:"fsuid"`
	GID   uint32 `kernel:"gid.val" json:"gid"`
	EGID  uint32 `kernel:"egid.val" json:"egid"`
	SGID  uint32 `kernel:"sgid.val" json:"sgid"`
	FSGID uint32 `kernel:"fsgid.val" json:"fsgid"`
}

type credViews struct {
	of   *kstruct.Field[vmem.VirtAddr] // the cred of a task_struct
	cred *kstruct.View[Cred]
	err  error
}

func bindCred(types *isf.File) (v credViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "real_cred")
	v.cred = kstruct.Bind[Cred](b, "cred")
	v.err = b.Err()
	return v
}

// Cred reads the task's credentials. The error is a [vmem.Gap].
func (t *Task) Cred() (Cred, error) {
	v := &t.k.views.cred
	t.k.refresh()
	addr, err := v.of.Load(t.k.space, t.Addr)
	if err != nil {
		return Cred{}, t.lost("credentials", t.Addr, cause(err, v.err))
	}
	c, err := v.cred.Load(t.k.space, addr)
	return c, t.lost("credentials", addr, cause(err, v.err))
}

package linux

import (
	"fmt"

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

// A credProof is what else a struct cred has, by which it is known to be one.
type credProof struct {
	Cred
	Usage   int64         `kernel:"usage.counter"`
	User    vmem.VirtAddr `kernel:"user"`
	UserNS  vmem.VirtAddr `kernel:"user_ns"`
	UCounts vmem.VirtAddr `kernel:"ucounts,optional"` // since 5.14
}

type credViews struct {
	of      *kstruct.Field[vmem.VirtAddr] // the cred of a task_struct
	cred    *kstruct.View[credProof]
	user    *kstruct.Field[uint32] // of user_struct: its id
	ucounts *kstruct.Field[uint32] // of ucounts: its user
	err     error
}

func bindCred(types *isf.File) (v credViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "real_cred")
	v.cred = kstruct.Bind[credProof](b, "cred")
	v.user = kstruct.BindOptionalField[uint32](b, "user_struct", "uid.val")
	v.ucounts = kstruct.BindOptionalField[uint32](b, "ucounts", "uid.val")
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
	if err == nil {
		err = t.k.vouch(addr, &c)
	}
	return c.Cred, t.lost("credentials", addr, cause(err, v.err))
}

// vouch returns what is wrong with the struct cred at addr: it is in use, and one of what
// it counts for has its user.
func (k *Kernel) vouch(addr vmem.VirtAddr, c *credProof) error {
	v := &k.views.cred
	if c.Usage <= 0 || !plausible(c.User) || !plausible(c.UserNS) {
		return fmt.Errorf("%w: cred %v in use %d times, of user %v", kstruct.ErrCorrupt, addr, c.Usage, c.User)
	}
	uid, err := v.user.Load(k.space, c.User)
	if err == nil && uid == c.UID || !v.user.Ok() {
		return nil
	}
	if counted, err := v.ucounts.Load(k.space, c.UCounts); err == nil && counted == c.UID {
		return nil
	}
	if err != nil {
		return fmt.Errorf("its user: %w", err)
	}
	return fmt.Errorf("%w: cred %v of uid %d, of a user with uid %d", kstruct.ErrCorrupt, addr, c.UID, uid)
}

package linux

type credLayout struct {
	uid, suid, euid, fsuid field
	gid, sgid, egid, fsgid field
	userNS                 field
}

func newCredLayout(r resolver) credLayout {
	return credLayout{
		uid: r.need("cred", "uid"), suid: r.need("cred", "suid"),
		euid: r.need("cred", "euid"), fsuid: r.need("cred", "fsuid"),
		gid: r.need("cred", "gid"), sgid: r.need("cred", "sgid"),
		egid: r.need("cred", "egid"), fsgid: r.need("cred", "fsgid"),
		userNS: r.need("cred", "user_ns"),
	}
}

// Cred holds a task's objective credentials (task_struct.real_cred), as ids of the
// initial user namespace: what the lines Uid and Gid of /proc/PID/status show.
type Cred struct {
	UID   uint32 `json:"uid"`
	EUID  uint32 `json:"euid"`
	SUID  uint32 `json:"suid"`
	FSUID uint32 `json:"fsuid"`
	GID   uint32 `json:"gid"`
	EGID  uint32 `json:"egid"`
	SGID  uint32 `json:"sgid"`
	FSGID uint32 `json:"fsgid"`
}

// Cred reads the task's credentials.
func (t *Task) Cred() (Cred, error) {
	l, r := &t.k.layout.cred, t.k.fresh()
	cred := r.ptr(t.Addr, t.k.layout.task.realCred)
	c := Cred{
		UID: r.u32(cred, l.uid), EUID: r.u32(cred, l.euid), SUID: r.u32(cred, l.suid), FSUID: r.u32(cred, l.fsuid),
		GID: r.u32(cred, l.gid), EGID: r.u32(cred, l.egid), SGID: r.u32(cred, l.sgid), FSGID: r.u32(cred, l.fsgid),
	}
	if r.err != nil {
		return Cred{}, newGap("credentials of "+t.String(), cred, r.err)
	}
	return c, nil
}

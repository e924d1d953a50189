package linux

import "github.com/nodelens/nodelens/vmem"

type nsLayout struct {
	uts, ipc, mnt, net, time, cgroup                  field // of nsproxy
	utsNS, ipcNS, mntNS, pidNS, netNS, timeNS, cgrpNS field // X_namespace.ns.inum
	userNS                                            field
	utsNode                                           field
	utsNodeSize                                       int
	inum, ops, opsName                                field
}

func newNSLayout(r resolver) nsLayout {
	return nsLayout{
		uts:    r.need("nsproxy", "uts_ns"),
		ipc:    r.need("nsproxy", "ipc_ns"),
		mnt:    r.need("nsproxy", "mnt_ns"),
		net:    r.need("nsproxy", "net_ns"),
		time:   r.opt("nsproxy", "time_ns"),
		cgroup: r.opt("nsproxy", "cgroup_ns"),

		utsNS:  r.opt("uts_namespace", "ns.inum"),
		ipcNS:  r.opt("ipc_namespace", "ns.inum"),
		mntNS:  r.opt("mnt_namespace", "ns.inum"),
		pidNS:  r.opt("pid_namespace", "ns.inum"),
		netNS:  r.opt("net", "ns.inum"),
		timeNS: r.opt("time_namespace", "ns.inum"),
		cgrpNS: r.opt("cgroup_namespace", "ns.inum"),
		userNS: r.opt("user_namespace", "ns.inum"),

		utsNode:     r.need("uts_namespace", "name.nodename"),
		utsNodeSize: 65, // __NEW_UTS_LEN + 1 (include/uapi/linux/utsname.h)

		inum:    r.opt("ns_common", "inum"),
		ops:     r.opt("ns_common", "ops"),
		opsName: r.opt("proc_ns_operations", "name"),
	}
}

// Namespaces holds the inode numbers by which /proc/PID/ns names a task's
// namespaces. 0 stands for one that the task does not have: a zombie has kept its
// PID and user namespaces only.
type Namespaces struct {
	PID    uint32 `json:"pid,null"`
	Net    uint32 `json:"net,null"`
	Mnt    uint32 `json:"mnt,null"`
	UTS    uint32 `json:"uts,null"`
	IPC    uint32 `json:"ipc,null"`
	User   uint32 `json:"user,null"`
	Cgroup uint32 `json:"cgroup,null"`
	Time   uint32 `json:"time,null"`
}

// Namespaces reads the task's namespaces. The PID namespace is the one that the task
// runs in, not the one that its children would.
func (t *Task) Namespaces() (Namespaces, error) {
	l, r := &t.k.layout.ns, t.k.fresh()
	var n Namespaces
	if proxy := r.ptr(t.Addr, t.k.layout.task.nsproxy); proxy != 0 {
		n.Net = r.inum(proxy, l.net, l.netNS)
		n.Mnt = r.inum(proxy, l.mnt, l.mntNS)
		n.UTS = r.inum(proxy, l.uts, l.utsNS)
		n.IPC = r.inum(proxy, l.ipc, l.ipcNS)
		n.Cgroup = r.inum(proxy, l.cgroup, l.cgrpNS)
		n.Time = r.inum(proxy, l.time, l.timeNS)
	}
	n.PID = t.k.pidNamespace(&r, t.Addr)
	n.User = r.inum(r.ptr(t.Addr, t.k.layout.task.realCred), t.k.layout.cred.userNS, l.userNS)
	if r.err != nil {
		return n, newGap("namespaces of "+t.String(), t.Addr, r.err)
	}
	return n, nil
}

// inum follows the pointer base.f to a namespace and reads its inode number.
func (r *reader) inum(base vmem.VirtAddr, f, inum field) uint32 {
	if !f.ok() {
		return 0
	}
	ns := r.ptr(base, f)
	if ns == 0 {
		return 0
	}
	return r.u32(ns, inum)
}

// pidNamespace follows task_active_pid_ns of kernel/pid.c.
func (k *Kernel) pidNamespace(r *reader, task vmem.VirtAddr) uint32 {
	l := &k.layout.pid
	pid := r.ptr(task, k.layout.task.threadPID)
	if pid == 0 {
		return 0
	}
	level := min(r.u32(pid, l.level), maxPIDLevel)
	return r.inum(pid, l.numbers+field(level)*field(l.upidSize)+l.ns, k.layout.ns.pidNS)
}

// UTSName returns the node name of the task's UTS namespace, and the empty string if
// the task has none any more.
func (t *Task) UTSName() (string, error) {
	l, r := &t.k.layout.ns, t.k.fresh()
	proxy := r.ptr(t.Addr, t.k.layout.task.nsproxy)
	if proxy == 0 && r.err == nil {
		return "", nil
	}
	uts := r.ptr(proxy, l.uts)
	name := r.cstring(uts+vmem.VirtAddr(l.utsNode), l.utsNodeSize)
	if r.err != nil {
		return "", newGap("UTS name of "+t.String(), uts, r.err)
	}
	return name, nil
}

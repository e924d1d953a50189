package linux

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An nsproxy is struct nsproxy (include/linux/nsproxy.h): a task's namespaces but for its
// PID and user namespaces.
type nsproxy struct {
	UTS    vmem.VirtAddr `kernel:"uts_ns,optional"`
	IPC    vmem.VirtAddr `kernel:"ipc_ns,optional"`
	Mnt    vmem.VirtAddr `kernel:"mnt_ns,optional"`
	Net    vmem.VirtAddr `kernel:"net_ns,optional"`
	Time   vmem.VirtAddr `kernel:"time_ns,optional"`
	Cgroup vmem.VirtAddr `kernel:"cgroup_ns,optional"`
}

// A utsNamespace is struct uts_namespace.
type utsNamespace struct {
	Node [65]byte `kernel:"name.nodename"` // __NEW_UTS_LEN + 1 (include/uapi/linux/utsname.h)
}

// A nsMember is the struct ns_common in a namespace.
type nsMember struct {
	Inum uint32        `kernel:"ns.inum"`
	Ops  vmem.VirtAddr `kernel:"ns.ops"`
}

// nsViews read namespaces. What a kernel is built without is missed only where a task has
// it.
type nsViews struct {
	of     *kstruct.Field[vmem.VirtAddr]
	proxy  *kstruct.View[nsproxy]
	uts    *kstruct.View[utsNamespace]
	user   *kstruct.Field[vmem.VirtAddr] // of struct cred
	common [nsTypes]*kstruct.View[nsMember]
	err    error
	utsErr error
}

// The types of namespaces.
const (
	nsUTS = iota
	nsIPC
	nsMnt
	nsNet
	nsTime
	nsCgroup
	nsPID
	nsUser
	nsTypes
)

var nsStructs = [nsTypes]string{
	"uts_namespace", "ipc_namespace", "mnt_namespace", "net", "time_namespace", "cgroup_namespace", "pid_namespace", "user_namespace",
}

// nsNames are what their operations call them, and with nsSymbol behind it their symbol.
var nsNames = [nsTypes]string{"uts", "ipc", "mnt", "net", "time", "cgroup", "pid", "user"}

const nsSymbol = "ns_operations"

// nsFirstInum is the first inode number that a namespace can have: PROC_DYNAMIC_FIRST of
// fs/proc/generic.c, and some below it of those that are there at boot
// (include/linux/proc_ns.h).
const nsFirstInum = 0xefffffff - 15

func bindNS(types *isf.File) (v nsViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "nsproxy")
	v.proxy = kstruct.Bind[nsproxy](b, "nsproxy")
	v.user = kstruct.BindOptionalField[vmem.VirtAddr](b, "cred", "user_ns")
	for i, name := range nsStructs {
		v.common[i] = kstruct.BindOptional[nsMember](b, name)
	}
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.uts = kstruct.Bind[utsNamespace](b, "uts_namespace")
	v.utsErr = b.Err()
	return v
}

// Namespaces holds the inode numbers by which /proc/PID/ns names a task's
// namespaces. 0 stands for one that the task does not have: a zombie has kept its
// PID and user namespaces only.
type Namespaces struct {
	PID    uint32 `json:"pid" jsonx:"null"`
	Net    uint32 `json:"net" jsonx:"null"`
	Mnt    uint32 `json:"mnt" jsonx:"null"`
	UTS    uint32 `json:"uts" jsonx:"null"`
	IPC    uint32 `json:"ipc" jsonx:"null"`
	User   uint32 `json:"user" jsonx:"null"`
	Cgroup uint32 `json:"cgroup" jsonx:"null"`
	Time   uint32 `json:"time" jsonx:"null"`
}

// Namespaces reads the task's namespaces. The PID namespace is the one that the task
// runs in, not the one that its children would. With an error, a [vmem.Gap], comes what
// could be read.
func (t *Task) Namespaces() (Namespaces, error) {
	k := t.k
	k.refresh()
	var n Namespaces
	p, lost := k.nsproxy(t.Addr)
	pid, err := k.pidNamespace(t.Addr)
	lost = cmp.Or(lost, err)
	user, err := k.userNamespace(t.Addr)
	lost = cmp.Or(lost, err)
	for i, ns := range [nsTypes]struct {
		addr vmem.VirtAddr
		to   *uint32
	}{
		{p.UTS, &n.UTS}, {p.IPC, &n.IPC}, {p.Mnt, &n.Mnt}, {p.Net, &n.Net}, {p.Time, &n.Time}, {p.Cgroup, &n.Cgroup}, {pid, &n.PID}, {user, &n.User},
	} {
		switch {
		case ns.addr != 0:
			*ns.to, err = k.inum(i, ns.addr)
			lost = cmp.Or(lost, err)
		case lost == nil && !t.exiting() && k.everHas(i):
			lost = errPointer(nsStructs[i], 0)
		}
	}
	return n, t.lost("namespaces", t.Addr, lost)
}

// exiting reports whether the task is on its way out, and may lack what others have.
func (t *Task) exiting() bool {
	return t.Flags&pfExiting != 0 || t.State == Zombie || t.State == Dead
}

// without returns why a task has no structure of a kind that all have: ErrNone where it is on its way out, damage otherwise.
func (t *Task) without(what string) error {
	if t.exiting() {
		return ErrNone
	}
	return errPointer(what, 0)
}

// helper reports whether the task may be one that the kernel has made to run a program, and that has none yet (user_mode_thread of
// kernel/fork.c): its parent is the kernel's own.
func (t *Task) helper() bool {
	v := &t.k.views.task
	s, err := v.id.Load(t.k.space, t.Addr)
	if err != nil {
		return false
	}
	parent, err := v.head.Load(t.k.space, s.Parent)
	return err == nil && parent.Flags&pfKthread != 0
}

// everHas reports whether tasks of the kernel have namespaces of a type: the first task has,
// unless the kernel was built without them.
func (k *Kernel) everHas(typ int) bool {
	v := &k.views.ns
	if !v.common[typ].Ok() {
		return false
	}
	at, err := k.Symbol("init_nsproxy")
	if err != nil {
		return true
	}
	first, err := v.proxy.Load(k.space, at)
	if err != nil || first.UTS|first.Mnt|first.Net == 0 {
		return true
	}
	switch typ {
	case nsIPC:
		return first.IPC != 0
	case nsTime:
		return first.Time != 0
	case nsCgroup:
		return first.Cgroup != 0
	}
	return true
}

// inum returns the inode number of the namespace at addr, which must be one of its type.
func (k *Kernel) inum(typ int, addr vmem.VirtAddr) (uint32, error) {
	if !plausible(addr) {
		return 0, errPointer(nsStructs[typ], addr)
	}
	if k.phys.Live() {
		return k.readInum(typ, addr)
	}
	return k.inums.get(nsKey{typ, addr}, k.readInum)
}

// readInum is inum for a namespace that was not seen yet.
func (k *Kernel) readInum(typ int, addr vmem.VirtAddr) (uint32, error) {
	ns, err := k.views.ns.common[typ].Load(k.space, addr)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s.ns.inum: %w", nsStructs[typ], err)
	case ns.Inum < nsFirstInum || !k.nsOperations(typ, ns.Ops):
		return 0, fmt.Errorf("%w: %s %v with the inode number %d and operations %v", kstruct.ErrCorrupt, nsStructs[typ], addr, ns.Inum, ns.Ops)
	}
	return ns.Inum, nil
}

// nsOperations reports whether the operations of namespaces of a type are at addr: their
// symbol is, or they have their name.
func (k *Kernel) nsOperations(typ int, addr vmem.VirtAddr) bool {
	if at, err := k.Symbol(nsNames[typ] + nsSymbol); err == nil && at == addr {
		return true
	}
	if !plausible(addr) {
		return false
	}
	name, err := k.views.nsFile.name.Load(k.space, addr)
	if err != nil || name == 0 {
		return false
	}
	text, err := k.space.CString(name, commMax)
	return err == nil && text == nsNames[typ]
}

// nsproxy returns the namespaces of the task at addr, none where it has none any more.
func (k *Kernel) nsproxy(task vmem.VirtAddr) (nsproxy, error) {
	v := &k.views.ns
	addr, err := v.of.Load(k.space, task)
	if err != nil || addr == 0 {
		return nsproxy{}, cause(err, v.err)
	}
	p, err := v.proxy.Load(k.space, addr)
	return p, cause(err, v.err)
}

// pidNamespace follows task_active_pid_ns of kernel/pid.c.
func (k *Kernel) pidNamespace(task vmem.VirtAddr) (vmem.VirtAddr, error) {
	v := &k.views.pid
	addr, pid, err := k.pidOf(task)
	if err != nil || addr == 0 {
		return 0, err
	}
	u, err := v.upid.Load(k.space, v.upidAt(addr, min(pid.Level, maxPIDLevel)))
	return u.NS, cause(err, v.err)
}

func (k *Kernel) userNamespace(task vmem.VirtAddr) (vmem.VirtAddr, error) {
	cred, err := k.views.cred.of.Load(k.space, task)
	if err != nil {
		return 0, cause(err, k.views.cred.err)
	}
	user, err := k.views.ns.user.Load(k.space, cred)
	if err != nil {
		err = fmt.Errorf("cred.user_ns: %w", cause(err, k.views.cred.err))
	}
	return user, err
}

// UTSName returns the node name of the task's UTS namespace. The error is [ErrNone] if the
// task has none any more, and a [vmem.Gap] otherwise.
func (t *Task) UTSName() (string, error) {
	t.k.refresh()
	p, err := t.k.nsproxy(t.Addr)
	switch {
	case err == nil && p.UTS == 0 && t.exiting():
		return "", ErrNone
	case err == nil && !plausible(p.UTS):
		err = errPointer("uts_namespace", p.UTS)
	}
	if err != nil {
		return "", t.lost("UTS name", t.Addr, err)
	}
	name, err := t.k.utsName(p.UTS)
	return name, t.lost("UTS name", p.UTS, err)
}

func (k *Kernel) utsName(uts vmem.VirtAddr) (string, error) {
	v := &k.views.ns
	u, err := v.uts.Load(k.space, uts)
	return text(u.Node[:]), cause(err, v.utsErr)
}

// nsFileViews read the inode of a file that stands for a namespace.
type nsFileViews struct {
	common *kstruct.View[nsCommon]
	name   *kstruct.Field[vmem.VirtAddr] // of its operations
	err    error
}

// An nsCommon is struct ns_common (include/linux/ns_common.h).
type nsCommon struct {
	Inum uint32        `kernel:"inum"`
	Ops  vmem.VirtAddr `kernel:"ops"`
}

func bindNSFile(types *isf.File) (v nsFileViews) {
	b := kstruct.NewBinder(types)
	v.common = kstruct.Bind[nsCommon](b, "ns_common")
	v.name = kstruct.BindField[vmem.VirtAddr](b, "proc_ns_operations", "name")
	v.err = b.Err()
	return v
}

// nsName gives the name of the file of the namespace at addr, such as net:[4026531840]
// (ns_dname of fs/nsfs.c).
func (k *Kernel) nsName(addr vmem.VirtAddr) (string, error) {
	v := &k.views.nsFile
	ns, err := v.common.Load(k.space, addr)
	if err != nil {
		return "", cause(err, v.err)
	}
	at, err := v.name.Load(k.space, ns.Ops)
	if err != nil {
		return "", cause(err, v.err)
	}
	name, err := k.space.CString(at, nameMax)
	return fmt.Sprintf("%s:[%d]", name, ns.Inum), err
}

// An inumCache keeps the inode numbers of namespaces, of which many tasks have the same. It is
// safe for concurrent use.
type inumCache struct {
	mu    sync.Mutex // guards known
	known map[nsKey]knownInum
}

// An nsKey is a namespace of a type.
type nsKey struct {
	typ  int
	addr vmem.VirtAddr
}

// A knownInum is an inode number, or why there is none.
type knownInum struct {
	inum uint32
	err  error
}

func (c *inumCache) get(key nsKey, read func(typ int, addr vmem.VirtAddr) (uint32, error)) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.known[key]
	if !ok {
		n.inum, n.err = read(key.typ, key.addr)
		if c.known == nil || len(c.known) >= maxKnownPaths {
			c.known = map[nsKey]knownInum{}
		}
		c.known[key] = n
	}
	return n.inum, n.err
}

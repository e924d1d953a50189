package network

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Namespace is one network namespace, struct net (include/net/net_namespace.h).
type Namespace struct {
	Addr    vmem.VirtAddr `json:"address"` // of struct net
	Inum    uint32        `json:"inum"`    // the inode number by which /proc/PID/ns/net names it
	Cookie  uint64        `json:"cookie"`  // as SO_NETNS_COOKIE gives it; 0 if none was given yet
	PIDs    []int32       `json:"pids"`    // of the processes with a thread in it, ascending
	Mounts  []string      `json:"mounts"`  // where it is mounted, such as /run/netns/NAME, ascending
	Dying   bool          `json:"dying"`   // nothing holds it any more, and it is about to be destroyed
	Initial bool          `json:"initial"` // init_net
	Sources Sources       `json:"sources"` // what led to it
}

// String returns the name of the namespace as /proc/PID/ns shows it, such as net:[4026531840].
func (n *Namespace) String() string { return fmt.Sprintf("net:[%d]", n.Inum) }

// Expected returns the sources that hold the namespace in a kernel that hides nothing: one
// that lives is in the kernel's list.
func (n *Namespace) Expected() Sources {
	if n.Dying {
		return 0
	}
	return InList
}

// A netStruct is what is read of struct net to know it.
type netStruct struct {
	Inum   uint32        `kernel:"ns.inum"`
	Ops    vmem.VirtAddr `kernel:"ns.ops"`
	Next   vmem.VirtAddr `kernel:"list.next"`
	Prev   vmem.VirtAddr `kernel:"list.prev"`
	Dev    vmem.VirtAddr `kernel:"dev_base_head.next"`
	Cookie [8]byte       `kernel:"net_cookie,optional"` // since 5.12 a number, before an atomic one
	// Since 6.18, since 5.11, and before.
	Count int32 `kernel:"ns.__ns_ref.refs.counter|ns.count.refs.counter|count.refs.counter,optional"`
}

// firstInum is the first inode number that a namespace can have: PROC_DYNAMIC_FIRST of
// fs/proc/generic.c, and some below it of those that are there at boot
// (include/linux/proc_ns.h).
const firstInum = 0xefffffff - 15

// nameMax bounds short names of the kernel's own, in bytes.
const nameMax = 64

type nsViews struct {
	net     *kstruct.View[netStruct]
	list    kstruct.Member // net.list
	common  kstruct.Member // net.ns
	devices kstruct.Member // net.dev_base_head
	next    *kstruct.Field[vmem.VirtAddr]
	prev    *kstruct.Field[vmem.VirtAddr]
	opsName *kstruct.Field[vmem.VirtAddr]
	err     error

	nsproxy *kstruct.Field[vmem.VirtAddr] // of task_struct
	netNS   *kstruct.Field[vmem.VirtAddr] // of nsproxy
	taskErr error

	root    *kstruct.Field[vmem.VirtAddr] // of struct mount: the dentry
	inode   *kstruct.Field[vmem.VirtAddr] // of struct file
	ofName  *kstruct.Field[vmem.VirtAddr] // the inode of a dentry
	private *kstruct.Field[vmem.VirtAddr] // of an inode
	super   *kstruct.Field[vmem.VirtAddr] // of an inode
	magic   *kstruct.Field[uint64]        // of a super_block
	ops     *kstruct.Field[vmem.VirtAddr] // of a ns_common
	fileErr error

	sk       *kstruct.Field[vmem.VirtAddr] // of the socket in a socket_alloc
	vfsInode kstruct.Member                // of a socket_alloc
	skNet    *kstruct.Field[vmem.VirtAddr] // of a sock
}

func bindNS(types *isf.File) (v nsViews) {
	b := kstruct.NewBinder(types)
	v.net = kstruct.Bind[netStruct](b, "net")
	v.list = kstruct.BindMember(b, "net", "list")
	v.common = kstruct.BindMember(b, "net", "ns")
	v.devices = kstruct.BindMember(b, "net", "dev_base_head")
	v.next = kstruct.BindField[vmem.VirtAddr](b, "list_head", "next")
	v.prev = kstruct.BindField[vmem.VirtAddr](b, "list_head", "prev")
	v.opsName = kstruct.BindField[vmem.VirtAddr](b, "proc_ns_operations", "name")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.nsproxy = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "nsproxy")
	v.netNS = kstruct.BindField[vmem.VirtAddr](b, "nsproxy", "net_ns")
	v.taskErr = b.Err()
	b = kstruct.NewBinder(types)
	v.root = kstruct.BindField[vmem.VirtAddr](b, "mount", "mnt.mnt_root")
	v.inode = kstruct.BindField[vmem.VirtAddr](b, "file", "f_inode")
	v.ofName = kstruct.BindField[vmem.VirtAddr](b, "dentry", "d_inode")
	v.private = kstruct.BindField[vmem.VirtAddr](b, "inode", "i_private")
	v.super = kstruct.BindField[vmem.VirtAddr](b, "inode", "i_sb")
	v.magic = kstruct.BindField[uint64](b, "super_block", "s_magic")
	v.ops = kstruct.BindField[vmem.VirtAddr](b, "ns_common", "ops")
	v.fileErr = b.Err()
	b = kstruct.NewBinder(types)
	v.sk = kstruct.BindOptionalField[vmem.VirtAddr](b, "socket_alloc", "socket.sk")
	v.vfsInode = kstruct.BindOptionalMember(b, "socket_alloc", "vfs_inode")
	v.skNet = kstruct.BindOptionalField[vmem.VirtAddr](b, "sock", "__sk_common.skc_net.net")
	return v
}

// Namespaces yields the network namespaces of the machine, the initial one first and the
// others by ascending inode number. They are found by the kernel's list of them
// (net_namespace_list, which is exported to modules), from tasks and their threads, and where
// they are mounted or open; tasks are those that [linux.Kernel.Processes] gave. What is found
// is a namespace if it has the operations of one and is linked in its lists.
//
// Errors are [vmem.Gap], come before the namespaces and do not end the walk, but for the
// context's own.
func Namespaces(ctx context.Context, k *linux.Kernel, tasks []*linux.Task) iter.Seq2[*Namespace, error] {
	return func(yield func(*Namespace, error) bool) {
		k.Physical().Refresh()
		f := nsFinder{
			ctx: ctx, k: k, space: k.Space(), views: bindNS(k.Symbols()), byAddr: map[vmem.VirtAddr]*Namespace{}, bad: map[vmem.VirtAddr]bool{},
			losses: newLosses(k.Limits().Gaps), mounted: map[mountedAt]bool{},
		}
		f.find(tasks)
		for _, err := range f.losses.all() {
			if !yield(nil, err) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		for _, n := range f.sorted() {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// An nsFinder collects namespaces.
type nsFinder struct {
	ctx    context.Context //nolint:containedctx // a finder lives as long as one call
	k      *linux.Kernel
	space  *vmem.AddressSpace
	views  nsViews
	byAddr map[vmem.VirtAddr]*Namespace
	bad    map[vmem.VirtAddr]bool // what was taken for a namespace and is none
	ops    vmem.VirtAddr          // netns_operations, once known
	losses *losses

	mounted map[mountedAt]bool // what Mounts of namespaces have
}

// A mountedAt is a namespace, and where a file of it is mounted.
type mountedAt struct {
	of    *Namespace
	point string
}

const nsObject = "network namespaces"

func (f *nsFinder) find(tasks []*linux.Task) {
	if f.views.err != nil {
		f.lose(nsObject, 0, f.views.err)
		return
	}
	if at, err := f.k.Symbol("netns_operations"); err == nil {
		f.ops = at
	}
	if at, err := f.k.Symbol("init_net"); err == nil {
		if n := f.add("init_net", at, InKernel); n != nil {
			n.Initial = true
		}
	}
	f.fromTasks(tasks)
	f.fromMounts(tasks)
	f.fromFiles(tasks)
	f.fromList()
}

// add adds the namespace at addr, which what leads to. It returns nil if it is none.
func (f *nsFinder) add(what string, addr vmem.VirtAddr, from Sources) *Namespace {
	if n := f.byAddr[addr]; n != nil {
		n.Sources |= from
		return n
	}
	if f.bad[addr] {
		return nil
	}
	n, err := f.read(addr)
	if err != nil {
		f.bad[addr] = true
		f.lose(nsObject, addr, fmt.Errorf("%s: %w", what, err))
		return nil
	}
	n.Sources = from
	f.byAddr[addr] = n
	return n
}

// lose tells a loss, unless it is that the context ended.
func (f *nsFinder) lose(object string, addr vmem.VirtAddr, err error) {
	if f.ctx.Err() == nil {
		f.losses.add(gap(object, addr, err))
	}
}

// read reads the struct net at addr and verifies it.
func (f *nsFinder) read(addr vmem.VirtAddr) (*Namespace, error) {
	v := &f.views
	if !plausible(addr) {
		return nil, errPointer("net", addr)
	}
	s, err := v.net.Load(f.space, addr)
	switch {
	case err != nil:
		return nil, err
	case s.Inum < firstInum || !f.isOps(s.Ops):
		return nil, fmt.Errorf("%w: net %v with the inode number %d and operations %v", kstruct.ErrCorrupt, addr, s.Inum, s.Ops)
	case !f.linked(v.devices.Of(addr), s.Dev) && !f.linked(v.list.Of(addr), s.Next):
		return nil, fmt.Errorf("%w: net %v is in no list, nor are its devices", kstruct.ErrCorrupt, addr)
	}
	counted := v.net.Has("Count")
	return &Namespace{
		Addr: addr, Inum: s.Inum, Cookie: binary.LittleEndian.Uint64(s.Cookie[:]), Dying: counted && s.Count == 0,
	}, nil
}

// isOps reports whether the operations of network namespaces are at addr: their symbol is,
// or they have their name, where kallsyms has no data.
func (f *nsFinder) isOps(addr vmem.VirtAddr) bool {
	if f.ops != 0 {
		return f.ops == addr
	}
	if !plausible(addr) {
		return false
	}
	name, err := f.views.opsName.Load(f.space, addr)
	if err != nil {
		return false
	}
	text, err := f.space.CString(name, nameMax)
	if err != nil || text != "net" {
		return false
	}
	f.ops = addr
	return true
}

// linked reports whether the node of a list that follows the one at addr points back to it.
func (f *nsFinder) linked(addr, next vmem.VirtAddr) bool {
	if !plausible(next) {
		return false
	}
	back, err := f.views.prev.Load(f.space, next)
	return err == nil && back == addr
}

// fromList adds the namespaces of net_namespace_list. Without its symbol the list is walked
// from a namespace that is known, and the head is what is none.
func (f *nsFinder) fromList() {
	v := &f.views
	w := f.k.Objects().Walk(f.ctx, &kstruct.WalkOptions{Object: nsObject, Gaps: f.k.Limits().Gaps})
	head, err := f.k.Symbol("net_namespace_list")
	known := err == nil
	if !known {
		first := f.first()
		if first == nil {
			f.lose(nsObject, 0, err)
			return
		}
		first.Sources |= InList
		head = v.list.Of(first.Addr)
	}
	for node, err := range w.List(head) {
		if err != nil {
			f.lose(nsObject, 0, err)
			continue
		}
		addr := v.list.Container(node)
		if !known && f.isHead(addr) {
			continue
		}
		f.add("net_namespace_list", addr, InList)
	}
}

// isHead reports whether what would be a namespace at addr is a list's head in the kernel's
// data.
func (f *nsFinder) isHead(addr vmem.VirtAddr) bool {
	_, err := f.read(addr)
	return err != nil && f.byAddr[addr] == nil && addr >= 0xffffffff80000000
}

// first returns the first namespace that was found from elsewhere.
func (f *nsFinder) first() *Namespace {
	if all := f.sorted(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// fromTasks adds the namespaces that tasks and their threads are in.
func (f *nsFinder) fromTasks(tasks []*linux.Task) {
	if f.views.taskErr != nil {
		f.lose(nsObject, 0, f.views.taskErr)
		return
	}
	proxies := map[vmem.VirtAddr]*Namespace{0: nil}
	for _, t := range tasks {
		if f.ctx.Err() != nil {
			return
		}
		f.fromThread(t, t, proxies)
		if t.KernelThread {
			continue
		}
		// What of the threads is lost, who reads the threads says.
		for thread, err := range t.Threads(f.ctx) {
			if err == nil && thread.Addr != t.Addr {
				f.fromThread(t, thread, proxies)
			}
		}
	}
}

func (f *nsFinder) fromThread(leader, t *linux.Task, proxies map[vmem.VirtAddr]*Namespace) {
	v := &f.views
	proxy, err := v.nsproxy.Load(f.space, t.Addr)
	if err != nil {
		f.lose(nsObject+" of "+t.String(), t.Addr, err)
		return
	}
	n, seen := proxies[proxy]
	if !seen {
		if n, err = f.ofProxy(t, proxy); err != nil {
			f.lose(nsObject+" of "+t.String(), proxy, err)
		}
		proxies[proxy] = n
	}
	if n != nil && (len(n.PIDs) == 0 || n.PIDs[len(n.PIDs)-1] != leader.TGID) {
		n.PIDs = append(n.PIDs, leader.TGID)
	}
}

func (f *nsFinder) ofProxy(t *linux.Task, proxy vmem.VirtAddr) (*Namespace, error) {
	if !plausible(proxy) {
		return nil, errPointer("nsproxy", proxy)
	}
	addr, err := f.views.netNS.Load(f.space, proxy)
	if err != nil || addr == 0 { // a kernel without network namespaces has none here
		return nil, err
	}
	return f.add(t.String(), addr, InTasks), nil
}

// isNetName reports whether a file's name is that of a network namespace.
func isNetName(name string) bool { return strings.HasPrefix(name, "net:[") }

// sorted returns what was found, the initial namespace first.
func (f *nsFinder) sorted() []*Namespace {
	all := make([]*Namespace, 0, len(f.byAddr))
	for _, n := range f.byAddr {
		slices.Sort(n.PIDs)
		n.PIDs = slices.Compact(n.PIDs)
		slices.Sort(n.Mounts)
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *Namespace) int {
		return cmp.Or(byBool(b.Initial, a.Initial), cmp.Compare(a.Inum, b.Inum), cmp.Compare(a.Addr, b.Addr))
	})
	return all
}

func byBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

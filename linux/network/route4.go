package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A fibTable is struct fib_table (include/net/ip_fib.h).
type fibTable struct {
	ID   uint32        `kernel:"tb_id"`
	Data vmem.VirtAddr `kernel:"tb_data"` // its struct trie, which the tables main and local may share
}

// A keyVector is struct key_vector of net/ipv4/fib_trie.c: a node of a trie.
type keyVector struct {
	Key  uint32        `kernel:"key"`
	Pos  uint8         `kernel:"pos"`
	Bits uint8         `kernel:"bits"`
	Leaf vmem.VirtAddr `kernel:"&leaf"` // the list of a leaf, or the first child of another
}

// A fibAlias is struct fib_alias of net/ipv4/fib_lookup.h.
type fibAlias struct {
	Info  vmem.VirtAddr `kernel:"fa_info"`
	TOS   uint8         `kernel:"fa_dscp|fa_tos"` // since 5.18 (32ccf1107980), and before
	Type  uint8         `kernel:"fa_type"`
	SLen  uint8         `kernel:"fa_slen"`
	Table uint32        `kernel:"tb_id"`
}

// A fibInfo is struct fib_info (include/net/ip_fib.h).
type fibInfo struct {
	Net      vmem.VirtAddr `kernel:"fib_net"`
	Protocol uint8         `kernel:"fib_protocol"`
	Scope    uint8         `kernel:"fib_scope"`
	PrefSrc  [4]byte       `kernel:"fib_prefsrc"`
	Priority uint32        `kernel:"fib_priority"`
	Metrics  vmem.VirtAddr `kernel:"fib_metrics"`
	Hops     int32         `kernel:"fib_nhs"`
	Object   vmem.VirtAddr `kernel:"nh,optional"`
	FirstHop vmem.VirtAddr `kernel:"&fib_nh"`
}

// A fibNextHop is struct fib_nh.
type fibNextHop struct {
	Common vmem.VirtAddr `kernel:"&nh_common"`
}

type route4Views struct {
	tables *kstruct.Field[vmem.VirtAddr] // of struct net
	node   kstruct.Member                // of fib_table
	table  *kstruct.View[fibTable]
	root   kstruct.Member // of trie
	vector *kstruct.View[keyVector]
	parent *kstruct.Field[vmem.VirtAddr] // of tnode
	inner  kstruct.Member                // the key_vector of a tnode
	link   kstruct.Member                // of fib_alias
	alias  *kstruct.View[fibAlias]
	info   *kstruct.View[fibInfo]
	hop    *kstruct.View[fibNextHop]
	many   kstruct.Member // of netns_ipv4, with CONFIG_IP_MULTIPLE_TABLES
	err    error
}

func bindRoute4(types *isf.File) (v route4Views) {
	b := kstruct.NewBinder(types)
	v.tables = kstruct.BindField[vmem.VirtAddr](b, "net", "ipv4.fib_table_hash")
	v.node = kstruct.BindMember(b, "fib_table", "tb_hlist")
	v.table = kstruct.Bind[fibTable](b, "fib_table")
	v.root = kstruct.BindMember(b, "trie", "kv")
	v.vector = kstruct.Bind[keyVector](b, "key_vector")
	v.parent = kstruct.BindField[vmem.VirtAddr](b, "tnode", "parent")
	v.inner = kstruct.BindMember(b, "tnode", "kv")
	v.link = kstruct.BindMember(b, "fib_alias", "fa_list")
	v.alias = kstruct.Bind[fibAlias](b, "fib_alias")
	v.info = kstruct.Bind[fibInfo](b, "fib_info")
	v.hop = kstruct.Bind[fibNextHop](b, "fib_nh")
	v.many = kstruct.BindOptionalMember(b, "netns_ipv4", "rules_ops")
	v.err = b.Err()
	return v
}

// buckets returns how many tables of routing tables there are in a hash table: 256, or so
// few where a kernel has no more than the fixed ones.
func buckets(many kstruct.Member, few int) int {
	if many.Ok() {
		return 256
	}
	return few
}

// readRoutes4 reads the routes of IPv4 of a namespace, table after table in the order of
// the kernel's hash table of them, net.ipv4.fib_table_hash.
func (r *reader) readRoutes4(c *Configuration) {
	v := &r.views.route4
	what := object("routes", c)
	at, err := v.tables.Load(r.space, c.Namespace.Addr)
	if err == nil && !plausible(at) {
		err = errPointer("fib_table_hash", at)
	}
	if err != nil {
		r.lose(what, c.Namespace.Addr, err)
		return
	}
	n := buckets(v.many, 2)
	for node, head := range r.hashed(what, at, n) {
		r.readTable4(c, v.node.Container(node), uint32(head-at)/8, uint32(n))
	}
}

// readTable4 reads the fib_table at addr, which is in a bucket of n.
func (r *reader) readTable4(c *Configuration, addr vmem.VirtAddr, bucket, n uint32) {
	v := &r.views.route4
	t, err := v.table.Load(r.space, addr)
	if err == nil && (t.ID%n != bucket && n > 2 || !plausible(t.Data)) {
		err = corrupt("fib_table %v with the number %d and the trie %v", addr, t.ID, t.Data)
	}
	what := object(fmt.Sprintf("routes of table %v", Table(t.ID)), c)
	if err != nil {
		r.lose(what, addr, err)
		return
	}
	w := &trieWalk{reader: r, c: c, what: what, table: t.ID, slots: maxSlots, list: r.walk(what)}
	root := v.root.Of(t.Data)
	kv, err := v.vector.Load(r.space, root)
	if err != nil {
		r.lose(what, root, err)
		return
	}
	child, err := r.space.Uint64(kv.Leaf)
	if err != nil {
		r.lose(what, kv.Leaf, err)
		return
	}
	if child != 0 {
		w.visit(vmem.VirtAddr(child), root, trieRange{bits: 32})
	}
}

// maxSlots is how many slots the nodes of a trie may have, of which the kernel keeps half
// in use.
const maxSlots = 1 << 23

// A trieWalk goes over one trie of routes (leaf_walk_rcu of net/ipv4/fib_trie.c).
type trieWalk struct {
	*reader
	c     *Configuration
	what  string
	table uint32
	slots int // that may still be looked at
	list  *kstruct.Walk
}

// A trieRange is the keys that a node can have: those that begin as key does, with bits
// more.
type trieRange struct {
	key  uint32
	bits uint8
}

// holds reports whether a node fits what leads to it: its bits are below those, and its key
// is one of these. So a walk gets to an end, whatever leads where.
func (t trieRange) holds(kv *keyVector) bool {
	return uint64(kv.Pos)+uint64(kv.Bits) <= uint64(t.bits) && uint64(kv.Key^t.key)>>t.bits == 0
}

// visit reads the node at addr, which the node at parent leads to, and what is below it.
func (w *trieWalk) visit(addr, parent vmem.VirtAddr, keys trieRange) {
	kv, err := w.vector(addr, parent)
	switch {
	case err != nil:
	case !keys.holds(&kv):
		err = corrupt("node %v with the key %#x and %d bits at %d, among keys that begin %#x", addr, kv.Key, kv.Bits, kv.Pos, keys.key)
	case w.ctx.Err() != nil:
		return
	case kv.Bits == 0:
		w.leaf(addr, &kv)
		return
	case w.slots < 1<<kv.Bits:
		err = fmt.Errorf("%w: more than %d slots", kstruct.ErrTooLong, maxSlots)
	}
	if err != nil {
		w.lose(w.what, addr, err)
		return
	}
	w.slots -= 1 << kv.Bits
	heads, err := w.heads(kv.Leaf, 1<<kv.Bits)
	if err != nil {
		w.lose(w.what, addr, err)
	}
	for _, at := range heads {
		if w.done() {
			break
		}
		child, err := w.space.Uint64(at)
		if err != nil {
			continue // told above
		}
		slot := uint32(at-kv.Leaf) / 8
		w.visit(vmem.VirtAddr(child), addr, trieRange{kv.Key&^(1<<(kv.Pos+kv.Bits)-1) | slot<<kv.Pos, kv.Pos})
	}
}

// vector reads the node at addr and verifies that the one at parent leads to it.
func (w *trieWalk) vector(addr, parent vmem.VirtAddr) (kv keyVector, err error) {
	v := &w.views.route4
	if !plausible(addr) {
		return kv, errPointer("key_vector", addr)
	}
	up, err := v.parent.Load(w.space, v.inner.Container(addr))
	if err != nil {
		return kv, err
	}
	if up != parent {
		return kv, corrupt("node %v is a child of %v, not of %v", addr, up, parent)
	}
	return v.vector.Load(w.space, addr)
}

// leaf reads the routes of a leaf.
func (w *trieWalk) leaf(addr vmem.VirtAddr, kv *keyVector) {
	v := &w.views.route4
	for node, err := range w.list.HList(kv.Leaf) {
		if w.done() {
			break
		}
		at := v.link.Container(node)
		var a fibAlias
		if err == nil {
			a, err = v.alias.Load(w.space, at)
		}
		if err == nil && a.SLen > 32 {
			err = corrupt("fib_alias %v with a suffix of %d bits", at, a.SLen)
		}
		if err != nil {
			w.lose(w.what, addr, err)
			continue
		}
		if a.Table != w.table {
			continue // of the other table that has this trie
		}
		if !w.room(ofRoutes, w.c) {
			return
		}
		t, err := w.route4(kv.Key, at, &a)
		if err != nil {
			w.lose(w.what, at, err)
		}
		w.c.Routes = append(w.c.Routes, t)
	}
}

// route4 follows fib_dump_info of net/ipv4/fib_semantics.c. With an error comes what could be
// read of the route.
func (w *trieWalk) route4(key uint32, at vmem.VirtAddr, a *fibAlias) (*Route, error) {
	v := &w.views.route4
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], key)
	t := &Route{
		Family: Inet, Type: RouteType(a.Type), Dst: destination(netip.PrefixFrom(netip.AddrFrom4(ip), 32-int(a.SLen))), TOS: a.TOS,
		Table: Table(a.Table), Addr: at,
	}
	if !plausible(a.Info) {
		return t, errPointer("fib_info", a.Info)
	}
	f, err := v.info.Load(w.space, a.Info)
	if err == nil && (f.Net != w.c.Namespace.Addr || f.Hops < 0) {
		err = corrupt("fib_info %v of the namespace %v, with %d next hops", a.Info, f.Net, f.Hops)
	}
	if err != nil {
		return t, err
	}
	t.Protocol, t.Scope, t.Metric = RouteProtocol(f.Protocol), Scope(f.Scope), f.Priority
	if f.PrefSrc != [4]byte{} {
		t.PrefSrc = netip.AddrFrom4(f.PrefSrc)
	}
	t.Metrics, err = w.routeMetrics(f.Metrics)
	hops, lost := w.hops4(t, &f)
	t.hops(hops)
	if err == nil {
		err = lost
	}
	return t, err
}

// hops4 reads the ways of a route of IPv4.
func (w *trieWalk) hops4(t *Route, f *fibInfo) (hops []NextHop, err error) {
	v := &w.views.route4
	if f.Object != 0 {
		return w.objectHops(w.c, t, f.Object)
	}
	for i := range min(int(f.Hops), maxHops) {
		s, err := v.hop.Load(w.space, f.FirstHop+vmem.VirtAddr(uint64(i)*v.hop.Size()))
		if err != nil {
			return hops, err
		}
		h, err := w.hop(w.c, s.Common)
		if err != nil {
			return hops, err
		}
		hops = append(hops, h)
	}
	if int(f.Hops) > maxHops {
		return hops, fmt.Errorf("%w: more than %d next hops", kstruct.ErrTooMany, maxHops)
	}
	return hops, nil
}

package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A fib6Table is struct fib6_table (include/net/ip6_fib.h).
type fib6Table struct {
	ID   uint32        `kernel:"tb6_id"`
	Root vmem.VirtAddr `kernel:"&tb6_root"`
}

// A fib6Node is struct fib6_node: a node of a binary tree by the bits of addresses.
type fib6Node struct {
	Parent  vmem.VirtAddr `kernel:"parent"`
	Left    vmem.VirtAddr `kernel:"left"`
	Right   vmem.VirtAddr `kernel:"right"`
	Subtree vmem.VirtAddr `kernel:"subtree,optional"` // by source, with CONFIG_IPV6_SUBTREES
	Leaf    vmem.VirtAddr `kernel:"leaf"`
	Flags   uint16        `kernel:"fn_flags"`
}

// fib6HasRoutes is RTN_RTINFO: the leaf of the node is its own routes.
const fib6HasRoutes = 4

// A rt6Key is struct rt6key.
type rt6Key struct {
	Addr [16]byte `kernel:"addr"`
	Len  int32    `kernel:"plen"`
}

func (k rt6Key) prefix() (netip.Prefix, bool) {
	p := netip.PrefixFrom(netip.AddrFrom16(k.Addr), int(k.Len))
	return p, p.IsValid()
}

// A fib6Info is struct fib6_info: a route of IPv6.
type fib6Info struct {
	Table    vmem.VirtAddr `kernel:"fib6_table"`
	Next     vmem.VirtAddr `kernel:"fib6_next"`
	Node     vmem.VirtAddr `kernel:"fib6_node"`
	Siblings uint32        `kernel:"fib6_nsiblings"`
	Expires  uint64        `kernel:"expires"`
	Metrics  vmem.VirtAddr `kernel:"fib6_metrics"`
	Dst      rt6Key        `kernel:"fib6_dst"`
	Src      rt6Key        `kernel:"fib6_src,optional"`
	PrefSrc  rt6Key        `kernel:"fib6_prefsrc"`
	Flags    uint32        `kernel:"fib6_flags"`
	Metric   uint32        `kernel:"fib6_metric"`
	Protocol uint8         `kernel:"fib6_protocol"`
	Type     uint8         `kernel:"fib6_type"`
	Object   vmem.VirtAddr `kernel:"nh,optional"`
	Hop      vmem.VirtAddr `kernel:"&fib6_nh"`
}

// Flags of routes of IPv6 (include/uapi/linux/ipv6_route.h).
const (
	rt6Expires   = 0x00400000 // RTF_EXPIRES
	rt6PrefShift = 27         // RTF_PREF
)

type route6Views struct {
	tables  *kstruct.Field[vmem.VirtAddr] // of struct net
	null    *kstruct.Field[vmem.VirtAddr] // of struct net: what stands for no route
	node    kstruct.Member                // of fib6_table
	table   *kstruct.View[fib6Table]
	inner   *kstruct.View[fib6Node]
	info    *kstruct.View[fib6Info]
	next    kstruct.Member // of fib6_info
	sibling kstruct.Member // of fib6_info
	hop     kstruct.Member // the fib_nh_common of a fib6_nh
	many    kstruct.Member // of netns_ipv6, with CONFIG_IPV6_MULTIPLE_TABLES
	err     error
}

func bindRoute6(types *isf.File) (v route6Views) {
	b := kstruct.NewBinder(types)
	v.tables = kstruct.BindField[vmem.VirtAddr](b, "net", "ipv6.fib_table_hash")
	v.null = kstruct.BindField[vmem.VirtAddr](b, "net", "ipv6.fib6_null_entry")
	v.node = kstruct.BindMember(b, "fib6_table", "tb6_hlist")
	v.table = kstruct.Bind[fib6Table](b, "fib6_table")
	v.inner = kstruct.Bind[fib6Node](b, "fib6_node")
	v.info = kstruct.Bind[fib6Info](b, "fib6_info")
	v.next = kstruct.BindMember(b, "fib6_info", "fib6_next")
	v.sibling = kstruct.BindMember(b, "fib6_info", "fib6_siblings")
	v.hop = kstruct.BindMember(b, "fib6_nh", "nh_common")
	v.many = kstruct.BindOptionalMember(b, "netns_ipv6", "fib6_rules_ops")
	v.err = b.Err()
	return v
}

// readRoutes6 reads the routes of IPv6 of a namespace, table after table in the order of
// the kernel's hash table of them, net.ipv6.fib_table_hash.
func (r *reader) readRoutes6(c *Configuration) {
	v := &r.views.route6
	what := object("routes of IPv6", c)
	at, err := v.tables.Load(r.space, c.Namespace.Addr)
	switch {
	case err != nil:
	case at == 0: // ipv6.disable on the kernel's command line
		return
	case !plausible(at):
		err = errPointer("fib_table_hash", at)
	}
	if err != nil {
		r.lose(what, c.Namespace.Addr, err)
		return
	}
	null, err := v.null.Load(r.space, c.Namespace.Addr)
	if err != nil {
		r.lose(what, c.Namespace.Addr, err)
	}
	n := buckets(v.many, 1)
	for node, head := range r.hashed(what, at, n) {
		r.readTable6(c, v.node.Container(node), null, uint32(head-at)/8, uint32(n))
	}
}

// readTable6 reads the fib6_table at addr, which is in a bucket of n.
func (r *reader) readTable6(c *Configuration, addr, null vmem.VirtAddr, bucket, n uint32) {
	v := &r.views.route6
	t, err := v.table.Load(r.space, addr)
	if err == nil && t.ID%n != bucket && n > 1 {
		err = corrupt("fib6_table %v with the number %d", addr, t.ID)
	}
	what := object(fmt.Sprintf("routes of IPv6 of table %v", Table(t.ID)), c)
	if err != nil {
		r.lose(what, addr, err)
		return
	}
	w := &tree6Walk{reader: r, c: c, what: what, addr: addr, table: Table(t.ID), null: null, nodes: maxNodes6, list: r.walk(what)}
	w.visit(t.Root, 0, 0)
}

// maxNodes6 is how many nodes a tree of routes may have: two for a route.
const maxNodes6 = 2 * maxRoutes

// maxDepth6 is how deep such a tree is: a bit of two addresses for each node, and a root for
// each.
const maxDepth6 = 2 * (128 + 1)

// A tree6Walk goes over one tree of routes.
type tree6Walk struct {
	*reader
	c          *Configuration
	what       string
	addr, null vmem.VirtAddr
	table      Table
	nodes      int // that may still be visited
	list       *kstruct.Walk
}

var errNodes6 = fmt.Errorf("%w: more than %d nodes", kstruct.ErrTooLong, maxNodes6)

// visit visits the node at addr and what is below it, in the order of fib6_walk_continue of
// net/ipv6/ip6_fib.c. That a node points back to its parent keeps a walk from going in
// circles.
func (w *tree6Walk) visit(addr, parent vmem.VirtAddr, depth int) {
	n, err := w.node(addr, parent, depth)
	if err != nil {
		w.lose(w.what, addr, err)
		return
	}
	below := []vmem.VirtAddr{n.Subtree, n.Left, n.Right}
	for i, child := range below {
		if child == 0 || w.ctx.Err() != nil || w.nodes < 0 {
			continue
		}
		if i > 0 && (child == below[i-1] || child == n.Subtree) {
			w.lose(w.what, addr, corrupt("node %v leads to %v twice", addr, child))
			continue
		}
		w.visit(child, addr, depth+1)
	}
	if n.Flags&fib6HasRoutes != 0 && n.Leaf != 0 {
		w.leaf(addr, n.Leaf)
	}
}

func (w *tree6Walk) node(addr, parent vmem.VirtAddr, depth int) (n fib6Node, err error) {
	if !plausible(addr) {
		return n, errPointer("fib6_node", addr)
	}
	if n, err = w.views.route6.inner.Load(w.space, addr); err != nil {
		return n, err
	}
	if w.nodes--; w.nodes < 0 {
		return n, errNodes6
	}
	if n.Parent != parent || depth > maxDepth6 {
		return n, corrupt("node %v at the depth %d is below %v, not %v", addr, depth, n.Parent, parent)
	}
	return n, nil
}

// leaf reads the routes of a node. Routes of several ways are as many fib6_infos, of which
// the first one stands for all.
func (w *tree6Walk) leaf(node, first vmem.VirtAddr) {
	v := &w.views.route6
	told := map[vmem.VirtAddr]bool{w.null: true}
	for at, err := range w.list.Chain(first, v.next.Offset()) {
		if w.done() {
			break
		}
		if told[at] && err == nil {
			continue
		}
		var f fib6Info
		if err == nil {
			f, err = w.info(at, node)
		}
		if err != nil {
			w.lose(w.what, node, err)
			continue
		}
		if !w.room(ofRoutes, w.c) {
			return
		}
		t, err := w.route6(at, node, &f, told)
		if err != nil {
			w.lose(w.what, at, err)
		}
		w.c.Routes = append(w.c.Routes, t)
	}
}

// info reads the fib6_info at addr, which must be one of the node's.
func (w *tree6Walk) info(at, node vmem.VirtAddr) (f fib6Info, err error) {
	if !plausible(at) {
		return f, errPointer("fib6_info", at)
	}
	if f, err = w.views.route6.info.Load(w.space, at); err != nil {
		return f, err
	}
	if f.Table != w.addr || f.Node != node {
		return f, corrupt("fib6_info %v of the table %v and the node %v", at, f.Table, f.Node)
	}
	return f, nil
}

// route6 follows rt6_fill_node of net/ipv6/route.c. With an error comes what could be read of
// the route.
func (w *tree6Walk) route6(at, node vmem.VirtAddr, f *fib6Info, told map[vmem.VirtAddr]bool) (*Route, error) {
	t := &Route{
		Family: Inet6, Type: RouteType(f.Type), Table: w.table, Protocol: RouteProtocol(f.Protocol), Metric: f.Metric,
		Pref: preferences[f.Flags>>rt6PrefShift&3], Addr: at,
	}
	dst, ok := f.Dst.prefix()
	src, okSrc := f.Src.prefix()
	if !ok || !okSrc {
		return t, corrupt("fib6_info %v with prefixes of %d and %d bits", at, f.Dst.Len, f.Src.Len)
	}
	t.Dst = destination(dst)
	if f.Src.Len > 0 {
		t.From = destination(src)
	}
	if f.PrefSrc.Len > 0 {
		t.PrefSrc = netip.AddrFrom16(f.PrefSrc.Addr)
	}
	if f.Flags&rt6Expires != 0 {
		t.Expires = w.left(f.Expires)
	}
	var lost error
	t.Metrics, lost = w.routeMetrics(f.Metrics)
	hops, err := w.hops6(t, at, node, f, told)
	t.hops(hops)
	return t, errors.Join(lost, err)
}

// left returns how many seconds there are to a time in ticks.
func (r *reader) left(then uint64) uint32 {
	t := r.ticks()
	if t.rate == 0 || int64(then-t.now) < 0 {
		return 0
	}
	return uint32((then - t.now) / t.rate)
}

// hops6 reads the ways of a route of IPv6: its own, and that of each fib6_info beside it,
// which is told with it.
func (w *tree6Walk) hops6(t *Route, at, node vmem.VirtAddr, f *fib6Info, told map[vmem.VirtAddr]bool) (hops []NextHop, err error) {
	v := &w.views.route6
	if f.Object != 0 {
		return w.objectHops(w.c, t, f.Object)
	}
	h, err := w.hop(w.c, f.Hop+vmem.VirtAddr(v.hop.Offset()))
	if err != nil {
		return nil, err
	}
	hops = append(hops, h)
	if f.Siblings == 0 {
		return hops, nil
	}
	var more error
	for n, err := range w.list.List(v.sibling.Of(at)) {
		if w.done() {
			break
		}
		other := v.sibling.Container(n)
		var of fib6Info
		if err == nil {
			of, err = w.info(other, node)
		}
		if err == nil {
			h, err = w.hop(w.c, of.Hop+vmem.VirtAddr(v.hop.Offset()))
		}
		if err != nil {
			return hops, err
		}
		told[other] = true
		if len(hops) >= maxHops {
			more = fmt.Errorf("%w: more than %d next hops", kstruct.ErrTooMany, maxHops)
			continue
		}
		hops = append(hops, h)
	}
	return hops, more
}

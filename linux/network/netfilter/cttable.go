package netfilter

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/jiffies"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

const (
	ctObject = "connection tracking"
	// maxBuckets bounds the table: a table of that many has 64 MiB.
	maxBuckets = 1 << 23
	// maxConnections bounds what is told: four times what the kernel allows of itself on the largest
	// machines (nf_conntrack_max of 262,144). maxGaps bounds the losses that are told one by one.
	maxConnections = 1 << 20
	maxGaps        = 1000
)

type ctReader struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	src   nfkit.Source
	nets  map[vmem.VirtAddr]*network.Namespace
	types *isf.File
	views ctViews
	yield func(*Connection, error) bool
	ended bool

	time    jiffies.Time
	timeErr error
	// seen has, of each connection, by which of its tuples it was found.
	seen map[vmem.VirtAddr]uint8
	lost int // losses
	over int // connections that are not told, for there are too many
	// oddNets are what connections say is a namespace and is none that is known.
	oddNets map[vmem.VirtAddr]bool
}

func newCTReader(ctx context.Context, k *linux.Kernel, mods *module.Set, namespaces []*network.Namespace) *ctReader {
	r := &ctReader{ctx: ctx, src: nfkit.Source{K: k, Mods: mods}, nets: map[vmem.VirtAddr]*network.Namespace{}}
	for _, ns := range namespaces {
		r.nets[ns.Addr] = ns
	}
	return r
}

func (r *ctReader) tell(c *Connection, err error) {
	if !r.ended {
		r.ended = !r.yield(c, err)
	}
}

func (r *ctReader) lose(addr vmem.VirtAddr, err error) {
	if r.lost++; r.lost <= maxGaps {
		r.tell(nil, nfkit.Gap(ctObject, addr, err))
	}
}

// tellRest tells how much there is beyond what was told.
func (r *ctReader) tellRest() {
	if r.lost > maxGaps {
		r.tell(nil, nfkit.Gap(ctObject, 0, fmt.Errorf("%w: %d more losses", kstruct.ErrTooMany, r.lost-maxGaps)))
	}
	if r.over > 0 {
		r.tell(nil, nfkit.Gap(ctObject, 0, fmt.Errorf("%w: %d connections more than the %d that are told", kstruct.ErrTooMany, r.over, maxConnections)))
	}
}

// bind reports whether connections can be read.
func (r *ctReader) bind() bool {
	r.seen, r.oddNets = map[vmem.VirtAddr]uint8{}, map[vmem.VirtAddr]bool{}
	types, lost := r.src.Types("nf_conn", ctModule)
	if _, err := r.src.Symbol(ctModule, "nf_conntrack_hash"); err != nil && r.src.Mods.Find(ctModule) == nil {
		// The kernel has no connection tracking, or its module is not loaded.
		return false
	}
	r.types, r.views = types, bindConntrack(types)
	if r.views.err != nil {
		if lost == nil {
			lost = r.views.err
		}
		r.lose(0, lost)
		return false
	}
	if r.time, r.timeErr = r.src.Jiffies(); r.timeErr != nil {
		r.lose(0, fmt.Errorf("timeouts are not known: %w", r.timeErr))
	}
	return true
}

// array returns where a table is, and how many buckets it has: what two variables have.
func (r *ctReader) array(first, count string) (vmem.VirtAddr, uint32, error) {
	hash, err := r.src.Symbol(ctModule, first)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
	}
	size, err := r.src.Symbol(ctModule, count)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
	}
	n, err := r.src.Mem().Uint32(size)
	if err != nil {
		return 0, 0, err
	}
	at, err := r.src.Mem().Uint64(hash)
	switch {
	case err != nil:
		return 0, 0, err
	case !nfkit.Plausible(vmem.VirtAddr(at)):
		return 0, 0, nfkit.Pointer(first, vmem.VirtAddr(at))
	case n == 0 || n > maxBuckets:
		return 0, 0, nfkit.Corrupt("%s of %d", count, n)
	}
	return vmem.VirtAddr(at), n, nil
}

// chunk is how many heads of buckets are read at once.
const chunk = 512

// readTable yields the connections of the table.
func (r *ctReader) readTable() {
	table, n, err := r.array("nf_conntrack_hash", "nf_conntrack_htable_size")
	if err != nil {
		r.lose(0, err)
		return
	}
	w := r.src.Walk(r.ctx, ctObject, 0, ctModule)
	for first := uint32(0); first < n && !r.ended; first += chunk {
		if err := r.ctx.Err(); err != nil {
			r.tell(nil, err)
			r.ended = true
			return
		}
		r.readBuckets(w, table, first, min(first+chunk, n))
	}
	for _, at := range r.halves() {
		r.lose(at, nfkit.Corrupt("connection %v is in the table by one of its tuples alone", at))
	}
}

// readBuckets reads buckets of the table: those whose heads are not empty are walked.
func (r *ctReader) readBuckets(w *kstruct.Walk, table vmem.VirtAddr, first, end uint32) {
	heads, err := r.src.Bytes(table+vmem.VirtAddr(8*uint64(first)), int(end-first)*8)
	for i := first; i < end && !r.ended; i++ {
		if head := heads[8*(i-first):]; err == nil && head[0]&1 == 1 {
			// An empty one holds its own number.
			if v := le64(head); v>>1 != uint64(i) {
				r.lose(table+vmem.VirtAddr(8*uint64(i)), nfkit.Corrupt("bucket %d ends as bucket %d", i, v>>1))
			}
			continue
		}
		for node, err := range w.HListNulls(table+vmem.VirtAddr(8*uint64(i)), uint64(i)) {
			if err != nil {
				r.tell(nil, err)
			} else {
				r.addNode(node)
			}
			if r.ended {
				return
			}
		}
	}
}

func le64(b []byte) (v uint64) {
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

// halves returns the connections that one tuple alone led to.
func (r *ctReader) halves() (all []vmem.VirtAddr) {
	for at, dirs := range r.seen {
		if dirs != 3 {
			all = append(all, at)
		}
	}
	slices.Sort(all)
	return all
}

// addNode yields the connection whose node is in the table, if it has not come yet.
func (r *ctReader) addNode(node vmem.VirtAddr) {
	v := &r.views
	hash := v.node.Container(node)
	dir, err := r.src.Mem().Uint8(v.dir.Of(hash))
	if err == nil && dir > 1 {
		err = nfkit.Corrupt("tuple %v of the direction %d", hash, dir)
	}
	if err != nil {
		r.lose(node, err)
		return
	}
	at := v.hashes[dir].Container(node)
	known := r.seen[at]
	if known&(1<<dir) != 0 {
		r.lose(at, nfkit.Corrupt("connection %v is in the table twice by one tuple", at))
		return
	}
	if known == 0 && len(r.seen) >= maxConnections {
		r.over++
		return
	}
	if known == 0 {
		c, live, err := r.conn(at)
		if err != nil {
			r.lose(at, err)
		}
		if !live {
			return
		}
		r.tell(c, nil)
		if c.Status&Untracked != 0 { // NAT_CLASH: by its reply alone (nf_ct_resolve_clash_harder)
			known = 3 &^ (1 << dir)
		}
	}
	r.seen[at] = known | 1<<dir
}

// conn reads the connection at addr, and reports whether it is one that lives.
func (r *ctReader) conn(at vmem.VirtAddr) (c *Connection, live bool, err error) {
	var s ctConn
	if err := r.views.conn.Read(r.src.Mem(), at, &s); err != nil {
		return nil, false, err
	}
	if s.Use == 0 { // it is freed, and readers may still see it: SLAB_TYPESAFE_BY_RCU
		return nil, false, nil
	}
	if err := s.check(); err != nil {
		return nil, false, err
	}
	c = &Connection{
		Addr: at, Use: s.Use, Mark: s.Mark, Zone: s.Zone, Status: Status(s.Status), Master: s.Master, Timeout: -1, //nolint:gosec // bits of 32
		Protocol: protocolName(s.Original.Proto), Original: s.Original.tuple(), Reply: s.Reply.tuple(), State: s.state(),
	}
	if !r.tracks(s.Original.Proto) {
		c.State = ""
	}
	c.Family = familyName(s.Original.Family)
	switch s.ZoneDir {
	case 1:
		c.ZoneDirection = "original"
	case 2:
		c.ZoneDirection = "reply"
	}
	if r.timeErr == nil && c.Status&Offload == 0 {
		left := r.time.Left(s.Timeout)
		if c.Status&Confirmed == 0 { // it is relative until then (__nf_conntrack_confirm)
			left = r.time.Ticks(uint64(s.Timeout))
		}
		c.Timeout = int64(left.Seconds())
	}
	err = r.addNet(c, s.Net)
	if lost := r.addExts(c, &s); err == nil {
		err = lost
	}
	return c, true, err
}

func familyName(n uint16) string {
	switch n {
	case 2:
		return "ipv4"
	case 10:
		return "ipv6"
	}
	return fmt.Sprint(n)
}

// addNet sets the namespace of a connection.
func (r *ctReader) addNet(c *Connection, net vmem.VirtAddr) error {
	if !r.views.conn.Has("Net") { // a kernel without CONFIG_NET_NS has one
		for _, ns := range r.nets {
			c.NetNS = ns.Inum
		}
		return nil
	}
	if ns := r.nets[net]; ns != nil {
		c.NetNS = ns.Inum
		return nil
	}
	if r.oddNets[net] {
		return nil
	}
	r.oddNets[net] = true
	return nfkit.Corrupt("connection %v is of the namespace %v, which is not known", c.Addr, net)
}

// check verifies what is read as a connection.
func (s *ctConn) check() error {
	switch {
	case s.Use < 0:
		return nfkit.Corrupt("nf_conn with %d references", s.Use)
	case s.Original.Dir != 0 || s.Reply.Dir != 1:
		return nfkit.Corrupt("nf_conn with tuples of the directions %d and %d", s.Original.Dir, s.Reply.Dir)
	case s.Original.Proto != s.Reply.Proto || s.Original.Family != s.Reply.Family:
		return nfkit.Corrupt("nf_conn with tuples of the protocols %d and %d, families %d and %d",
			s.Original.Proto, s.Reply.Proto, s.Original.Family, s.Reply.Family)
	case s.Original.Family != 2 && s.Original.Family != 10:
		return nfkit.Corrupt("nf_conn of the family %d", s.Original.Family)
	}
	return nil
}

// trackers are the functions that follow connections of protocols of which a kernel may have none, by the protocol
// (nf_conntrack_l4proto_...): connections then have no state.
var trackers = map[uint8]string{33: "nf_conntrack_dccp_packet", 132: "nf_conntrack_sctp_packet"}

// tracks reports whether the kernel follows connections of a protocol.
func (r *ctReader) tracks(proto uint8) bool {
	name, optional := trackers[proto]
	if !optional {
		return true
	}
	_, err := r.src.Symbol(ctModule, name)
	return err == nil
}

// state returns the name of the state that the protocol keeps.
func (s *ctConn) state() string {
	switch s.Original.Proto {
	case 6:
		return stateName(tcpStates, s.TCP)
	case 33:
		return stateName(dccpStates, s.DCCP)
	case 132:
		return stateName(sctpStates, uint8(min(s.SCTP, 255)))
	}
	return ""
}

// tuple returns a tuple as it is told.
func (t *ctTuple) tuple() Tuple {
	out := Tuple{Source: address(t.Family, t.Src), Destination: address(t.Family, t.Dst)}
	switch t.Proto {
	case 1, 58:
		out.ICMP = &ICMP{Type: uint8(t.DstPart >> 8), Code: uint8(t.DstPart), ID: t.SrcPart} //nolint:gosec // the lower byte
	case 47:
		out.SourceKey, out.DestinationKey = t.SrcPart, t.DstPart
	default: // protocols without ports have 0
		out.SourcePort, out.DestinationPort = t.SrcPart, t.DstPart
	}
	return out
}

func address(family uint16, b [16]byte) netip.Addr {
	if family == 2 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

// hexLabels returns labels as conntrack has them, empty where none is set.
func hexLabels(b []byte) string {
	if !slices.ContainsFunc(b, func(x byte) bool { return x != 0 }) {
		return ""
	}
	b = slices.Clone(b)
	slices.Reverse(b)
	return "0x" + hex.EncodeToString(b)
}

// readLists yields the connections that are in the lists of CPUs, of kernels that have them.
func (r *ctReader) readLists(namespaces []*network.Namespace) {
	v := &r.views
	if !v.lists.Ok() || !v.unconfirmed.Ok() || r.ended {
		return
	}
	space := r.src.K.Objects()
	cpus, err := space.CPUs()
	if err != nil {
		r.lose(0, err)
		return
	}
	w := r.src.Walk(r.ctx, ctObject, 0, ctModule)
	for _, ns := range namespaces {
		lists, err := v.lists.Load(r.src.Mem(), ns.Addr)
		if err != nil {
			r.lose(ns.Addr, err)
			continue
		}
		if lists == 0 {
			continue
		}
		for _, cpu := range cpus {
			at, err := space.PerCPUPtr(lists, cpu)
			if err != nil {
				r.lose(lists, err)
				continue
			}
			r.readList("unconfirmed", w.HListNulls(v.unconfirmed.Of(at)))
			r.readList("dying", w.HListNulls(v.dying.Of(at)))
		}
	}
}

// endOfDying is what the list of connections that have ended has for an end: DYING_NULLS_VAL of
// net/netfilter/nf_conntrack_ecache.c.
const endOfDying = 1<<30 + 1

// readDying yields the connections that have ended and whose end nobody could be told: since 5.19,
// what nf_conntrack keeps for each namespace has a list of them.
func (r *ctReader) readDying(namespaces []*network.Namespace) {
	v := &r.views
	if !v.ended.Ok() || r.ended {
		return
	}
	w := r.src.Walk(r.ctx, ctObject, 0, ctModule)
	for _, ns := range namespaces {
		at, err := r.src.Generic(ns.Addr, ctModule, "nf_conntrack_net_id", r.isConntrackNet)
		if at == 0 && err == nil {
			at, err = r.src.Generic(ns.Addr, ctModule, "nf_conntrack_net_id", r.mayBeConntrackNet)
		}
		if err != nil {
			r.lose(ns.Addr, err)
			continue
		}
		if at == 0 { // each namespace has one
			r.lose(ns.Addr, nfkit.Corrupt("nothing in net_generic is struct nf_conntrack_net"))
			continue
		}
		r.readList("dying", w.HListNulls(v.ended.Of(at), endOfDying))
	}
}

// isConntrackNet tells struct nf_conntrack_net from others by its list, which ends as no other does.
func (r *ctReader) isConntrackNet(at vmem.VirtAddr) bool {
	w := r.src.Walk(r.ctx, ctObject, maxProbed, ctModule)
	for _, err := range w.HListNulls(r.views.ended.Of(at), endOfDying) {
		if err != nil {
			return false
		}
	}
	return true
}

// maxProbed is how many nodes of a list are looked at for what the list is of.
const maxProbed = 4096

// mayBeConntrackNet is isConntrackNet for a list that is damaged, or too long to be looked at: the first node leads back.
func (r *ctReader) mayBeConntrackNet(at vmem.VirtAddr) bool {
	head := r.views.ended.Of(at)
	first, err := r.src.Mem().Uint64(head)
	if err != nil || first&1 != 0 || !nfkit.Plausible(vmem.VirtAddr(first)) {
		return false
	}
	back, err := r.src.Mem().Uint64(vmem.VirtAddr(first) + 8)
	return err == nil && vmem.VirtAddr(back) == head
}

// readList yields the connections of a list, which are in it by their original tuples.
func (r *ctReader) readList(list string, nodes iter.Seq2[vmem.VirtAddr, error]) {
	for node, err := range nodes {
		if r.ended {
			return
		}
		if err != nil {
			r.tell(nil, err)
			continue
		}
		at := r.views.hashes[0].Container(node)
		if r.seen[at] != 0 {
			continue
		}
		r.seen[at] = 3
		c, live, err := r.conn(at)
		if err != nil {
			r.lose(at, err)
		}
		if live {
			c.List = list
			r.tell(c, nil)
		}
	}
}

package netfilter

import (
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

const ctModule = "nf_conntrack"

// A ctTuple is struct nf_conntrack_tuple.
type ctTuple struct {
	Src     [16]byte `kernel:"src.u3.all"`
	SrcPart uint16   `kernel:"src.u.all,be"` // a port, the identifier of ICMP, a key of GRE
	Family  uint16   `kernel:"src.l3num"`
	Dst     [16]byte `kernel:"dst.u3.all"`
	DstPart uint16   `kernel:"dst.u.all,be"` // a port; the type and code of ICMP
	Proto   uint8    `kernel:"dst.protonum"`
	Dir     uint8    `kernel:"dst.dir"`
}

// A ctConn is struct nf_conn.
type ctConn struct {
	Use      int32         `kernel:"ct_general.use.refs.counter|ct_general.use.counter"` // since 5.17, and before
	Timeout  uint32        `kernel:"timeout"`
	Zone     uint16        `kernel:"zone.id,optional"`
	ZoneDir  uint8         `kernel:"zone.dir,optional"`
	Original ctTuple       `kernel:"tuplehash[0].tuple"`
	Reply    ctTuple       `kernel:"tuplehash[1].tuple"`
	Status   uint64        `kernel:"status"`
	Net      vmem.VirtAddr `kernel:"ct_net.net,optional"`
	Master   vmem.VirtAddr `kernel:"master"`
	Mark     uint32        `kernel:"mark,optional"`
	Ext      vmem.VirtAddr `kernel:"ext"`
	TCP      uint8         `kernel:"proto.tcp.state"`
	SCTP     uint32        `kernel:"proto.sctp.state,optional"`
	DCCP     uint8         `kernel:"proto.dccp.state,optional"` // until 6.15 (fd72f265bb00)
}

type ctCounter struct {
	Packets int64 `kernel:"packets.counter"`
	Bytes   int64 `kernel:"bytes.counter"`
}

func (c *ctCounter) count() Count { return Count{uint64(c.Packets), uint64(c.Bytes)} } //nolint:gosec // as the kernel shows them

type ctCounters struct {
	Original ctCounter `kernel:"counter[0]"`
	Reply    ctCounter `kernel:"counter[1]"`
}

type ctTimes struct {
	Start uint64 `kernel:"start"` // ns since 1970
	Stop  uint64 `kernel:"stop"`
}

// A ctExt is one kind of extension of a connection: struct nf_ct_ext has the offset of each.
type ctExt struct {
	id int64
	ok bool
}

type ctViews struct {
	conn   *kstruct.View[ctConn]
	hashes [2]kstruct.Member // the nodes of nf_conn
	dir    kstruct.Member    // of nf_conntrack_tuple_hash
	node   kstruct.Member
	err    error

	offsets  kstruct.Member // of nf_ct_ext
	length   *kstruct.Field[uint8]
	counters *kstruct.View[ctCounters]
	times    *kstruct.View[ctTimes]
	labels   kstruct.Member
	helper   *kstruct.Field[vmem.VirtAddr]
	name     kstruct.Member // of nf_conntrack_helper
	extErr   error

	acct, tstamp, label, help ctExt
	dying, unconfirmed        kstruct.Member // of ct_pcpu
	lists                     *kstruct.Field[vmem.VirtAddr]
	ended                     kstruct.Member // ecache.dying_list of nf_conntrack_net
}

func bindConntrack(types *isf.File) (v ctViews) {
	b := kstruct.NewBinder(types)
	v.conn = kstruct.Bind[ctConn](b, "nf_conn")
	v.hashes[0] = kstruct.BindMember(b, "nf_conn", "tuplehash[0].hnnode")
	v.hashes[1] = kstruct.BindMember(b, "nf_conn", "tuplehash[1].hnnode")
	v.dir = kstruct.BindMember(b, "nf_conntrack_tuple_hash", "tuple.dst.dir")
	v.node = kstruct.BindMember(b, "nf_conntrack_tuple_hash", "hnnode")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.offsets = kstruct.BindMember(b, "nf_ct_ext", "offset")
	v.length = kstruct.BindField[uint8](b, "nf_ct_ext", "len")
	v.extErr = b.Err()
	v.bindExts(types)
	return v
}

// bindExts binds what reads extensions, each of which a kernel need not have.
func (v *ctViews) bindExts(types *isf.File) {
	b := kstruct.NewBinder(types)
	v.counters = kstruct.BindOptional[ctCounters](b, "nf_conn_acct")
	v.times = kstruct.BindOptional[ctTimes](b, "nf_conn_tstamp")
	v.labels = kstruct.BindOptionalMember(b, "nf_conn_labels", "bits")
	v.helper = kstruct.BindOptionalField[vmem.VirtAddr](b, "nf_conn_help", "helper")
	v.name = kstruct.BindOptionalMember(b, "nf_conntrack_helper", "name")
	v.unconfirmed = kstruct.BindOptionalMember(b, "ct_pcpu", "unconfirmed")
	v.dying = kstruct.BindOptionalMember(b, "ct_pcpu", "dying")
	v.lists = kstruct.BindOptionalField[vmem.VirtAddr](b, "net", "ct.pcpu_lists")
	v.ended = kstruct.BindOptionalMember(b, "nf_conntrack_net", "ecache.dying_list")
	v.acct = extOf(types, "NF_CT_EXT_ACCT")
	v.tstamp = extOf(types, "NF_CT_EXT_TSTAMP")
	v.label = extOf(types, "NF_CT_EXT_LABELS")
	v.help = extOf(types, "NF_CT_EXT_HELPER")
	if v.extErr == nil {
		v.extErr = b.Err()
	}
}

// extOf returns the number of an extension, which depends on how the kernel is configured.
func extOf(types *isf.File, name string) ctExt {
	id, err := types.Constant("nf_ct_ext_id", name)
	return ctExt{id: id, ok: err == nil}
}

// ext returns where the extension e of a connection is, 0 where it has none
// (nf_ct_ext_find of include/net/netfilter/nf_conntrack_extend.h).
func (r *ctReader) ext(conn *ctConn, e ctExt, size uint64) (vmem.VirtAddr, error) {
	v, mem := &r.views, r.src.Mem()
	if conn.Ext == 0 || !e.ok || v.extErr != nil || e.id < 0 || uint64(e.id) >= v.offsets.Count() {
		return 0, v.extErr
	}
	if !nfkit.Plausible(conn.Ext) {
		return 0, nfkit.Pointer("nf_ct_ext", conn.Ext)
	}
	off, err := mem.Uint8(v.offsets.Of(conn.Ext) + vmem.VirtAddr(e.id))
	if err != nil || off == 0 {
		return 0, err
	}
	n, err := v.length.Load(mem, conn.Ext)
	if err != nil {
		return 0, err
	}
	if uint64(off) < v.offsets.Count() || uint64(off)+size > uint64(n) {
		return 0, nfkit.Corrupt("nf_ct_ext of %d bytes has an extension of %d at %d", n, size, off)
	}
	return conn.Ext + vmem.VirtAddr(off), nil
}

// addExts adds what extensions of a connection tell.
func (r *ctReader) addExts(c *Connection, conn *ctConn) error {
	if err := r.addCounts(c, conn); err != nil {
		return err
	}
	v, mem := &r.views, r.src.Mem()
	if v.times.Ok() {
		at, err := r.ext(conn, v.tstamp, v.times.Size())
		if err != nil {
			return err
		}
		if at != 0 {
			t, err := v.times.Load(mem, at)
			if err != nil {
				return err
			}
			c.Started, c.Stopped = unixNano(t.Start), unixNano(t.Stop)
		}
	}
	if err := r.addLabels(c, conn); err != nil {
		return err
	}
	return r.addHelper(c, conn)
}

func unixNano(ns uint64) time.Time {
	if ns == 0 || ns > 1<<62 {
		return time.Time{}
	}
	return time.Unix(0, int64(ns)).UTC()
}

func (r *ctReader) addCounts(c *Connection, conn *ctConn) error {
	v := &r.views
	if !v.counters.Ok() {
		return nil
	}
	at, err := r.ext(conn, v.acct, v.counters.Size())
	if err != nil || at == 0 {
		return err
	}
	n, err := v.counters.Load(r.src.Mem(), at)
	if err != nil {
		return err
	}
	c.Counts = &[2]Count{n.Original.count(), n.Reply.count()}
	return nil
}

func (r *ctReader) addLabels(c *Connection, conn *ctConn) error {
	v := &r.views
	size := v.labels.Size()
	if !v.labels.Ok() || size == 0 || size > 16 {
		return nil
	}
	at, err := r.ext(conn, v.label, size)
	if err != nil || at == 0 {
		return err
	}
	b, err := r.src.Bytes(at, int(size))
	if err != nil {
		return err
	}
	c.Labels = hexLabels(b)
	return nil
}

func (r *ctReader) addHelper(c *Connection, conn *ctConn) error {
	v, mem := &r.views, r.src.Mem()
	if !v.helper.Ok() || !v.name.Ok() {
		return nil
	}
	at, err := r.ext(conn, v.help, v.helper.Offset()+8)
	if err != nil || at == 0 {
		return err
	}
	helper, err := v.helper.Load(mem, at)
	if err != nil || helper == 0 {
		return err
	}
	c.Helper, err = r.helperName(helper)
	return err
}

// helperName returns the name of the nf_conntrack_helper at an address.
func (r *ctReader) helperName(helper vmem.VirtAddr) (string, error) {
	if !nfkit.Plausible(helper) {
		return "", nfkit.Pointer("nf_conntrack_helper", helper)
	}
	if !r.views.name.Ok() {
		return "", nil
	}
	return r.src.Mem().CString(r.views.name.Of(helper), 16)
}

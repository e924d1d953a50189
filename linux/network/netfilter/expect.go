package netfilter

import (
	"context"
	"iter"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// An Expectation is a connection that another one announced, as that of FTP does for its data: struct
// nf_conntrack_expect (include/net/netfilter/nf_conntrack_expect.h), a line of conntrack -L expect.
type Expectation struct {
	NetNS    uint32 `json:"netns"`    // 0 if the namespace is none that is known
	Family   string `json:"family"`   // ipv4, ipv6
	Protocol string `json:"protocol"` // the name of the transport protocol, or its number
	Expected Tuple  `json:"expected"` // what the connection will be
	// Mask has ones where Expected's source and its port count; its destination counts as a whole.
	Mask    Tuple         `json:"mask"`
	Master  Tuple         `json:"master"`  // the original direction of the connection that announced it
	Timeout int64         `json:"timeout"` // for how many seconds it is waited for; -1 where the kernel's time is not known
	Flags   []string      `json:"flags"`   // PERMANENT, INACTIVE, USERSPACE
	Class   uint32        `json:"class"`   // of the helper's expectations
	Helper  string        `json:"helper,omitempty"`
	Zone    uint16        `json:"zone,omitempty"`
	Of      vmem.VirtAddr `json:"of"`      // the struct nf_conn that announced it
	Addr    vmem.VirtAddr `json:"address"` // of struct nf_conntrack_expect
}

// expectFlags are NF_CT_EXPECT_ of include/uapi/linux/netfilter/nf_conntrack_common.h.
var expectFlags = []string{"PERMANENT", "INACTIVE", "USERSPACE"}

type ctExpect struct {
	Net      vmem.VirtAddr `kernel:"net.net,optional"` // since 6.1.169 and others of its time
	Tuple    ctTuple       `kernel:"tuple"`
	MaskSrc  [16]byte      `kernel:"mask.src.u3.all"`
	MaskPart uint16        `kernel:"mask.src.u.all,be"`
	Zone     uint16        `kernel:"zone.id,optional"`
	Use      int32         `kernel:"use.refs.counter"`
	Flags    uint32        `kernel:"flags"`
	Class    uint32        `kernel:"class"`
	Helper   vmem.VirtAddr `kernel:"helper"`
	Assign   vmem.VirtAddr `kernel:"assign_helper,optional"` // where Helper is that of the new connection, it is not there
	Master   vmem.VirtAddr `kernel:"master"`
	Timeout  uint64        `kernel:"timeout.expires|timeout"` // of a timer, and as such
}

type expectViews struct {
	expect *kstruct.View[ctExpect]
	node   kstruct.Member
	err    error
}

func bindExpect(types *isf.File) (v expectViews) {
	b := kstruct.NewBinder(types)
	v.expect = kstruct.Bind[ctExpect](b, "nf_conntrack_expect")
	v.node = kstruct.BindMember(b, "nf_conntrack_expect", "hnode")
	v.err = b.Err()
	return v
}

// maxExpectations bounds what is told: the kernel allows of itself 1024 (nf_conntrack_expect_max) on large machines.
const maxExpectations = 1 << 16

// Expectations yields the connections that are expected, those of all namespaces, in the order of the kernel's
// table: nf_ct_expect_hash and nf_ct_expect_hsize, which are exported. Errors are as of [Conntrack].
func Expectations(ctx context.Context, k *linux.Kernel, mods *module.Set, namespaces []*network.Namespace) iter.Seq2[*Expectation, error] {
	return func(yield func(*Expectation, error) bool) {
		k.Physical().Refresh()
		r := newCTReader(ctx, k, mods, namespaces)
		r.yield = func(_ *Connection, err error) bool { return yield(nil, err) }
		if !r.bind() {
			return
		}
		(&expectReader{r, bindExpect(r.types), yield}).read()
		r.tellRest()
	}
}

type expectReader struct {
	*ctReader
	views expectViews
	give  func(*Expectation, error) bool
}

func (r *expectReader) read() {
	if r.views.err != nil {
		r.lose(0, r.views.err)
		return
	}
	table, n, err := r.array("nf_ct_expect_hash", "nf_ct_expect_hsize")
	if err != nil {
		r.lose(0, err)
		return
	}
	w := r.src.Walk(r.ctx, ctObject, maxExpectations, ctModule)
	found := 0
	for i := range uint64(n) {
		if r.ended {
			return
		}
		if err := r.ctx.Err(); err != nil {
			r.tell(nil, err)
			return
		}
		for node, err := range w.HList(table + vmem.VirtAddr(8*i)) {
			if err != nil {
				r.tell(nil, err)
				continue
			}
			if found++; found > maxExpectations {
				r.lose(node, nfkit.Corrupt("more than %d expectations", maxExpectations))
				return
			}
			r.add(r.views.node.Container(node))
			if r.ended {
				return
			}
		}
	}
}

func (r *expectReader) add(at vmem.VirtAddr) {
	e, err := r.expectation(at)
	if err != nil {
		r.lose(at, err)
	}
	if e != nil && !r.ended {
		r.ended = !r.give(e, nil)
	}
}

// expectation reads the expectation at an address: nil if it is none. What it can't tell comes as an error beside it.
func (r *expectReader) expectation(at vmem.VirtAddr) (*Expectation, error) {
	s, err := r.views.expect.Load(r.src.Mem(), at)
	switch {
	case err != nil:
		return nil, err
	case s.Use < 0 || !nfkit.Plausible(s.Master):
		return nil, nfkit.Corrupt("nf_conntrack_expect with %d references, of the connection %v", s.Use, s.Master)
	case s.Tuple.Family != 2 && s.Tuple.Family != 10:
		return nil, nfkit.Corrupt("nf_conntrack_expect of the family %d", s.Tuple.Family)
	}
	mask := s.Tuple
	mask.Src, mask.SrcPart = s.MaskSrc, s.MaskPart
	for i := range mask.Dst {
		mask.Dst[i] = 0xff
	}
	mask.DstPart = 0xffff
	e := &Expectation{
		Family: familyName(s.Tuple.Family), Protocol: protocolName(s.Tuple.Proto), Expected: s.Tuple.tuple(), Mask: mask.tuple(), Timeout: -1, Flags: []string{},
		Class: s.Class, Zone: s.Zone, Of: s.Master, Addr: at,
	}
	for i, name := range expectFlags {
		if s.Flags&(1<<i) != 0 {
			e.Flags = append(e.Flags, name)
		}
	}
	if r.timeErr == nil {
		e.Timeout = max(0, int64(r.time.Left(uint32(s.Timeout)).Seconds())) //nolint:gosec // the lower half counts
	}
	return e, r.join(e, &s)
}

// join adds what the connection that announced an expectation tells.
func (r *expectReader) join(e *Expectation, s *ctExpect) error {
	if s.Net != 0 { // it says so itself, where the kernel is new enough
		if ns := r.nets[s.Net]; ns != nil {
			e.NetNS = ns.Inum
		}
	}
	master, live, err := r.conn(s.Master)
	if master == nil || !live {
		if err == nil {
			err = nfkit.Corrupt("an expectation of the connection %v, which is freed", s.Master)
		}
		return err
	}
	e.NetNS, e.Master, e.Helper = master.NetNS, master.Original, master.Helper
	if !r.views.expect.Has("Assign") {
		return err
	}
	e.Helper = ""
	if s.Helper != 0 && err == nil {
		e.Helper, err = r.helperName(s.Helper)
	}
	return err
}

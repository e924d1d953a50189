package network

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Filter is one classifier of a qdisc, with the programs in it if it is one of eBPF. What
// others match is not told.
type Filter struct {
	Direction string          `json:"direction,omitempty"` // of clsact and ingress: ingress or egress
	Chain     uint32          `json:"chain"`
	Protocol  string          `json:"protocol"` // all, ip, ipv6, or a number
	Pref      uint32          `json:"pref"`
	Kind      string          `json:"kind"`
	Programs  []FilterProgram `json:"programs,omitempty"`
	Addr      vmem.VirtAddr   `json:"kernelAddress"` // of struct tcf_proto
}

// A FilterProgram is a program of eBPF in a filter.
type FilterProgram struct {
	Handle uint32   `json:"handle"`
	Name   string   `json:"name"`         // as who loaded it calls it
	Direct bool     `json:"directAction"` // what it returns says what becomes of the packet
	Prog   *Program `json:"prog"`
}

// A tcfProto is struct tcf_proto (include/net/sch_generic.h).
type tcfProto struct {
	Root     vmem.VirtAddr `kernel:"root"`
	Protocol uint16        `kernel:"protocol,be"`
	Prio     uint32        `kernel:"prio"`
	Ops      vmem.VirtAddr `kernel:"ops"`
	Chain    vmem.VirtAddr `kernel:"chain"`
}

// A tcfChain is struct tcf_chain.
type tcfChain struct {
	Filters vmem.VirtAddr `kernel:"filter_chain"`
	Index   uint32        `kernel:"index"`
	Block   vmem.VirtAddr `kernel:"block"`
}

// A miniQdisc is struct mini_Qdisc: what packets on their way in or out go through.
type miniQdisc struct {
	Filters vmem.VirtAddr `kernel:"filter_list"` // the first of the chain 0
	Block   vmem.VirtAddr `kernel:"block"`       // not set of what goes out
}

type filterViews struct {
	block kstruct.Member // the list of chains of tcf_block
	node  kstruct.Member // of tcf_chain
	chain *kstruct.View[tcfChain]
	proto *kstruct.View[tcfProto]
	next  kstruct.Member // of tcf_proto
	kind  kstruct.Member // of tcf_proto_ops
	mini  *kstruct.View[miniQdisc]
	err   error
}

func bindFilter(b *kstruct.Binder) (v filterViews) {
	v.block = kstruct.BindMember(b, "tcf_block", "chain_list")
	v.node = kstruct.BindMember(b, "tcf_chain", "list")
	v.chain = kstruct.Bind[tcfChain](b, "tcf_chain")
	v.proto = kstruct.Bind[tcfProto](b, "tcf_proto")
	v.next = kstruct.BindMember(b, "tcf_proto", "next")
	v.kind = kstruct.BindMember(b, "tcf_proto_ops", "kind")
	v.mini = kstruct.Bind[miniQdisc](b, "mini_Qdisc")
	v.err = b.Err()
	return v
}

// directions are those of the two mini_Qdiscs of a device.
var directions = [2]string{"ingress", "egress"}

// qdiscFilters reads the filters of a qdisc. Those of clsact and ingress are reached from the
// device's mini_Qdiscs, which are there where there are filters.
func (r *reader) qdiscFilters(d *device, q *Qdisc, s *qdisc) {
	if r.views.qdisc.filter.err != nil {
		return // told once
	}
	var block vmem.VirtAddr
	switch q.Kind {
	case "clsact", "ingress":
		for i, mini := range d.mini {
			if mini != 0 && (i == 0 || q.Kind == "clsact") {
				r.miniFilters(d, q, directions[i], mini)
			}
		}
	case "htb":
		p, _ := structAt[htbSched](r, d, "sch_htb", "htb_sched", s.Private)
		block = p.Block
	case "prio":
		p, _ := structAt[prioSched](r, d, "sch_prio", "prio_sched_data", s.Private)
		block = p.Block
	case "fq_codel":
		p, _ := structAt[fqCodelSched](r, d, "sch_fq_codel", "fq_codel_sched_data", s.Private)
		block = p.Block
	case "cake", "drr", "ets", "fq_pie", "hfsc", "multiq", "qfq", "sfb", "sfq":
		r.lose("filters of "+d.text(), q.Addr, fmt.Errorf("%w: where a qdisc of the kind %s has filters is not known", kstruct.ErrUnsupported, q.Kind))
	}
	if block != 0 {
		r.readBlock(d, q, "", block)
	}
}

func (r *reader) miniFilters(d *device, q *Qdisc, direction string, mini vmem.VirtAddr) {
	block, err := r.blockOf(mini)
	if err != nil {
		r.lose("filters of "+d.text(), mini, err)
		return
	}
	if block != 0 {
		r.readBlock(d, q, direction, block)
	}
}

// blockOf returns the block of filters that the mini_Qdisc at addr is of, by its first filter
// where it does not say itself, and 0 where there is none.
func (r *reader) blockOf(addr vmem.VirtAddr) (vmem.VirtAddr, error) {
	v := &r.views.qdisc.filter
	m, err := v.mini.Load(r.space, addr)
	if err != nil || m.Block != 0 || m.Filters == 0 {
		return m.Block, err
	}
	first, err := v.proto.Load(r.space, m.Filters)
	if err != nil {
		return 0, err
	}
	chain, err := v.chain.Load(r.space, first.Chain)
	return chain.Block, err
}

// maxFilters is how many filters of a qdisc are told.
const maxFilters = 1 << 16

// readBlock reads the filters of the tcf_block at addr, chain after chain.
func (r *reader) readBlock(d *device, q *Qdisc, direction string, addr vmem.VirtAddr) {
	v := &r.views.qdisc.filter
	what := fmt.Sprintf("filters of qdisc %v of %s", q.Handle, d.text())
	if !plausible(addr) {
		r.lose(what, q.Addr, errPointer("tcf_block", addr))
		return
	}
	w := r.walk(what)
	for node, err := range w.List(v.block.Of(addr)) {
		if r.done() {
			break
		}
		at := v.node.Container(node)
		var chain tcfChain
		if err == nil {
			chain, err = v.chain.Load(r.space, at)
		}
		if err == nil && chain.Block != addr {
			err = corrupt("tcf_chain %v of another block, %v", at, chain.Block)
		}
		if err != nil {
			r.lose(what, addr, err)
			continue
		}
		for proto, err := range w.Chain(chain.Filters, v.next.Offset()) {
			if r.done() {
				break
			}
			if err == nil && len(q.Filters) >= maxFilters {
				r.lose(what, at, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxFilters))
				return
			}
			var f *Filter
			if err == nil {
				f, err = r.filter(d, what, proto, at)
			}
			if err != nil {
				r.lose(what, at, err)
				continue
			}
			f.Direction, f.Chain = direction, chain.Index
			q.Filters = append(q.Filters, *f)
		}
	}
}

// filter reads the tcf_proto at addr of a chain.
func (r *reader) filter(d *device, what string, addr, chain vmem.VirtAddr) (*Filter, error) {
	v := &r.views.qdisc.filter
	s, err := v.proto.Load(r.space, addr)
	if err == nil && s.Chain != chain {
		err = corrupt("tcf_proto %v of another chain, %v", addr, s.Chain)
	}
	if err != nil {
		return nil, err
	}
	f := &Filter{Protocol: etherType(s.Protocol), Pref: s.Prio >> 16, Addr: addr}
	if f.Kind, err = r.space.CString(v.kind.Of(s.Ops), int(v.kind.Size())); err != nil {
		return nil, err
	}
	if f.Kind == "bpf" && s.Root != 0 {
		r.readFilterPrograms(d, f, what, s.Root)
	}
	return f, nil
}

// etherType prints the protocol of a filter as tc does.
func etherType(t uint16) string {
	return nameOf(map[uint16]string{3: "all", 0x800: "ip", 0x806: "arp", 0x86dd: "ipv6", 0x8100: "802.1Q", 0x88a8: "802.1ad"}, t)
}

// A bpfHead is struct cls_bpf_head of net/sched/cls_bpf.c.
type bpfHead struct {
	Programs vmem.VirtAddr `kernel:"&plist"`
}

// A bpfFilter is struct cls_bpf_prog of net/sched/cls_bpf.c.
type bpfFilter struct {
	Filter vmem.VirtAddr `kernel:"filter"`
	Node   vmem.VirtAddr `kernel:"&link"`
	Direct bool          `kernel:"exts_integrated"`
	Handle uint32        `kernel:"handle"`
	Name   vmem.VirtAddr `kernel:"bpf_name"`
	Ops    vmem.VirtAddr `kernel:"bpf_ops"` // of classic BPF
}

// maxBPFName is CLS_BPF_NAME_LEN of net/sched/cls_bpf.c.
const maxBPFName = 256

func (r *reader) readFilterPrograms(d *device, f *Filter, what string, root vmem.VirtAddr) {
	head, okHead := structAt[bpfHead](r, d, "cls_bpf", "cls_bpf_head", root)
	v, ok := viewOf[bpfFilter](r, "cls_bpf", "cls_bpf_prog")
	if !ok || !okHead {
		return
	}
	node, _ := v.Offset("Node")
	for at, err := range r.walk(what).List(head.Programs) {
		if r.done() {
			break
		}
		var s bpfFilter
		if err == nil {
			s, err = v.Load(r.space, at-vmem.VirtAddr(node))
		}
		if err == nil && len(f.Programs) >= maxFilters {
			err = fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxFilters)
		}
		if err != nil {
			r.lose(what, root, err)
			return
		}
		p := FilterProgram{Handle: s.Handle, Direct: s.Direct, Prog: r.program(what, s.Filter)}
		if s.Name != 0 {
			if p.Name, err = r.space.CString(s.Name, maxBPFName); err != nil {
				r.lose(what, s.Name, err)
			}
		}
		f.Programs = append(f.Programs, p)
	}
}

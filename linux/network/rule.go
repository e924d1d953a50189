package network

import (
	"fmt"
	"net/netip"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Rule says which table is asked for the route of which packets, as `ip rule` shows it.
type Rule struct {
	Family            Family        `json:"family"`
	Priority          uint32        `json:"priority"`
	Not               bool          `json:"not,omitempty"`
	Src               string        `json:"src"` // a network, an address or all
	Dst               string        `json:"dst,omitempty"`
	TOS               uint8         `json:"tos,omitempty"`
	FwMark            uint32        `json:"fwmark,omitempty"`
	FwMask            uint32        `json:"fwmask,omitempty"`
	IIF               string        `json:"iif,omitempty"`
	OIF               string        `json:"oif,omitempty"`
	IIFDetached       bool          `json:"iifDetached,omitempty"` // there is no such device
	OIFDetached       bool          `json:"oifDetached,omitempty"`
	L3MDev            bool          `json:"l3mdev,omitempty"` // the table of the VRF
	UIDs              *Span         `json:"uidRange,omitempty"`
	IPProtocol        uint8         `json:"ipproto,omitempty"`
	SourcePorts       *Span         `json:"sport,omitempty"`
	DestinationPorts  *Span         `json:"dport,omitempty"`
	SourcePortMask    uint16        `json:"sportMask,omitempty"`     // of a single port; 0xffff, and 0 before 6.15: as a whole
	DestinationMask   uint16        `json:"dportMask,omitempty"`     // likewise
	DSCP              *uint8        `json:"dscp,omitempty"`          // in place of TOS
	DSCPMask          uint8         `json:"dscpMask,omitempty"`      // of it
	FlowLabel         uint32        `json:"flowlabel,omitempty"`     // of IPv6
	FlowLabelMask     uint32        `json:"flowlabelMask,omitempty"` // 0: none is asked for
	TunnelID          uint64        `json:"tunId,omitempty"`
	Table             Table         `json:"table,omitempty"`
	Action            RuleAction    `json:"action"`
	Goto              uint32        `json:"goto,omitempty"` // the priority of the rule to go on with
	SuppressPrefixLen *int32        `json:"suppressPrefixlen,omitempty"`
	SuppressGroup     *int32        `json:"suppressIfgroup,omitempty"`
	Protocol          RouteProtocol `json:"protocol"`
	Addr              vmem.VirtAddr `json:"kernelAddress"` // of struct fib_rule
}

// A Span is numbers from the first to the last.
type Span struct {
	First uint32 `json:"first"`
	Last  uint32 `json:"last"`
}

// RuleAction says what a rule does (FR_ACT_ of include/uapi/linux/fib_rules.h).
type RuleAction uint8

const (
	actionTable RuleAction = 1
	actionGoto  RuleAction = 2
)

var ruleActionNames = map[RuleAction]string{
	0: "unspec", actionTable: "to_tbl", actionGoto: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit",
}

// String returns the name of the action: to_tbl asks a table.
func (a RuleAction) String() string { return nameOf(ruleActionNames, a) }

// MarshalText returns what String does.
func (a RuleAction) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (a *RuleAction) UnmarshalText(b []byte) error { return parseName(ruleActionNames, b, a) }

// A fibRule is struct fib_rule (include/net/fib_rules.h).
type fibRule struct {
	Mark        uint32        `kernel:"mark"`
	Mask        uint32        `kernel:"mark_mask"`
	Flags       uint32        `kernel:"flags"`
	Table       uint32        `kernel:"table"`
	Action      uint8         `kernel:"action"`
	L3MDev      uint8         `kernel:"l3mdev"`
	Protocol    uint8         `kernel:"proto"`
	IPProtocol  uint8         `kernel:"ip_proto"`
	Target      uint32        `kernel:"target"`
	TunnelID    uint64        `kernel:"tun_id,be"`
	Net         vmem.VirtAddr `kernel:"fr_net"`
	Priority    uint32        `kernel:"pref"`
	SuppressGrp int32         `kernel:"suppress_ifgroup"`
	SuppressLen int32         `kernel:"suppress_prefixlen"`
	IIF         [16]byte      `kernel:"iifname"`
	IIFIndex    int32         `kernel:"iifindex"`
	OIFIndex    int32         `kernel:"oifindex"`
	OIF         [16]byte      `kernel:"oifname"`
	UIDFirst    uint32        `kernel:"uid_range.start.val"`
	UIDLast     uint32        `kernel:"uid_range.end.val"`
	SportFirst  uint16        `kernel:"sport_range.start"`
	SportLast   uint16        `kernel:"sport_range.end"`
	DportFirst  uint16        `kernel:"dport_range.start"`
	DportLast   uint16        `kernel:"dport_range.end"`
	SportMask   uint16        `kernel:"sport_mask,optional"` // since 6.15
	DportMask   uint16        `kernel:"dport_mask,optional"`
}

// ruleInvert is FIB_RULE_INVERT of include/uapi/linux/fib_rules.h.
const ruleInvert = 2

// A fib4Rule is struct fib4_rule of net/ipv4/fib_rules.c.
type fib4Rule struct {
	Src    [4]byte `kernel:"src"`
	SrcLen uint8   `kernel:"src_len"`
	Dst    [4]byte `kernel:"dst"`
	DstLen uint8   `kernel:"dst_len"`
	TOS    uint8   `kernel:"dscp|tos"`           // since 5.18 (563f8e97e054), and before
	Mask   uint8   `kernel:"dscp_mask,optional"` // since 6.15
	DSCP   bool    `kernel:"dscp_full,optional"` // since 6.13: it is a DSCP and no TOS
}

// A fib6Rule is struct fib6_rule of net/ipv6/fib6_rules.c.
type fib6Rule struct {
	Src       rt6Key `kernel:"src"`
	Dst       rt6Key `kernel:"dst"`
	TOS       uint8  `kernel:"dscp|tclass"`
	Mask      uint8  `kernel:"dscp_mask,optional"`
	DSCP      bool   `kernel:"dscp_full,optional"`
	Label     uint32 `kernel:"flowlabel,be,optional"` // since 6.14
	LabelMask uint32 `kernel:"flowlabel_mask,be,optional"`
}

// A ruleOps is struct fib_rules_ops: the rules of one family.
type ruleOps struct {
	Family int32         `kernel:"family"`
	Net    vmem.VirtAddr `kernel:"fro_net"`
}

type ruleViews struct {
	list  kstruct.Member // of struct net
	node  kstruct.Member // of fib_rules_ops
	ops   *kstruct.View[ruleOps]
	rules kstruct.Member // of fib_rules_ops
	link  kstruct.Member // of fib_rule
	rule  *kstruct.View[fibRule]
	rule4 *kstruct.View[fib4Rule]
	rule6 *kstruct.View[fib6Rule]
	err   error
}

func bindRule(types *isf.File) (v ruleViews) {
	b := kstruct.NewBinder(types)
	v.list = kstruct.BindMember(b, "net", "rules_ops")
	v.node = kstruct.BindMember(b, "fib_rules_ops", "list")
	v.ops = kstruct.Bind[ruleOps](b, "fib_rules_ops")
	v.rules = kstruct.BindMember(b, "fib_rules_ops", "rules_list")
	v.link = kstruct.BindMember(b, "fib_rule", "list")
	v.rule = kstruct.Bind[fibRule](b, "fib_rule")
	v.rule4 = kstruct.BindOptional[fib4Rule](b, "fib4_rule")
	v.rule6 = kstruct.BindOptional[fib6Rule](b, "fib6_rule")
	v.err = b.Err()
	return v
}

// readRules reads the rules of a namespace (net.rules_ops), family after family.
func (r *reader) readRules(c *Configuration) {
	v := &r.views.rule
	what := object("routing rules", c)
	w := r.walk(what)
	for node, err := range w.List(v.list.Of(c.Namespace.Addr)) {
		if r.done() {
			break
		}
		addr := v.node.Container(node)
		var ops ruleOps
		if err == nil {
			ops, err = v.ops.Load(r.space, addr)
		}
		if err == nil && ops.Net != c.Namespace.Addr {
			err = corrupt("fib_rules_ops %v of another namespace, %v", addr, ops.Net)
		}
		if err != nil {
			r.lose(what, c.Namespace.Addr, err)
			continue
		}
		r.readRulesOf(c, w, what, addr, Family(ops.Family))
	}
}

func (r *reader) readRulesOf(c *Configuration, w *kstruct.Walk, what string, ops vmem.VirtAddr, family Family) {
	v := &r.views.rule
	for node, err := range w.List(v.rules.Of(ops)) {
		if r.done() {
			break
		}
		addr := v.link.Container(node)
		var s fibRule
		if err == nil {
			err = v.rule.Read(r.space, addr, &s)
		}
		if err == nil && s.Net != c.Namespace.Addr {
			err = corrupt("fib_rule %v of another namespace, %v", addr, s.Net)
		}
		if err != nil {
			r.lose(what, ops, err)
			continue
		}
		if !r.room(ofRules, c) {
			return
		}
		rule := newRule(addr, family, &s)
		if err := r.selectors(rule); err != nil {
			r.lose(what, addr, err)
		}
		c.Rules = append(c.Rules, rule)
	}
}

// newRule follows fib_nl_fill_rule of net/core/fib_rules.c.
func newRule(addr vmem.VirtAddr, family Family, s *fibRule) *Rule {
	t := &Rule{
		Family: family, Priority: s.Priority, Not: s.Flags&ruleInvert != 0, Src: "all", FwMark: s.Mark, FwMask: s.Mask, IIF: text(s.IIF[:]),
		OIF: text(s.OIF[:]), L3MDev: s.L3MDev != 0, IPProtocol: s.IPProtocol, TunnelID: s.TunnelID, Table: Table(s.Table),
		Action: RuleAction(s.Action), Protocol: RouteProtocol(s.Protocol), Addr: addr,
	}
	t.IIFDetached = t.IIF != "" && s.IIFIndex == -1
	t.OIFDetached = t.OIF != "" && s.OIFIndex == -1
	if t.Action == actionGoto {
		t.Goto = s.Target
	}
	if s.UIDFirst != ^uint32(0) {
		if s.UIDFirst != 0 || s.UIDLast != ^uint32(0) {
			t.UIDs = &Span{s.UIDFirst, s.UIDLast}
		}
	}
	if s.SportFirst != 0 {
		t.SourcePorts = &Span{uint32(s.SportFirst), uint32(s.SportLast)}
	}
	if s.DportFirst != 0 {
		t.DestinationPorts = &Span{uint32(s.DportFirst), uint32(s.DportLast)}
	}
	if t.SourcePorts != nil {
		t.SourcePortMask = s.SportMask
	}
	if t.DestinationPorts != nil {
		t.DestinationMask = s.DportMask
	}
	if s.SuppressLen != -1 {
		t.SuppressPrefixLen = &s.SuppressLen
	}
	if s.SuppressGrp != -1 {
		t.SuppressGroup = &s.SuppressGrp
	}
	return t
}

// selectors reads what a family knows of its rules: networks and the type of service.
func (r *reader) selectors(t *Rule) error {
	v := &r.views.rule
	switch {
	case t.Family == Inet && v.rule4.Ok():
		s, err := v.rule4.Load(r.space, t.Addr)
		if err != nil {
			return err
		}
		t.service(s.TOS, s.Mask, s.DSCP)
		return t.networks(netip.PrefixFrom(netip.AddrFrom4(s.Src), int(s.SrcLen)), netip.PrefixFrom(netip.AddrFrom4(s.Dst), int(s.DstLen)))
	case t.Family == Inet6 && v.rule6.Ok():
		s, err := v.rule6.Load(r.space, t.Addr)
		if err != nil {
			return err
		}
		src, _ := s.Src.prefix()
		dst, _ := s.Dst.prefix()
		t.service(s.TOS, s.Mask, s.DSCP)
		if s.LabelMask != 0 {
			t.FlowLabel, t.FlowLabelMask = s.Label, s.LabelMask
		}
		return t.networks(src, dst)
	case t.Family == Inet || t.Family == Inet6:
		t.Src = ""
		return fmt.Errorf("%w: no type of the rules of %v", kstruct.ErrUnsupported, t.Family)
	}
	return nil
}

// service sets which type of service a rule is for: as a byte, or as the six upper bits of it.
func (t *Rule) service(tos, mask uint8, dscp bool) {
	if !dscp {
		t.TOS = tos
		return
	}
	tos >>= 2
	t.DSCP, t.DSCPMask = &tos, mask>>2
}

func (t *Rule) networks(src, dst netip.Prefix) error {
	if !src.IsValid() || !dst.IsValid() {
		return corrupt("fib_rule %v with the networks %v and %v", t.Addr, src, dst)
	}
	if src.Bits() > 0 {
		t.Src = destination(src)
	}
	if dst.Bits() > 0 {
		t.Dst = destination(dst)
	}
	return nil
}

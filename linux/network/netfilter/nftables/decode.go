package nftables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// A decoder makes statements of the expressions of one rule.
type decoder struct {
	r     *reader
	table *Table
	rule  *Rule
	regs  map[uint8]expr
	stmts []node

	heads [bases][]layer
	deps  [bases]*match // what implies the header of a layer, and is not said if the header is used
}

// A layer is a header at an offset of bits behind where its layer begins.
type layer struct {
	head   *header
	offset int
}

func newDecoder(r *reader, t *Table, rule *Rule) *decoder {
	d := &decoder{r: r, table: t, rule: rule, regs: map[uint8]expr{}}
	switch t.Family {
	case "ip":
		d.heads[baseNetwork] = []layer{{headIP, 0}}
	case "ip6":
		d.heads[baseNetwork] = []layer{{headIP6, 0}}
	case "arp":
		d.heads[baseNetwork] = []layer{{headARP, 0}}
	case "bridge", "netdev":
		d.heads[baseLink] = []layer{{headEther, 0}}
	}
	return d
}

// finish writes the rule.
func (d *decoder) finish() {
	var words []string
	for _, s := range d.stmts {
		if m, ok := s.(*match); ok && m.implied {
			continue
		}
		words = append(words, s.text())
		d.rule.Statements = append(d.rule.Statements, s.json())
	}
	d.rule.Text = strings.Join(words, " ")
	if ofIPTables(d.table) {
		d.rule.IPTables = d.iptables()
	}
}

// emit adds a statement. What does more than to compare sees packets that a comparison before
// it let through, so that comparison is said even if a later one implies it.
func (d *decoder) emit(s node) {
	d.stmts = append(d.stmts, s)
	if _, ok := s.(*match); !ok {
		d.deps = [bases]*match{}
	}
}

// say emits a statement that is written as it is.
func (d *decoder) say(words string, js any) { d.emit(&phrase{words, js}) }

// unknown emits what an expression is called, and keeps its bytes.
func (d *decoder) unknown(name string, private vmem.VirtAddr, size uint32) {
	u := Unknown{Name: name}
	if size > 8 && size <= 4096 {
		b, err := d.r.src.Bytes(private, int(size-8))
		d.r.lose(private, err)
		if err == nil {
			u.Bytes = b
		}
	}
	d.rule.Unknown = append(d.rule.Unknown, u)
	d.say(fmt.Sprintf("# unknown expression %s", quote(name)), object{"unknown": name})
}

// expr decodes one expression.
func (d *decoder) expr(info *opsInfo, private vmem.VirtAddr) {
	do := handlers[info.name]
	if do == nil {
		d.unknown(info.name, private, info.size)
		return
	}
	if err := do(d, info, private); err != nil {
		d.r.lose(d.rule.Addr, fmt.Errorf("expression %s: %w", info.name, err))
		d.unknown(info.name, private, info.size)
	}
}

// set puts an expression into a register.
func (d *decoder) set(reg uint8, e expr) { d.regs[reg] = e }

// get returns what is in the registers from reg on, n bytes.
func (d *decoder) get(reg uint8, n int) (expr, error) {
	var parts []expr
	for left := n; left > 0 || parts == nil; {
		e := d.regs[reg]
		if e == nil {
			return nil, nfkit.Corrupt("register %d is not loaded", reg)
		}
		parts = append(parts, e)
		size := max((e.size()+3)&^3, 4)
		left -= size
		if size/4 > 64 || int(reg)+size/4 > 255 {
			break
		}
		reg += uint8(size / 4) //nolint:gosec // checked
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &concat{parts}, nil
}

// resolve names what is loaded of the packet by the headers that are known, and takes away
// statements that are implied by them.
func (d *decoder) resolve(e expr) expr {
	switch e := e.(type) {
	case *payload:
		if e.f == nil && e.head == nil {
			d.resolvePayload(e)
			d.kill(e)
		}
		return e
	case *concat:
		parts := make([]expr, 0, len(e.parts))
		for _, p := range e.parts {
			parts = append(parts, d.resolve(p))
		}
		return &concat{parts}
	case *operation:
		return &operation{e.op, d.resolve(e.left), e.right}
	case *lookupExpr:
		c := *e
		c.key = d.resolve(e.key)
		return &c
	case *swapped:
		return &swapped{d.resolve(e.expr), e.order}
	case *shift:
		return &shift{e.op, d.resolve(e.left), e.n}
	case *selector:
		if e.key == "exthdr ip6" {
			d.killFamily(10)
		}
		return e
	case *hashExpr:
		c := *e
		if e.of != nil {
			c.of = d.resolve(e.of)
		}
		return &c
	}
	return e
}

// resolvePayload finds the field of a payload.
func (d *decoder) resolvePayload(p *payload) {
	heads := d.heads[p.base]
	for _, l := range slices.Backward(heads) {
		if f := l.head.find(p.offset-l.offset, p.length); f != nil {
			p.head, p.f = l.head, f
			return
		}
	}
	if p.base == baseTransport && len(heads) == 0 {
		p.f = headTH.find(p.offset, p.length)
		if p.f != nil {
			p.head = headTH
		}
	}
}

// kill takes away the statement that implies the header that a payload is of.
func (d *decoder) kill(p *payload) {
	if p.f == nil || p.head == headTH {
		return
	}
	dep := d.deps[p.base]
	if dep == nil {
		return
	}
	// The protocol field of a network header says of which family a packet is, too, where
	// the table is of several.
	if left, ok := dep.left.(*payload); ok && left.base == baseNetwork && p.base == baseTransport {
		switch d.table.Family {
		case "inet", "bridge", "netdev":
			return
		}
	}
	dep.implied = true
	d.deps[p.base] = nil
	// ICMP of one family or the other says which it is.
	if p.head == headICMP || p.head == headICMP6 {
		d.killFamily(map[*header]uint64{headICMP: 2, headICMP6: 10}[p.head])
	}
}

// killFamily takes away what says that a packet is of a family.
func (d *decoder) killFamily(n uint64) {
	dep := d.deps[baseNetwork]
	if dep == nil {
		return
	}
	s, ok := dep.left.(*selector)
	v, isValue := dep.right.(*value)
	if !ok || !isValue || s.key != "meta nfproto" {
		return
	}
	if got, _ := number(v.data, v.order); got == n {
		dep.implied = true
		d.deps[baseNetwork] = nil
	}
}

// learn takes note of the header that a statement says is there.
func (d *decoder) learn(m *match) {
	v, ok := m.right.(*value)
	if !ok || m.op != "==" {
		return
	}
	n, ok := number(v.data, v.order)
	if !ok {
		return
	}
	switch left := m.left.(type) {
	case *selector:
		d.learnMeta(m, left, n)
	case *payload:
		if left.f == nil || left.f.name != left.head.key || left.head.key == "" {
			return
		}
		next := left.head.next[n]
		if left.base == baseLink {
			next = networks[n]
		}
		d.follow(m, left, next)
	}
}

// follow takes note of the header that follows the one that a payload is of.
func (d *decoder) follow(m *match, p *payload, next *header) {
	switch {
	case next == headVLAN: // it is in the link layer, behind the type that says so
		d.heads[baseLink] = append(d.heads[baseLink], layer{headVLAN, p.offset + p.length})
		d.deps[baseLink] = m
	case p.base == baseLink:
		d.learnHead(m, baseNetwork, next)
	case p.base == baseNetwork:
		d.learnHead(m, baseTransport, next)
	}
}

func (d *decoder) learnHead(m *match, base int, head *header) {
	d.deps[base] = m
	d.heads[base] = nil
	if head != nil {
		d.heads[base] = []layer{{head, 0}}
	}
}

func (d *decoder) learnMeta(m *match, s *selector, n uint64) {
	switch s.key {
	case "meta l4proto":
		d.learnHead(m, baseTransport, transports[n])
	case "meta nfproto":
		d.learnHead(m, baseNetwork, map[uint64]*header{2: headIP, 10: headIP6}[n])
	case "meta protocol", "meta ibrvproto":
		if n == 0x8100 {
			d.follow(m, &payload{base: baseLink, offset: 96, length: 16}, headVLAN)
			return
		}
		d.learnHead(m, baseNetwork, networks[n])
	case "meta iiftype", "meta oiftype":
		if n == 1 {
			d.learnHead(m, baseLink, headEther)
		}
	}
}

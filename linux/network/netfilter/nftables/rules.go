package nftables

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// rules reads the rules of a chain, as the list of what is configured has them.
func (r *reader) rules(t *Table, head vmem.VirtAddr) (all []*Rule) {
	for at, err := range r.entries(head, "nft_rule") {
		if err != nil {
			r.lose(at, err)
			continue
		}
		if !r.spend(at) {
			return all
		}
		s, err := r.v.rule.Load(r.src.Mem(), at)
		if err != nil {
			r.lose(at, err)
			continue
		}
		if r.active(uint64(s.Genmask)) {
			all = append(all, r.rule(t, at, &s))
		}
	}
	return all
}

// rule decodes one rule.
func (r *reader) rule(t *Table, at vmem.VirtAddr, s *ruleStruct) *Rule {
	rule := &Rule{Handle: s.Handle, Addr: at}
	d := newDecoder(r, t, rule)
	start := r.v.ruleData.Of(at)
	r.lose(at, r.exprs(start, start+vmem.VirtAddr(s.Len), d.expr))
	if s.Data {
		rule.Comment = r.ruleComment(at, start+vmem.VirtAddr(s.Len))
	}
	d.finish()
	return rule
}

// ruleComment reads the comment behind a rule: struct nft_userdata, whose length is one less.
func (r *reader) ruleComment(owner, at vmem.VirtAddr) string {
	n, err := r.src.Mem().Uint8(at)
	if err != nil {
		r.lose(owner, err)
		return ""
	}
	return r.comment(owner, at+1, int(n)+1, 0)
}

// An opsInfo is what is known of a struct nft_expr_ops.
type opsInfo struct {
	name string // of the type of expression
	kind string // of the function that shows it to user space, which tells what it has
	size uint32
	data vmem.VirtAddr // of what iptables has
}

// exprs calls do for each of the expressions from one address up to another
// (nft_rule_for_each_expr).
func (r *reader) exprs(at, end vmem.VirtAddr, do func(info *opsInfo, private vmem.VirtAddr)) error {
	for at < end {
		ops, err := r.v.exprOps.Load(r.src.Mem(), at)
		if err != nil {
			return err
		}
		info, err := r.opsAt(ops)
		if err != nil {
			return err
		}
		if uint64(info.size) > uint64(end-at) {
			return nfkit.Corrupt("expression %s of %d bytes in a rule that has %d more", info.name, info.size, uint64(end-at))
		}
		do(info, r.v.exprData.Of(at))
		at += vmem.VirtAddr(info.size)
	}
	return nil
}

// opsAt reads the struct nft_expr_ops at addr.
func (r *reader) opsAt(ops vmem.VirtAddr) (*opsInfo, error) {
	if info := r.ops[ops]; info != nil {
		return info, nil
	}
	if !nfkit.Plausible(ops) {
		return nil, nfkit.Pointer("nft_expr_ops", ops)
	}
	mem, info := r.src.Mem(), &opsInfo{}
	var err error
	if info.size, err = r.v.opsSize.Load(mem, ops); err != nil {
		return nil, err
	}
	if info.size < 8 || info.size > 4096 || info.size%8 != 0 {
		return nil, nfkit.Corrupt("nft_expr_ops %v of %d bytes", ops, info.size)
	}
	typ, err := r.v.opsType.Load(mem, ops)
	if err != nil {
		return nil, err
	}
	name, err := r.v.typeName.Load(mem, typ)
	if err != nil {
		return nil, err
	}
	if info.name, err = r.name("expression type", name); err != nil {
		return nil, err
	}
	dump, err := r.v.opsDump.Load(mem, ops)
	if err != nil {
		return nil, err
	}
	info.kind = r.function(dump)
	if info.data, err = r.v.opsData.Load(mem, ops); err != nil {
		return nil, err
	}
	r.ops[ops] = info
	return info, nil
}

// function returns the name of the function at addr. Functions have symbols in kernels whose
// data has none, too.
func (r *reader) function(at vmem.VirtAddr) string {
	if at == 0 {
		return ""
	}
	name := ""
	if m := r.src.Mods.At(at); m != nil {
		symbols, _ := r.src.Mods.Symbols(m)
		for _, s := range symbols {
			if s.Addr == at && (name == "" || strings.HasPrefix(s.Name, "nft_")) {
				name = s.Name
			}
		}
	} else if s, off, ok := r.src.K.Objects().SymbolAt(at); ok && off == 0 {
		name = s
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}

// read reads what an expression is set up with, struct structure of one of modules.
func read[T any](r *reader, at vmem.VirtAddr, structure string, modules ...string) (T, error) {
	type bound struct {
		view *kstruct.View[T]
		err  error
	}
	b, ok := r.binds[structure].(bound)
	if !ok {
		b.view, b.err = nfkit.Bind[T](r.src, structure, append([]string{nftModule}, modules...)...)
		r.binds[structure] = b
	}
	if b.err != nil {
		var zero T
		return zero, b.err
	}
	return b.view.Load(r.src.Mem(), at)
}

// A decoder makes statements of the expressions of one rule.
type decoder struct {
	r     *reader
	table *Table
	rule  *Rule
	regs  map[uint8]expr
	stmts []node

	heads  [bases][]layer
	deps   [bases]*match // what implies the header of a layer, and is not said if the header is used
	depsOf map[*match]bool
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
	for i := len(heads) - 1; i >= 0; i-- {
		if f := heads[i].head.find(p.offset-heads[i].offset, p.length); f != nil {
			p.head, p.f = heads[i].head, f
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

// compare emits the comparison of an expression with a value.
func (d *decoder) compare(left expr, op string, data []byte) {
	left = d.resolve(left)
	if b, ok := left.(*operation); ok && b.op == "&" {
		if mask, ok := b.right.(*value); ok {
			d.compareMasked(b, mask, op, data)
			return
		}
	}
	if c, ok := left.(*concat); ok {
		d.emitMatch(&match{left: left, op: op, right: concatValue(c, data)})
		return
	}
	if p, ok := left.(*payload); ok && p.f == nil && (d.comparePrefix(p, op, data) || op == "==" && d.compareParts(p, data)) {
		return
	}
	v := &value{data: data, order: left.big(), dt: left.typ()}
	m := &match{left: left, op: op, right: v}
	if d.mergeRange(m, v) {
		return
	}
	if v.dt.bits && (op == "==") {
		if _, isPayload := left.(*payload); !isPayload {
			m.op = "=="
		}
	}
	d.emitMatch(m)
}

func (d *decoder) emitMatch(m *match) {
	m.right = d.words(m.left, m.right)
	d.emit(m)
	d.learn(m)
}

// words puts the names of devices in place of their indexes.
func (d *decoder) words(left expr, right node) node {
	if v, ok := right.(*value); ok && v.dt == typeIfindex {
		return d.r.deviceNode(v)
	}
	return right
}

// deviceNode returns the name of the device that a value is the index of.
func (r *reader) deviceNode(v *value) node {
	n, ok := number(v.data, v.order)
	if !ok {
		return v
	}
	if name, ok := r.devices[uint32(n)]; ok { //nolint:gosec // of 4 bytes
		return &phrase{quote(name), name}
	}
	return v
}

// concatValue splits what joined expressions are compared with.
func concatValue(c *concat, data []byte) node {
	var parts []expr
	for _, p := range c.parts {
		n := min(p.size(), len(data))
		parts = append(parts, &value{data: data[:n], order: p.big(), dt: p.typ()})
		data = data[min((n+3)&^3, len(data)):]
	}
	return &concat{parts}
}

// comparePrefix emits the comparison of the first bytes of an address, which nft loads alone.
func (d *decoder) comparePrefix(p *payload, op string, data []byte) bool {
	if op != "==" && op != "!=" {
		return false
	}
	for _, l := range d.heads[p.base] {
		for i := range l.head.fields {
			f := &l.head.fields[i]
			if f.offset+l.offset != p.offset || f.length <= p.length || (f.typ != typeIP && f.typ != typeIP6) {
				continue
			}
			whole := &payload{base: p.base, offset: p.offset, length: f.length, head: l.head, f: f}
			d.kill(whole)
			v := &value{data: make([]byte, f.length/8), order: true, dt: f.typ}
			copy(v.data, data)
			d.emitMatch(&match{left: whole, op: op, right: &prefix{v, p.length}})
			return true
		}
	}
	return false
}

// compareParts emits comparisons of the fields that a longer part of the packet consists of,
// which nft loads at once.
func (d *decoder) compareParts(p *payload, data []byte) bool {
	var parts []*payload
	for off := p.offset; off < p.offset+p.length; {
		f := d.fieldAt(p.base, off, p.offset+p.length-off)
		if f == nil {
			return false
		}
		parts = append(parts, f)
		off += f.length
	}
	if len(parts) < 2 {
		return false
	}
	for _, f := range parts {
		from := (f.offset - p.offset) / 8
		d.kill(f)
		d.emitMatch(&match{left: f, op: "==", right: &value{data: data[from : from+f.size()], order: true, dt: f.typ()}})
	}
	return true
}

// fieldAt returns the longest field that begins at an offset and has at most so many bits, whole
// bytes.
func (d *decoder) fieldAt(base, offset, most int) *payload {
	var best *payload
	for _, l := range d.heads[base] {
		for i := range l.head.fields {
			f := &l.head.fields[i]
			if f.offset+l.offset == offset && f.length <= most && f.length%8 == 0 && offset%8 == 0 && (best == nil || f.length > best.length) {
				best = &payload{base: base, offset: offset, length: f.length, head: l.head, f: f}
			}
		}
	}
	return best
}

// compareMasked emits the comparison of an expression of which some bits count.
func (d *decoder) compareMasked(b *operation, mask *value, op string, data []byte) {
	left := b.left
	if p, ok := left.(*payload); ok {
		if trimmed, v := d.trim(p, mask.data, data); trimmed != nil {
			d.kill(trimmed)
			d.emitMatch(&match{left: trimmed, op: op, right: v})
			return
		}
	}
	v := &value{data: data, order: left.big(), dt: left.typ()}
	mask = &value{data: mask.data, order: left.big(), dt: left.typ()}
	_, isPayload := left.(*payload)
	bits, isPrefix := prefixBits(mask.data)
	switch {
	case v.dt.bits && op == "!=" && isZero(data):
		d.emitMatch(&match{left: left, op: "in", right: mask})
	case isPayload && isPrefix && (v.dt == typeIP || v.dt == typeIP6 || v.dt == typeEther) && (op == "==" || op == "!="):
		d.emitMatch(&match{left: left, op: op, right: &prefix{v, bits}})
	default:
		d.emitMatch(&match{left: &operation{"&", left, mask}, op: op, right: v})
	}
}

// trim finds the field that the bits of a mask select, and the value in it.
func (d *decoder) trim(p *payload, mask, data []byte) (*payload, *value) {
	if p.f != nil || len(mask) != len(data) || len(mask) > 8 || len(mask)*8 != p.length {
		return nil, nil
	}
	m, _ := number(mask, true)
	v, _ := number(data, true)
	if m == 0 {
		return nil, nil
	}
	low := 0
	for m&1 == 0 {
		m, v, low = m>>1, v>>1, low+1
	}
	length := 0
	for m&1 == 1 {
		m, length = m>>1, length+1
	}
	if m != 0 {
		return nil, nil
	}
	t := &payload{base: p.base, offset: p.offset + p.length - low - length, length: length}
	d.resolvePayload(t)
	if t.f == nil {
		return nil, nil
	}
	out := make([]byte, t.size())
	for i := range out {
		out[len(out)-1-i] = byte(v >> (8 * i))
	}
	return t, &value{data: out, order: true, dt: t.typ()}
}

// mergeRange makes a range of a lower bound that is there and an upper one that is added.
func (d *decoder) mergeRange(m *match, v *value) bool {
	if m.op != "<=" || len(d.stmts) == 0 {
		return false
	}
	last, ok := d.stmts[len(d.stmts)-1].(*match)
	if !ok || last.op != ">=" || last.left.text() != m.left.text() {
		return false
	}
	last.op, last.right = "==", &span{last.right, v}
	return true
}

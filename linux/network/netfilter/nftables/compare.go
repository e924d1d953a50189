package nftables

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

package nftables

import (
	"encoding/binary"
	"math/bits"
)

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
	if f, low := d.trim(left, mask.data); f != nil {
		if v := shifted(data, low, f.size()); v != nil {
			d.resolved(f)
			d.emitMatch(&match{left: f, op: op, right: &value{data: v, order: true, dt: f.typ()}})
			return
		}
	}
	v := &value{data: data, order: left.big(), dt: left.typ()}
	mask = &value{data: mask.data, order: left.big(), dt: left.typ()}
	_, isPayload := left.(*payload)
	length, isPrefix := prefixBits(mask.data)
	switch {
	case v.dt.bits && op == "!=" && isZero(data):
		d.emitMatch(&match{left: left, op: "in", right: mask})
	case isPayload && isPrefix && (v.dt == typeIP || v.dt == typeIP6 || v.dt == typeEther) && (op == "==" || op == "!="):
		d.emitMatch(&match{left: left, op: op, right: &prefix{v, length}})
	default:
		d.emitMatch(&match{left: &operation{"&", left, mask}, op: op, right: v})
	}
}

// trim finds the field that the bits of a mask select of a part of a packet, and how many bits of
// the part are behind it; nil where they are no field.
func (d *decoder) trim(e expr, mask []byte) (f expr, low int) {
	m, ok := number(mask, true)
	if !ok || m == 0 || len(mask) != e.size() {
		return nil, 0
	}
	low = bits.TrailingZeros64(m)
	length := bits.Len64(m) - low
	if bits.OnesCount64(m) != length {
		return nil, 0
	}
	at := 8*len(mask) - low - length
	switch e := e.(type) {
	case *payload:
		t := &payload{base: e.base, offset: e.offset + at, length: length}
		if e.f != nil || len(mask)*8 != e.length {
			return nil, 0
		}
		if d.resolvePayload(t); t.f != nil {
			return t, low
		}
	case *selector:
		if e.bitsOf == nil {
			return nil, 0
		}
		if f := e.bitsOf(at, length); f != nil {
			return f, low
		}
	}
	return nil, 0
}

// resolved takes away what a field implies.
func (d *decoder) resolved(f expr) {
	if p, ok := f.(*payload); ok {
		d.kill(p)
	}
}

// shifted returns the last n bytes of a number without its low bits, nil where it is too large.
func shifted(data []byte, low, n int) []byte {
	v, ok := number(data, true)
	if !ok {
		return nil
	}
	out := binary.BigEndian.AppendUint64(nil, v>>low)
	return out[8-n:]
}

// looked returns what a set is asked for as nft writes it: bits of a part of a packet, moved to the
// end of it, are a field.
func (d *decoder) looked(e expr) expr {
	inner, n := e, 0
	if s, ok := e.(*shift); ok && s.op == ">>" {
		inner, n = s.left, int(s.n)
	}
	b, ok := inner.(*operation)
	if !ok || b.op != "&" {
		return e
	}
	mask, ok := b.right.(*value)
	if !ok {
		return e
	}
	f, low := d.trim(b.left, mask.data)
	if f == nil || low != n {
		return e
	}
	d.resolved(f)
	return f
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

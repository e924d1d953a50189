package nftables

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A node is part of a rule as nft writes it.
type node interface {
	text() string
	json() any
}

type object map[string]any

// An expr is a node that has a value.
type expr interface {
	node
	typ() *dataType
	size() int // in bytes
	big() bool // whether its value is in network order
}

// A value is a constant.
type value struct {
	data  []byte
	order bool // network order
	dt    *dataType
}

func (v *value) typ() *dataType { return v.dt }
func (v *value) size() int      { return len(v.data) }
func (v *value) big() bool      { return v.order }
func (v *value) text() string   { s, _ := v.dt.format(v.data, v.order); return s }
func (v *value) json() any      { _, j := v.dt.format(v.data, v.order); return j }

// A payload is part of a packet.
type payload struct {
	base, offset, length int // in bits
	head                 *header
	f                    *field
}

func (p *payload) size() int { return (p.length + 7) / 8 }
func (p *payload) big() bool { return true }
func (p *payload) typ() *dataType {
	if p.f != nil {
		return p.f.typ
	}
	return typeXInteger
}

func (p *payload) text() string {
	if p.f == nil {
		return fmt.Sprintf("@%s,%d,%d", baseNames[p.base], p.offset, p.length)
	}
	return p.head.name + " " + p.f.name
}

func (p *payload) json() any {
	if p.f == nil {
		return object{"payload": object{"base": baseNames[p.base], "offset": p.offset, "len": p.length}}
	}
	return object{"payload": object{"protocol": p.head.name, "field": p.f.name}}
}

// A selector is what is not in the packet: meta, ct, rt, socket, fib and the like.
type selector struct {
	words string
	js    any
	dt    *dataType
	bytes int
	order bool
	// key says what it is, such as meta l4proto.
	key string
	// bitsOf returns the field that is some bits of it, if it has such fields.
	bitsOf func(offset, length int) expr
}

func (s *selector) typ() *dataType { return s.dt }
func (s *selector) size() int      { return s.bytes }
func (s *selector) big() bool      { return s.order }
func (s *selector) text() string   { return s.words }
func (s *selector) json() any      { return s.js }

// A concat is several expressions joined.
type concat struct{ parts []expr }

func (c *concat) typ() *dataType { return typeInteger }
func (c *concat) big() bool      { return true }
func (c *concat) size() (n int) {
	for _, p := range c.parts {
		n += (p.size() + 3) &^ 3
	}
	return n
}
func (c *concat) text() string { return joinText(c.parts, " . ") }
func (c *concat) json() any    { return object{"concat": jsonList(c.parts)} }

func joinText[N node](parts []N, sep string) string {
	list := make([]string, len(parts))
	for i, p := range parts {
		list[i] = p.text()
	}
	return strings.Join(list, sep)
}

func jsonList[N node](parts []N) []any {
	list := make([]any, len(parts))
	for i, p := range parts {
		list[i] = p.json()
	}
	return list
}

// An operation is an operation of two expressions.
type operation struct {
	op          string // &, |, ^, <<, >>
	left, right expr
}

func (b *operation) typ() *dataType { return b.left.typ() }
func (b *operation) size() int      { return b.left.size() }
func (b *operation) big() bool      { return b.left.big() }
func (b *operation) text() string {
	right := b.right.text()
	if v, ok := b.right.(*value); ok && v.dt.bits && strings.Contains(right, ",") {
		right = "(" + strings.ReplaceAll(right, ",", " | ") + ")"
	}
	return b.left.text() + " " + b.op + " " + right
}

func (b *operation) json() any {
	return object{b.op: []any{b.left.json(), b.right.json()}}
}

// A prefix is a value of which the first bits count.
type prefix struct {
	v    *value
	bits int
}

func (p *prefix) text() string {
	if p.v.dt == typeIfname {
		return quote(strings.TrimSuffix(text(p.v.data), "*") + "*")
	}
	return p.v.text() + "/" + strconv.Itoa(p.bits)
}
func (p *prefix) json() any { return object{"prefix": object{"addr": p.v.json(), "len": p.bits}} }

// A span is a range of values.
type span struct{ from, to node }

func (r *span) text() string { return r.from.text() + "-" + r.to.text() }
func (r *span) json() any    { return object{"range": []any{r.from.json(), r.to.json()}} }

// A list is what an anonymous set holds.
type list struct{ elems []node }

func (l *list) text() string { return "{ " + joinText(l.elems, ", ") + " }" }
func (l *list) json() any    { return object{"set": jsonList(l.elems)} }

// A pair is an element of a map.
type pair struct{ key, data node }

func (p *pair) text() string { return p.key.text() + " : " + p.data.text() }
func (p *pair) json() any    { return []any{p.key.json(), p.data.json()} }

// A named is a set that is referred to by its name.
type named struct{ name string }

func (n *named) text() string { return "@" + n.name }
func (n *named) json() any    { return "@" + n.name }

// A lookupExpr is the value that a map has for a key.
type lookupExpr struct {
	key   expr
	set   node
	dt    *dataType
	datas []*dataType
	len   int
}

func (m *lookupExpr) typ() *dataType { return m.dt }
func (m *lookupExpr) size() int      { return m.len }
func (m *lookupExpr) big() bool      { return m.dt.big }
func (m *lookupExpr) text() string   { return m.key.text() + " map " + m.set.text() }
func (m *lookupExpr) json() any {
	return object{"map": object{"key": m.key.json(), "data": m.set.json()}}
}

// A phrase is a statement that is written as it is.
type phrase struct {
	words string
	js    any
}

func (p *phrase) text() string { return p.words }
func (p *phrase) json() any    { return p.js }

// A match compares an expression with a value.
type match struct {
	left  expr
	op    string // as JSON has it: ==, !=, in, <, >, <=, >=
	right node
	// implied is set where the statement says no more than what a later one implies.
	implied bool
}

func (m *match) text() string {
	switch m.op {
	case "==", "in":
		// What is masked, and what is compared with one of several bits, needs the operator.
		if b, ok := m.left.(*operation); ok {
			if words, ok := flagsText(b, m.right, ""); ok {
				return words
			}
			return m.left.text() + " == " + m.right.text()
		}
		return m.left.text() + " " + m.right.text()
	case "!=":
		if b, ok := m.left.(*operation); ok {
			if words, ok := flagsText(b, m.right, "!= "); ok {
				return words
			}
		}
	}
	return m.left.text() + " " + m.op + " " + m.right.text()
}

// flagsText writes flags that are masked: tcp flags syn / fin,syn,rst,ack.
func flagsText(b *operation, right node, op string) (string, bool) {
	mask, ok := b.right.(*value)
	v, isValue := right.(*value)
	if !ok || !isValue || b.op != "&" || mask.dt != typeTCPFlag {
		return "", false
	}
	n, _ := number(v.data, v.order)
	if n == 0 {
		return "", false
	}
	return b.left.text() + " " + op + v.text() + " / " + mask.text(), true
}

func (m *match) json() any {
	right := m.right.json()
	return object{"match": object{"op": m.op, "left": m.left.json(), "right": right}}
}

// A verdictMap looks up a verdict.
type verdictMap struct {
	key expr
	set node
}

func (v *verdictMap) text() string { return v.key.text() + " vmap " + v.set.text() }
func (v *verdictMap) json() any {
	return object{"vmap": object{"key": v.key.json(), "data": v.set.json()}}
}

// A verdict says what becomes of the packet.
type verdict struct {
	code  int32
	chain string
}

// The codes of verdicts (enum nft_verdicts, and NF_ACCEPT, NF_DROP, NF_QUEUE).
var verdictNames = map[int32]string{
	-1: "continue", -2: "break", -3: "jump", -4: "goto", -5: "return", 0: "drop", 1: "accept", 2: "stolen", 3: "queue", 4: "repeat",
}

func (v *verdict) name() string {
	if name, ok := verdictNames[v.code]; ok {
		return name
	}
	return fmt.Sprint("verdict ", v.code)
}

func (v *verdict) text() string {
	if v.chain != "" {
		return v.name() + " " + v.chain
	}
	return v.name()
}

func (v *verdict) json() any {
	if v.chain != "" {
		return object{v.name(): object{"target": v.chain}}
	}
	return object{v.name(): nil}
}

// prefixBits returns how many bits at the beginning of a mask are set, if no others are.
func prefixBits(mask []byte) (int, bool) {
	n := 0
	for n < 8*len(mask) && mask[n/8]&(0x80>>(n%8)) != 0 {
		n++
	}
	for i := n; i < 8*len(mask); i++ {
		if mask[i/8]&(0x80>>(i%8)) != 0 {
			return 0, false
		}
	}
	return n, true
}

func isZero(b []byte) bool { return !slices.ContainsFunc(b, func(x byte) bool { return x != 0 }) }
func isOnes(b []byte) bool { return !slices.ContainsFunc(b, func(x byte) bool { return x != 0xff }) }

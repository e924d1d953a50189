package nftables

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

type cmpPriv struct {
	Data [16]byte `kernel:"data.data"`
	Reg  uint8    `kernel:"sreg"`
	Len  uint8    `kernel:"len"`
	Op   uint8    `kernel:"op"`
}

type cmpFastPriv struct {
	Data uint32 `kernel:"data"`
	Reg  uint8  `kernel:"sreg"`
	Len  uint8  `kernel:"len"` // in bits
	Inv  bool   `kernel:"inv"`
}

type cmp16Priv struct {
	Data [16]byte `kernel:"data.data"`
	Reg  uint8    `kernel:"sreg"`
	Len  uint8    `kernel:"len"`
	Inv  bool     `kernel:"inv"`
}

// cmpOps are the operators by their number (enum nft_cmp_ops).
var cmpOps = [...]string{"==", "!=", "<", "<=", ">", ">="}

func onCmp(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	var data []byte
	var reg uint8
	op := "=="
	switch {
	case strings.HasPrefix(info.kind, "nft_cmp_fast"):
		c, err := read[cmpFastPriv](d.r, private, "nft_cmp_fast_expr")
		if err != nil {
			return err
		}
		data, reg = binary.LittleEndian.AppendUint32(nil, c.Data)[:min((c.Len+7)/8, 4)], c.Reg
		if c.Inv {
			op = "!="
		}
	case strings.HasPrefix(info.kind, "nft_cmp16_fast"):
		c, err := read[cmp16Priv](d.r, private, "nft_cmp16_fast_expr")
		if err != nil {
			return err
		}
		data, reg = slices.Clone(c.Data[:min(c.Len, 16)]), c.Reg
		if c.Inv {
			op = "!="
		}
	default:
		c, err := read[cmpPriv](d.r, private, "nft_cmp_expr")
		if err != nil {
			return err
		}
		if int(c.Op) >= len(cmpOps) {
			return fmt.Errorf("operator %d of cmp", c.Op)
		}
		data, reg, op = slices.Clone(c.Data[:min(c.Len, 16)]), c.Reg, cmpOps[c.Op]
	}
	left, err := d.get(reg, len(data))
	if err != nil {
		return err
	}
	d.compare(left, op, data)
	return nil
}

type rangePriv struct {
	From [16]byte `kernel:"data_from.data"`
	To   [16]byte `kernel:"data_to.data"`
	Reg  uint8    `kernel:"sreg"`
	Len  uint8    `kernel:"len"`
	Op   uint8    `kernel:"op"`
}

func onRange(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[rangePriv](d.r, private, "nft_range_expr")
	if err != nil {
		return err
	}
	left, err := d.get(p.Reg, int(p.Len))
	if err != nil {
		return err
	}
	left = d.resolve(left)
	n := min(p.Len, 16)
	op := "=="
	if p.Op == 1 {
		op = "!="
	}
	d.emitMatch(&match{left: left, op: op, right: &span{
		&value{data: p.From[:n], order: left.big(), dt: left.typ()}, &value{data: p.To[:n], order: left.big(), dt: left.typ()},
	}})
	return nil
}

type bitwisePriv struct {
	Sreg  uint8    `kernel:"sreg"`
	Sreg2 uint8    `kernel:"sreg2,optional"` // since 6.13
	Dreg  uint8    `kernel:"dreg"`
	Op    uint8    `kernel:"op"`
	Len   uint8    `kernel:"len"`
	Mask  [16]byte `kernel:"mask.data"`
	Xor   [16]byte `kernel:"xor.data"`
	Data  [16]byte `kernel:"data.data"`
}

type bitwiseFastPriv struct {
	Mask uint32 `kernel:"mask"`
	Xor  uint32 `kernel:"xor"`
	Sreg uint8  `kernel:"sreg"`
	Dreg uint8  `kernel:"dreg"`
}

func onBitwise(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	var mask, xor []byte
	var p bitwisePriv
	if strings.HasPrefix(info.kind, "nft_bitwise_fast") {
		f, err := read[bitwiseFastPriv](d.r, private, "nft_bitwise_fast_expr")
		if err != nil {
			return err
		}
		p.Sreg, p.Dreg = f.Sreg, f.Dreg
		p.Len = 4
		mask, xor = binary.LittleEndian.AppendUint32(nil, f.Mask), binary.LittleEndian.AppendUint32(nil, f.Xor)
	} else {
		var err error
		if p, err = read[bitwisePriv](d.r, private, "nft_bitwise"); err != nil {
			return err
		}
		n := min(p.Len, 16)
		mask, xor = slices.Clone(p.Mask[:n]), slices.Clone(p.Xor[:n])
	}
	from, err := d.get(p.Sreg, int(p.Len))
	if err != nil {
		return err
	}
	switch p.Op {
	case 0:
		// An expression of less than 4 bytes is masked as 4.
		n := min(max(from.size(), 1), len(mask))
		d.set(p.Dreg, masked(from, mask[:n], xor[:n]))
	case 1, 2:
		op := [...]string{1: "<<", 2: ">>"}[p.Op]
		d.set(p.Dreg, &shift{op, from, binary.LittleEndian.Uint32(p.Data[:4])})
	default:
		other := d.regs[p.Sreg2]
		op := map[uint8]string{3: "&", 4: "|", 5: "^"}[p.Op]
		if other == nil || op == "" {
			return nfkit.Corrupt("bitwise of operation %d on register %d", p.Op, p.Sreg2)
		}
		d.set(p.Dreg, &operation{op, from, other})
	}
	return nil
}

// masked tells (e & mask) ^ xor by operators as a person writes them.
func masked(e expr, mask, xor []byte) expr {
	or, and, flip := make([]byte, len(mask)), make([]byte, len(mask)), make([]byte, len(mask))
	for i := range mask {
		or[i] = xor[i] &^ mask[i]
		flip[i] = xor[i] & mask[i]
		and[i] = mask[i] | or[i]
	}
	constant := func(b []byte) expr { return &value{data: b, order: e.big(), dt: e.typ()} }
	out := e
	if !isOnes(and) {
		out = &operation{"&", out, constant(and)}
	}
	if !isZero(flip) {
		out = &operation{"^", out, constant(flip)}
	}
	if !isZero(or) {
		out = &operation{"|", out, constant(or)}
	}
	return out
}

// A shift is a shift.
type shift struct {
	op   string
	left expr
	n    uint32
}

func (b *shift) typ() *dataType { return b.left.typ() }
func (b *shift) size() int      { return b.left.size() }
func (b *shift) big() bool      { return b.left.big() }
func (b *shift) text() string   { return fmt.Sprint(b.left.text(), " ", b.op, " ", b.n) }
func (b *shift) json() any      { return object{b.op: []any{b.left.json(), b.n}} }

type byteorderPriv struct {
	Sreg uint8 `kernel:"sreg"`
	Dreg uint8 `kernel:"dreg"`
	Op   uint8 `kernel:"op"`
	Size uint8 `kernel:"size"`
}

func onByteorder(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[byteorderPriv](d.r, private, "nft_byteorder")
	if err != nil {
		return err
	}
	e := d.regs[p.Sreg]
	if e == nil {
		return nfkit.Corrupt("register %d is not loaded", p.Sreg)
	}
	d.set(p.Dreg, &swapped{e, p.Op == 1})
	return nil
}

// A swapped is an expression in another byte order.
type swapped struct {
	expr
	order bool
}

func (s *swapped) big() bool { return s.order }

type immediatePriv struct {
	Data [16]byte `kernel:"data.data"`
	Reg  uint8    `kernel:"dreg"`
	Len  uint8    `kernel:"dlen"`
}

func onImmediate(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[immediatePriv](d.r, private, "nft_immediate_expr")
	if err != nil {
		return err
	}
	if p.Reg != 0 {
		d.set(p.Reg, &value{data: slices.Clone(p.Data[:min(p.Len, 16)]), order: true, dt: typeInteger})
		return nil
	}
	v, err := d.r.verdictOf(d.table, p.Data[:])
	if err != nil {
		return err
	}
	if v != nil {
		d.emit(v)
	}
	return nil
}

// chainVerdict writes the chain of a verdict that has no name: its rules are in braces.
type chainVerdict struct {
	*verdict
	rules []*Rule
}

func (c *chainVerdict) text() string {
	words := make([]string, len(c.rules))
	for i, r := range c.rules {
		words[i] = r.Text
	}
	return c.name() + " { " + strings.Join(words, "; ") + " }"
}

// verdictOf reads a struct nft_verdict.
func (r *reader) verdictOf(t *Table, data []byte) (node, error) {
	v := &verdict{code: int32(binary.LittleEndian.Uint32(data))} //nolint:gosec // as in the kernel
	if v.code != -3 && v.code != -4 {
		if _, ok := verdictNames[v.code]; !ok {
			return nil, nfkit.Corrupt("verdict %d", v.code)
		}
		return v, nil
	}
	at := vmem.VirtAddr(binary.LittleEndian.Uint64(data[8:]))
	c, err := r.v.chain.Load(r.src.Mem(), at)
	if err != nil {
		return nil, err
	}
	if c.Table != t.Addr {
		return nil, nfkit.Corrupt("verdict to %v, which is no chain of the table", at)
	}
	if v.chain, err = r.name("chain", c.Name); err != nil {
		return nil, err
	}
	if c.Flags&chainBinding != 0 {
		if !r.spend(at) {
			return v, nil
		}
		return &chainVerdict{v, r.rules(t, c.Rules)}, nil
	}
	return v, nil
}

type lookupPriv struct {
	Set    vmem.VirtAddr `kernel:"set"`
	Sreg   uint8         `kernel:"sreg"`
	Dreg   uint8         `kernel:"dreg"`
	HasReg bool          `kernel:"dreg_set,optional"` // since 6.2
	Inv    bool          `kernel:"invert"`
}

func onLookup(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[lookupPriv](d.r, private, "nft_lookup")
	if err != nil {
		return err
	}
	s, err := d.r.setAt(d.table, p.Set)
	if err != nil {
		return err
	}
	key, err := d.get(p.Sreg, int(s.raw.KeyLen))
	if err != nil {
		return err
	}
	key = d.looked(d.resolve(key))
	set := d.r.setNode(s, key)
	switch {
	case !s.Map || s.raw.Flags&setObject != 0:
		op := "=="
		if p.Inv {
			op = "!="
		}
		d.emit(&match{left: key, op: op, right: set})
	case s.Data == "verdict":
		d.emit(&verdictMap{key, set})
	default:
		d.set(p.Dreg, &lookupExpr{key: key, set: set, dt: s.datas[0], datas: s.datas, len: int(s.raw.ValLen)})
	}
	return nil
}

// setNode returns a set as a rule refers to it: by its name, or with all that it holds where it
// is of the rule alone.
func (r *reader) setNode(s *Set, _ expr) node {
	if !s.anonymous {
		return &named{s.Name}
	}
	l := &list{}
	for _, e := range s.Elements {
		l.elems = append(l.elems, e.node)
	}
	return l
}

type numgenPriv struct {
	Reg    uint8  `kernel:"dreg"`
	Mod    uint32 `kernel:"modulus"`
	Offset uint32 `kernel:"offset"`
}

func onNumgen(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	structure, mode := "nft_ng_inc", "inc"
	if strings.Contains(info.kind, "random") {
		structure, mode = "nft_ng_random", "random"
	}
	p, err := read[numgenPriv](d.r, private, structure, "nft_numgen")
	if err != nil {
		return err
	}
	d.set(p.Reg, &selector{
		words: fmt.Sprintf("numgen %s mod %d", mode, p.Mod) + offsetText(p.Offset), dt: typeInteger, bytes: 4, key: "numgen",
		js: object{"numgen": object{"mode": mode, "mod": p.Mod, "offset": p.Offset}},
	})
	return nil
}

func offsetText(n uint32) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(" offset ", n)
}

type jhashPriv struct {
	Sreg   uint8  `kernel:"sreg"`
	Dreg   uint8  `kernel:"dreg"`
	Len    uint8  `kernel:"len"`
	Auto   bool   `kernel:"autogen_seed"`
	Mod    uint32 `kernel:"modulus"`
	Seed   uint32 `kernel:"seed"`
	Offset uint32 `kernel:"offset"`
}

// A hashExpr is the hash of an expression.
type hashExpr struct {
	of expr // nil for a hash that the packet comes with
	p  jhashPriv
}

func (h *hashExpr) typ() *dataType { return typeInteger }
func (h *hashExpr) size() int      { return 4 }
func (h *hashExpr) big() bool      { return false }
func (h *hashExpr) text() string {
	if h.of == nil {
		return fmt.Sprint("symhash mod ", h.p.Mod) + offsetText(h.p.Offset)
	}
	words := fmt.Sprint("jhash ", h.of.text(), " mod ", h.p.Mod)
	if !h.p.Auto {
		words += fmt.Sprintf(" seed 0x%x", h.p.Seed)
	}
	return words + offsetText(h.p.Offset)
}

func (h *hashExpr) json() any {
	js := object{"mod": h.p.Mod}
	if h.p.Offset != 0 {
		js["offset"] = h.p.Offset
	}
	if h.of == nil {
		return object{"symhash": js}
	}
	js["expr"] = h.of.json()
	if !h.p.Auto {
		js["seed"] = h.p.Seed
	}
	return object{"jhash": js}
}

func onHash(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	if strings.Contains(info.kind, "symhash") {
		p, err := read[numgenPriv](d.r, private, "nft_symhash", "nft_hash")
		d.set(p.Reg, &hashExpr{p: jhashPriv{Mod: p.Mod, Offset: p.Offset}})
		return err
	}
	p, err := read[jhashPriv](d.r, private, "nft_jhash", "nft_hash")
	if err != nil {
		return err
	}
	of, err := d.get(p.Sreg, int(p.Len))
	if err != nil {
		return err
	}
	d.set(p.Dreg, &hashExpr{of, p})
	return nil
}

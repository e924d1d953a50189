package nftables

import (
	"strings"

	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

type dynsetPriv struct {
	Set     vmem.VirtAddr    `kernel:"set"`
	Op      uint8            `kernel:"op"`
	Key     uint8            `kernel:"sreg_key"`
	Data    uint8            `kernel:"sreg_data"`
	Num     uint8            `kernel:"num_exprs"`
	Exprs   [2]vmem.VirtAddr `kernel:"expr_array"` // since 5.11 (563125a73ac3)
	Timeout uint64           `kernel:"timeout"`
}

type dynsetOld struct {
	Set     vmem.VirtAddr `kernel:"set"`
	Op      uint8         `kernel:"op"`
	Key     uint8         `kernel:"sreg_key"`
	Data    uint8         `kernel:"sreg_data"`
	Expr    vmem.VirtAddr `kernel:"expr"`
	Timeout uint64        `kernel:"timeout"`
}

// dynset reads an expression that adds to a set.
func (r *reader) dynset(private vmem.VirtAddr) (dynsetPriv, error) {
	types, _ := r.src.Types("nft_dynset", nftModule)
	if types.HasField("nft_dynset", "expr_array") {
		return read[dynsetPriv](r, private, "nft_dynset")
	}
	old, err := read[dynsetOld](r, private, "nft_dynset")
	p := dynsetPriv{Set: old.Set, Op: old.Op, Key: old.Key, Data: old.Data, Timeout: old.Timeout}
	if old.Expr != 0 {
		p.Num, p.Exprs[0] = 1, old.Expr
	}
	return p, err
}

func onDynset(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := d.r.dynset(private)
	if err != nil {
		return err
	}
	s, err := d.r.setAt(d.table, p.Set)
	if err != nil {
		return err
	}
	key, err := d.get(p.Key, int(s.raw.KeyLen))
	if err != nil {
		return err
	}
	key = d.resolve(key)
	op := stringAt([]string{"add", "update", "delete"}, int(p.Op))
	words, elem := key.text(), key.json()
	if p.Timeout != 0 && d.r.timeErr == nil {
		left := d.r.jiffies.Ticks(p.Timeout)
		words += " timeout " + durationText(left.Milliseconds())
		elem = object{"elem": object{"val": key.json(), "timeout": int64(left.Seconds())}}
	}
	stmts := d.r.stmtsAt(d.table, p.Exprs[:min(p.Num, 2)])
	for _, n := range stmts {
		words += " " + n.text()
	}
	js := object{"op": op, "elem": elem, "set": "@" + s.Name}
	kind := "set"
	if p.Data != 0 && s.Map {
		data, err := d.get(p.Data, int(s.raw.ValLen))
		if err != nil {
			return err
		}
		data = d.resolve(data)
		if v, ok := data.(*value); ok && len(s.datas) == 1 {
			data = &value{data: v.data, order: s.datas[0].big, dt: s.datas[0]}
		}
		words += " : " + data.text()
		kind = "map"
		js = object{"op": op, "elem": elem, "data": data.json(), "map": "@" + s.Name}
	}
	if len(stmts) > 0 {
		js["stmt"] = jsonList(stmts)
	}
	d.say(op+" @"+s.Name+" { "+words+" }", object{kind: js})
	return nil
}

// stmtsAt returns the statements of expressions that stand by themselves.
func (r *reader) stmtsAt(t *Table, at []vmem.VirtAddr) []node {
	rule := &Rule{}
	d := newDecoder(r, t, rule)
	for _, e := range at {
		if !nfkit.Plausible(e) {
			r.lose(e, nfkit.Pointer("nft_expr", e))
			continue
		}
		ops, err := r.v.exprOps.Load(r.src.Mem(), e)
		if err != nil {
			r.lose(e, err)
			continue
		}
		info, err := r.opsAt(ops)
		if err != nil {
			r.lose(e, err)
			continue
		}
		d.expr(info, r.v.exprData.Of(e))
	}
	return d.stmts
}

// durationText writes milliseconds as nft does: 1d2h3m4s5ms.
func durationText(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		ms   int64
	}{{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}} {
		if n := ms / u.ms; n > 0 {
			b.WriteString(itoa(n) + u.name)
			ms %= u.ms
		}
	}
	return b.String()
}

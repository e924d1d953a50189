package nftables

import (
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

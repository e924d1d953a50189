package xtables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// An ebtTable is struct ebt_table (include/linux/netfilter_bridge/ebtables.h).
type ebtTable struct {
	Name    [32]byte      `kernel:"name"`
	Private vmem.VirtAddr `kernel:"private"`
}

// An ebtInfo is struct ebt_table_info.
type ebtInfo struct {
	Size     uint32        `kernel:"entries_size"`
	Count    uint32        `kernel:"nentries"`
	Entries  vmem.VirtAddr `kernel:"entries"`
	Counters vmem.VirtAddr `kernel:"&counters"`
}

type bridgeViews struct {
	tables kstruct.Member // ebt_pernet.tables, since 5.15; before, net.xt has three
	table  *kstruct.View[ebtTable]
	info   *kstruct.View[ebtInfo]
}

const ebtModule = "ebtables"

// ebtOld are where tables are in struct net until 5.14.
var ebtOld = []string{"xt.frame_filter", "xt.frame_nat", "xt.broute_table"}

// bridges reads the tables of ebtables.
func (r *reader) bridges() {
	if r.src.Mods.Find(ebtModule) == nil {
		if _, err := r.src.K.Symbol("ebt_do_table"); err != nil {
			return
		}
	}
	types, lost := r.src.Types("ebt_table", ebtModule)
	b := kstruct.NewBinder(types)
	v := bridgeViews{table: kstruct.Bind[ebtTable](b, "ebt_table"), info: kstruct.Bind[ebtInfo](b, "ebt_table_info")}
	v.tables = kstruct.BindOptionalMember(b, "ebt_pernet", "tables")
	if err := b.Err(); err != nil {
		if lost == nil {
			lost = err
		}
		r.lose(r.ns.Addr, lost)
		return
	}
	if !v.tables.Ok() {
		for _, path := range ebtOld {
			if f := kstruct.BindOptionalField[vmem.VirtAddr](b, "net", path); f.Ok() {
				at, err := f.Load(r.src.Mem(), r.ns.Addr)
				r.lose(r.ns.Addr, err)
				if at != 0 {
					r.bridge(&v, at)
				}
			}
		}
		return
	}
	at, err := r.src.Generic(r.ns.Addr, ebtModule, "ebt_pernet_id", func(at vmem.VirtAddr) bool { return r.isBridges(&v, at) })
	r.lose(r.ns.Addr, err)
	if at == 0 {
		return
	}
	w := r.src.Walk(r.ctx, r.object(), 1024, ebtModule)
	for at, err := range w.Entries(w.List(v.tables.Of(at)), "ebt_table", "list") {
		if err != nil {
			r.tell(nil, err)
			continue
		}
		r.bridge(&v, at)
		if r.ended {
			return
		}
	}
}

// isBridges reports whether a struct ebt_pernet is at addr: a list of tables that has some. One
// that has none can't be told from others, and need not be.
func (r *reader) isBridges(v *bridgeViews, at vmem.VirtAddr) bool {
	mem, head := r.src.Mem(), v.tables.Of(at)
	next, err := mem.Uint64(head)
	if err != nil || !nfkit.Plausible(vmem.VirtAddr(next)) {
		return false
	}
	back, err := mem.Uint64(vmem.VirtAddr(next) + 8)
	if err != nil || vmem.VirtAddr(back) != head || vmem.VirtAddr(next) == head {
		return false
	}
	t, err := v.table.Load(mem, vmem.VirtAddr(next))
	if err != nil {
		return false
	}
	switch nfkit.Text(t.Name[:]) {
	case "filter", "nat", "broute":
		_, err := v.info.Load(mem, t.Private)
		return err == nil
	}
	return false
}

// bridge reads a table of ebtables.
func (r *reader) bridge(v *bridgeViews, at vmem.VirtAddr) {
	s, err := v.table.Load(r.src.Mem(), at)
	if err != nil {
		r.lose(at, err)
		return
	}
	t := &Table{NetNS: r.ns.Inum, Family: "bridge", Name: nfkit.Text(s.Name[:]), Addr: at}
	info, err := v.info.Load(r.src.Mem(), s.Private)
	if err == nil && info.Size > maxSize {
		err = nfkit.Corrupt("ebt_table_info of %d bytes", info.Size)
	}
	if err != nil {
		r.lose(at, err)
		return
	}
	data, err := r.block(info.Entries, int(info.Size))
	r.lose(at, err)
	r.lose(at, r.bridgeRules(t, data, info.Counters, uint64(info.Count)))
	r.tell(t, nil)
}

// The sizes of struct ebt_entries and struct ebt_entry (include/uapi), and where their members
// are.
const (
	ebtEntries = 48
	ebtEntry   = 112
)

// bridgeRules reads the chains and rules, which are in one row (EBT_ENTRY_ITERATE).
func (r *reader) bridgeRules(t *Table, data []byte, counters vmem.VirtAddr, rules uint64) error {
	var chain *Chain
	index := uint64(0)
	for at, n := 0, 0; at+4 <= len(data); n++ {
		if n > maxRules {
			return fmt.Errorf("%w: more than %d rules", kstruct.ErrTooMany, maxRules)
		}
		if le.Uint32(data[at:]) == 0 { // what is no rule begins a chain
			if at+ebtEntries > len(data) {
				return nfkit.Corrupt("a chain at %d of %d bytes", at, len(data))
			}
			chain = &Chain{Name: nfkit.Text(data[at+4 : at+36]), offset: at, Policy: verdictOfBridge(int32(le.Uint32(data[at+40:])))} //nolint:gosec // as in the kernel
			t.Chains = append(t.Chains, chain)
			at += ebtEntries
			continue
		}
		if at+ebtEntry > len(data) || chain == nil {
			return nfkit.Corrupt("a rule at %d of %d bytes", at, len(data))
		}
		watchers, target, next := int(le.Uint32(data[at+100:])), int(le.Uint32(data[at+104:])), int(le.Uint32(data[at+108:]))
		if watchers < ebtEntry || target < watchers || next < target+48 || at+next > len(data) {
			return nfkit.Corrupt("a rule at %d with parts at %d, %d and %d", at, watchers, target, next)
		}
		rule := r.bridgeRule(chain, data[at:at+next], watchers, target)
		rule.Packets, rule.Bytes = r.bridgeCounts(counters, rules, index)
		index++
		chain.Rules = append(chain.Rules, rule)
		at += next
	}
	return nil
}

// bridgeCounts adds up the counts of one of rules: those of each CPU are a row behind the row of
// the CPU before (COUNTER_OFFSET of net/bridge/netfilter/ebtables.c), aligned to SMP_CACHE_BYTES.
func (r *reader) bridgeCounts(counters vmem.VirtAddr, rules, index uint64) (packets, bytes uint64) {
	row := (16*rules + 63) &^ 63
	for _, cpu := range r.cpus {
		at := counters + vmem.VirtAddr(row*uint64(cpu)+16*index) //nolint:gosec // not negative
		p, err := r.src.Mem().Uint64(at)
		var b uint64
		if err == nil {
			b, err = r.src.Mem().Uint64(at + 8)
		}
		if err != nil {
			r.lose(at, err)
			return packets, bytes
		}
		packets, bytes = packets+p, bytes+b
	}
	return packets, bytes
}

// bridgeRule reads a rule. Its matches, watchers and target are told by name.
func (r *reader) bridgeRule(chain *Chain, b []byte, watchers, target int) *Rule {
	rule, words := &Rule{}, []string{"-A", chain.Name}
	inv := le.Uint32(b[4:])
	add := func(bit uint32, s string) { words = append(words, not(inv&bit != 0)+s) }
	if le.Uint32(b)&2 == 0 { // not EBT_NOPROTO
		proto := fmt.Sprintf("0x%04x", uint16(b[8])<<8|uint16(b[9]))
		if name := map[string]string{"0x0800": "IPv4", "0x86dd": "IPv6", "0x0806": "ARP", "0x8100": "802_1Q"}[proto]; name != "" {
			proto = name
		}
		add(1, "-p "+proto)
	}
	for i, name := range []string{"-i ", "--logical-in ", "-o ", "--logical-out "} {
		if s := nfkit.Text(b[10+16*i : 26+16*i]); s != "" {
			add([...]uint32{2, 0x20, 4, 0x40}[i], name+strings.ReplaceAll(s, "\x01", "+"))
		}
	}
	if le.Uint32(b)&8 != 0 {
		add(8, "-s "+macWords(b[74:80], b[80:86]))
	}
	if le.Uint32(b)&0x10 != 0 {
		add(0x10, "-d "+macWords(b[86:92], b[92:98]))
	}
	for at := ebtEntry; at+40 <= target; {
		size := int(le.Uint32(b[at+32:]))
		name, err := r.extName(vmem.VirtAddr(le.Uint64(b[at:])), &r.v.match, "xt_match")
		if at >= watchers {
			name, err = r.extName(vmem.VirtAddr(le.Uint64(b[at:])), &r.v.target, "xt_target")
		}
		r.lose(r.ns.Addr, err)
		if size < 0 || at+40+size > target {
			break
		}
		rule.Matches = append(rule.Matches, Extension{Name: name.name, Revision: name.revision, Bytes: b[at+40 : at+40+size]})
		words = append(words, "-m "+name.name)
		at += 40 + size
	}
	name, err := r.extName(vmem.VirtAddr(le.Uint64(b[target:])), &r.v.target, "xt_target")
	r.lose(r.ns.Addr, err)
	rule.Target = Extension{Name: name.name, Revision: name.revision}
	switch {
	case name.name != "standard":
		rule.Target.Bytes = slices.Clone(b[target+40:])
	case len(b) >= target+44:
		rule.Target.Name = verdictOfBridge(int32(le.Uint32(b[target+40:]))) //nolint:gosec // as in the kernel
	}
	words = append(words, "-j "+rule.Target.Name)
	rule.Text = strings.Join(words, " ")
	return rule
}

// verdictOfBridge returns the name of a verdict of ebtables' standard target.
func verdictOfBridge(v int32) string {
	switch v {
	case -1:
		return "ACCEPT"
	case -2:
		return "DROP"
	case -3:
		return "CONTINUE"
	case -4:
		return "RETURN"
	}
	return fmt.Sprint("offset ", v)
}

// macWords writes a hardware address, with its mask if not all bits count.
func macWords(a, mask []byte) string {
	s := fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5])
	for _, m := range mask {
		if m != 0xff {
			return s + fmt.Sprintf("/%02x:%02x:%02x:%02x:%02x:%02x", mask[0], mask[1], mask[2], mask[3], mask[4], mask[5])
		}
	}
	return s
}

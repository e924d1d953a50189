package xtables

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/linux/network/netfilter/ipset"
	"github.com/nodelens/nodelens/vmem"
)

const xtModule = "x_tables"

type views struct {
	lists   kstruct.Member // of xt_pernet, or in struct net until 5.14
	inNet   bool
	private *kstruct.Field[vmem.VirtAddr]
	family  *kstruct.Field[uint8]
	name    kstruct.Member
	size    *kstruct.Field[uint32]
	hooks   kstruct.Member // xt_table_info.hook_entry
	floors  kstruct.Member // and underflow
	entries kstruct.Member
	valid   *kstruct.Field[uint32]
	match   extView
	target  extView
}

type extView struct{ name, revision kstruct.Member }

type extName struct {
	name     string
	revision uint8
}

// layouts of rules by family: offsets in struct ipt_entry, ip6t_entry and arpt_entry.
type layout struct {
	family                 string
	target, next, counters int // offsets of those members
	size                   int // of the structure
	hooks                  []string
}

var inet = []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// layoutOf are the layouts by the number of the family (NFPROTO_*).
var layoutOf = map[uint8]*layout{
	2:  {family: "ip", target: 88, next: 90, counters: 96, size: 112, hooks: inet},
	3:  {family: "arp", target: 164, next: 166, counters: 176, size: 192, hooks: []string{"INPUT", "OUTPUT", "FORWARD"}},
	10: {family: "ip6", target: 140, next: 142, counters: 152, size: 168, hooks: inet},
}

// order is that of families in what is told.
var order = []uint8{2, 10, 3}

func (r *reader) bind() error {
	types, lost := r.src.Types("xt_table_info", xtModule, "ip_tables", "ip6_tables", "arp_tables")
	b := kstruct.NewBinder(types)
	v := &r.v
	v.lists = kstruct.BindOptionalMember(b, "xt_pernet", "tables")
	if !v.lists.Ok() {
		v.lists = kstruct.BindMember(b, "net", "xt.tables")
		v.inNet = true
	}
	v.private = kstruct.BindField[vmem.VirtAddr](b, "xt_table", "private")
	v.family = kstruct.BindField[uint8](b, "xt_table", "af")
	v.name = kstruct.BindMember(b, "xt_table", "name")
	v.valid = kstruct.BindField[uint32](b, "xt_table", "valid_hooks")
	v.size = kstruct.BindField[uint32](b, "xt_table_info", "size")
	v.hooks = kstruct.BindMember(b, "xt_table_info", "hook_entry")
	v.floors = kstruct.BindMember(b, "xt_table_info", "underflow")
	v.entries = kstruct.BindMember(b, "xt_table_info", "entries")
	v.match = extView{kstruct.BindMember(b, "xt_match", "name"), kstruct.BindMember(b, "xt_match", "revision")}
	v.target = extView{kstruct.BindMember(b, "xt_target", "name"), kstruct.BindMember(b, "xt_target", "revision")}
	if err := b.Err(); err != nil {
		return cmp.Or(lost, err)
	}
	return nil
}

// loaded reports whether the kernel has x_tables.
func (r *reader) loaded() bool {
	if r.src.Mods.Find(xtModule) != nil {
		return true
	}
	_, err := r.src.K.Symbol("xt_find_table")
	return err == nil
}

func (r *reader) read() {
	if !r.loaded() {
		return
	}
	if err := r.bind(); err != nil {
		r.lose(r.ns.Addr, err)
		return
	}
	space := r.src.K.Objects()
	var err error
	if r.cpus, err = space.CPUs(); err != nil {
		r.lose(0, err)
	}
	lists := r.v.lists.Of(r.ns.Addr)
	if !r.v.inNet {
		at, err := r.src.Generic(r.ns.Addr, xtModule, "xt_pernet_id", r.isPerNet)
		r.lose(r.ns.Addr, err)
		if at == 0 {
			return
		}
		lists = r.v.lists.Of(at)
	}
	for _, af := range order {
		r.family(af, lists+vmem.VirtAddr(16*uint64(af)))
	}
	r.bridges()
}

// isPerNet reports whether a struct xt_pernet is at addr: all its lists lead back to it, and
// what is in that of IPv4 is a table of it.
func (r *reader) isPerNet(at vmem.VirtAddr) bool {
	mem := r.src.Mem()
	for i := range min(r.v.lists.Size()/16, 16) {
		head := r.v.lists.Of(at) + vmem.VirtAddr(16*i)
		next, err := mem.Uint64(head)
		if err != nil || !nfkit.Plausible(vmem.VirtAddr(next)) {
			return false
		}
		back, err := mem.Uint64(vmem.VirtAddr(next) + 8)
		if err != nil || vmem.VirtAddr(back) != head {
			return false
		}
		if vmem.VirtAddr(next) != head {
			af, err := r.v.family.Load(mem, vmem.VirtAddr(next))
			if err != nil || uint64(af) != i {
				return false
			}
		}
	}
	return r.v.lists.Size() > 0
}

// family reads the tables of a family.
func (r *reader) family(af uint8, head vmem.VirtAddr) {
	w := r.src.Walk(r.ctx, r.object(), 1024, xtModule)
	for at, err := range w.Entries(w.List(head), "xt_table", "list") {
		if r.ended {
			return
		}
		if err != nil {
			r.tell(nil, err)
			continue
		}
		t, err := r.table(at, af)
		r.lose(at, err)
		if t != nil {
			r.tell(t, nil)
		}
	}
}

// table reads a table.
func (r *reader) table(at vmem.VirtAddr, af uint8) (*Table, error) {
	v, mem := &r.v, r.src.Mem()
	family, err := v.family.Load(mem, at)
	if err != nil {
		return nil, err
	}
	l := layoutOf[family]
	if family != af || l == nil {
		return nil, nfkit.Corrupt("xt_table %v of the family %d among those of %d", at, family, af)
	}
	name, err := mem.CString(v.name.Of(at), 32)
	if err != nil {
		return nil, err
	}
	t := &Table{NetNS: r.ns.Inum, Family: l.family, Name: name, Addr: at}
	if !nfkit.Printable(name) {
		return t, nfkit.Corrupt("xt_table of the name %q", name)
	}
	info, err := v.private.Load(mem, at)
	if err != nil {
		return t, err
	}
	if !nfkit.Plausible(info) {
		return t, nfkit.Pointer("xt_table_info", info)
	}
	valid, err := v.valid.Load(mem, at)
	if err != nil {
		return t, err
	}
	return t, r.rules(t, l, info, valid)
}

// A block is the rules of a table.
type block struct {
	data   []byte
	layout *layout
	start  vmem.VirtAddr
	heads  map[int]bool   // where what begins a chain, or ends the table, is
	chains map[int]string // chains by where their rules begin
}

// rules reads the rules of a table.
func (r *reader) rules(t *Table, l *layout, info vmem.VirtAddr, valid uint32) error {
	v, mem := &r.v, r.src.Mem()
	size, err := v.size.Load(mem, info)
	if err == nil && size > maxSize {
		err = nfkit.Corrupt("xt_table_info of %d bytes", size)
	}
	if err != nil {
		return err
	}
	b := &block{layout: l, start: v.entries.Of(info), heads: map[int]bool{}, chains: map[int]string{}}
	if b.data, err = r.block(b.start, int(size)); err != nil {
		r.lose(info, fmt.Errorf("table %s: %w", t.Name, err))
	}
	heads, floors := map[int]string{}, map[int]string{}
	for i, name := range l.hooks {
		if valid&(1<<i) == 0 {
			continue
		}
		head, err := mem.Uint32(v.hooks.Of(info) + vmem.VirtAddr(4*i))
		if err != nil {
			return err
		}
		floor, err := mem.Uint32(v.floors.Of(info) + vmem.VirtAddr(4*i))
		if err != nil {
			return err
		}
		heads[int(min(head, maxSize))], floors[int(min(floor, maxSize))] = name, name
	}
	return r.walk(t, b, heads, floors)
}

// block reads memory page by page, up to what can't be read.
func (r *reader) block(at vmem.VirtAddr, n int) ([]byte, error) {
	var data []byte
	for len(data) < n {
		part, err := r.src.Bytes(at+vmem.VirtAddr(len(data)), min(n-len(data), 4096))
		if err != nil {
			return data, err
		}
		data = append(data, part...)
	}
	return data, nil
}

// entry is where the parts of a rule are.
type entry struct {
	at, target, next int
}

// entryAt returns the rule at an offset, verified.
func (b *block) entryAt(at int) (e entry, err error) {
	l := b.layout
	if at+l.size > len(b.data) {
		return e, nfkit.Corrupt("a rule at %d of %d bytes", at, len(b.data))
	}
	e = entry{at, int(binary.LittleEndian.Uint16(b.data[at+l.target:])), int(binary.LittleEndian.Uint16(b.data[at+l.next:]))}
	if e.target < l.size || e.next < e.target+32 || at+e.next > len(b.data) || e.next%8 != 0 {
		return e, nfkit.Corrupt("a rule at %d with a target at %d and the next at %d", at, e.target, e.next)
	}
	return e, nil
}

// errorTarget is the target that stands at the beginning of a chain, and has its name.
const errorTarget = "ERROR"

// walk goes over the rules: first for the names of chains, then for the rules.
func (r *reader) walk(t *Table, b *block, heads, floors map[int]string) error {
	var entries []entry
	var lost error
	for at := 0; at < len(b.data); {
		e, err := b.entryAt(at)
		if err == nil && len(entries) >= maxRules {
			err = fmt.Errorf("%w: more than %d rules", kstruct.ErrTooMany, maxRules)
		}
		if err != nil {
			lost = err
			break
		}
		entries = append(entries, e)
		at += e.next
		if name, _, err := r.target(b, e); err == nil && name.name == errorTarget {
			b.heads[e.at] = true
			b.chains[at] = nfkit.Text(b.data[e.at+e.target+32 : min(e.at+e.next, len(b.data))])
		}
	}
	maps.Copy(b.chains, heads)
	var chain *Chain
	for _, e := range entries {
		if name, ok := b.chains[e.at]; ok {
			chain = &Chain{Name: name, offset: e.at}
			t.Chains = append(t.Chains, chain)
		}
		r.entry(t, b, chain, e, heads, floors)
	}
	// iptables-save has the chains of hooks first.
	sortChains(t, heads)
	return lost
}

// entry adds a rule to a chain.
func (r *reader) entry(t *Table, b *block, chain *Chain, e entry, heads, floors map[int]string) {
	name, data, err := r.target(b, e)
	if err != nil {
		r.lose(b.start+vmem.VirtAddr(e.at), fmt.Errorf("table %s: %w", t.Name, err))
		return
	}
	if name.name == errorTarget || chain == nil {
		return
	}
	packets, bytes := r.counters(b, e)
	if _, isFloor := floors[e.at]; isFloor && heads[chain.offset] != "" && name.name == "" && len(data) >= 4 {
		chain.Policy, chain.Packets, chain.Bytes = verdictName(int32(binary.LittleEndian.Uint32(data))), packets, bytes //nolint:gosec // as in the kernel
		return
	}
	// A chain that hooks do not call ends with a rule that returns.
	if heads[chain.offset] == "" && name.name == "" && b.heads[e.at+e.next] {
		return
	}
	rule := &Rule{Packets: packets, Bytes: bytes}
	r.describe(t, b, chain, e, rule, name, data)
	chain.Rules = append(chain.Rules, rule)
}

// counters adds up what the CPUs counted for a rule (xt_percpu_counter_alloc): with one CPU the
// counts are in the rule.
func (r *reader) counters(b *block, e entry) (packets, bytes uint64) {
	at := e.at + b.layout.counters
	first := binary.LittleEndian.Uint64(b.data[at:])
	if len(r.cpus) == 1 {
		return first, binary.LittleEndian.Uint64(b.data[at+8:])
	}
	for _, cpu := range r.cpus {
		p, err := r.src.K.Objects().PerCPUPtr(vmem.VirtAddr(first), cpu)
		if err != nil {
			r.lose(b.start+vmem.VirtAddr(e.at), err)
			return packets, bytes
		}
		n, err := r.src.Mem().Uint64(p)
		if err == nil {
			packets += n
			n, err = r.src.Mem().Uint64(p + 8)
			bytes += n
		}
		if err != nil {
			r.lose(b.start+vmem.VirtAddr(e.at), err)
			return packets, bytes
		}
	}
	return packets, bytes
}

// target returns the target of a rule and what it is set up with.
func (r *reader) target(b *block, e entry) (extName, []byte, error) {
	at := e.at + e.target
	size := int(binary.LittleEndian.Uint16(b.data[at:]))
	if size < 32 || e.target+size > e.next {
		return extName{}, nil, nfkit.Corrupt("a target of %d bytes", size)
	}
	name, err := r.extName(vmem.VirtAddr(binary.LittleEndian.Uint64(b.data[at+8:])), &r.v.target, "xt_target")
	return name, b.data[at+32 : at+size], err
}

// extName returns the name of the struct xt_match or xt_target at addr.
func (r *reader) extName(at vmem.VirtAddr, v *extView, what string) (n extName, err error) {
	if n, ok := r.names[at]; ok {
		return n, nil
	}
	if !nfkit.Plausible(at) {
		return n, nfkit.Pointer(what, at)
	}
	if n.name, err = r.src.Mem().CString(v.name.Of(at), 29); err != nil {
		return n, err
	}
	if n.name != "" && !nfkit.Printable(n.name) {
		return n, nfkit.Corrupt("%s of the name %q", what, n.name)
	}
	if n.revision, err = r.src.Mem().Uint8(v.revision.Of(at)); err != nil {
		return n, err
	}
	r.names[at] = n
	return n, nil
}

// setName returns the name of ipset's set of a number.
func (r *reader) setName(index uint16) string {
	if r.sets == nil {
		r.sets = SetNames(r.ctx, r.src.K, r.src.Mods, r.ns)
	}
	return r.sets(index)
}

// SetNames returns what gives the names of ipset's sets of a namespace, by their numbers; of one
// that is not known, # and the number.
func SetNames(ctx context.Context, k *linux.Kernel, mods *module.Set, ns *network.Namespace) func(uint16) string {
	names := map[uint16]string{}
	for s, err := range ipset.Sets(ctx, k, mods, ns) {
		if err == nil {
			names[s.Index] = s.Name
		}
	}
	return func(i uint16) string {
		if name, ok := names[i]; ok {
			return name
		}
		return fmt.Sprint("#", i)
	}
}

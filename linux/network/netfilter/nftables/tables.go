package nftables

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// families are the names of families by their number (enum nf_inet_proto and its like).
var families = map[uint16]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

// hookNames are the names of a family's hooks.
func hookName(family string, n uint32) string {
	names := []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	switch family {
	case "arp":
		names = []string{"input", "output", "forward"}
	case "netdev":
		names = []string{"ingress", "egress"}
	}
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprint("hook", n)
}

// head returns the list of tables of the namespace, 0 where there is none.
func (r *reader) head() (vmem.VirtAddr, error) {
	if r.v.inNet {
		return r.v.perNet.Of(r.ns.Addr), nil
	}
	at, err := r.src.Generic(r.ns.Addr, nftModule, "nf_tables_net_id", r.isPerNet)
	if err != nil || at == 0 {
		return 0, err
	}
	return r.v.perNet.Of(at), nil
}

// isPerNet reports whether a struct nftables_pernet is at addr: it begins with several lists,
// and its first list is of tables.
func (r *reader) isPerNet(at vmem.VirtAddr) bool {
	types, _ := r.src.Types("nftables_pernet", nftModule)
	b := kstruct.NewBinder(types)
	for _, list := range []string{"tables", "commit_list", "module_list", "notify_list"} {
		m := kstruct.BindMember(b, "nftables_pernet", list)
		if b.Err() != nil || !r.isList(m.Of(at)) {
			return false
		}
	}
	// Other structures are of lists alone, such as that of x_tables; behind these is a mutex.
	mutex := kstruct.BindMember(b, "nftables_pernet", "commit_mutex")
	waiters := kstruct.BindOptionalMember(b, "nftables_pernet", "commit_mutex.wait_list") // the newest kernels have no list there
	if b.Err() != nil || r.isList(mutex.Of(at)) || waiters.Ok() && !r.isList(waiters.Of(at)) {
		return false
	}
	first, err := r.src.Mem().Uint64(r.v.perNet.Of(at))
	if err != nil || vmem.VirtAddr(first) == r.v.perNet.Of(at) {
		return err == nil
	}
	_, err = r.tableAt(vmem.VirtAddr(first))
	return err == nil
}

// isList reports whether a list_head is at addr whose neighbours lead back to it.
func (r *reader) isList(at vmem.VirtAddr) bool {
	next, err := r.src.Mem().Uint64(at)
	if err != nil || !nfkit.Plausible(vmem.VirtAddr(next)) {
		return false
	}
	back, err := r.src.Mem().Uint64(vmem.VirtAddr(next) + 8)
	return err == nil && vmem.VirtAddr(back) == at
}

// tableAt reads a struct nft_table, whose list is its first member, and verifies it.
func (r *reader) tableAt(at vmem.VirtAddr) (s tableStruct, err error) {
	if err := r.v.table.Read(r.src.Mem(), at, &s); err != nil {
		return s, err
	}
	if families[s.Family] == "" {
		return s, nfkit.Corrupt("nft_table %v of the family %d", at, s.Family)
	}
	for _, list := range []vmem.VirtAddr{s.Chains, s.Sets, s.Objects} {
		if !r.isList(list) {
			return s, nfkit.Corrupt("nft_table %v with a list that does not lead back", at)
		}
	}
	return s, nil
}

// tables reads all tables.
func (r *reader) tables(yield func(*Table) bool) {
	head, err := r.head()
	r.lose(r.ns.Addr, err)
	if head == 0 {
		yield(nil)
		return
	}
	for at, err := range r.entries(head, "nft_table") {
		if err != nil {
			r.lose(at, err)
			continue
		}
		t, err := r.table(at)
		r.lose(at, err)
		if !yield(t) {
			return
		}
	}
	if r.more > 0 {
		r.gaps = append(r.gaps, nfkit.Gap(r.object(), 0, fmt.Errorf("%w: %d more losses", kstruct.ErrTooMany, r.more)))
	}
	yield(nil)
}

// entries walks a list of structures that are linked by their member list.
func (r *reader) entries(head vmem.VirtAddr, typ string) func(func(vmem.VirtAddr, error) bool) {
	w := r.src.Walk(r.ctx, r.object(), maxObjects, nftModule)
	return w.Entries(w.List(head), typ, "list")
}

// table reads a table and all that is in it; nil where it is not active.
func (r *reader) table(at vmem.VirtAddr) (*Table, error) {
	s, err := r.tableAt(at)
	if err != nil || !r.active(uint64(s.Genmask)) {
		return nil, err
	}
	t := &Table{NetNS: r.ns.Inum, Family: families[s.Family], Handle: s.Handle, Addr: at, Flags: tableFlags(s.Flags)}
	if t.Name, err = r.name("table", s.Name); err != nil {
		r.lose(at, err)
	}
	t.Comment = r.comment(at, s.Data, int(s.DataLen), 0)
	r.readSets(t, s.Sets)
	r.readObjects(t, s.Objects)
	r.readFlowtables(t, s.Flowtables)
	r.readChains(t, s.Chains)
	return t, nil
}

func tableFlags(flags uint16) (names []string) {
	for i, name := range []string{"dormant", "owner", "persist"} {
		if flags&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// comment reads the comment that nft keeps in user data, which is of types, lengths and values.
func (r *reader) comment(owner, at vmem.VirtAddr, n int, typ byte) string {
	if at == 0 || n == 0 {
		return ""
	}
	b, err := r.src.Bytes(at, n)
	if err != nil {
		r.lose(owner, fmt.Errorf("user data: %w", err))
		return ""
	}
	return text(userData(b)[typ])
}

// userData splits user data.
func userData(b []byte) map[byte][]byte {
	out := map[byte][]byte{}
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		out[b[0]] = b[2 : 2+int(b[1])]
		b = b[2+int(b[1]):]
	}
	return out
}

// readChains reads the chains of a table.
func (r *reader) readChains(t *Table, head vmem.VirtAddr) {
	for at, err := range r.entries(head, "nft_chain") {
		if err != nil {
			r.lose(at, err)
			continue
		}
		if !r.spend(at) {
			return
		}
		c, err := r.chain(t, at)
		r.lose(at, err)
		if c != nil {
			t.Chains = append(t.Chains, c)
		}
	}
}

const chainBase, chainBinding = 1, 4 // NFT_CHAIN_BASE, NFT_CHAIN_BINDING

// chain reads a chain with its rules; nil where it is not active, or has no name of its own
// as it belongs to a verdict.
func (r *reader) chain(t *Table, at vmem.VirtAddr) (*Chain, error) {
	s, err := r.v.chain.Load(r.src.Mem(), at)
	if err != nil {
		return nil, err
	}
	if s.Table != t.Addr {
		return nil, nfkit.Corrupt("nft_chain %v is of the table %v", at, s.Table)
	}
	if !r.active(uint64(s.Genmask)) || s.Flags&chainBinding != 0 {
		return nil, nil //nolint:nilnil // it is none that is shown
	}
	c := &Chain{Handle: s.Handle, Addr: at}
	if c.Name, err = r.name("chain", s.Name); err != nil {
		r.lose(at, err)
	}
	c.Comment = r.comment(at, s.Data, int(s.DataLen), 0)
	if s.Flags&chainBase != 0 {
		r.lose(at, r.baseChain(t, c))
	}
	c.Rules = r.rules(t, s.Rules)
	return c, nil
}

// baseChain reads what a chain has that a hook calls.
func (r *reader) baseChain(t *Table, c *Chain) error {
	b, err := r.v.base.Load(r.src.Mem(), r.v.inBase.Container(c.Addr))
	if err != nil {
		return err
	}
	c.Hook, c.Priority = hookName(t.Family, b.Hook), b.Priority
	c.Policy = (&verdict{code: int32(b.Policy)}).name()
	at, err := r.v.chainType.Load(r.src.Mem(), b.Type)
	if err != nil {
		return err
	}
	if c.Type, err = r.name("chain type", at); err != nil {
		return err
	}
	if t.Family == "netdev" || c.Hook == "ingress" {
		c.Devices = r.hookDevices(b.Hooks)
	}
	return nil
}

// hookDevices reads the devices of a chain or a flowtable.
func (r *reader) hookDevices(head vmem.VirtAddr) (names []string) {
	for at, err := range r.entries(head, "nft_hook") {
		if err != nil {
			r.lose(at, err)
			continue
		}
		name, err := r.hookDevice(at)
		r.lose(at, err)
		if name != "" && r.spend(at) {
			names = append(names, name)
		}
	}
	return names
}

func (r *reader) hookDevice(at vmem.VirtAddr) (string, error) {
	if r.v.hookName.Ok() {
		name, err := r.src.Mem().CString(r.v.hookName.Of(at), 16)
		if err != nil || !r.v.hookLen.Ok() {
			return name, err
		}
		// A name that ends before its NUL counts is the beginning of names.
		n, err := r.v.hookLen.Load(r.src.Mem(), at)
		if err == nil && int(n) == len(name) && n > 0 {
			name += "*"
		}
		return name, err
	}
	dev, err := r.v.hookDev.Load(r.src.Mem(), at)
	if err != nil || r.v.devErr != nil {
		return "", cmp.Or(err, r.v.devErr)
	}
	return r.name("device", r.v.devName.Of(dev))
}

// readFlowtables reads the flowtables of a table.
func (r *reader) readFlowtables(t *Table, head vmem.VirtAddr) {
	for at, err := range r.entries(head, "nft_flowtable") {
		if err != nil {
			r.lose(at, err)
			continue
		}
		s, err := r.v.flow.Load(r.src.Mem(), at)
		if err != nil || !r.spend(at) {
			r.lose(at, err)
			continue
		}
		if !r.active(uint64(s.Genmask)) {
			continue
		}
		f := &Flowtable{Handle: s.Handle, Addr: at, Priority: s.Priority, Hook: hookName("netdev", uint32(s.Hook))} //nolint:gosec // a bad one has no name
		f.Name, err = r.name("flowtable", s.Name)
		r.lose(at, err)
		f.Devices = r.hookDevices(s.Hooks)
		slices.Sort(f.Devices) // as nft does
		if s.Flags&1 != 0 {
			f.Flags = append(f.Flags, "offload")
		}
		if s.Flags&2 != 0 {
			f.Flags = append(f.Flags, "counter")
		}
		t.Flowtables = append(t.Flowtables, f)
	}
}

package network

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Neighbour is what is known of a machine on the same link, as `ip neighbour show nud all`
// shows it.
type Neighbour struct {
	Family      Family         `json:"family"`
	Dst         netip.Addr     `json:"dst"`
	Device      string         `json:"dev,omitempty"` // none of a proxy on all of them
	LinkAddress string         `json:"lladdr,omitempty"`
	State       NeighbourState `json:"state"`
	Flags       NeighbourFlags `json:"flags"`
	Protocol    RouteProtocol  `json:"protocol"`
	// How long before memory was captured it was used, confirmed and changed; 0 of a proxy, and
	// where the kernel's clock is not known.
	Used      time.Duration `json:"usedNanoseconds,omitempty"`
	Confirmed time.Duration `json:"confirmedNanoseconds,omitempty"`
	Updated   time.Duration `json:"updatedNanoseconds,omitempty"`
	Addr      vmem.VirtAddr `json:"kernelAddress"` // of struct neighbour, or pneigh_entry of a proxy
}

// NeighbourState says how sure the kernel is (NUD_ of include/uapi/linux/neighbour.h). It is
// one bit, or none.
type NeighbourState uint8

var neighbourStateBits = []bit{
	{0x01, "INCOMPLETE"}, {0x02, "REACHABLE"}, {0x04, "STALE"}, {0x08, "DELAY"}, {0x10, "PROBE"}, {0x20, "FAILED"}, {0x40, "NOARP"}, {0x80, "PERMANENT"},
}

// neighbourKnown is NUD_VALID of include/net/neighbour.h: the link's address is known.
const neighbourKnown NeighbourState = 0x80 | 0x40 | 0x02 | 0x10 | 0x04 | 0x08

// Names returns the states under the names of `ip`, one as a rule.
func (s NeighbourState) Names() []string { return bitNames(neighbourStateBits, uint32(s)) }

var _ = jsonx.Describe[NeighbourState, []string]()

// MarshalJSON returns an array of the names.
func (s NeighbourState) MarshalJSON() ([]byte, error) { return json.Marshal(s.Names()) }

// UnmarshalJSON takes what MarshalJSON gives.
func (s *NeighbourState) UnmarshalJSON(b []byte) error {
	v, err := unmarshalBits(neighbourStateBits, b)
	*s = NeighbourState(v)
	return err
}

// NeighbourFlags are the NTF_ flags of a neighbour, and above them those of NDA_FLAGS_EXT
// (include/uapi/linux/neighbour.h).
type NeighbourFlags uint32

const neighbourProxy NeighbourFlags = 0x08

var neighbourBits = []bit{
	{0x01, "use"}, {0x02, "self"}, {0x04, "master"}, {0x08, "proxy"}, {0x10, "extern_learn"}, {0x20, "offload"}, {0x40, "sticky"}, {0x80, "router"},
	{0x100, "managed"}, {0x200, "locked"}, {0x400, "extern_valid"},
}

// Names returns the flags under the names of `ip`.
func (f NeighbourFlags) Names() []string { return bitNames(neighbourBits, uint32(f)) }

var _ = jsonx.Describe[NeighbourFlags, []string]()

// MarshalJSON returns an array of the names.
func (f NeighbourFlags) MarshalJSON() ([]byte, error) { return json.Marshal(f.Names()) }

// UnmarshalJSON takes what MarshalJSON gives.
func (f *NeighbourFlags) UnmarshalJSON(b []byte) error {
	v, err := unmarshalBits(neighbourBits, b)
	*f = NeighbourFlags(v)
	return err
}

// A neighTable is struct neigh_table (include/net/neighbour.h).
type neighTable struct {
	Family  int32         `kernel:"family"`
	KeyLen  uint32        `kernel:"key_len"`
	Hash    vmem.VirtAddr `kernel:"nht"`
	Proxies vmem.VirtAddr `kernel:"phash_buckets"`
}

// A neighHash is struct neigh_hash_table.
type neighHash struct {
	Heads   vmem.VirtAddr `kernel:"hash_heads,optional"`   // lists since 6.13 (f7f52738637f)
	Buckets vmem.VirtAddr `kernel:"hash_buckets,optional"` // chains before
	Shift   uint32        `kernel:"hash_shift"`
}

// A neighbour is struct neighbour.
type neighbour struct {
	Table     vmem.VirtAddr `kernel:"tbl"`
	Dev       vmem.VirtAddr `kernel:"dev"`
	State     uint8         `kernel:"nud_state"`
	Flags     uint32        `kernel:"flags"` // a byte before 5.16
	Protocol  uint8         `kernel:"protocol"`
	Link      [32]byte      `kernel:"ha"`
	Used      uint64        `kernel:"used"`
	Confirmed uint64        `kernel:"confirmed"`
	Updated   uint64        `kernel:"updated"`
	Key       vmem.VirtAddr `kernel:"&primary_key"`
}

// A proxyEntry is struct pneigh_entry: an address that the machine answers for.
type proxyEntry struct {
	Net      vmem.VirtAddr `kernel:"net.net,optional"`
	Dev      vmem.VirtAddr `kernel:"dev"`
	Flags    uint32        `kernel:"flags"`
	Protocol uint8         `kernel:"protocol"`
	Key      vmem.VirtAddr `kernel:"&key"`
}

type neighbourViews struct {
	table *kstruct.View[neighTable]
	hash  *kstruct.View[neighHash]
	entry *kstruct.View[neighbour]
	next  kstruct.Member // of neighbour, before 6.13
	node  kstruct.Member // of neighbour, since
	proxy *kstruct.View[proxyEntry]
	after kstruct.Member // of pneigh_entry
	err   error
}

func bindNeighbour(types *isf.File) (v neighbourViews) {
	b := kstruct.NewBinder(types)
	v.table = kstruct.Bind[neighTable](b, "neigh_table")
	v.hash = kstruct.Bind[neighHash](b, "neigh_hash_table")
	v.entry = kstruct.Bind[neighbour](b, "neighbour")
	if v.node = kstruct.BindOptionalMember(b, "neighbour", "hash"); !v.node.Ok() {
		v.next = kstruct.BindMember(b, "neighbour", "next")
	}
	v.proxy = kstruct.Bind[proxyEntry](b, "pneigh_entry")
	v.after = kstruct.BindMember(b, "pneigh_entry", "next")
	v.err = b.Err()
	return v
}

// neighbourTables are the symbols of the tables, which are exported to modules. Each holds
// the neighbours of all namespaces.
var neighbourTables = []struct {
	symbol string
	family Family
	keyLen uint32
}{{"arp_tbl", Inet, 4}, {"nd_tbl", Inet6, 16}}

// maxShift bounds the tables of neighbours: 2 to this buckets.
const maxShift = 20

// proxyBuckets is PNEIGH_HASHMASK of net/core/neighbour.c, and one.
const proxyBuckets = 16

func (r *reader) readNeighbours() {
	has6 := false
	for _, d := range r.devices {
		has6 = has6 || d.s.IP6 != 0
	}
	for _, of := range neighbourTables {
		what := "neighbours of " + of.family.String()
		addr, err := r.k.Symbol(of.symbol)
		if err != nil {
			if of.family == Inet || has6 { // IPv6 may be a module, or none
				r.lose(what, 0, err)
			}
			continue
		}
		w := &neighbourWalk{reader: r, what: what, table: addr, family: of.family, list: r.walk(what)}
		w.s, err = r.views.neighbour.table.Load(r.space, addr)
		if err == nil && (Family(w.s.Family) != of.family || w.s.KeyLen != of.keyLen) {
			err = corrupt("neigh_table %v of the family %d with keys of %d bytes", addr, w.s.Family, w.s.KeyLen)
		}
		if err != nil {
			r.lose(what, addr, err)
			continue
		}
		w.entries()
		w.proxies()
	}
}

// A neighbourWalk goes over one table.
type neighbourWalk struct {
	*reader
	what   string
	table  vmem.VirtAddr
	family Family
	s      neighTable
	list   *kstruct.Walk
}

// entries reads the neighbours: neigh_dump_table of net/core/neighbour.c.
func (w *neighbourWalk) entries() {
	v := &w.views.neighbour
	if w.s.Hash == 0 { // the family was never used
		return
	}
	h, err := v.hash.Load(w.space, w.s.Hash)
	if err == nil && (h.Shift > maxShift || !plausible(h.Heads|h.Buckets)) {
		err = corrupt("neigh_hash_table %v of 2^%d buckets", w.s.Hash, h.Shift)
	}
	if err != nil {
		w.lose(w.what, w.s.Hash, err)
		return
	}
	heads, err := w.heads(h.Heads|h.Buckets, 1<<h.Shift)
	if err != nil {
		w.lose(w.what, w.s.Hash, err)
	}
	for _, head := range heads {
		if w.done() {
			break
		}
		if v.node.Ok() {
			for node, err := range w.list.HList(head) {
				if w.done() {
					break
				}
				w.entry(v.node.Container(node), err)
			}
			continue
		}
		first, err := w.space.Uint64(head)
		if err != nil {
			continue // told above
		}
		for addr, err := range w.list.Chain(vmem.VirtAddr(first), v.next.Offset()) {
			if w.done() {
				break
			}
			w.entry(addr, err)
		}
	}
}

func (w *neighbourWalk) entry(addr vmem.VirtAddr, err error) {
	var s neighbour
	if err == nil {
		err = w.views.neighbour.entry.Read(w.space, addr, &s)
	}
	if err == nil && s.Table != w.table {
		err = corrupt("neighbour %v of another table, %v", addr, s.Table)
	}
	var n *Neighbour
	var d *device
	if err == nil {
		if d = w.devices[s.Dev]; d == nil {
			err = corrupt("neighbour %v of the device %v, which is in no namespace", addr, s.Dev)
		} else {
			n, err = w.neighbour(addr, s.Key)
		}
	}
	if err != nil {
		w.lose(w.what, addr, err)
		return
	}
	if !w.room(ofNeighbours, d.config) {
		return
	}
	n.Device, n.State, n.Flags, n.Protocol = d.Name, NeighbourState(s.State), NeighbourFlags(s.Flags), RouteProtocol(s.Protocol)
	if n.State&neighbourKnown != 0 {
		n.LinkAddress = linkAddress(d.Type, s.Link[:d.s.AddrLen])
	}
	n.Used, _ = w.ticks().since(s.Used)
	n.Confirmed, _ = w.ticks().since(s.Confirmed)
	n.Updated, _ = w.ticks().since(s.Updated)
	d.config.Neighbours = append(d.config.Neighbours, n)
}

// neighbour reads the address of a neighbour or proxy.
func (w *neighbourWalk) neighbour(addr, key vmem.VirtAddr) (*Neighbour, error) {
	b := make([]byte, w.s.KeyLen)
	if _, err := w.space.ReadVirt(b, key); err != nil {
		return nil, err
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok {
		return nil, fmt.Errorf("%w: addresses of %d bytes", kstruct.ErrUnsupported, len(b))
	}
	return &Neighbour{Family: w.family, Dst: ip, Addr: addr}, nil
}

// proxies reads the addresses that the machine answers for: pneigh_dump_table of
// net/core/neighbour.c.
func (w *neighbourWalk) proxies() {
	v := &w.views.neighbour
	if w.s.Proxies == 0 {
		return
	}
	heads, err := w.heads(w.s.Proxies, proxyBuckets)
	if err != nil {
		w.lose(w.what, w.s.Proxies, err)
	}
	for _, head := range heads {
		if w.done() {
			break
		}
		first, err := w.space.Uint64(head)
		if err != nil {
			continue // told above
		}
		for addr, err := range w.list.Chain(vmem.VirtAddr(first), v.after.Offset()) {
			if w.done() {
				break
			}
			w.proxy(addr, err)
		}
	}
}

func (w *neighbourWalk) proxy(addr vmem.VirtAddr, err error) {
	var s proxyEntry
	if err == nil {
		s, err = w.views.neighbour.proxy.Load(w.space, addr)
	}
	var c *Configuration
	var n *Neighbour
	d := w.devices[s.Dev]
	if err == nil {
		if c = w.configs[s.Net]; c == nil && d != nil && !w.views.neighbour.proxy.Has("Net") {
			c = d.config
		}
		if c == nil || s.Dev != 0 && d == nil {
			err = corrupt("pneigh_entry %v of the device %v and the namespace %v", addr, s.Dev, s.Net)
		} else {
			n, err = w.neighbour(addr, s.Key)
		}
	}
	if err != nil {
		w.lose(w.what, addr, err)
		return
	}
	if !w.room(ofNeighbours, c) {
		return
	}
	if d != nil {
		n.Device = d.Name
	}
	n.Flags, n.Protocol = NeighbourFlags(s.Flags)|neighbourProxy, RouteProtocol(s.Protocol)
	c.Neighbours = append(c.Neighbours, n)
}

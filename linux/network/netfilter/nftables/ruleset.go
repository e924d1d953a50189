// Package nftables reads what nf_tables does with packets: tables, chains, rules, sets, objects
// and flowtables, as nft list ruleset shows them.
//
// A rule is a list of expressions that load values into registers and compare them. nft makes
// the statements of its language of them, and so does this package; it knows the expressions
// that nft has, and tells others by their name and bytes. [Table.String] is the text of nft, and
// [Table.Objects] what its JSON has.
//
// Errors and damage are as in package linux: an error is a [vmem.Gap], and does not end an
// iterator, but for the context's own. What an image has of a ruleset that is being changed is
// told by generations, as the kernel does: what is not of the current one does not come.
package nftables

import (
	"context"
	"errors"
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/jiffies"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
	"github.com/nodelens/nodelens/vmem"
)

// A Table is a table of nf_tables, with all that is in it in the order of the kernel.
type Table struct {
	NetNS      uint32        `json:"netns"`
	Family     string        `json:"family"` // ip, ip6, inet, arp, bridge, netdev
	Name       string        `json:"name"`
	Handle     uint64        `json:"handle"`
	Flags      []string      `json:"flags,omitempty"` // dormant, owner, persist
	Comment    string        `json:"comment,omitempty"`
	Objects    []*Object     `json:"objects,omitempty"`
	Sets       []*Set        `json:"sets,omitempty"` // anonymous ones are in their rules
	Flowtables []*Flowtable  `json:"flowtables,omitempty"`
	Chains     []*Chain      `json:"chains,omitempty"`
	Addr       vmem.VirtAddr `json:"address"` // of struct nft_table
}

// A Chain is a list of rules, struct nft_chain.
type Chain struct {
	Name     string        `json:"name"`
	Handle   uint64        `json:"handle"`
	Type     string        `json:"type,omitempty"` // filter, nat, route: of a chain that a hook calls
	Hook     string        `json:"hook,omitempty"` // such as input
	Priority int32         `json:"priority"`
	Policy   string        `json:"policy,omitempty"` // accept, drop
	Devices  []string      `json:"devices,omitempty"`
	Comment  string        `json:"comment,omitempty"`
	Rules    []*Rule       `json:"rules,omitempty"`
	Addr     vmem.VirtAddr `json:"address"` // of struct nft_chain
}

// A Rule is a rule, struct nft_rule.
type Rule struct {
	Handle     uint64    `json:"handle"`
	Text       string    `json:"text"` // as nft list ruleset has it, without the comment
	Comment    string    `json:"comment,omitempty"`
	Statements []any     `json:"expr,omitempty"`    // as the JSON of nft has them
	Unknown    []Unknown `json:"unknown,omitempty"` // expressions that are not known, or could not be read
	// Extensions are the matches and targets of iptables in the rule. IPTables is the rule as
	// iptables-save writes it, where it can: in the tables that iptables makes.
	Extensions []xtables.Extension `json:"extensions,omitempty"`
	IPTables   string              `json:"iptables,omitempty"`
	Addr       vmem.VirtAddr       `json:"address"` // of struct nft_rule
}

// An Unknown is an expression that this package does not know.
type Unknown struct {
	Name  string `json:"name"`            // of the expression, such as osf
	Bytes []byte `json:"bytes,omitempty"` // what it is set up with
}

// A Set is a set or a map, struct nft_set.
type Set struct {
	Name   string `json:"name"`
	Handle uint64 `json:"handle"`
	Map    bool   `json:"map"`
	Type   string `json:"type"`           // of keys, such as ipv4_addr . inet_service
	Data   string `json:"data,omitempty"` // of a map: the type of values, verdict, or the kind of object
	// Typeof is what nft was given for a type, such as ip saddr . vlan id, and DataTypeof the same of values.
	// It is empty where a set was declared by types, or by what is not known.
	Typeof     string   `json:"typeof,omitempty"`
	DataTypeof string   `json:"dataTypeof,omitempty"`
	Flags      []string `json:"flags,omitempty"`
	Size       uint32   `json:"size,omitempty"`
	Timeout    int64    `json:"timeout,omitempty"` // ms
	GC         uint32   `json:"gcInterval,omitempty"`
	Policy     string   `json:"policy,omitempty"`
	Comment    string   `json:"comment,omitempty"`
	// AutoMerge says that nft joins intervals that are next to each other.
	AutoMerge bool          `json:"autoMerge,omitempty"`
	Backend   string        `json:"backend"` // how the kernel keeps it: rhash, hash, bitmap, rbtree, pipapo
	Elements  []Element     `json:"elements,omitempty"`
	Addr      vmem.VirtAddr `json:"address"` // of struct nft_set

	stmts     []node
	anonymous bool
	keys      []*dataType
	datas     []*dataType
	raw       *setStruct
}

// An Element is an element of a set.
type Element struct {
	Text  string `json:"text"` // as nft has it, with all that is below
	Value any    `json:"value"`
	// Key is the key and Data what a map has for it, without times and comments.
	Key  string `json:"key"`
	Data string `json:"data,omitempty"`

	sort []byte
	node node
}

// An Object is a counter, quota, limit or the like that has a name, struct nft_object.
type Object struct {
	Kind    string         `json:"kind"` // as nft calls it: counter, quota, limit, ct helper ...
	Name    string         `json:"name"`
	Handle  uint64         `json:"handle"`
	Comment string         `json:"comment,omitempty"`
	Values  map[string]any `json:"values,omitempty"` // as the JSON of nft has them
	Bytes   []byte         `json:"bytes,omitempty"`  // of a kind that is not known
	Addr    vmem.VirtAddr  `json:"address"`          // of struct nft_object

	lines []string
}

// A Flowtable is a table of connections that pass the rules by, struct nft_flowtable.
type Flowtable struct {
	Name     string        `json:"name"`
	Handle   uint64        `json:"handle"`
	Hook     string        `json:"hook"`
	Priority int32         `json:"priority"`
	Devices  []string      `json:"devices,omitempty"`
	Flags    []string      `json:"flags,omitempty"`
	Addr     vmem.VirtAddr `json:"address"`
}

// Tables yields the tables of a network namespace, in the order of nft list ruleset.
//
// Its anchor is what nf_tables keeps for a namespace (net_generic with nf_tables_net_id, which
// is not exported: where there is no such symbol, it is known by its lists leading back to it and to tables);
// kernels before 5.12 have it in struct net. A kernel without nf_tables has no tables; where its types are
// lost, that is an error that wraps [kstruct.ErrUnsupported].
func Tables(ctx context.Context, k *linux.Kernel, mods *module.Set, ns *network.Namespace) iter.Seq2[*Table, error] {
	return func(yield func(*Table, error) bool) {
		k.Physical().Refresh()
		r, err := newReader(ctx, k, mods, ns)
		if errors.Is(err, errNone) {
			return
		}
		if err != nil {
			yield(nil, nfkit.Gap("nftables of "+ns.String(), ns.Addr, err))
			return
		}
		ended := false
		r.tables(func(t *Table) bool {
			gaps := r.gaps
			r.gaps = nil
			for _, g := range gaps {
				if ended = !yield(nil, g); ended {
					return false
				}
			}
			ended = t != nil && !yield(t, nil)
			return !ended
		})
		if err := ctx.Err(); err != nil && !ended {
			yield(nil, err)
		}
	}
}

// errNone says that the kernel has no nf_tables.
var errNone = errors.New("no nf_tables")

// Limits of what is read: of rules and elements together in a namespace, and of the bytes of a
// rule's text.
const (
	maxObjects = 1 << 20
	maxName    = 256
	maxGaps    = 1000
)

// A reader reads the ruleset of a namespace.
type reader struct {
	ctx  context.Context //nolint:containedctx // it lives as long as one call
	src  *nfkit.Source
	ns   *network.Namespace
	v    views
	gaps []error
	more int // gaps that are not told
	left int // of maxObjects

	mask    uint8 // of the generation: what has this bit is not active
	jiffies jiffies.Time
	timeErr error
	devices map[uint32]string
	ipsets  func(uint16) string // names of ipset's sets, once they were asked for
	ops     map[vmem.VirtAddr]*opsInfo
	binds   map[string]any // views of expressions by their structure
	sets    map[vmem.VirtAddr]*Set
	setViews
}

func newReader(ctx context.Context, k *linux.Kernel, mods *module.Set, ns *network.Namespace) (*reader, error) {
	src := &nfkit.Source{K: k, Mods: mods}
	r := &reader{
		ctx: ctx, src: src, ns: ns, left: maxObjects, ops: map[vmem.VirtAddr]*opsInfo{}, binds: map[string]any{}, sets: map[vmem.VirtAddr]*Set{},
	}
	if mods.Find(nftModule) == nil {
		if _, err := k.Symbol("nft_do_chain"); err != nil { // it is not built in either
			return nil, errNone
		}
	}
	v, err := bindViews(src)
	if err != nil {
		return nil, err
	}
	r.v = v
	cursor, err := v.cursor.Load(src.Mem(), ns.Addr)
	if err != nil {
		return nil, err
	}
	r.mask = 1 << (cursor & 1)
	if r.jiffies, r.timeErr = src.Jiffies(); r.timeErr != nil {
		r.lose(0, r.timeErr)
	}
	r.bindSets()
	r.readDevices()
	return r, nil
}

func (r *reader) object() string { return "nftables of " + r.ns.String() }

// lose takes note of a loss.
func (r *reader) lose(addr vmem.VirtAddr, err error) {
	if err == nil {
		return
	}
	if len(r.gaps) >= maxGaps {
		r.more++
		return
	}
	r.gaps = append(r.gaps, nfkit.Gap(r.object(), addr, err))
}

// spend reports whether one more object may be read.
func (r *reader) spend(addr vmem.VirtAddr) bool {
	if r.ctx.Err() != nil {
		return false
	}
	r.left--
	if r.left == -1 {
		r.lose(addr, nfkit.Gap(r.object(), addr, kstruct.ErrTooMany))
	}
	return r.left >= 0
}

// active reports whether what has a mask of generations is of the current one.
func (r *reader) active(genmask uint64) bool { return genmask&uint64(r.mask) == 0 }

// readDevices reads the names of the namespace's devices, by index.
func (r *reader) readDevices() {
	r.devices = map[uint32]string{}
	if r.v.devErr != nil {
		r.lose(r.ns.Addr, r.v.devErr)
		return
	}
	w := r.src.Walk(r.ctx, r.object(), 1<<17, "")
	for node, err := range w.List(r.v.devices.Of(r.ns.Addr)) {
		if err != nil {
			continue // who reads devices says it
		}
		dev := r.v.device.Container(node)
		index, err := r.v.index.Load(r.src.Mem(), dev)
		if err != nil || index < 0 {
			continue
		}
		if name, err := r.src.Mem().CString(r.v.devName.Of(dev), 16); err == nil {
			r.devices[uint32(index)] = name
		}
	}
}

// name reads the name of something.
func (r *reader) name(what string, at vmem.VirtAddr) (string, error) {
	name, err := r.src.CString(what, at, maxName)
	if err == nil && !nfkit.Printable(name) {
		err = nfkit.Corrupt("%s %q", what, name)
	}
	return name, err
}

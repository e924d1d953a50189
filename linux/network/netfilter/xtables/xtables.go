// Package xtables reads the tables of iptables, ip6tables, arptables and ebtables, those that
// are not kept by nf_tables: what iptables-legacy-save shows.
//
// A table is one block of rules, in the form that user space gave it to the kernel with
// (include/uapi/linux/netfilter*), which is the same in all kernels; matches and targets have
// their layout by their name and revision. Those that are not known are told by name, with
// their bytes.
//
// Errors and damage are as in package linux: an error is a [vmem.Gap], and does not end an
// iterator, but for the context's own.
package xtables

import (
	"context"
	"iter"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// A Table is a table of rules, struct xt_table or struct ebt_table.
type Table struct {
	NetNS  uint32        `json:"netns"`
	Family string        `json:"family"` // ip, ip6, arp, bridge
	Name   string        `json:"name"`   // such as filter
	Chains []*Chain      `json:"chains"`
	Addr   vmem.VirtAddr `json:"address"`
}

// A Chain is a list of rules.
type Chain struct {
	Name    string  `json:"name"`
	Policy  string  `json:"policy,omitempty"` // of a chain that a hook calls: ACCEPT, DROP
	Packets uint64  `json:"packets"`          // that the policy was for
	Bytes   uint64  `json:"bytes"`
	Rules   []*Rule `json:"rules,omitempty"`

	offset int // where its rules begin
}

// A Rule is a rule of a chain.
type Rule struct {
	Packets uint64      `json:"packets"`
	Bytes   uint64      `json:"bytes"`
	Text    string      `json:"text"` // as iptables-save writes it, without counts
	Matches []Extension `json:"matches,omitempty"`
	Target  Extension   `json:"target"` // with an empty name if the rule has none
	Goto    bool        `json:"goto,omitempty"`
}

// An Extension is a match or a target.
type Extension struct {
	Name     string `json:"name"` // such as conntrack; of a jump the chain
	Revision uint8  `json:"revision,omitempty"`
	Text     string `json:"text,omitempty"`  // its options as iptables-save writes them
	Bytes    []byte `json:"bytes,omitempty"` // what it is set up with, where it is not known
}

// Tables yields the tables of a network namespace: those of ip, ip6 and arp, and of bridges.
//
// The anchor is what x_tables and ebtables keep for a namespace (net_generic with xt_pernet_id and
// ebt_pernet_id, which are static: where there are no such symbols, they are known by their lists
// leading back to them and to tables); kernels before 5.15 have lists in struct net.
func Tables(ctx context.Context, k *linux.Kernel, mods *module.Set, ns *network.Namespace) iter.Seq2[*Table, error] {
	return func(yield func(*Table, error) bool) {
		k.Physical().Refresh()
		r := &reader{ctx: ctx, src: &nfkit.Source{K: k, Mods: mods}, ns: ns, yield: yield, names: map[vmem.VirtAddr]extName{}}
		r.read()
		if err := ctx.Err(); err != nil && !r.ended {
			yield(nil, err)
		}
	}
}

// Limits of what is read: the size of a table's rules in bytes, and how many rules are told.
const (
	maxSize  = 64 << 20
	maxRules = 1 << 18
)

type reader struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	src   *nfkit.Source
	ns    *network.Namespace
	v     views
	yield func(*Table, error) bool
	ended bool
	names map[vmem.VirtAddr]extName
	cpus  []int
	sets  func(uint16) string // names of ipset's sets
}

func (r *reader) object() string { return "xtables of " + r.ns.String() }

func (r *reader) tell(t *Table, err error) {
	if !r.ended {
		r.ended = !r.yield(t, err)
	}
}

func (r *reader) lose(addr vmem.VirtAddr, err error) {
	if err != nil {
		r.tell(nil, nfkit.Gap(r.object(), addr, err))
	}
}

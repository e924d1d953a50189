package cos

import (
	"cmp"
	"net/netip"
	"slices"
)

// A natCond is what packets must be for a rule, as far as it says where they are sent to. The
// zero value is any packet.
type natCond struct {
	protocol string       // tcp, udp, sctp; empty: any
	to       netip.Prefix // of the destination; not valid: any
	port     uint16       // of the destination; 0: any
	last     uint16       // of a range of ports; the same as port for one
	name     string       // of the Service, where a comment or the name of a chain says it
}

// and returns what packets are that meet both conditions, and whether there are any.
func (c natCond) and(o natCond) (natCond, bool) {
	if c.protocol != "" && o.protocol != "" && c.protocol != o.protocol {
		return c, false
	}
	switch {
	case o.last == 0:
	case c.last == 0:
		c.port, c.last = o.port, o.last
	default:
		if c.port, c.last = max(c.port, o.port), min(c.last, o.last); c.port > c.last {
			return c, false
		}
	}
	c.protocol, c.name = cmp.Or(c.protocol, o.protocol), cmp.Or(c.name, o.name)
	switch {
	case !o.to.IsValid():
	case !c.to.IsValid() || c.to.Overlaps(o.to) && o.to.Bits() > c.to.Bits():
		c.to = o.to
	case !c.to.Overlaps(o.to):
		return c, false
	}
	return c, true
}

// A natEdge is a way of a rule: to another chain, or to the address that it gives packets.
type natEdge struct {
	cond  natCond
	chain string         // to go on with
	nat   netip.AddrPort // or to send packets to; the port may be 0: as it was
}

// A natGraph is the chains of a table that translate addresses.
type natGraph struct {
	by     string // ByNFTables or ByIPTables
	starts []string
	edges  map[string][]natEdge // by chain
}

// A natRoute is a way through a table: where it leads packets of a kind.
type natRoute struct {
	cond  natCond
	nat   netip.AddrPort
	chain string // of the rule that translates
	by    string
	host  bool // a runtime made it for a port of the node
}

// maxNATDepth is how deep chains are followed: the kernel's limit of jumps is 16
// (NFT_JUMP_STACK_SIZE of include/net/netfilter/nf_tables.h). maxNATSteps bounds the ways of
// all tables together.
const (
	maxNATDepth = 16
	maxNATSteps = 1 << 18
)

// A natWalk finds all ways through tables.
type natWalk struct {
	steps int // that are left
	found map[natRoute]bool
	all   []natRoute
}

func (w *natWalk) walk(g *natGraph) {
	for _, chain := range g.starts {
		w.step(g, chain, natRoute{by: g.by}, 0)
	}
}

// step follows the rules of a chain for the packets that reach it.
func (w *natWalk) step(g *natGraph, chain string, at natRoute, depth int) {
	if depth > maxNATDepth {
		return
	}
	at.host = at.host || isHostPortChain(chain)
	at.cond.name = cmp.Or(at.cond.name, serviceOfChain(chain))
	for _, e := range g.edges[chain] {
		if w.steps--; w.steps < 0 {
			return
		}
		cond, ok := at.cond.and(e.cond)
		if !ok {
			continue
		}
		next := at
		next.cond = cond
		if e.chain != "" {
			w.step(g, e.chain, next, depth+1)
			continue
		}
		next.nat, next.chain = e.nat, chain
		if !w.found[next] {
			w.found[next] = true
			w.all = append(w.all, next)
		}
	}
}

// sorted returns the routes in an order that is always the same.
func (w *natWalk) sorted() []natRoute {
	slices.SortStableFunc(w.all, func(a, b natRoute) int {
		return cmp.Or(
			cmp.Compare(a.cond.name, b.cond.name), cmp.Compare(a.cond.protocol, b.cond.protocol), a.cond.to.Addr().Compare(b.cond.to.Addr()),
			cmp.Compare(a.cond.port, b.cond.port), cmp.Compare(a.cond.last, b.cond.last), a.nat.Compare(b.nat), cmp.Compare(a.by, b.by), cmp.Compare(a.chain, b.chain),
		)
	})
	return w.all
}

package cos

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/linux/network/ipvs"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
)

// graphOfXTable returns the chains of a table that iptables keeps itself, where it translates
// addresses.
func graphOfXTable(t *xtables.Table) *natGraph {
	g := &natGraph{by: ByIPTables, edges: map[string][]natEdge{}}
	if t.Name != "nat" || t.Family != "ip" && t.Family != "ip6" {
		return g
	}
	g.starts = []string{"PREROUTING", "OUTPUT"}
	for _, c := range t.Chains {
		for _, rule := range c.Rules {
			g.edges[c.Name] = append(g.edges[c.Name], edgesOfText(rule.Text)...)
		}
	}
	return g
}

// edgeParts are what the options of a rule of iptables ask of packets, and where it sends them.
type edgeParts struct {
	conds []natCond
	chain string
	nat   netip.AddrPort
	ok    bool // it sends them somewhere
}

// edgesOfText returns the ways of a rule as iptables-save writes it, if it has any.
func edgesOfText(text string) (all []natEdge) {
	e := edgeParts{conds: []natCond{{}}}
	e.options(splitRule(text))
	if !e.ok {
		return nil
	}
	for _, cond := range e.conds {
		all = append(all, natEdge{cond: cond, chain: e.chain, nat: e.nat})
	}
	return all
}

// options takes the options of a rule, or those of one of its matches.
func (e *edgeParts) options(words []string) {
	for i := 0; i+1 < len(words); i++ {
		value := words[i+1]
		if words[i] == "!" { // what is not so makes the rule no wider
			i += 2
			continue
		}
		switch words[i] {
		case "-d", "--destination":
			e.each(func(c *natCond) { c.to = prefixOfText(value) })
		case "-p", "--protocol":
			e.each(func(c *natCond) { c.protocol = value })
		case "--dport", "--destination-port", "--dports", "--destination-ports":
			e.ports(value)
		case "--comment":
			e.each(func(c *natCond) { c.name = serviceOfComment(value) })
		case "-j", "-g", "--jump", "--goto":
			e.chain, e.ok = value, true
		case "--to-destination":
			e.nat, e.ok = firstOfRange(value)
			e.chain = ""
			return
		default:
			continue
		}
		i++
	}
}

func (e *edgeParts) each(set func(*natCond)) {
	for i := range e.conds {
		set(&e.conds[i])
	}
}

// ports takes ports and ranges of them, separated by commas. What is no list of ports is any.
func (e *edgeParts) ports(text string) {
	var spans [][2]uint16
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 16)
		b, other := strconv.ParseUint(last, 10, 16)
		if err != nil || other != nil || a > b {
			return
		}
		spans = append(spans, [2]uint16{uint16(a), uint16(b)})
	}
	e.conds = each(e.conds, len(spans), func(c *natCond, i int) { c.port, c.last = spans[i][0], spans[i][1] })
}

// splitRule splits a rule at spaces, but for those in quotes.
func splitRule(text string) (words []string) {
	var word strings.Builder
	quoted, inside := false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted && i+1 < len(text):
			i++
			word.WriteByte(text[i])
		case c == '"':
			quoted, inside = !quoted, true
		case c == ' ' && !quoted:
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
		default:
			inside = true
			word.WriteByte(c)
		}
	}
	if inside {
		words = append(words, word.String())
	}
	return words
}

// prefixOfText returns a network or an address; not valid if it is neither.
func prefixOfText(s string) netip.Prefix {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

// firstOfRange returns where the target DNAT sends packets: an address with a port or
// without, of which there may be a range.
func firstOfRange(s string) (netip.AddrPort, bool) {
	s, port, hasPort := cutPort(s)
	first, _, _ := strings.Cut(s, "-")
	addr, err := netip.ParseAddr(first)
	if err != nil {
		return netip.AddrPort{}, false
	}
	if !hasPort {
		return netip.AddrPortFrom(addr, 0), true
	}
	port, _, _ = strings.Cut(port, "-")
	n, err := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(addr, uint16(n)), err == nil
}

// cutPort returns what is before a port, without the brackets of IPv6, and the port.
func cutPort(s string) (addr, port string, ok bool) {
	if rest, bracket := strings.CutPrefix(s, "["); bracket {
		addr, port, ok = strings.Cut(rest, "]:")
		return strings.TrimSuffix(strings.ReplaceAll(addr, "[", ""), "]"), port, ok
	}
	if strings.Count(s, ":") > 1 { // IPv6 without a port
		return s, "", false
	}
	return strings.Cut(s, ":")
}

// routesOfIPVS returns the ways of a service of IPVS.
func routesOfIPVS(s *ipvs.Service) (all []natRoute) {
	cond := natCond{protocol: s.Protocol, port: s.Port, last: s.Port}
	if s.Address.IsValid() && s.Mark == 0 {
		cond.to = netip.PrefixFrom(s.Address, s.Address.BitLen())
	}
	for _, d := range s.Destinations {
		all = append(all, natRoute{cond: cond, nat: netip.AddrPortFrom(d.Address, d.Port), by: ByIPVS})
	}
	return all
}

package cos

import (
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/linux/network/netfilter/nftables"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
)

// isHostPortChain reports whether a chain is one that makes ports of the node those of pods:
// the CNI plugin portmap's (CNI-HOSTPORT-DNAT, CNI-DN-*, and the table cni_hostport), and
// what CRI-O and the kubelet called theirs.
func isHostPortChain(name string) bool {
	return strings.HasPrefix(name, "CNI-HOSTPORT-") || strings.HasPrefix(name, "CNI-DN-") ||
		strings.HasPrefix(name, "KUBE-HOSTPORTS") || strings.HasPrefix(name, "KUBE-HP-") || name == "hostports" || name == "hostip_hostports"
}

// chainOfService matches what kube-proxy calls chains in its mode nftables: service, endpoint
// and the like, a hash, and NAMESPACE/NAME/PROTOCOL/PORT.
var chainOfService = regexp.MustCompile(`^(?:service|external|endpoint)-[A-Z0-9]{8}-([^/]+/[^/]+)/(?:tcp|udp|sctp)/([^_]*)`)

// serviceOfChain returns the Service that the name of a chain tells, as NAMESPACE/NAME:PORT.
func serviceOfChain(name string) string {
	m := chainOfService.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	return strings.TrimSuffix(m[1]+":"+m[2], ":")
}

// serviceComment matches what kube-proxy writes behind rules: the Service, and what its
// address or the endpoint is.
var serviceComment = regexp.MustCompile(`^([a-z0-9.-]+/[a-z0-9.-]+(?::[a-z0-9.-]+)?)(?: -> \S+| cluster IP| external IP| loadbalancer IP| load-balancer IP|)$`)

// serviceOfComment returns the Service that a comment names.
func serviceOfComment(comment string) string {
	if m := serviceComment.FindStringSubmatch(comment); m != nil {
		return m[1]
	}
	return ""
}

// graphOfTable returns the chains of a table of nf_tables, where it translates addresses.
func graphOfTable(t *nftables.Table) *natGraph {
	g := &natGraph{by: ByNFTables, edges: map[string][]natEdge{}}
	if t.Family != "ip" && t.Family != "ip6" && t.Family != "inet" {
		return g
	}
	r := natReader{sets: map[string]*nftables.Set{}}
	for _, s := range t.Sets {
		r.sets[s.Name] = s
	}
	for _, c := range t.Chains {
		if c.Type == "nat" && (c.Hook == "prerouting" || c.Hook == "output") {
			g.starts = append(g.starts, c.Name)
		}
		for _, rule := range c.Rules {
			edges, foreign := r.edges(rule)
			g.edges[c.Name] = append(g.edges[c.Name], edges...)
			if foreign {
				g.by = ByIPTables
			}
		}
	}
	return g
}

// A natReader takes what rules of nf_tables say of destinations.
type natReader struct {
	sets map[string]*nftables.Set
}

// edges returns the ways of a rule, and whether iptables made it.
func (r *natReader) edges(rule *nftables.Rule) (all []natEdge, foreign bool) {
	conds := []natCond{{name: serviceOfComment(rule.Comment)}}
	extensions := rule.Extensions
	for _, s := range rule.Statements {
		name, body := only(s)
		switch name {
		case "match":
			conds = r.match(conds, body)
		case "jump", "goto":
			all = append(all, edgesTo(conds, textAt(body, "target"))...)
		case "vmap":
			for _, cond := range conds {
				all = append(all, r.verdicts(cond, body)...)
			}
		case "dnat":
			for _, cond := range conds {
				all = append(all, r.translations(cond, body)...)
			}
		case "xt":
			foreign = true
			if len(extensions) > 0 { // they are in the order of these statements
				conds, all = extend(conds, all, &extensions[0])
				extensions = extensions[1:]
			}
		}
	}
	return all, foreign
}

// edgesTo returns the ways to a chain of packets of several kinds.
func edgesTo(conds []natCond, chain string) (all []natEdge) {
	for _, cond := range conds {
		all = append(all, natEdge{cond: cond, chain: chain})
	}
	return all
}

// extend takes what a match of iptables asks, or where its target sends packets.
func extend(conds []natCond, all []natEdge, ext *xtables.Extension) ([]natCond, []natEdge) {
	words := splitRule(ext.Text)
	switch ext.Name {
	case "comment", "tcp", "udp", "sctp", "multiport":
		e := edgeParts{conds: conds}
		e.options(words)
		return e.conds, all
	case "DNAT":
		if i := slices.Index(words, "--to-destination"); i >= 0 && i+1 < len(words) {
			if nat, ok := firstOfRange(words[i+1]); ok {
				for _, cond := range conds {
					all = append(all, natEdge{cond: cond, nat: nat})
				}
			}
		}
	}
	return conds, all
}

// only returns the name and the value of an object's one member.
func only(v any) (string, any) {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		for name, value := range m {
			return name, value
		}
	}
	return "", nil
}

// at returns a member of an object.
func at(v any, name string) any {
	m, _ := v.(map[string]any)
	return m[name]
}

func textAt(v any, name string) string {
	s, _ := at(v, name).(string)
	return s
}

// maxKinds is how many kinds of packets a rule is told to be for: that of one for more is told to
// be for any.
const maxKinds = 64

// match adds to each kind of packets what a statement asks of the destination. What else it asks
// makes it no wider. Of several ports or protocols, each makes a kind.
func (r *natReader) match(conds []natCond, body any) []natCond {
	if op := textAt(body, "op"); op != "==" && op != "in" {
		return conds
	}
	left, right := at(body, "left"), at(body, "right")
	values := []any{right}
	if several := r.members(right); isSeveral(left) && len(several) > 0 {
		values = several
	}
	return each(conds, len(values), func(c *natCond, i int) { c.set(left, values[i]) })
}

// each makes of each kind of packets n, as set says; it leaves them as they are where they would
// be too many.
func each(conds []natCond, n int, set func(c *natCond, i int)) (all []natCond) {
	if n == 0 || n*len(conds) > maxKinds {
		return conds
	}
	for _, cond := range conds {
		for i := range n {
			c := cond
			set(&c, i)
			all = append(all, c)
		}
	}
	return all
}

// isSeveral reports whether an expression is one of which each value makes a kind of packets.
func isSeveral(left any) bool {
	name, body := only(left)
	return name == "payload" && textAt(body, "field") == "dport" || name == "meta" && textAt(body, "key") == "l4proto"
}

// members returns the elements of a set, by its name or as it stands in a rule; nil if it is none.
func (r *natReader) members(v any) (all []any) {
	if name, ok := v.(string); ok {
		if s := r.sets[strings.TrimPrefix(name, "@")]; s != nil && name[0] == '@' {
			for i := range s.Elements {
				all = append(all, s.Elements[i].Value)
			}
		}
	} else if name, body := only(v); name == "set" {
		all, _ = body.([]any)
	}
	for i := range all {
		if name, body := only(all[i]); name == "elem" {
			all = slices.Clone(all)
			all[i] = at(body, "val")
		}
	}
	return all
}

// set sets what an expression of packets is to be.
func (c *natCond) set(left, right any) {
	switch name, what := only(left); name {
	case "payload":
		switch protocol := textAt(what, "protocol"); textAt(what, "field") {
		case "daddr":
			if to := prefixOf(right); to.IsValid() {
				c.to = to
			}
		case "dport":
			if port, last, ok := portsOf(right); ok {
				c.port, c.last = port, last
			}
			if protocol != "th" {
				c.protocol = protocol
			}
		}
	case "meta":
		if textAt(what, "key") == "l4proto" {
			if p, ok := right.(string); ok {
				c.protocol = p
			}
		}
	}
}

// portsOf returns the ports that a value stands for: one, or a range.
func portsOf(v any) (port, last uint16, ok bool) {
	first, end := v, v
	if name, body := only(v); name == "range" {
		if list, _ := body.([]any); len(list) == 2 {
			first, end = list[0], list[1]
		}
	}
	a, isFirst := first.(int64)
	b, isEnd := end.(int64)
	if !isFirst || !isEnd || a < 0 || a > b || b > math.MaxUint16 {
		return 0, 0, false
	}
	return uint16(a), uint16(b), true
}

// prefixOf returns the addresses that a value stands for; not valid if it is another.
func prefixOf(v any) netip.Prefix {
	bits := int64(-1)
	if name, body := only(v); name == "prefix" {
		v = at(body, "addr")
		bits, _ = at(body, "len").(int64)
	}
	s, _ := v.(string)
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}
	}
	if bits < 0 || bits > int64(addr.BitLen()) {
		bits = int64(addr.BitLen())
	}
	return netip.PrefixFrom(addr, int(bits))
}

// addTo adds the parts of a key, which may be several joined, with the values of an element.
func (c *natCond) addTo(key, value any) {
	name, parts := only(key)
	if name != "concat" {
		c.set(key, value)
		return
	}
	if name, body := only(value); name == "concat" {
		value = body
	}
	left, _ := parts.([]any)
	right, _ := value.([]any)
	for i := range min(len(left), len(right)) {
		c.set(left[i], right[i])
	}
}

// pairs yields the elements of a map, by its name or as it stands in a rule: keys and values.
func (r *natReader) pairs(data any) (all [][2]any) {
	var elements []any
	if name, ok := data.(string); ok {
		if s := r.sets[strings.TrimPrefix(name, "@")]; s != nil {
			for i := range s.Elements {
				elements = append(elements, s.Elements[i].Value)
			}
		}
	} else if _, body := only(data); body != nil {
		elements, _ = body.([]any)
	}
	for _, e := range elements {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			continue
		}
		key := pair[0]
		if name, body := only(key); name == "elem" {
			key = at(body, "val")
		}
		all = append(all, [2]any{key, pair[1]})
	}
	return all
}

// verdicts returns the ways of a map of verdicts.
func (r *natReader) verdicts(cond natCond, body any) (all []natEdge) {
	key := at(body, "key")
	for _, pair := range r.pairs(at(body, "data")) {
		name, verdict := only(pair[1])
		if name != "goto" && name != "jump" {
			continue
		}
		e := natEdge{cond: cond, chain: textAt(verdict, "target")}
		e.cond.addTo(key, pair[0])
		all = append(all, e)
	}
	return all
}

// translations returns the ways of a translation, which may take its address from a map.
func (r *natReader) translations(cond natCond, body any) (all []natEdge) {
	addr := at(body, "addr")
	if name, lookup := only(addr); name == "map" {
		for _, pair := range r.pairs(at(lookup, "data")) {
			e := natEdge{cond: cond}
			e.cond.addTo(at(lookup, "key"), pair[0])
			value := pair[1]
			port := at(body, "port")
			if name, parts := only(value); name == "concat" {
				if list, _ := parts.([]any); len(list) == 2 {
					value, port = list[0], list[1]
				}
			}
			if e.to(value, port) {
				all = append(all, e)
			}
		}
		return all
	}
	if e := (natEdge{cond: cond}); e.to(addr, at(body, "port")) {
		all = append(all, e)
	}
	return all
}

// to sets where packets are sent, and reports whether that is one address.
func (e *natEdge) to(addr, port any) bool {
	to := prefixOf(addr)
	n, _ := port.(int64)
	e.nat = netip.AddrPortFrom(to.Addr(), uint16(n)) //nolint:gosec // of two bytes in the kernel
	return to.IsValid() && to.IsSingleIP()
}

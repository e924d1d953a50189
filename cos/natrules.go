package cos

import (
	"encoding/binary"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/linux/network/netfilter/nftables"
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
	cond := natCond{name: serviceOfComment(rule.Comment)}
	for _, s := range rule.Statements {
		name, body := only(s)
		switch name {
		case "match":
			cond.match(body)
		case "jump", "goto":
			all = append(all, natEdge{cond: cond, chain: textAt(body, "target")})
		case "vmap":
			all = append(all, r.verdicts(cond, body)...)
		case "dnat":
			all = append(all, r.translations(cond, body)...)
		case "xt":
			foreign = true
		}
	}
	for _, u := range rule.Unknown {
		switch u.Name {
		case "comment":
			text, _, _ := strings.Cut(string(u.Bytes), "\x00")
			name := serviceOfComment(text)
			for i := range all {
				all[i].cond.name = name
			}
			cond.name = name
		case "DNAT":
			if nat, ok := natRange(u.Bytes, cond.to); ok {
				all = append(all, natEdge{cond: cond, nat: nat})
			}
		}
	}
	return all, foreign
}

// natRange reads the struct nf_nat_range2 of iptables' target DNAT (include/uapi/linux/netfilter/nf_nat.h),
// whose first address and port packets are sent to. like is of the family that is meant.
func natRange(b []byte, like netip.Prefix) (netip.AddrPort, bool) {
	const mapIPs, specified = 1, 2 // NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_SPECIFIED
	if len(b) < 40 {
		return netip.AddrPort{}, false
	}
	flags := binary.LittleEndian.Uint32(b)
	if flags&mapIPs == 0 {
		return netip.AddrPort{}, false
	}
	addr := netip.AddrFrom16([16]byte(b[4:20]))
	if !like.IsValid() && !slices.ContainsFunc(b[8:20], func(c byte) bool { return c != 0 }) || like.Addr().Is4() {
		addr = netip.AddrFrom4([4]byte(b[4:8]))
	}
	port := uint16(0)
	if flags&specified != 0 {
		port = binary.BigEndian.Uint16(b[36:])
	}
	return netip.AddrPortFrom(addr, port), true
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

// match adds what a statement asks of the destination. What else it asks makes it no wider.
func (c *natCond) match(body any) {
	if op := textAt(body, "op"); op == "==" || op == "in" {
		c.set(at(body, "left"), at(body, "right"))
	}
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
			if port, ok := right.(int64); ok && port == int64(uint16(port)) { //nolint:gosec // it is what is asked
				c.port = uint16(port) //nolint:gosec // as above
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

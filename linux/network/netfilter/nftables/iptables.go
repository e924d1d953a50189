package nftables

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ofIPTables reports whether a table has a name that iptables gives its tables in nf_tables.
func ofIPTables(t *Table) bool {
	return (t.Family == "ip" || t.Family == "ip6") && slices.Contains([]string{"filter", "nat", "mangle", "raw", "security"}, t.Name)
}

// hookChains are the chains that iptables-save shows of a table whether or not they are there: the
// kernel has them once they have a rule.
var hookChains = map[string][]string{
	"filter": {"INPUT", "FORWARD", "OUTPUT"}, "security": {"INPUT", "FORWARD", "OUTPUT"}, "raw": {"PREROUTING", "OUTPUT"},
	"nat": {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}, "mangle": {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"},
}

// IPTables returns a table as iptables-save writes it, without counts; empty where iptables does not
// make such tables. A rule that iptables can't write is left out.
func (t *Table) IPTables() string {
	if !ofIPTables(t) {
		return ""
	}
	chains := slices.Clone(t.Chains)
	slices.SortStableFunc(chains, func(a, b *Chain) int {
		switch x, y := a.Hook == "", b.Hook == ""; {
		case x && y:
			return strings.Compare(a.Name, b.Name)
		case x:
			return 1
		case y:
			return -1
		}
		return 0
	})
	var b strings.Builder
	b.WriteString("*" + t.Name + "\n")
	for _, name := range hookChains[t.Name] {
		if !slices.ContainsFunc(chains, func(c *Chain) bool { return c.Name == name }) {
			b.WriteString(":" + name + " ACCEPT [0:0]\n")
		}
	}
	for _, c := range chains {
		policy := strings.ToUpper(c.Policy)
		if c.Hook == "" {
			policy = "-"
		}
		fmt.Fprintf(&b, ":%s %s [0:0]\n", c.Name, policy)
	}
	for _, c := range chains {
		for _, r := range c.Rules {
			if r.IPTables != "" {
				b.WriteString("-A " + c.Name + strings.TrimSuffix(" "+r.IPTables, " ") + "\n")
			}
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// An ipRule is a rule as iptables takes it apart: what it asks of the header, matches, and the
// target. It is what struct iptables_command_state of iptables has.
type ipRule struct {
	source, destination, in, out, protocol string
	matches                                []ipMatch
	target                                 string
}

// An ipMatch is a match with its options. What nf_tables does itself, iptables shows as the match
// that says the same.
type ipMatch struct{ name, options string }

// iptables writes a rule as iptables-save does, without the chain; empty where a statement is none
// that iptables makes. A rule that asks nothing and does nothing is a blank.
func (d *decoder) iptables() string {
	var r ipRule
	for _, s := range d.stmts {
		if !r.add(s) {
			return ""
		}
	}
	var words []string
	for _, w := range []string{r.source, r.destination, r.in, r.out, r.protocol} {
		if w != "" {
			words = append(words, w)
		}
	}
	for _, m := range r.matches {
		words = append(words, strings.TrimSuffix("-m "+m.name+" "+m.options, " "))
	}
	if r.target != "" {
		words = append(words, r.target)
	}
	if words == nil {
		return " "
	}
	return strings.Join(words, " ")
}

// add takes a statement into the rule, and reports whether iptables can write it.
func (r *ipRule) add(s node) bool {
	switch s := s.(type) {
	case *extension:
		if s.ext.Bytes != nil { // its options are not known
			return false
		}
		options := strings.TrimSuffix(" "+s.ext.Text, " ")
		if s.kind == "target" {
			r.target = "-j " + s.ext.Name + options
		} else {
			r.matches = append(r.matches, ipMatch{s.ext.Word(), s.ext.Text})
		}
		return true
	case *match:
		return r.addMatch(s)
	case *verdict:
		return r.addVerdict(s)
	case *phrase:
		return r.addPhrase(s)
	}
	return false
}

func (r *ipRule) addVerdict(v *verdict) bool {
	switch v.name() {
	case "jump":
		r.target = "-j " + v.chain
	case "goto":
		r.target = "-g " + v.chain
	case "accept", "drop", "return":
		r.target = "-j " + strings.ToUpper(v.name())
	default:
		return false
	}
	return true
}

// addPhrase takes counters, which are written before a rule, and limits.
func (r *ipRule) addPhrase(p *phrase) bool {
	rate, ok := strings.CutPrefix(p.words, "limit rate ")
	if !ok {
		return strings.HasPrefix(p.words, "counter ")
	}
	var n, burst uint64 = 0, 5
	var unit string
	if _, err := fmt.Sscanf(rate, "%d/%s burst %d packets", &n, &unit, &burst); n == 0 || strings.Contains(rate, "bytes") || unit == "week" {
		return false
	} else if err != nil && strings.Contains(rate, "burst") {
		return false
	}
	options := fmt.Sprintf("--limit %d/%s", n, map[string]string{"second": "sec", "minute": "min", "hour": "hour", "day": "day"}[unit])
	if burst != 5 {
		options += fmt.Sprint(" --limit-burst ", burst)
	}
	r.matches = append(r.matches, ipMatch{"limit", options})
	return true
}

// addMatch takes a comparison of what iptables asks for without a match, or with tcp, udp or mark.
func (r *ipRule) addMatch(m *match) bool {
	invert := ""
	switch m.op {
	case "==", "in":
	case "!=":
		invert = "! "
	default:
		return false
	}
	switch left := m.left.(type) {
	case *payload:
		return r.addPayload(left, invert, m.right)
	case *selector:
		return r.addSelector(left.key, invert, m.right, nil)
	case *operation:
		mask, ok := left.right.(*value)
		if !ok || left.op != "&" {
			return false
		}
		switch of := left.left.(type) {
		case *selector:
			return r.addSelector(of.key, invert, m.right, mask)
		case *payload:
			return r.addMasked(of, invert, m.right, mask)
		}
	}
	return false
}

// addSelector takes devices, protocols and marks.
func (r *ipRule) addSelector(key, invert string, right node, mask *value) bool {
	switch key {
	case "meta iifname", "meta oifname":
		name := strings.Trim(right.text(), `"`)
		if before, ok := strings.CutSuffix(name, "*"); ok {
			name = before + "+"
		}
		if key == "meta iifname" {
			r.in = invert + "-i " + name
		} else {
			r.out = invert + "-o " + name
		}
		return mask == nil
	case "meta l4proto":
		r.protocol = invert + "-p " + right.text()
		return mask == nil
	case "meta mark":
		v, ok := right.(*value)
		if !ok {
			return false
		}
		n, _ := number(v.data, v.order)
		text := fmt.Sprintf("0x%x", n)
		if mask != nil {
			n, _ := number(mask.data, mask.order)
			text += fmt.Sprintf("/0x%x", n)
		}
		r.matches = append(r.matches, ipMatch{"mark", invert + "--mark " + text})
		return true
	}
	return false
}

// addPayload takes addresses, the protocol, and ports.
func (r *ipRule) addPayload(p *payload, invert string, right node) bool {
	if p.f == nil {
		return false
	}
	switch p.f.name {
	case "saddr":
		return prefixWord(&r.source, invert+"-s ", right)
	case "daddr":
		return prefixWord(&r.destination, invert+"-d ", right)
	case "protocol", "nexthdr":
		r.protocol = invert + "-p " + right.text()
		return true
	case "sport", "dport":
		ports, ok := portsText(right)
		return ok && r.addTransport(p.head.name, invert+"--"+p.f.name+" "+ports)
	case "flags":
		v, ok := right.(*value)
		if !ok || p.head.name != "tcp" {
			return false
		}
		n, _ := number(v.data, v.order)
		return r.addTransport("tcp", invert+"--tcp-flags "+flagWords(0x3f)+" "+flagWords(n))
	}
	return false
}

// addMasked takes addresses with masks that are no prefix, and flags of TCP.
func (r *ipRule) addMasked(p *payload, invert string, right node, mask *value) bool {
	v, ok := right.(*value)
	if !ok || p.f == nil {
		return false
	}
	switch {
	case p.f.name == "saddr" || p.f.name == "daddr":
		to, option := &r.source, "-s "
		if p.f.name == "daddr" {
			to, option = &r.destination, "-d "
		}
		*to = invert + option + v.text() + "/" + (&value{data: mask.data, order: true, dt: v.dt}).text()
		return true
	case p.f.name == "flags" && p.head.name == "tcp":
		of, _ := number(mask.data, mask.order)
		n, _ := number(v.data, v.order)
		return r.addTransport("tcp", invert+"--tcp-flags "+flagWords(of)+" "+flagWords(n))
	}
	return false
}

// addTransport adds options of the match tcp or udp, which all are of one.
func (r *ipRule) addTransport(protocol, options string) bool {
	if protocol != "tcp" && protocol != "udp" {
		return false
	}
	for i := range r.matches {
		if r.matches[i].name == protocol {
			r.matches[i].options += " " + options
			return true
		}
	}
	r.matches = append(r.matches, ipMatch{protocol, options})
	return true
}

// prefixWord writes an address, always with the length of its prefix.
func prefixWord(to *string, option string, right node) bool {
	text := right.text()
	if addr, err := netip.ParseAddr(text); err == nil {
		text += "/" + strconv.Itoa(addr.BitLen())
	} else if _, err := netip.ParsePrefix(text); err != nil {
		return false
	}
	*to = option + text
	return true
}

// portsText writes a port or a range of them.
func portsText(right node) (string, bool) {
	switch right := right.(type) {
	case *value:
		n, ok := number(right.data, right.order)
		return strconv.FormatUint(n, 10), ok
	case *span:
		return right.from.text() + ":" + right.to.text(), true
	}
	return "", false
}

// flagWords names flags of TCP.
func flagWords(n uint64) string {
	var names []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	switch {
	case names == nil:
		return "NONE"
	case len(names) == 6:
		return "ALL"
	}
	return strings.Join(names, ",")
}

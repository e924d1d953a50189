package netfilter

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

func connections(t *testing.T, n *nftest.Node) map[uint32][]*Connection {
	t.Helper()
	all := map[uint32][]*Connection{}
	for c, err := range Conntrack(t.Context(), n.K, n.Mods, n.Namespaces) {
		switch {
		case errors.Is(err, kstruct.ErrUnsupported) && !n.Typed(ctModule):
			t.Skip("the image has no types of nf_conntrack")
		case err != nil:
			t.Error(err)
		default:
			all[c.NetNS] = append(all[c.NetNS], c)
		}
	}
	return all
}

// line writes a connection as conntrack -L -o extended does, without what moves: the timeout,
// counts, references and the identifier.
func line(c *Connection) string {
	var b strings.Builder
	family, number := c.Family, map[string]int{"ipv4": 2, "ipv6": 10}[c.Family]
	proto := c.Protocol
	if proto == "igmp" { // which conntrack does not know
		proto = "unknown"
	}
	fmt.Fprintf(&b, "%s %d %s", family, number, proto)
	if c.State != "" {
		b.WriteString(" " + c.State)
	}
	b.WriteString(tupleText(c.Protocol, &c.Original))
	if c.Status&SeenReply == 0 {
		b.WriteString(" [UNREPLIED]")
	}
	b.WriteString(tupleText(c.Protocol, &c.Reply))
	switch {
	case c.Status&HardwareOffload != 0:
		b.WriteString(" [HW_OFFLOAD]")
	case c.Status&Offload != 0:
		b.WriteString(" [OFFLOAD]")
	case c.Status&Assured != 0:
		b.WriteString(" [ASSURED]")
	}
	if c.Mark != 0 {
		fmt.Fprintf(&b, " mark=%d", c.Mark)
	}
	if c.Zone != 0 {
		fmt.Fprintf(&b, " zone%s=%d", map[string]string{"original": "-orig", "reply": "-reply"}[c.ZoneDirection], c.Zone)
	}
	if c.Helper != "" {
		b.WriteString(" helper=" + c.Helper)
	}
	return b.String()
}

func tupleText(proto string, t *Tuple) string {
	s := fmt.Sprintf(" src=%v dst=%v", t.Source, t.Destination)
	switch {
	case t.ICMP != nil:
		s += fmt.Sprintf(" type=%d code=%d id=%d", t.ICMP.Type, t.ICMP.Code, t.ICMP.ID)
	case proto == "gre":
		s += fmt.Sprintf(" srckey=0x%x dstkey=0x%x", t.SourceKey, t.DestinationKey)
	case t.SourcePort != 0 || t.DestinationPort != 0:
		s += fmt.Sprintf(" sport=%d dport=%d", t.SourcePort, t.DestinationPort)
	}
	return s
}

// unset is what is printed of a connection though it has none.
var unset = regexp.MustCompile(` (zone|mark)=0\b| sport=0 dport=0`)

var moving = regexp.MustCompile(` \[st(art|op)=[^\]]*\]| (use|packets|bytes|secctx|delta-time|timeout|stream_timeout|labels)=\S*| id=\d+\s*$`)

// entry is a line of conntrack, and for how long it says that the connection lives on.
type entry struct {
	text    string
	timeout int64
}

func parse(text string) (all []entry) {
	for l := range strings.Lines(text) {
		l = strings.Join(strings.Fields(moving.ReplaceAllString(l, "")), " ")
		f := strings.Fields(l)
		if len(f) < 6 {
			continue
		}
		e := entry{timeout: -1}
		// ipv4 2 tcp 6 TIMEOUT STATE ..., of which an offloaded one has neither
		rest := f[4:]
		if n, err := strconv.ParseInt(rest[0], 10, 64); err == nil {
			e.timeout, rest = n, rest[1:]
		}
		e.text = strings.Join(append(f[:3:3], rest...), " ")
		e.text = unset.ReplaceAllString(e.text, "")
		all = append(all, e)
	}
	return all
}

// The connections of a namespace are those of conntrack -L, but for those that came or went
// meanwhile, which live for less than the seconds between the two.
func TestTrueConntrack(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		got := connections(t, n)
		compared := 0
		for _, ns := range n.Namespaces {
			v4, _ := n.Truth(t, ns.Inum, "conntrack")
			v6, _ := n.Truth(t, ns.Inum, "conntrack6")
			compared += compare(t, ns.String(), append(parse(v4), parse(v6)...), got[ns.Inum])
		}
		if compared == 0 {
			t.Error("no connection was compared")
		}
	})
}

// maxTimeout is for how many seconds a connection lives that packets renew: nf_conntrack_tcp_timeout_established.
const maxTimeout = 5 * 24 * 3600

// short is for how many seconds a connection lives that need not be in both.
const short = 125

func compare(t *testing.T, ns string, want []entry, got []*Connection) (equal int) {
	t.Helper()
	left := slices.DeleteFunc(slices.Clone(got), func(c *Connection) bool { return c.List != "" })
	for _, e := range want {
		i := slices.IndexFunc(left, func(c *Connection) bool { return same(e.text, c) })
		if i < 0 {
			if e.timeout > short || e.timeout < 0 && !strings.Contains(e.text, "OFFLOAD") {
				t.Errorf("%s: lacks %s", ns, e.text)
			}
			continue
		}
		equal++
		c := left[i]
		left = slices.Delete(left, i, i+1)
		// An entry that sees no packets has less time left now than then, which packets renew.
		if e.timeout >= 0 && (c.Timeout > max(e.timeout+1, maxTimeout) || c.Timeout > 300 && c.Timeout < e.timeout-600) {
			t.Errorf("%s: %s: %d seconds left, and then %d", ns, e.text, e.timeout, c.Timeout)
		}
	}
	for _, c := range left {
		if c.Timeout > short && time.Duration(c.Timeout)*time.Second > 0 {
			t.Errorf("%s: more than the truth has: %s, for %d s", ns, line(c), c.Timeout)
		}
	}
	return equal
}

// same reports whether a line is that of a connection. The state of TCP goes on.
func same(text string, c *Connection) bool {
	have := line(c)
	if have == text {
		return true
	}
	// Of one that was or is offloaded, no state is shown, nor whether it is assured.
	if c.Status&Offload != 0 || strings.Contains(text, "OFFLOAD]") {
		return dropState(text) == dropState(have)
	}
	return false
}

var states = regexp.MustCompile(` (` + strings.Join(tcpStates, "|") + `|\[ASSURED\]|\[OFFLOAD\]|\[HW_OFFLOAD\])`)

func dropState(s string) string { return states.ReplaceAllString(s, "") }

func symbolizer(t *testing.T, n *nftest.Node) *module.Symbolizer {
	t.Helper()
	z, err := module.NewSymbolizer(t.Context(), n.Mods, nil)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// The hooks of a namespace are those that nft list hooks shows, in their order.
func TestTrueHooks(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		symbols := symbolizer(t, n)
		for _, ns := range n.Namespaces {
			last := map[string]int32{}
			for h, err := range Hooks(t.Context(), n.K, n.Mods, ns, &Options{Symbols: symbols}) {
				if err != nil {
					t.Errorf("%v: %v", ns, err)
					continue
				}
				place := h.Family + h.Hook + h.Device
				if at, ok := last[place]; ok && h.Priority < at {
					t.Errorf("%v: %+v is behind one of the priority %d", ns, h, at)
				}
				last[place] = h.Priority
				if h.Unknown || h.Symbol == "" {
					t.Errorf("%v: %+v has a function without a name", ns, h)
				}
			}
			truth, ok := n.Truth(t, ns.Inum, "hooks")
			if !ok {
				continue
			}
			var got []string
			for h, err := range Hooks(t.Context(), n.K, n.Mods, ns, &Options{Symbols: symbols}) {
				if err != nil {
					t.Error(err)
				}
				symbol := h.Symbol
				if h.Type == "nf_tables" && h.Private != 0 && strings.HasPrefix(symbol, "nft_do_chain") || strings.HasPrefix(symbol, "nf_route_table") {
					symbol = "chain"
				}
				// Those of bridges and arp were set up later.
				if h.Device == "" && h.Family != "bridge" && h.Family != "arp" {
					got = append(got, fmt.Sprintf("%s %s %d %s", h.Family, h.Hook, h.Priority, symbol))
				}
			}
			if d := cmp.Diff(listed(truth), got); d != "" {
				t.Errorf("%v (-nft +image):\n%s", ns, d)
			}
		}
	})
}

// listed reads what nft list hooks says: in families and hooks, lines of a priority and a
// function, which of a chain of nft is the chain's name.
func listed(text string) (all []string) {
	family, hook := "", ""
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		switch {
		case len(f) == 3 && f[0] == "family":
			family = f[1]
		case len(f) == 3 && f[0] == "hook":
			hook = f[1]
		case len(f) >= 2 && (f[0][0] == '+' || f[0][0] == '-' || f[0][0] == '0'):
			n, err := strconv.ParseInt(f[0], 10, 32)
			if err == nil && family != "bridge" && family != "arp" {
				all = append(all, fmt.Sprintf("%s %s %d %s", family, hook, n, f[1]))
			}
		}
	}
	return all
}

// The bundled node has connections of no kind, and hooks in each namespace.
func TestBundled(t *testing.T) {
	n := nftest.Bundled(t)
	for c, err := range Conntrack(t.Context(), n.K, n.Mods, n.Namespaces) {
		t.Errorf("a connection %v, %v", c, err)
	}
	hooks, symbols := 0, symbolizer(t, n)
	for _, ns := range n.Namespaces {
		for h, err := range Hooks(t.Context(), n.K, n.Mods, ns, &Options{Symbols: symbols}) {
			if err != nil {
				t.Error(err)
				continue
			}
			hooks++
			if h.Symbol == "" || h.NetNS != ns.Inum || h.Unknown {
				t.Errorf("%v: %+v", ns, h)
			}
		}
	}
	if hooks == 0 {
		t.Error("no hook, but AppArmor has some in each namespace")
	}
}

// HZ is told by what jiffies are after an uptime.
func TestJiffies(t *testing.T) {
	n := nftest.Bundled(t)
	src := nfkit.Source{K: n.K, Mods: n.Mods}
	j, err := src.Jiffies()
	if err != nil || j.HZ != 250 {
		t.Errorf("HZ of %d, %v; Debian's kernels have 250", j.HZ, err)
	}
}

func TestStatusNames(t *testing.T) {
	b, err := (SeenReply | Assured | Confirmed | 1<<20).MarshalJSON()
	if err != nil || string(b) != `["SEEN_REPLY","ASSURED","CONFIRMED","0x100000"]` {
		t.Errorf("%s, %v", b, err)
	}
	if got := Status(0).Names(); !slices.Equal(got, []string{"UNREPLIED"}) {
		t.Error(got)
	}
}

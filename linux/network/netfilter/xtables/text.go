package xtables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// String returns the table as iptables-save -c writes it.
func (t *Table) String() string {
	var b strings.Builder
	b.WriteString("*" + t.Name + "\n")
	for _, c := range t.Chains {
		policy := c.Policy
		if policy == "" {
			policy = "-"
		}
		fmt.Fprintf(&b, ":%s %s [%d:%d]\n", c.Name, policy, c.Packets, c.Bytes)
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "[%d:%d] %s\n", r.Packets, r.Bytes, r.Text)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// sortChains puts the chains of hooks first.
func sortChains(t *Table, heads map[int]string) {
	slices.SortStableFunc(t.Chains, func(a, b *Chain) int {
		x, y := heads[a.offset] == "", heads[b.offset] == ""
		switch {
		case x == y && x:
			return strings.Compare(a.Name, b.Name)
		case x == y:
			return a.offset - b.offset
		case x:
			return 1
		}
		return -1
	})
}

// verdictName returns the name of a verdict of the standard target.
func verdictName(v int32) string {
	switch v {
	case -1:
		return "DROP"
	case -2:
		return "ACCEPT"
	case -4:
		return "QUEUE"
	case -5:
		return "RETURN"
	}
	return fmt.Sprint("verdict ", v)
}

// describe writes a rule.
func (r *reader) describe(t *Table, b *block, chain *Chain, e entry, rule *Rule, name extName, data []byte) {
	words := []string{"-A", chain.Name}
	raw := b.data[e.at:]
	flags := uint8(0)
	switch t.Family {
	case "ip":
		words = append(words, ipWords(raw, 4)...)
		flags = raw[82]
	case "ip6":
		words = append(words, ipWords(raw, 16)...)
		flags = raw[131]
	case "arp":
		words = append(words, arpWords(raw)...)
	}
	for at := e.at + b.layout.size; at+32 <= e.at+e.target; {
		size := int(binary.LittleEndian.Uint16(b.data[at:]))
		if size < 32 || at+size > e.at+e.target {
			r.lose(b.start+vmem.VirtAddr(e.at), nfkit.Corrupt("a match of %d bytes", size))
			break
		}
		m := r.matchAt(t, b, at, size)
		rule.Matches = append(rule.Matches, m)
		words = append(words, "-m", matchWord(&m))
		if m.Text != "" {
			words = append(words, m.Text)
		}
		at += size
	}
	rule.Target = Extension{Name: name.name, Revision: name.revision}
	jump := "-j"
	if flags&2 != 0 { // IPT_F_GOTO
		jump, rule.Goto = "-g", true
	}
	if name.name == "" {
		rule.Target.Name = r.jump(b, e, data)
	} else {
		formatTarget(t.Family, &rule.Target, data)
	}
	if rule.Target.Name != "" {
		words = append(words, jump, rule.Target.Name)
		if rule.Target.Text != "" {
			words = append(words, rule.Target.Text)
		}
	}
	rule.Text = strings.Join(words, " ")
}

// jump returns where the standard target leads: a verdict, a chain, or nowhere.
func (r *reader) jump(b *block, e entry, data []byte) string {
	if len(data) < 4 {
		return ""
	}
	v := int32(binary.LittleEndian.Uint32(data)) //nolint:gosec // as in the kernel
	if v < 0 {
		return verdictName(v)
	}
	if int(v) == e.at+e.next {
		return "" // the next rule
	}
	if chain, ok := b.chains[int(v)]; ok {
		return chain
	}
	r.lose(b.start+vmem.VirtAddr(e.at), nfkit.Corrupt("a jump to %d, where no chain begins", v))
	return fmt.Sprint("offset ", v)
}

// matchAt reads a match.
func (r *reader) matchAt(t *Table, b *block, at, size int) Extension {
	name, err := r.extName(vmem.VirtAddr(binary.LittleEndian.Uint64(b.data[at+8:])), &r.v.match, "xt_match")
	m := Extension{Name: name.name, Revision: name.revision}
	data := b.data[at+32 : at+size]
	if err != nil {
		r.lose(b.start+vmem.VirtAddr(at), err)
		m.Bytes = data
		return m
	}
	r.formatMatch(t.Family, &m, data)
	return m
}

// matchWord is the name by which a match is asked for.
func matchWord(m *Extension) string {
	if m.Name == "conntrack" && (strings.HasPrefix(m.Text, "--state") || strings.HasPrefix(m.Text, "! --state")) {
		return "state"
	}
	return m.Name
}

func not(invert bool) string {
	if invert {
		return "! "
	}
	return ""
}

// ipWords writes what struct ipt_ip or ip6t_ip6 asks for, with addresses of n bytes.
func ipWords(b []byte, n int) (words []string) {
	add := func(invert bool, s string) { words = append(words, not(invert)+s) }
	in, flags, inv, proto := 16, b[82], b[83], binary.LittleEndian.Uint16(b[80:])
	if n == 16 {
		in, flags, inv, proto = 64, b[131], b[132], binary.LittleEndian.Uint16(b[128:])
	}
	if s := maskedAddr(b[:n], b[2*n:3*n]); s != "" {
		add(inv&0x08 != 0, "-s "+s)
	}
	if s := maskedAddr(b[n:2*n], b[3*n:4*n]); s != "" {
		add(inv&0x10 != 0, "-d "+s)
	}
	if s := ifaceText(b[in:in+16], b[in+32:in+48]); s != "" {
		add(inv&0x01 != 0, "-i "+s)
	}
	if s := ifaceText(b[in+16:in+32], b[in+48:in+64]); s != "" {
		add(inv&0x02 != 0, "-o "+s)
	}
	if proto != 0 {
		add(inv&0x40 != 0, "-p "+protoName(proto))
	}
	if n == 4 && flags&1 != 0 {
		add(inv&0x20 != 0, "-f")
	}
	return words
}

var protoNames = map[uint16]string{
	1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp", 89: "ospf", 103: "pim",
	112: "vrrp", 132: "sctp", 135: "mobility-header", 136: "udplite",
}

func protoName(n uint16) string {
	if name, ok := protoNames[n]; ok {
		return name
	}
	return strconv.Itoa(int(n))
}

// maskedAddr writes an address with its mask, empty where no bit counts.
func maskedAddr(addr, mask []byte) string {
	if !slices.ContainsFunc(mask, func(x byte) bool { return x != 0 }) {
		return ""
	}
	a, _ := netip.AddrFromSlice(addr)
	ones := 0
	for ones < 8*len(mask) && mask[ones/8]&(0x80>>(ones%8)) != 0 {
		ones++
	}
	for i := ones; i < 8*len(mask); i++ {
		if mask[i/8]&(0x80>>(i%8)) != 0 {
			m, _ := netip.AddrFromSlice(mask)
			return a.String() + "/" + m.String()
		}
	}
	return a.String() + "/" + strconv.Itoa(ones)
}

// ifaceText writes the name of a device, or its beginning and a plus sign.
func ifaceText(name, mask []byte) string {
	if mask[0] == 0 || name[0] == 0 {
		return ""
	}
	n := 0
	for n < len(name) && mask[n] != 0 {
		n++
	}
	s := nfkit.Text(name[:n])
	if len(s) == n && n < len(name) {
		s += "+"
	}
	return s
}

// arpWords writes what struct arpt_arp asks for.
func arpWords(b []byte) (words []string) {
	inv := binary.LittleEndian.Uint16(b[160:])
	add := func(bit uint16, s string) { words = append(words, not(inv&bit != 0)+s) }
	if s := ifaceText(b[94:110], b[126:142]); s != "" {
		add(0x01, "-i "+s)
	}
	if s := ifaceText(b[110:126], b[142:158]); s != "" {
		add(0x02, "-o "+s)
	}
	if s := maskedAddr(b[0:4], b[8:12]); s != "" {
		add(0x04, "-s "+strings.TrimSuffix(s, "/32"))
	}
	if s := maskedAddr(b[4:8], b[12:16]); s != "" {
		add(0x08, "-d "+strings.TrimSuffix(s, "/32"))
	}
	if op, mask := binary.BigEndian.Uint16(b[82:]), binary.BigEndian.Uint16(b[84:]); mask != 0 {
		add(0x80, fmt.Sprint("--opcode ", op))
	}
	return words
}

// quote writes a text as iptables-save does: bare if it is a word.
func quote(s string) string {
	bare := s != ""
	for _, c := range s {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			bare = false
		}
	}
	if bare {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, `'`, `\'`).Replace(s) + `"`
}

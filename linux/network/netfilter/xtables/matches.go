package xtables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
)

var le = binary.LittleEndian

// A format writes the options of a match or a target of at least so many bytes, as
// iptables-save does.
type format struct {
	size  int
	write func(r *reader, family string, b []byte) string
}

// extKey names the layout of an extension.
type extKey struct {
	name     string
	revision uint8
}

// matchFormats are the matches that are written; the layouts are those of
// include/uapi/linux/netfilter/xt_*.h.
var matchFormats map[extKey]format

func init() {
	matchFormats = map[extKey]format{
		{"tcp", 0}: {12, tcpText}, {"udp", 0}: {9, udpText}, {"icmp", 0}: {4, icmpText}, {"icmp6", 0}: {4, icmpText},
		{"comment", 0}:   {256, func(_ *reader, _ string, b []byte) string { return "--comment " + quote(nfkit.Text(b[:256])) }},
		{"conntrack", 1}: {154, conntrackText}, {"conntrack", 2}: {154, conntrackText}, {"conntrack", 3}: {164, conntrackText},
		{"addrtype", 1}: {8, addrtypeText}, {"mark", 1}: {9, markText}, {"connmark", 1}: {9, markText}, {"statistic", 0}: {16, statisticText},
		{"multiport", 1}: {48, multiportText}, {"limit", 0}: {8, limitText}, {"length", 0}: {5, lengthText}, {"ttl", 0}: {2, ttlText},
		{"tos", 1}: {3, tosText}, {"pkttype", 0}: {8, pkttypeText}, {"iprange", 1}: {65, iprangeText}, {"mac", 0}: {12, macText},
		{"set", 1}: {4, setText}, {"set", 2}: {4, setText}, {"set", 3}: {4, setText}, {"set", 4}: {4, setText}, {"owner", 1}: {18, ownerText},
		{"state", 0}: {4, func(_ *reader, _ string, b []byte) string { return "--state " + stateText(uint16(le.Uint32(b))) }}, //nolint:gosec // few bits
	}
}

// FormatMatch returns a match of a rule of ip or ip6 as iptables-save writes its options, by what it
// is set up with; with its bytes where its layout is not known. It is for who has matches of
// iptables elsewhere than in its tables: nf_tables does. sets gives the names of ipset's sets, as
// [SetNames] does.
func FormatMatch(family, name string, revision uint8, data []byte, sets func(uint16) string) Extension {
	m := Extension{Name: name, Revision: revision}
	(&reader{sets: sets}).formatMatch(family, &m, data)
	return m
}

// FormatTarget is [FormatMatch] for a target.
func FormatTarget(family, name string, revision uint8, data []byte) Extension {
	t := Extension{Name: name, Revision: revision}
	formatTarget(family, &t, data)
	return t
}

// Word is the name by which iptables-save has a match: that of an old one where it was asked for so.
func (e *Extension) Word() string { return matchWord(e) }

// formatMatch writes the options of a match, or keeps its bytes.
func (r *reader) formatMatch(family string, m *Extension, data []byte) {
	f, ok := matchFormats[extKey{m.Name, m.Revision}]
	if !ok || len(data) < f.size {
		m.Bytes = slices.Clone(data)
		return
	}
	m.Text = f.write(r, family, data)
}

func portRange(b []byte) string {
	from, to := le.Uint16(b), le.Uint16(b[2:])
	if from == to {
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d:%d", from, to)
}

// portWords writes ranges of source and destination ports.
func portWords(b []byte, inv uint8) (words []string) {
	for i, name := range []string{"--sport ", "--dport "} {
		p := b[4*i:]
		invert := inv&(1<<i) != 0
		if le.Uint16(p) != 0 || le.Uint16(p[2:]) != 0xffff || invert {
			words = append(words, not(invert)+name+portRange(p))
		}
	}
	return words
}

func tcpText(_ *reader, _ string, b []byte) string {
	inv := b[11]
	words := portWords(b, inv)
	if b[8] != 0 || inv&8 != 0 {
		words = append(words, not(inv&8 != 0)+fmt.Sprint("--tcp-option ", b[8]))
	}
	if b[9] != 0 || inv&4 != 0 {
		words = append(words, not(inv&4 != 0)+"--tcp-flags "+tcpFlags(b[9])+" "+tcpFlags(b[10]))
	}
	return strings.Join(words, " ")
}

func tcpFlags(n uint8) string {
	var names []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "NONE"
	}
	return strings.Join(names, ",")
}

func udpText(_ *reader, _ string, b []byte) string { return strings.Join(portWords(b, b[8]), " ") }

func icmpText(_ *reader, family string, b []byte) string {
	name := "--icmp-type "
	if family == "ip6" {
		name = "--icmpv6-type "
	}
	s := not(b[3]&1 != 0) + name
	switch {
	case b[0] == 0xff && family == "ip":
		return s + "any"
	case b[1] == 0 && b[2] == 0xff:
		return s + fmt.Sprint(b[0])
	}
	return s + fmt.Sprintf("%d/%d", b[0], b[1])
}

func bitNames(n uint16, names []string, bits []uint16) string {
	var out []string
	for i, bit := range bits {
		if n&bit != 0 {
			out = append(out, names[i])
		}
	}
	return strings.Join(out, ",")
}

func stateText(n uint16) string {
	return bitNames(n, []string{"INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"}, []uint16{1, 8, 4, 2, 256, 64, 128})
}

func conntrackText(_ *reader, family string, b []byte) string {
	flags, inv := le.Uint16(b[146:]), le.Uint16(b[148:])
	var words []string
	add := func(bit uint16, s string) {
		if flags&bit != 0 {
			words = append(words, not(inv&bit != 0)+s)
		}
	}
	state := "--ctstate "
	if flags&0x2000 != 0 { // XT_CONNTRACK_STATE_ALIAS
		state = "--state "
	}
	add(1, state+stateText(le.Uint16(b[150:])))
	add(2, fmt.Sprint("--ctproto ", le.Uint16(b[136:])))
	n := 16
	if family == "ip" {
		n = 4
	}
	for i, name := range []string{"--ctorigsrc ", "--ctorigdst ", "--ctreplsrc ", "--ctrepldst "} {
		add(4<<i, name+strings.TrimSuffix(maskedAddr(b[32*i:32*i+n], b[32*i+16:32*i+16+n]), fmt.Sprint("/", 8*n)))
	}
	for i, name := range []string{"--ctorigsrcport ", "--ctorigdstport ", "--ctreplsrcport ", "--ctrepldstport "} {
		port := fmt.Sprint(le.Uint16(b[138+2*i:]))
		if len(b) >= 162 {
			if high := le.Uint16(b[154+2*i:]); high != le.Uint16(b[138+2*i:]) {
				port = fmt.Sprint(port, ":", high)
			}
		}
		add(0x100<<i, name+port)
	}
	add(0x40, "--ctstatus "+statusText(le.Uint16(b[152:])))
	if from, to := le.Uint32(b[128:]), le.Uint32(b[132:]); from == to {
		add(0x80, fmt.Sprint("--ctexpire ", from))
	} else {
		add(0x80, fmt.Sprintf("--ctexpire %d:%d", from, to))
	}
	if flags&0x1000 != 0 {
		dir := "ORIGINAL"
		if inv&0x1000 != 0 {
			dir = "REPLY"
		}
		words = append(words, "--ctdir "+dir)
	}
	return strings.Join(words, " ")
}

func statusText(n uint16) string {
	if n == 0 {
		return "NONE"
	}
	return bitNames(n, []string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"}, []uint16{1, 2, 4, 8})
}

var addrTypes = []string{
	"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE",
}

func addrtypeText(_ *reader, _ string, b []byte) string {
	flags := le.Uint32(b[4:])
	var words []string
	for i, name := range []string{"--src-type ", "--dst-type "} {
		if n := le.Uint16(b[2*i:]); n != 0 {
			bits := make([]uint16, len(addrTypes))
			for j := range bits {
				bits[j] = 1 << j
			}
			words = append(words, not(flags&(1<<i) != 0)+name+bitNames(n, addrTypes, bits))
		}
	}
	for i, name := range []string{"--limit-iface-in", "--limit-iface-out"} {
		if flags&(4<<i) != 0 {
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}

func markValue(mark, mask uint32) string {
	if mask == 0xffffffff {
		return fmt.Sprintf("0x%x", mark)
	}
	return fmt.Sprintf("0x%x/0x%x", mark, mask)
}

func markText(_ *reader, _ string, b []byte) string {
	return not(b[8]&1 != 0) + "--mark " + markValue(le.Uint32(b), le.Uint32(b[4:]))
}

func statisticText(_ *reader, _ string, b []byte) string {
	inv := not(le.Uint16(b[2:])&1 != 0)
	if le.Uint16(b) == 1 {
		return fmt.Sprintf("--mode nth %s--every %d --packet %d", inv, le.Uint32(b[4:])+1, le.Uint32(b[8:]))
	}
	return fmt.Sprintf("--mode random %s--probability %.11f", inv, float64(le.Uint32(b[4:]))/float64(0x80000000))
}

func multiportText(_ *reader, _ string, b []byte) string {
	name := [...]string{"--sports ", "--dports ", "--ports "}[min(b[0], 2)]
	var ports []string
	for i := 0; i < int(min(b[1], 15)); i++ {
		p := fmt.Sprint(le.Uint16(b[2+2*i:]))
		if b[32+i] != 0 && i+1 < 15 {
			i++
			p += fmt.Sprint(":", le.Uint16(b[2+2*i:]))
		}
		ports = append(ports, p)
	}
	return not(b[47]&1 != 0) + name + strings.Join(ports, ",")
}

// limitText writes a rate: XT_LIMIT_SCALE of include/uapi/linux/netfilter/xt_limit.h.
func limitText(_ *reader, _ string, b []byte) string {
	avg, burst := le.Uint32(b), le.Uint32(b[4:])
	s := "--limit " + rateText(avg)
	if burst != 5 {
		s += fmt.Sprint(" --limit-burst ", burst)
	}
	return s
}

func rateText(period uint32) string {
	const scale = 10000
	rates := []struct {
		name string
		mult uint32
	}{{"day", 86400 * scale}, {"hour", 3600 * scale}, {"min", 60 * scale}, {"sec", scale}}
	if period == 0 {
		return "0"
	}
	i := 1
	for i < len(rates) && period <= rates[i].mult && rates[i].mult/period >= rates[i].mult%period {
		i++
	}
	return fmt.Sprintf("%d/%s", rates[i-1].mult/period, rates[i-1].name)
}

func lengthText(_ *reader, _ string, b []byte) string {
	from, to := le.Uint16(b), le.Uint16(b[2:])
	s := not(b[4]&1 != 0) + "--length " + fmt.Sprint(from)
	if from != to {
		s += fmt.Sprint(":", to)
	}
	return s
}

func ttlText(_ *reader, _ string, b []byte) string {
	op := [...]string{"--ttl-eq", "! --ttl-eq", "--ttl-lt", "--ttl-gt"}[min(b[0], 3)]
	return fmt.Sprint(op, " ", b[1])
}

func tosText(_ *reader, _ string, b []byte) string {
	return fmt.Sprintf("%s--tos 0x%02x/0x%02x", not(b[2]&1 != 0), b[0], b[1])
}

func pkttypeText(_ *reader, _ string, b []byte) string {
	name := map[uint32]string{0: "unicast", 1: "broadcast", 2: "multicast"}[le.Uint32(b)]
	return not(le.Uint32(b[4:])&1 != 0) + "--pkt-type " + name
}

func iprangeText(_ *reader, family string, b []byte) string {
	n := 16
	if family == "ip" {
		n = 4
	}
	var words []string
	for i, name := range []string{"--src-range ", "--dst-range "} {
		if b[64]&(1<<i) != 0 {
			from, _ := netip.AddrFromSlice(b[32*i : 32*i+n])
			to, _ := netip.AddrFromSlice(b[32*i+16 : 32*i+16+n])
			words = append(words, not(b[64]&(16<<i) != 0)+name+from.String()+"-"+to.String())
		}
	}
	return strings.Join(words, " ")
}

func macText(_ *reader, _ string, b []byte) string {
	return not(le.Uint32(b[8:])&1 != 0) + fmt.Sprintf("--mac-source %02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
}

func setText(r *reader, _ string, b []byte) string {
	var dirs []string
	for i := range min(b[2], 6) {
		dir := "dst"
		if b[3]&(2<<i) != 0 { // IPSET_DIM_ONE_SRC
			dir = "src"
		}
		dirs = append(dirs, dir)
	}
	return not(b[3]&1 != 0) + "--match-set " + r.setName(le.Uint16(b)) + " " + strings.Join(dirs, ",")
}

func ownerText(_ *reader, _ string, b []byte) string {
	var words []string
	for i, name := range []string{"--uid-owner ", "--gid-owner "} {
		if b[16]&(1<<i) == 0 {
			continue
		}
		from, to := le.Uint32(b[8*i:]), le.Uint32(b[8*i+4:])
		s := fmt.Sprint(from)
		if from != to {
			s += fmt.Sprint("-", to)
		}
		words = append(words, not(b[17]&(1<<i) != 0)+name+s)
	}
	if b[16]&4 != 0 {
		words = append(words, not(b[17]&4 != 0)+"--socket-exists")
	}
	return strings.Join(words, " ")
}

package xtables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
)

var targetFormats map[extKey]format

func init() {
	targetFormats = map[extKey]format{
		{"MARK", 2}: {8, setMarkText}, {"CONNMARK", 1}: {13, connmarkText}, {"CONNMARK", 2}: {15, connmark2Text},
		{"MASQUERADE", 0}: {20, natText("--to-ports ")}, {"REDIRECT", 0}: {20, natText("--to-ports ")}, {"NETMAP", 0}: {20, natText("--to ")},
		{"DNAT", 0}: {20, natText("--to-destination ")}, {"DNAT", 1}: {40, rangeText("--to-destination ")}, {"DNAT", 2}: {40, rangeText("--to-destination ")},
		{"SNAT", 0}: {20, natText("--to-source ")}, {"SNAT", 1}: {40, rangeText("--to-source ")}, {"SNAT", 2}: {40, rangeText("--to-source ")},
		{"LOG", 0}: {32, logText}, {"REJECT", 0}: {4, rejectText}, {"TCPMSS", 0}: {2, mssText}, {"NFQUEUE", 3}: {6, queueText}, {"NFQUEUE", 2}: {6, queueText},
		{"NFLOG", 0}: {76, nflogText}, {"DSCP", 0}: {1, dscpText}, {"CT", 2}: {64, ctText}, {"CT", 1}: {64, ctText},
		{"NOTRACK", 0}: {0, func(*reader, string, []byte) string { return "" }},
	}
}

// formatTarget writes the options of a target, or keeps its bytes.
func formatTarget(family string, t *Extension, data []byte) {
	f, ok := targetFormats[extKey{t.Name, t.Revision}]
	if !ok || len(data) < f.size {
		t.Bytes = slices.Clone(data)
		return
	}
	t.Text = f.write(nil, family, data)
	if t.Name == "CT" && le.Uint16(data)&2 != 0 { // XT_CT_NOTRACK_ALIAS: it was asked for under its old name
		t.Name, t.Text = "NOTRACK", ""
	}
}

func setMarkText(_ *reader, _ string, b []byte) string {
	return fmt.Sprintf("--set-xmark 0x%x/0x%x", le.Uint32(b), le.Uint32(b[4:]))
}

func connmarkText(_ *reader, _ string, b []byte) string { return connmarkMode(b, b[12]) }

// connmark2Text reads the revision that can shift the mark, too.
func connmark2Text(_ *reader, _ string, b []byte) string {
	s := connmarkMode(b, b[14])
	if b[13] != 0 {
		s += fmt.Sprintf(" --%s-shift-mark %d", [...]string{"left", "right"}[b[12]&1], b[13])
	}
	return s
}

func connmarkMode(b []byte, mode uint8) string {
	mark, mask, nfmask := le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])
	switch mode {
	case 1:
		return fmt.Sprintf("--save-mark --nfmask 0x%x --ctmask 0x%x", nfmask, mask)
	case 2:
		return fmt.Sprintf("--restore-mark --nfmask 0x%x --ctmask 0x%x", nfmask, mask)
	}
	return fmt.Sprintf("--set-xmark 0x%x/0x%x", mark, mask)
}

// A natRange is struct nf_nat_range, or struct nf_nat_ipv4_range.
type natRange struct {
	flags    uint32
	min, max netip.Addr
	from, to uint16
}

// natText reads what has one layout for IPv4, struct nf_nat_ipv4_multi_range_compat, and another
// for IPv6, struct nf_nat_range.
func natText(option string) func(*reader, string, []byte) string {
	return func(_ *reader, family string, b []byte) string {
		if family == "ip6" {
			if len(b) < 40 {
				return ""
			}
			return wideRange(b).text(option)
		}
		return natRange{
			le.Uint32(b[4:]), netip.AddrFrom4([4]byte(b[8:12])), netip.AddrFrom4([4]byte(b[12:16])),
			binary.BigEndian.Uint16(b[16:]), binary.BigEndian.Uint16(b[18:]),
		}.text(option)
	}
}

// rangeText reads struct nf_nat_range or nf_nat_range2, which serve both families.
func rangeText(option string) func(*reader, string, []byte) string {
	return func(_ *reader, family string, b []byte) string {
		n := wideRange(b)
		if family == "ip" {
			n.min, n.max = netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte(b[20:24]))
		}
		return n.text(option)
	}
}

func wideRange(b []byte) natRange {
	return natRange{
		le.Uint32(b), netip.AddrFrom16([16]byte(b[4:20])), netip.AddrFrom16([16]byte(b[20:36])),
		binary.BigEndian.Uint16(b[36:]), binary.BigEndian.Uint16(b[38:]),
	}
}

// text writes a range: the flags are NF_NAT_RANGE_* of include/uapi/linux/netfilter/nf_nat.h.
func (n natRange) text(option string) string {
	s := ""
	ports := n.flags&2 != 0
	if n.flags&1 != 0 {
		s = addrText(n.min, ports)
		if n.max != n.min {
			s += "-" + addrText(n.max, ports)
		}
	}
	if ports {
		if s != "" {
			s += ":"
		}
		s += fmt.Sprint(n.from)
		if n.to != n.from {
			s += fmt.Sprint("-", n.to)
		}
	}
	var words []string
	if s != "" {
		words = append(words, option+s)
	}
	if n.flags&4 != 0 {
		words = append(words, "--random")
	}
	if n.flags&16 != 0 {
		words = append(words, "--random-fully")
	}
	if n.flags&8 != 0 {
		words = append(words, "--persistent")
	}
	return strings.Join(words, " ")
}

func addrText(a netip.Addr, ports bool) string {
	if a.Is6() && ports {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func logText(_ *reader, _ string, b []byte) string {
	var words []string
	if prefix := nfkit.Text(b[2:32]); prefix != "" {
		words = append(words, "--log-prefix "+quote(prefix))
	}
	if b[0] != 4 {
		words = append(words, fmt.Sprint("--log-level ", b[0]))
	}
	for _, f := range []struct {
		bit  uint8
		name string
	}{{1, "--log-tcp-sequence"}, {2, "--log-tcp-options"}, {4, "--log-ip-options"}, {8, "--log-uid"}, {32, "--log-macdecode"}} {
		if b[1]&f.bit != 0 {
			words = append(words, f.name)
		}
	}
	return strings.Join(words, " ")
}

var rejects = map[string][]string{
	"ip": {
		"icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable", "icmp-port-unreachable", "echo-reply", "icmp-net-prohibited",
		"icmp-host-prohibited", "tcp-reset", "icmp-admin-prohibited",
	},
	"ip6": {
		"icmp6-no-route", "icmp6-adm-prohibited", "icmp6-not-neighbour", "icmp6-addr-unreachable", "icmp6-port-unreachable", "icmp6-echo-reply",
		"tcp-reset", "icmp6-policy-fail", "icmp6-reject-route",
	},
}

func rejectText(_ *reader, family string, b []byte) string {
	names, n := rejects[family], le.Uint32(b)
	if n >= uint32(len(names)) { //nolint:gosec // a short list
		return fmt.Sprint("--reject-with ", n)
	}
	return "--reject-with " + names[n]
}

func mssText(_ *reader, _ string, b []byte) string {
	if n := le.Uint16(b); n != 0xffff {
		return fmt.Sprint("--set-mss ", n)
	}
	return "--clamp-mss-to-pmtu"
}

func queueText(_ *reader, _ string, b []byte) string {
	num, total, flags := le.Uint16(b), le.Uint16(b[2:]), le.Uint16(b[4:])
	s := fmt.Sprint("--queue-num ", num)
	if total > 1 {
		s = fmt.Sprintf("--queue-balance %d:%d", num, num+total-1)
	}
	if flags&1 != 0 {
		s += " --queue-bypass"
	}
	if flags&2 != 0 {
		s += " --queue-cpu-fanout"
	}
	return s
}

func nflogText(_ *reader, _ string, b []byte) string {
	var words []string
	if prefix := nfkit.Text(b[12:76]); prefix != "" {
		words = append(words, "--nflog-prefix "+quote(prefix))
	}
	if group := le.Uint16(b[4:]); group != 0 {
		words = append(words, fmt.Sprint("--nflog-group ", group))
	}
	if size := le.Uint32(b); le.Uint16(b[8:])&1 != 0 {
		words = append(words, fmt.Sprint("--nflog-size ", size))
	} else if size != 0 {
		words = append(words, fmt.Sprint("--nflog-range ", size))
	}
	if n := le.Uint16(b[6:]); n != 1 && n != 0 {
		words = append(words, fmt.Sprint("--nflog-threshold ", n))
	}
	return strings.Join(words, " ")
}

func dscpText(_ *reader, _ string, b []byte) string { return fmt.Sprintf("--set-dscp 0x%02x", b[0]) }

func ctText(_ *reader, _ string, b []byte) string {
	var words []string
	if le.Uint16(b)&1 != 0 {
		words = append(words, "--notrack")
	}
	if helper := nfkit.Text(b[12:28]); helper != "" {
		words = append(words, "--helper "+quote(helper))
	}
	if timeout := nfkit.Text(b[28:60]); timeout != "" {
		words = append(words, "--timeout "+quote(timeout))
	}
	// XT_CT_ZONE_DIR_ORIG, XT_CT_ZONE_DIR_REPL and XT_CT_ZONE_MARK (include/uapi/linux/netfilter/xt_CT.h).
	flags, option := le.Uint16(b), [...]string{"--zone ", "--zone-orig ", "--zone-reply ", "--zone "}
	switch zone := le.Uint16(b[2:]); {
	case flags&16 != 0:
		words = append(words, option[flags>>2&3]+"mark")
	case zone != 0:
		words = append(words, fmt.Sprint(option[flags>>2&3], zone))
	}
	return strings.Join(words, " ")
}

package nftables

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A dataType says how a value is written: the types of values that nft has, by the numbers
// by which sets name them.
type dataType struct {
	name    string
	size    int               // in bytes; 0 where it varies
	big     bool              // in network order
	symbols map[uint64]string // names of values
	bits    bool              // the names are of bits
	hex     int               // digits of hexadecimal numbers; 0 for decimal ones
	write   func(b []byte, big bool) (string, any)
}

var (
	typeInteger  = &dataType{name: "integer"}
	typeNetwork  = &dataType{name: "integer", big: true}
	typeString   = &dataType{name: "string", write: writeString}
	typeVerdict  = &dataType{name: "verdict"}
	typeIP       = &dataType{name: "ipv4_addr", size: 4, big: true, write: writeAddr}
	typeIP6      = &dataType{name: "ipv6_addr", size: 16, big: true, write: writeAddr}
	typeEther    = &dataType{name: "ether_addr", size: 6, big: true, write: writeEther}
	typeService  = &dataType{name: "inet_service", size: 2, big: true}
	typeMark     = &dataType{name: "mark", size: 4, hex: 8}
	typeIfname   = &dataType{name: "ifname", size: 16, write: writeIfname}
	typeIfindex  = &dataType{name: "iface_index", size: 4}
	typeTime     = &dataType{name: "time", size: 4, write: writeTime}
	typeXInteger = &dataType{name: "integer", hex: 1}
	typeUID      = &dataType{name: "uid", size: 4}
	typeGID      = &dataType{name: "gid", size: 4}
	typeRealm    = &dataType{name: "realm", size: 4, write: writeRealm}
	typeClassID  = &dataType{name: "classid", size: 4, write: writeClassID}
	typeDevgroup = &dataType{name: "devgroup", size: 4, symbols: map[uint64]string{0: "default"}}
	typeCgroup2  = &dataType{name: "cgroupsv2", size: 8}
	typeLabel    = &dataType{name: "ct_label", size: 16}
	typeBool     = &dataType{name: "boolean", size: 1, symbols: map[uint64]string{0: "missing", 1: "exists"}}
	typeSwitch   = &dataType{name: "boolean", size: 1}
	typeFamily   = &dataType{name: "nf_proto", size: 1, symbols: map[uint64]string{2: "ipv4", 10: "ipv6"}}
	typeEtherTyp = &dataType{name: "ether_type", size: 2, big: true, hex: 4, symbols: map[uint64]string{
		0x0800: "ip", 0x0806: "arp", 0x86dd: "ip6", 0x8100: "8021q", 0x88a8: "8021ad", 0x8864: "8864",
	}}
	typeARPOp = &dataType{name: "arp_op", size: 2, big: true, symbols: map[uint64]string{
		1: "request", 2: "reply", 3: "rrequest", 4: "rreply", 8: "inrequest", 9: "inreply", 10: "nak",
	}}
	typeProto = &dataType{name: "inet_proto", size: 1, big: true, symbols: map[uint64]string{
		1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp",
		89: "ospf", 94: "ipip", 103: "pim", 108: "ipcomp", 112: "vrrp", 115: "l2tp", 132: "sctp", 136: "udplite",
	}}
	typeICMP = &dataType{name: "icmp_type", size: 1, big: true, symbols: map[uint64]string{
		0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo-request", 9: "router-advertisement",
		10: "router-solicitation", 11: "time-exceeded", 12: "parameter-problem", 13: "timestamp-request", 14: "timestamp-reply",
		15: "info-request", 16: "info-reply", 17: "address-mask-request", 18: "address-mask-reply",
	}}
	typeICMPCode = &dataType{name: "icmp_code", size: 1, symbols: map[uint64]string{
		0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable", 4: "frag-needed",
		9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited",
	}}
	typeICMP6 = &dataType{name: "icmpv6_type", size: 1, big: true, symbols: map[uint64]string{
		1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem", 128: "echo-request", 129: "echo-reply",
		130: "mld-listener-query", 131: "mld-listener-report", 132: "mld-listener-done", 133: "nd-router-solicit", 134: "nd-router-advert",
		135: "nd-neighbor-solicit", 136: "nd-neighbor-advert", 137: "nd-redirect", 138: "router-renumbering",
		141: "ind-neighbor-solicit", 142: "ind-neighbor-advert", 143: "mld2-listener-report",
	}}
	typeICMP6Code = &dataType{name: "icmpv6_code", size: 1, symbols: map[uint64]string{
		0: "no-route", 1: "admin-prohibited", 3: "addr-unreachable", 4: "port-unreachable", 5: "policy-fail", 6: "reject-route",
	}}
	typeICMPXCode = &dataType{name: "icmpx_code", size: 1, symbols: map[uint64]string{
		0: "no-route", 1: "port-unreachable", 2: "host-unreachable", 3: "admin-prohibited",
	}}
	typeTCPFlag = &dataType{name: "tcp_flag", size: 1, big: true, bits: true, hex: 2, symbols: map[uint64]string{
		1: "fin", 2: "syn", 4: "rst", 8: "psh", 16: "ack", 32: "urg", 64: "ecn", 128: "cwr",
	}}
	typeCTState = &dataType{name: "ct_state", size: 4, bits: true, hex: 8, symbols: map[uint64]string{
		1: "invalid", 2: "established", 4: "related", 8: "new", 64: "untracked",
	}}
	typeCTDir    = &dataType{name: "ct_dir", size: 1, symbols: map[uint64]string{0: "original", 1: "reply"}}
	typeCTStatus = &dataType{name: "ct_status", size: 4, bits: true, hex: 8, symbols: map[uint64]string{
		1: "expected", 2: "seen-reply", 4: "assured", 8: "confirmed", 16: "snat", 32: "dnat", 512: "dying",
	}}
	typeCTEvent = &dataType{name: "ct_event", size: 4, bits: true, hex: 8, symbols: map[uint64]string{
		1: "new", 2: "related", 4: "destroy", 8: "reply", 16: "assured", 32: "protoinfo", 64: "helper", 128: "mark", 256: "seqadj", 512: "secmark", 1024: "label",
	}}
	typePkt    = &dataType{name: "pkt_type", size: 1, symbols: map[uint64]string{0: "host", 1: "broadcast", 2: "multicast", 3: "other"}}
	typeARPHRD = &dataType{name: "iface_type", size: 2, symbols: map[uint64]string{
		1: "ether", 512: "ppp", 768: "ipip", 769: "ipip6", 772: "loopback", 776: "sit", 778: "ipgre", 65534: "none",
	}}
	typeDSCP = &dataType{name: "dscp", size: 1, big: true, hex: 2, symbols: map[uint64]string{
		0x00: "cs0", 0x08: "cs1", 0x10: "cs2", 0x18: "cs3", 0x20: "cs4", 0x28: "cs5", 0x30: "cs6", 0x38: "cs7", 0x0a: "af11", 0x0c: "af12",
		0x0e: "af13", 0x12: "af21", 0x14: "af22", 0x16: "af23", 0x1a: "af31", 0x1c: "af32", 0x1e: "af33", 0x22: "af41", 0x24: "af42",
		0x26: "af43", 0x2e: "ef", 0x2c: "va", 0x01: "lephb",
	}}
	typeECN = &dataType{name: "ecn", size: 1, big: true, symbols: map[uint64]string{0: "not-ect", 1: "ect1", 2: "ect0", 3: "ce"}}
	typeFIB = &dataType{name: "fib_addrtype", size: 4, symbols: map[uint64]string{
		0: "unspec", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable", 8: "prohibit",
	}}
	typeMH   = &dataType{name: "mh_type", size: 1, big: true}
	typeIGMP = &dataType{name: "igmp_type", size: 1, big: true, symbols: map[uint64]string{
		0x11: "membership-query", 0x12: "membership-report-v1", 0x16: "membership-report-v2", 0x22: "membership-report-v3", 0x17: "leave-group",
	}}
	typeDCCP = &dataType{name: "dccp_pkttype", size: 1, big: true, symbols: map[uint64]string{
		0: "request", 1: "response", 2: "data", 3: "ack", 4: "dataack", 5: "closereq", 6: "close", 7: "reset", 8: "sync", 9: "syncack",
	}}
	typeHour = &dataType{name: "hour", size: 4, write: writeHour}
	typeDay  = &dataType{name: "day", size: 1, symbols: map[uint64]string{
		0: "Sunday", 1: "Monday", 2: "Tuesday", 3: "Wednesday", 4: "Thursday", 5: "Friday", 6: "Saturday",
	}}
	typeDate = &dataType{name: "time", size: 8, write: writeDate}
)

// typeNumbers are the numbers of types in the key of a set: enum datatypes of nft. Those that
// are left out have no values that can be written.
var typeNumbers = map[uint32]*dataType{
	1: typeVerdict, 2: typeFamily, 4: typeInteger, 5: typeString, 7: typeIP, 8: typeIP6, 9: typeEther, 10: typeEtherTyp, 11: typeARPOp, 12: typeProto,
	13: typeService, 14: typeICMP, 15: typeTCPFlag, 16: typeDCCP, 17: typeMH, 18: typeTime, 19: typeMark, 20: typeIfindex, 21: typeARPHRD, 22: typeRealm,
	23: typeClassID, 24: typeUID, 25: typeGID, 26: typeCTState, 27: typeCTDir, 28: typeCTStatus, 29: typeICMP6, 30: typeLabel, 31: typePkt,
	32: typeICMPCode, 33: typeICMP6Code, 34: typeICMPXCode, 35: typeDevgroup, 36: typeDSCP, 37: typeECN, 38: typeFIB, 39: typeBool, 40: typeCTEvent,
	41: typeIfname, 42: typeIGMP, 43: typeDate, 44: typeHour, 45: typeDay, 46: typeCgroup2,
}

// splitTypes returns the types that a key is of: several, of 6 bits each, for what is joined.
func splitTypes(n uint32) []*dataType {
	var types []*dataType
	for ; n != 0; n >>= 6 {
		t := typeNumbers[n&0x3f]
		if t == nil {
			t = typeInteger
		}
		types = append(types, t)
	}
	slices.Reverse(types)
	return types
}

func joinTypes(types []*dataType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.name
	}
	return strings.Join(names, " . ")
}

// number returns an integer, and false for one that is longer than 8 bytes.
func number(b []byte, big bool) (uint64, bool) {
	if len(b) > 8 {
		return 0, false
	}
	var v uint64
	for i := range b {
		if big {
			v = v<<8 | uint64(b[i])
		} else {
			v = v<<8 | uint64(b[len(b)-1-i])
		}
	}
	return v, true
}

// format returns a value as nft writes it, and as its JSON has it.
func (t *dataType) format(b []byte, big bool) (string, any) {
	if t.write != nil {
		return t.write(b, big)
	}
	v, ok := number(b, big)
	if !ok {
		return hexNumber(b, big)
	}
	if t.bits {
		return t.formatBits(v)
	}
	if name, ok := t.symbols[v]; ok {
		switch t {
		case typeBool:
			return name, v != 0
		case typeDay:
			return quote(name), name
		}
		return name, name
	}
	return t.formatNumber(v), v
}

func (t *dataType) formatNumber(v uint64) string {
	if t.hex > 0 {
		return fmt.Sprintf("0x%0*x", t.hex, v)
	}
	return strconv.FormatUint(v, 10)
}

// formatBits returns the names of the bits that are set.
func (t *dataType) formatBits(v uint64) (string, any) {
	names := t.bitNames(v)
	switch {
	case names == nil:
		return fmt.Sprintf("0x%0*x", max(t.hex, 1), v), v
	case len(names) == 1:
		return names[0], names[0]
	}
	return strings.Join(names, ","), anyList(names)
}

// bitNames returns the names of the bits of v, nil where one has none or none is set.
func (t *dataType) bitNames(v uint64) (names []string) {
	for bit := range 64 {
		if v&(1<<bit) == 0 {
			continue
		}
		name, ok := t.symbols[1<<bit]
		if !ok {
			return nil
		}
		names = append(names, name)
	}
	return names
}

func anyList(names []string) []any {
	list := make([]any, len(names))
	for i, n := range names {
		list[i] = n
	}
	return list
}

func hexNumber(b []byte, big bool) (string, any) {
	b = slices.Clone(b)
	if !big {
		slices.Reverse(b)
	}
	s := strings.TrimLeft(fmt.Sprintf("%x", b), "0")
	s = "0x" + s
	if s == "0x" {
		s = "0x0"
	}
	return s, s
}

// writeTime writes milliseconds.
func writeTime(b []byte, big bool) (string, any) {
	v, ok := number(b, big)
	if !ok || v > 1<<62 {
		return hexNumber(b, big)
	}
	return durationText(int64(v)), v / 1000
}

func writeRealm(b []byte, big bool) (string, any) {
	v, ok := number(b, big)
	if !ok {
		return hexNumber(b, big)
	}
	s := strconv.FormatUint(v, 10)
	return s, s
}

func writeString(b []byte, _ bool) (string, any) {
	s := text(b)
	return quote(s), s
}

func writeIfname(b []byte, _ bool) (string, any) {
	s := text(b)
	if !slices.Contains(b, 0) && len(b) < 16 { // what is compared is the beginning of a name
		s += "*"
	} else if n := len(s); n > 0 && s[n-1] == '*' {
		s = s[:n-1] + `\*`
	}
	return quote(s), s
}

func writeAddr(b []byte, _ bool) (string, any) {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return hexNumber(b, true)
	}
	s := a.String()
	return s, s
}

func writeEther(b []byte, _ bool) (string, any) {
	if len(b) != 6 {
		return hexNumber(b, true)
	}
	s := fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
	return s, s
}

func writeClassID(b []byte, big bool) (string, any) {
	v, ok := number(b, big)
	if !ok {
		return hexNumber(b, big)
	}
	s := fmt.Sprintf("%x:%x", v>>16, v&0xffff)
	switch v {
	case 0:
		s = "none"
	case 0xffffffff:
		s = "root"
	}
	return s, s
}

// writeHour writes seconds of a day, which are of the time zone of the kernel: UTC.
func writeHour(b []byte, big bool) (string, any) {
	v, ok := number(b, big)
	if !ok {
		return hexNumber(b, big)
	}
	s := fmt.Sprintf("%02d:%02d", v/3600%24, v/60%60)
	if v%60 != 0 {
		s += fmt.Sprintf(":%02d", v%60)
	}
	return quote(s), s
}

func writeDate(b []byte, big bool) (string, any) {
	v, ok := number(b, big)
	if !ok {
		return hexNumber(b, big)
	}
	s := time.Unix(0, int64(v)).UTC().Format("2006-01-02 15:04:05") //nolint:gosec // as in the kernel
	return quote(s), s
}

// text returns the bytes before the first NUL.
func text(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// quote puts a text in quotes, as nft does: without escapes, of which it has none.
func quote(s string) string { return `"` + s + `"` }

package netfilter

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// protocols are the names that conntrack has for transport protocols
// (l4proto_name of net/netfilter/nf_conntrack_standalone.c, and getprotobynumber).
var protocols = map[uint8]string{
	1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6",
	89: "ospf", 103: "pim", 112: "vrrp", 115: "l2tp", 132: "sctp", 136: "udplite",
}

// protocolName returns the name of a transport protocol, or its number where it has none.
func protocolName(n uint8) string {
	if name, ok := protocols[n]; ok {
		return name
	}
	return strconv.Itoa(int(n))
}

// The names that the states of connections have: tcp_conntrack_names, sctp_conntrack_names
// and dccp_state_names of net/netfilter/nf_conntrack_proto_*.c.
var (
	tcpStates  = []string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}
	sctpStates = []string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}
	dccpStates = []string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"}
)

// stateName returns the name of a state of a protocol, or its number where it has none.
func stateName(names []string, n uint8) string {
	if int(n) < len(names) {
		return names[n]
	}
	return strconv.Itoa(int(n))
}

// Status is what was seen of a connection and done to it: enum ip_conntrack_status of
// include/uapi/linux/netfilter/nf_conntrack_common.h.
type Status uint32

// The bits of a Status.
const (
	Expected Status = 1 << iota
	SeenReply
	Assured
	Confirmed
	SourceNAT
	DestinationNAT
	SequenceAdjusted
	SourceNATDone
	DestinationNATDone
	Dying
	FixedTimeout
	Template
	Untracked // or NAT_CLASH, as of an entry that lost a race
	Helper
	Offload
	HardwareOffload
)

var statusNames = [...]string{
	"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE", "DST_NAT_DONE", "DYING",
	"FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER", "OFFLOAD", "HW_OFFLOAD",
}

// Names returns the names of the bits as the kernel has them, without IPS_, and UNREPLIED
// where no reply was seen, as conntrack prints it. What has no name is a number.
func (s Status) Names() []string {
	var names []string
	for i, name := range statusNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if s&SeenReply == 0 {
		names = append(names, "UNREPLIED")
	}
	if rest := s >> len(statusNames) << len(statusNames); rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(rest)))
	}
	return names
}

var _ = jsonx.Describe[Status, []string]()

// MarshalJSON returns the list of Names.
func (s Status) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, name := range s.Names() {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, name)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON takes what MarshalJSON gives.
func (s *Status) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	var v Status
	for _, name := range names {
		if i := slices.Index(statusNames[:], name); i >= 0 {
			v |= 1 << i
		} else if n, err := strconv.ParseUint(name, 0, 32); err == nil {
			v |= Status(n)
		} else if name != "UNREPLIED" {
			return fmt.Errorf("netfilter: unknown status %q", name)
		}
	}
	*s = v
	return nil
}

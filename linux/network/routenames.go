package network

import (
	"encoding/json"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// RouteType says what a route does with packets (RTN_ of include/uapi/linux/rtnetlink.h).
type RouteType uint8

const (
	routeUnicast   RouteType = 1
	routeBlackhole RouteType = 6
)

var routeTypeNames = map[RouteType]string{
	0: "none", routeUnicast: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", routeBlackhole: "blackhole", 7: "unreachable",
	8: "prohibit", 9: "throw", 10: "nat", 11: "xresolve",
}

// String returns the name that `ip` has for the type.
func (t RouteType) String() string { return nameOf(routeTypeNames, t) }

// MarshalText returns what String does.
func (t RouteType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (t *RouteType) UnmarshalText(b []byte) error { return parseName(routeTypeNames, b, t) }

// RouteProtocol says who made a route (RTPROT_ of include/uapi/linux/rtnetlink.h).
type RouteProtocol uint8

var routeProtocolNames = map[RouteProtocol]string{
	0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra", 12: "bird", 13: "dnrouted",
	14: "xorp", 15: "ntk", 16: "dhcp", 18: "keepalived", 42: "babel", 84: "ovn", 99: "openr", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip",
	192: "eigrp",
}

// String returns the name that `ip` has for the protocol.
func (p RouteProtocol) String() string { return nameOf(routeProtocolNames, p) }

// MarshalText returns what String does.
func (p RouteProtocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (p *RouteProtocol) UnmarshalText(b []byte) error { return parseName(routeProtocolNames, b, p) }

// Table is the number of a routing table.
type Table uint32

// TableMain is the table that routes are in unless said otherwise.
const TableMain Table = 254

var tableNames = map[Table]string{0: "unspec", 253: "default", TableMain: "main", 255: "local"}

// String returns the name that `ip` has for the table, or its number.
func (t Table) String() string { return nameOf(tableNames, t) }

// MarshalText returns what String does.
func (t Table) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (t *Table) UnmarshalText(b []byte) error { return parseName(tableNames, b, t) }

// RouteFlags are the RTNH_F_ flags of a next hop (include/uapi/linux/rtnetlink.h).
type RouteFlags uint8

// shownRouteFlags are those that fib_nexthop_info of net/ipv4/fib_semantics.c tells.
const shownRouteFlags RouteFlags = 1 | 4 | 8 | 16 | 64

var routeBits = []bit{{1, "dead"}, {4, "onlink"}, {2, "pervasive"}, {8, "offload"}, {64, "trap"}, {16, "linkdown"}, {32, "unresolved"}}

// Names returns the flags under the names of `ip`.
func (f RouteFlags) Names() []string { return bitNames(routeBits, uint32(f)) }

var _ = jsonx.Describe[RouteFlags, []string]()

// MarshalJSON returns an array of the names.
func (f RouteFlags) MarshalJSON() ([]byte, error) { return json.Marshal(f.Names()) }

// UnmarshalJSON takes what MarshalJSON gives.
func (f *RouteFlags) UnmarshalJSON(b []byte) error {
	v, err := unmarshalBits(routeBits, b)
	*f = RouteFlags(v)
	return err
}

// metricNames are those of the metrics of a route, from RTAX_LOCK on
// (include/uapi/linux/rtnetlink.h), as `ip` prints them.
var metricNames = [...]string{
	"lock", "mtu", "window", "rtt", "rttvar", "ssthresh", "cwnd", "advmss", "reordering", "hoplimit", "initcwnd", "features", "rto_min",
	"initrwnd", "quickack", "congctl", "fastopen_no_cookie",
}

// encapNames are those of enum lwtunnel_encap_types (include/uapi/linux/lwtunnel.h).
var encapNames = map[uint16]string{
	1: "mpls", 2: "ip", 3: "ila", 4: "ip6", 5: "seg6", 6: "bpf", 7: "seg6local", 8: "rpl", 9: "ioam6", 10: "xfrm",
}

// preferences are those of a route of IPv6 (RFC 4191), by their bits in fib6_flags.
var preferences = [4]string{"medium", "high", "2", "low"}

package netfilter

import (
	"context"
	"iter"
	"net/netip"
	"time"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// A Tuple is one direction of a connection: who sends to whom, as struct nf_conntrack_tuple
// has it.
type Tuple struct {
	Source          netip.Addr `json:"source"`
	SourcePort      uint16     `json:"sourcePort"` // 0 where the protocol has no ports
	Destination     netip.Addr `json:"destination"`
	DestinationPort uint16     `json:"destinationPort"`

	// ICMP is what stands in place of ports for ICMP and ICMPv6.
	ICMP *ICMP `json:"icmp,omitempty"`
	// SourceKey and DestinationKey stand in place of ports for GRE.
	SourceKey      uint16 `json:"sourceKey,omitempty"`
	DestinationKey uint16 `json:"destinationKey,omitempty"`
}

// ICMP is what tells the messages of ICMP and ICMPv6 apart.
type ICMP struct {
	Type uint8  `json:"type"`
	Code uint8  `json:"code"`
	ID   uint16 `json:"id"`
}

// A Count is what went in one direction.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// A Connection is an entry of connection tracking, struct nf_conn
// (include/net/netfilter/nf_conntrack.h): a line of /proc/net/nf_conntrack, or of conntrack -L.
type Connection struct {
	NetNS    uint32 `json:"netns"`              // 0 if the namespace is none that is known
	Family   string `json:"family"`             // ipv4, ipv6
	Protocol string `json:"protocol"`           // the name of the transport protocol, or its number
	State    string `json:"state" jsonx:"null"` // of TCP, SCTP and DCCP as conntrack prints it; empty for others
	Original Tuple  `json:"original"`           // as the first packet had it
	Reply    Tuple  `json:"reply"`              // as replies have it: where it is not the reverse, addresses are translated
	Mark     uint32 `json:"mark"`
	// Timeout is for how many seconds the entry would have lived on without packets: -1 where
	// the kernel's time is not known, or the entry is offloaded and has none.
	Timeout int64  `json:"timeout"`
	Status  Status `json:"status"`

	Zone          uint16        `json:"zone"`
	ZoneDirection string        `json:"zoneDirection,omitempty"` // original or reply, where the zone is of one alone
	Counts        *[2]Count     `json:"counts,omitempty"`        // of the original and the reply direction; nil where they are not counted
	Started       time.Time     `json:"started,omitzero"`        // zero where it is not kept
	Stopped       time.Time     `json:"stopped,omitzero"`        // of one that has ended
	Helper        string        `json:"helper,omitempty"`        // such as ftp
	Labels        string        `json:"labels,omitempty"`        // hexadecimal, the highest bit first; empty where there are none
	Master        vmem.VirtAddr `json:"master,omitempty"`        // the connection that this one was expected by
	Use           int32         `json:"use"`                     // references
	List          string        `json:"list,omitempty"`          // unconfirmed or dying, where it is not in the table
	Addr          vmem.VirtAddr `json:"address"`                 // of struct nf_conn
}

// Conntrack yields the connections that a machine tracks, those of all namespaces, in the order
// of the kernel's table.
//
// Its anchors are nf_conntrack_hash and nf_conntrack_htable_size, which are exported and so
// known in every kernel. Kernels before 5.19 (1397af5bfd7d) keep what is not yet, or no longer, in the
// table in lists of each CPU (struct net.ct.pcpu_lists). Later ones keep those alone that have ended
// and whose end could not be told to who wants to know (struct nf_conntrack_net_ecache); what is not yet in the table is then in no list.
// What is in lists comes behind the rest.
//
// Each connection is in the table twice, by both tuples, and comes once. A node of the table
// that is not in a connection that leads back to it, a chain that ends with the number of
// another, and a connection that is in the table by one tuple only is a gap. What is freed and
// not yet used again (its references are 0) is passed over.
func Conntrack(ctx context.Context, k *linux.Kernel, mods *module.Set, namespaces []*network.Namespace) iter.Seq2[*Connection, error] {
	return func(yield func(*Connection, error) bool) {
		k.Physical().Refresh()
		r := newCTReader(ctx, k, mods, namespaces)
		r.yield = yield
		if !r.bind() {
			return
		}
		r.readTable()
		r.readLists(namespaces)
		r.readDying(namespaces)
		r.tellRest()
	}
}

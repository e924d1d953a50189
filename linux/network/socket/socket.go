package socket

import (
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// A Socket is one struct sock (include/net/sock.h), or what is left of one: a connection in
// TIME-WAIT or a request.
//
// What ss shows is as ss shows it: queues are those of its columns, the user is that of the
// socket's inode, and the state of a request is SYN-RECV.
type Socket struct {
	Addr     vmem.VirtAddr `json:"address"` // of the struct sock, inet_timewait_sock or request_sock
	NetNS    uint32        `json:"netns"`   // inode number of its network namespace
	Family   Family        `json:"family"`
	Type     Type          `json:"type"`
	Protocol string        `json:"protocol"` // such as tcp, rtnl, or a number
	Number   uint16        `json:"protocolNumber"`
	State    State         `json:"state"`

	LocalAddress  Address `json:"localAddress" jsonx:"null"`
	LocalPort     uint32  `json:"localPort"` // of netlink, the port id
	RemoteAddress Address `json:"remoteAddress" jsonx:"null"`
	RemotePort    uint32  `json:"remotePort"`
	// Path is the name of a unix socket. One that is in no directory is Abstract, and shown
	// as ss does: with @ for the NUL at its beginning, and for each other one.
	Path     string   `json:"path" jsonx:"null"`
	Abstract bool     `json:"abstract,omitempty"`
	Name     []byte   `json:"name,omitempty"` // of an abstract one with other NULs, its bytes from the first on
	Peer     uint64   `json:"peer,omitempty"` // inode of the peer of a unix socket
	Inode    uint64   `json:"inode"`          // of its file; 0 without one
	UID      uint32   `json:"uid"`            // who made it; 0 of what has no file any more, before 6.17
	Owner    uint32   `json:"ownerUID"`       // the same (sk_uid), which stays; of TIME-WAIT and requests 0
	Refs     int32    `json:"refs"`           // references to it
	Mark     uint32   `json:"mark,omitempty"` // SO_MARK
	Index    int32    `json:"ifindex"`        // of the device that it is bound to; 0 for none
	Only6    bool     `json:"v6only"`         // an inet6 socket that takes no IPv4
	Shut     Shutdown `json:"shutdown"`

	Cookie       uint64 `json:"cookie"` // 0: nobody has asked for it
	SendQueue    int64  `json:"sendQueue"`
	ReceiveQueue int64  `json:"receiveQueue"`

	Memory *Memory `json:"memory,omitempty"` // nil of TIME-WAIT and requests
	Timer  Timer   `json:"timer"`
	Stamp  int64   `json:"stamp,omitempty"` // of the last packet that was given a time, in ns since 1970; 0 if there was none

	TCP     *TCP         `json:"tcp,omitempty"`
	Netlink *NetlinkInfo `json:"netlink,omitempty"`
	Packet  *PacketInfo  `json:"packet,omitempty"`
	XDP     *XDPInfo     `json:"xdp,omitempty"`
	// Associations are those of an SCTP socket, in the kernel's order.
	Associations []*Association `json:"associations,omitempty"`

	Filter    *Filter `json:"filter"`                    // what looks at each packet for it; nil if nothing does
	ReusePort *Filter `json:"reuseportFilter,omitempty"` // what chooses among sockets of the same port
	Cgroup    string  `json:"cgroup" jsonx:"null"`       // of the v2 hierarchy, that it is counted for

	Held       Holder        `json:"held"`
	Owners     []Owner       `json:"owners"`             // by ascending PID and descriptor
	Flights    int           `json:"inFlight,omitempty"` // messages of unix sockets that it is in
	Listener   vmem.VirtAddr `json:"listener,omitempty"` // that it belongs to, of requests and what is not accepted
	Anomalies  Anomaly       `json:"anomalies"`
	MPTCPToken uint32        `json:"mptcpToken,omitempty"` // of an MPTCP connection
	Sources    Sources       `json:"sources"`              // what led to it

	through vmem.VirtAddr // the struct socket of another, whose file it has
}

// An Owner is a descriptor of a process that is open to a socket.
type Owner struct {
	PID int32 `json:"pid"`
	FD  int   `json:"fd"`
	TID int32 `json:"tid,omitempty"` // of the thread, if it has descriptors that are not those of its process
}

// Memory is what a socket has of memory, in bytes, as ss -m shows it: skmem.
type Memory struct {
	Receive       uint32 `json:"receive"`       // r: of packets that were received
	ReceiveBuffer uint32 `json:"receiveBuffer"` // rb: how much that may be
	Transmit      uint32 `json:"transmit"`      // t: of packets that the network layer has
	SendBuffer    uint32 `json:"sendBuffer"`    // tb
	Forward       uint32 `json:"forward"`       // f: taken in advance
	Queued        uint32 `json:"queued"`        // w: of data that is to be sent
	Options       uint32 `json:"options"`       // o: of options and filters
	Backlog       uint32 `json:"backlog"`       // bl: of packets that were not looked at yet
	Drops         uint32 `json:"drops"`         // d: how many packets were dropped
}

// A Timer is that of a socket which ss -o shows.
type Timer struct {
	Kind        TimerKind `json:"kind"`
	Expires     int64     `json:"expires"`     // in milliseconds from when memory was captured
	Retransmits uint8     `json:"retransmits"` // or probes
}

// String returns the socket as one line: protocol, state, both ends.
func (s *Socket) String() string {
	if s.Family == Unix {
		return fmt.Sprintf("%v %v %v %q inode %d", s.Family, s.Type, s.State, s.Path, s.Inode)
	}
	return fmt.Sprintf("%s %v %v:%d %v:%d", s.Protocol, s.State, s.LocalAddress, s.LocalPort, s.RemoteAddress, s.RemotePort)
}

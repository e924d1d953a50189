package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// A socketRow is a socket.
type socketRow struct {
	Protocol  string         `json:"protocol" col:"PROTO"` // such as tcp, raw/icmp or netlink/rtnl
	State     socket.State   `json:"state" col:"STATE"`
	Local     string         `json:"local" jsonx:"null" col:"LOCAL,line,flex"`
	Peer      string         `json:"peer" jsonx:"null" col:"PEER,line,flex"`
	PID       int32          `json:"pid" jsonx:"null" col:"PID"` // the first that has it open
	Comm      string         `json:"comm" jsonx:"null" col:"NAME"`
	Pod       string         `json:"pod" jsonx:"null" col:"POD,flex"` // NAMESPACE/NAME
	PeerPod   string         `json:"peerPod" jsonx:"null" col:"PEER-POD,flex"`
	PIDs      []int32        `json:"pids" col:"PIDS,wide"` // all of them
	FD        *int           `json:"fd" col:"FD,wide"`
	Family    socket.Family  `json:"family" col:"FAMILY,wide"`
	NetNS     uint32         `json:"netns" col:"NETNS,wide"`
	UID       uint32         `json:"uid" col:"UID,wide"`
	Inode     uint64         `json:"inode" col:"INODE,wide"`
	Receive   int64          `json:"receiveQueue" col:"RECV-Q,wide"`
	Send      int64          `json:"sendQueue" col:"SEND-Q,wide"`
	Anomalies socket.Anomaly `json:"anomalies" col:"ANOMALIES,wide"`
	Address   vmem.VirtAddr  `json:"address" col:"SOCK,wide"`
}

// Mark implements [table.Marked].
func (r socketRow) Mark() table.Mark {
	if r.Anomalies != 0 {
		return table.Alert
	}
	return table.Plain
}

// ss returns the command that lists sockets.
func (a *app) ss() *cobra.Command {
	all := false
	q := question[socketRow]{
		name: "ss", short: "List sockets, and between which pods they are",
		long:     "Sockets of all network namespaces, also those that no process has open any more. Without --all those of IP alone.",
		examples: []string{"nodelens ss node.lime", "nodelens ss node.lime --pod image-resizer", "nodelens ss node.lime --all --sort proto -o wide", "nodelens ss node.lime -o csv > sockets.csv"},
		sections: cos.SectionNetwork, filtered: true,
		flags: func(c *cobra.Command) {
			c.Flags().BoolVar(&all, "all", false, "list those of all families: unix, netlink, packet and others, too")
		},
	}
	q.rows = func(v *view) ([]socketRow, error) {
		var rows []socketRow
		for i := range v.report.Network.Sockets {
			s := &v.report.Network.Sockets[i]
			if (all || s.Family == socket.Inet || s.Family == socket.Inet6) && v.ofSocket(s) {
				rows = append(rows, v.socketRow(s))
			}
		}
		return rows, nil
	}
	return q.command(a)
}

// ofSocket reports whether a socket was asked for.
func (v *view) ofSocket(s *cos.Socket) bool {
	if v.chosen.pids == nil || v.chosen.all {
		return v.chosen.has(s.PodUID, s.ContainerID, 0)
	}
	for _, o := range s.Owners {
		if v.chosen.has(s.PodUID, s.ContainerID, o.PID) {
			return true
		}
	}
	return false
}

func (v *view) socketRow(s *cos.Socket) socketRow {
	row := socketRow{
		Protocol: kind(s), State: s.State, Local: end(s, s.LocalAddress, s.LocalPort), Peer: end(s, s.RemoteAddress, s.RemotePort),
		Pod: v.podName(s.PodUID), PeerPod: v.podName(s.PeerPodUID), Family: s.Family, NetNS: s.NetNS, UID: s.UID, Inode: s.Inode,
		Receive: s.ReceiveQueue, Send: s.SendQueue, Anomalies: s.Anomalies, Address: s.Addr,
	}
	if s.Family == socket.Unix {
		row.Local = s.Path
		row.Peer = ""
		if s.Peer != 0 {
			row.Peer = fmt.Sprintf("inode %d", s.Peer)
		}
	}
	for i, o := range s.Owners {
		if i == 0 {
			row.PID, row.FD = o.PID, &s.Owners[0].FD
			if p := v.index.Process(o.PID); p != nil {
				row.Comm = p.Comm
			}
		}
		if i == 0 || row.PIDs[len(row.PIDs)-1] != o.PID {
			row.PIDs = append(row.PIDs, o.PID)
		}
	}
	return row
}

// kind says what a socket is: its protocol, with what else there is of that name before it. A raw socket for TCP is no socket of
// TCP, and one that hears all packets has no protocol of the Internet.
func kind(s *cos.Socket) string {
	switch family := s.Family.String(); {
	case s.Family == socket.Unix || family == s.Protocol:
		return family
	case s.Family != socket.Inet && s.Family != socket.Inet6:
		return family + "/" + s.Protocol
	case s.Type == socket.Raw && s.Protocol != "raw":
		return "raw/" + s.Protocol
	}
	return s.Protocol
}

// end returns one end of a socket as ss shows it: * is any address, and any port.
func end(s *cos.Socket, a socket.Address, port uint32) string {
	switch s.Family {
	case socket.Inet, socket.Inet6:
	case socket.Netlink, socket.Vsock:
		return fmt.Sprintf("%v:%d", a, port)
	default:
		return ""
	}
	host, service := "*", "*"
	if ip := a.IP(); ip.IsValid() && (!ip.IsUnspecified() || s.Family == socket.Inet && port != 0) {
		host = ip.String()
	}
	if port != 0 {
		service = fmt.Sprint(port)
	}
	return net.JoinHostPort(host, service)
}

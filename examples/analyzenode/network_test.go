package main

import (
	"bufio"
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

const clientUID = "11111111-0000-4000-8000-000000000001"

// inet is a socket of the Internet protocols.
func inet(at vmem.VirtAddr, netns uint32, protocol string, state socket.State, local, remote string) cos.Socket {
	s := cos.Socket{Socket: socket.Socket{Addr: at, NetNS: netns, Family: socket.Inet, Type: socket.Stream, Protocol: protocol, State: state}}
	for text, end := range map[string]struct {
		addr *socket.Address
		port *uint32
	}{local: {&s.LocalAddress, &s.LocalPort}, remote: {&s.RemoteAddress, &s.RemotePort}} {
		if text == "" {
			continue
		}
		a := netip.MustParseAddrPort(text)
		if err := end.addr.UnmarshalText([]byte(a.Addr().String())); err != nil {
			panic(err)
		}
		*end.port = uint32(a.Port())
	}
	return s
}

// networked is a report with a pod that talks to another, to the node, and to the world.
func networked() *cos.NodeReport {
	r := node()
	r.Pods = append(r.Pods, cos.Pod{UID: clientUID, Namespace: "shop", Name: "client", QoS: cos.Burstable})
	own := inet(0x10, 2, "tcp", socket.Listen, "0.0.0.0:80", "")
	own.PodUID, own.Owners = podUID, []socket.Owner{{PID: 685, FD: 3}, {PID: 690, FD: 3}, {PID: 690, FD: 4}}
	in := inet(0x20, 2, "tcp", socket.CloseWait, "10.0.0.2:80", "10.0.0.3:40000")
	in.PodUID, in.PeerPodUID, in.PeerSocket, in.Owners, in.ReceiveQueue = podUID, clientUID, 0x30, own.Owners[:1], 5
	out := inet(0x30, 3, "tcp", socket.FinWait2, "10.0.0.3:40000", "10.96.0.1:80")
	out.PodUID, out.PeerPodUID, out.PeerSocket = clientUID, podUID, 0x20
	runtime := cos.Socket{Socket: socket.Socket{Addr: 0x40, NetNS: 2, Family: socket.Unix, Type: socket.Stream, State: socket.Established}, PodUID: podUID, PeerSocket: 0x50}
	containerd := cos.Socket{Socket: socket.Socket{Addr: 0x50, NetNS: 1, Family: socket.Unix, Type: socket.Stream, State: socket.Established, Path: "/run/\x1b[2J.sock"}, PeerSocket: 0x40, PeerPodUID: podUID}
	sniffer := cos.Socket{Socket: socket.Socket{
		Addr: 0x60, NetNS: 1, Family: socket.Packet, Type: socket.Raw, Protocol: "all", Index: 2, State: socket.Unconn, Anomalies: socket.NotInTable,
		Filter: &socket.Filter{Kind: "classic", Instructions: 12}, Owners: []socket.Owner{{PID: 815, FD: 9}},
	}}
	r.Network = &cos.Network{
		Namespaces: []cos.NetworkNamespace{
			{
				Namespace: network.Namespace{Inum: 1, Initial: true, Sources: network.InList}, Configuration: network.Configuration{
					Devices: []*network.Device{{Index: 2, Name: "eth0", Promiscuity: 1}, {Name: "veth0", Promiscuity: 1, Master: &network.DeviceRef{Name: "br0"}}},
					Addresses: []*network.Address{
						{Local: netip.MustParseAddr("127.0.0.1")}, {Local: netip.MustParseAddr("192.0.2.1")}, {Local: netip.MustParseAddr("fe80::1")}, {Local: netip.MustParseAddr("192.0.2.1")},
					},
				},
			},
			{Namespace: network.Namespace{Inum: 2, Sources: network.InList}, PodUID: podUID},
			{Namespace: network.Namespace{Inum: 3, Sources: network.InList}, PodUID: clientUID},
			{Namespace: network.Namespace{Inum: 4, PIDs: []int32{70}, Sources: network.InTasks}},
		},
		Sockets: []cos.Socket{in, own, out, runtime, containerd, sniffer, inet(0x70, 1, "tcp", socket.TimeWait, "192.0.2.1:22", "198.51.100.7:50000")},
		Pods: []cos.PodNetwork{
			{UID: "0"},
			{UID: podUID, NetNS: 2, IPs: []string{"10.0.0.2"},
				Services:  []cos.PodRoute{{Name: "shop/web:http", Protocol: "tcp", Address: "10.96.0.1", Port: 80, TargetPort: 80, By: cos.ByIPTables}},
				HostPorts: []cos.PodRoute{{Protocol: "tcp", Port: 8000, TargetPort: 80, By: cos.ByNFTables}, {Protocol: "tcp", Port: 80, TargetPort: 80, By: cos.ByListener}}},
			{UID: clientUID, NetNS: 3, IPs: []string{"10.0.0.3", "fd00::3"}},
		},
		Conntrack: make([]cos.Connection, 1),
	}
	return r
}

// networkText is what is added to the text of the report, by the line before it.
var networkText = []struct{ after, want string }{
	{"  symbols from the image\n", "network: 4 namespaces, 7 sockets, 1 tracked connections; promiscuous devices: 1, namespaces that the kernel's list lacks: 1, " +
		"sockets that are not-in-table: 1, sockets with a filter: 1\n"},
	{"  container gone  (no processes)\n", "  network (unknown)\n"},
	{"    900 conmon  (runs /bin/conmon, uid 5, euid 0)\n", `  network 10.0.0.2
    service shop/web:http 10.96.0.1:80/tcp to 80, by iptables
    host port *:8000/tcp to 80, by nftables
    tcp          LISTEN      *:80                                                   685 busybox, 690 sh
    unix stream  ESTAB       *                            node "/run/\x1b[2J.sock"
    tcp          CLOSE-WAIT  10.0.0.2:80  10.0.0.3:40000  pod shop/client           685 busybox          (5 to receive)
`},
	{"pod shop/client  burstable " + clientUID + "\n", `  network 10.0.0.3 fd00::3
    tcp  FIN-WAIT-2  10.0.0.3:40000  10.96.0.1:80  pod payments/payments-api
`},
	{"    71 b: /bin/b\n", `  network 192.0.2.1
    packet all  UNCONN     eth0                              815 d\xe9funt  (classic filter of 12 instructions, NOT-IN-TABLE)
    tcp         TIME-WAIT  192.0.2.1:22  198.51.100.7:50000
    and sockets: 1 of unix
  namespace net:[4], 1 process, without an address
`},
}

// A report's network is printed by pod, with no text of the node's as it is.
func TestPrintNetwork(t *testing.T) {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	printReport(w, networked())
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range networkText {
		_, rest, ok := strings.Cut(out.String(), tt.after)
		if diff := cmp.Diff(tt.want, rest[:min(len(tt.want), len(rest))]); diff != "" || !ok {
			t.Errorf("after %q: (-want +got):\n%s", tt.after, diff)
		}
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Error("an escape is printed")
	}
}

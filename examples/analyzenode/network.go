package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// A netPrinter prints the network of a report, by who has what.
type netPrinter struct {
	*printer
	net       *cos.Network
	pods      map[string]*cos.Pod
	processes map[int32]*cos.Process
	byAddr    map[vmem.VirtAddr]*cos.Socket
	ofPod     map[string][]*cos.Socket // by UID
	ofSpace   map[uint32][]*cos.Socket // those of no pod, by namespace
	networks  map[string]*cos.PodNetwork
}

// newNetPrinter returns what prints the network of a report: nil if that has none.
func newNetPrinter(p *printer, r *cos.NodeReport) *netPrinter {
	if r.Network == nil {
		return nil
	}
	n := &netPrinter{
		printer: p, net: r.Network, pods: map[string]*cos.Pod{}, processes: map[int32]*cos.Process{}, byAddr: map[vmem.VirtAddr]*cos.Socket{},
		ofPod: map[string][]*cos.Socket{}, ofSpace: map[uint32][]*cos.Socket{}, networks: map[string]*cos.PodNetwork{},
	}
	for i := range r.Pods {
		n.pods[r.Pods[i].UID] = &r.Pods[i]
	}
	for i := range r.Processes {
		n.processes[r.Processes[i].PID] = &r.Processes[i]
	}
	for i := range r.Network.Pods {
		n.networks[r.Network.Pods[i].UID] = &r.Network.Pods[i]
	}
	for i := range r.Network.Sockets {
		s := &r.Network.Sockets[i]
		n.byAddr[s.Addr] = s
		if s.PodUID != "" {
			n.ofPod[s.PodUID] = append(n.ofPod[s.PodUID], s)
		} else {
			n.ofSpace[s.NetNS] = append(n.ofSpace[s.NetNS], s)
		}
	}
	return n
}

// summary says in a line how much there is, and what of it is odd.
func (n *netPrinter) summary() {
	odd := map[string]int{}
	var words []string
	add := func(what string) {
		if odd[what]++; odd[what] == 1 {
			words = append(words, what)
		}
	}
	for i := range n.net.Namespaces {
		ns := &n.net.Namespaces[i]
		if want := ns.Expected(); ns.Sources&want != want {
			add("namespaces that the kernel's list lacks")
		}
		for _, d := range ns.Devices {
			if d.Promiscuity > 0 && d.Master == nil { // ports of a bridge are so
				add("promiscuous devices")
			}
		}
	}
	for i := range n.net.Sockets {
		s := &n.net.Sockets[i]
		if s.Anomalies != 0 {
			add("sockets that are " + s.Anomalies.String())
		}
		if s.Filter != nil {
			add("sockets with a filter")
		}
	}
	fmt.Fprintf(n.w, "network: %d namespaces, %d sockets, %d tracked connections", len(n.net.Namespaces), len(n.net.Sockets), len(n.net.Conntrack))
	if expected := len(n.net.Expectations); expected > 0 {
		fmt.Fprintf(n.w, ", %d expected", expected)
	}
	for i, what := range words {
		separator := ", "
		if i == 0 {
			separator = "; "
		}
		fmt.Fprintf(n.w, "%s%s: %d", separator, what, odd[what])
	}
	fmt.Fprintln(n.w)
}

// pod prints the network of a pod.
func (n *netPrinter) pod(uid string) {
	pod := n.networks[uid]
	if pod == nil {
		return
	}
	switch {
	case pod.Host:
		fmt.Fprintln(n.w, "  network of the node")
	case pod.NetNS == 0:
		fmt.Fprintln(n.w, "  network (unknown)")
	default:
		fmt.Fprintf(n.w, "  network %s\n", strings.Join(words(pod.IPs), " "))
	}
	for i := range pod.Services {
		n.route("service", &pod.Services[i])
	}
	for i := range pod.HostPorts {
		if pod.HostPorts[i].By != cos.ByListener { // those are among the sockets
			n.route("host port", &pod.HostPorts[i])
		}
	}
	n.sockets(n.ofPod[uid])
}

func words(all []string) []string {
	if len(all) == 0 {
		return []string{"without an address"}
	}
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = text.Word(s)
	}
	return out
}

// route prints a way that leads to a pod.
func (n *netPrinter) route(what string, r *cos.PodRoute) {
	fmt.Fprintf(n.w, "    %s ", what)
	if r.Name != "" {
		fmt.Fprintf(n.w, "%s ", text.Word(r.Name))
	}
	fmt.Fprintf(n.w, "%s/%s to %d, by %s\n", endpoint(r.Address, uint32(r.Port)), cmp.Or(r.Protocol, "any"), r.TargetPort, text.Line(r.By))
}

// anyPort is VMADDR_PORT_ANY of include/uapi/linux/vm_sockets.h.
const anyPort = 0xffffffff

// endpoint returns an address with a port: * is any.
func endpoint(addr string, port uint32) string {
	p := "*"
	if port != 0 && port != anyPort {
		p = fmt.Sprint(port)
	}
	switch {
	case addr == "":
		addr = "*"
	case strings.Contains(addr, ":"):
		addr = "[" + addr + "]"
	}
	return addr + ":" + p
}

// node prints the network of what is in no pod: of the node, and of other namespaces.
func (n *netPrinter) node() {
	for i := range n.net.Namespaces {
		ns := &n.net.Namespaces[i]
		sockets := n.ofSpace[ns.Inum]
		if ns.PodUID != "" && len(sockets) == 0 {
			continue
		}
		var ips []string
		for _, a := range ns.Addresses {
			if ip := a.Local; ip.IsValid() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !slices.Contains(ips, ip.String()) {
				ips = append(ips, ip.String())
			}
		}
		switch {
		case ns.Initial:
			fmt.Fprint(n.w, "  network ")
		case ns.PodUID != "":
			fmt.Fprintf(n.w, "  of no pod in the namespace %v of %s ", &ns.Namespace, n.nameOf(ns.PodUID))
		default:
			fmt.Fprintf(n.w, "  namespace %v, %s, ", &ns.Namespace, text.Count(len(ns.PIDs), "process", "processes"))
		}
		fmt.Fprintln(n.w, strings.Join(words(ips), " "))
		n.sockets(sockets)
	}
}

func (n *netPrinter) nameOf(uid string) string {
	if p := n.pods[uid]; p != nil {
		return orUnknown(p.Namespace) + "/" + orUnknown(p.Name)
	}
	return text.Word(uid)
}

// sockets prints listeners and then connections, one line each and aligned. Sockets of unix
// and netlink, which every program has, are counted, but for those that something is odd
// with, and those that lead out of a pod.
func (n *netPrinter) sockets(all []*cos.Socket) {
	var rows [][]string
	counts := map[socket.Family]int{}
	slices.SortStableFunc(all, compareSockets)
	for _, s := range all {
		if n.tells(s) {
			rows = append(rows, n.row(s))
		} else {
			counts[s.Family]++
		}
	}
	n.table(rows)
	var more []string
	for _, f := range []socket.Family{socket.Unix, socket.Netlink} {
		if counts[f] > 0 {
			more = append(more, fmt.Sprintf("%d of %v", counts[f], f))
		}
	}
	switch {
	case len(more) > 0 && len(rows) > 0:
		fmt.Fprintf(n.w, "    and sockets: %s\n", strings.Join(more, ", "))
	case len(more) > 0:
		fmt.Fprintf(n.w, "    sockets: %s\n", strings.Join(more, ", "))
	}
}

func (n *netPrinter) tells(s *cos.Socket) bool {
	if s.Anomalies != 0 || s.Family != socket.Unix && s.Family != socket.Netlink {
		return true
	}
	return s.PodUID != "" && s.PeerSocket != 0 && s.PeerPodUID != s.PodUID
}

// compareSockets sorts what waits for others before connections.
func compareSockets(a, b *cos.Socket) int {
	rank := func(s *cos.Socket) int {
		switch s.State {
		case socket.Listen:
			return 0
		case socket.Unconn:
			return 1
		}
		return 2
	}
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)), strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.LocalPort, b.LocalPort),
		a.LocalAddress.IP().Compare(b.LocalAddress.IP()), cmp.Compare(a.RemotePort, b.RemotePort), a.RemoteAddress.IP().Compare(b.RemoteAddress.IP()),
		cmp.Compare(a.Inode, b.Inode),
	)
}

// row returns the columns of a socket: what it is, its state, both ends, the pod or the
// program at the other one, its processes, and what a responder should not overlook.
func (n *netPrinter) row(s *cos.Socket) []string {
	kind := s.Protocol
	if s.Family != socket.Inet && s.Family != socket.Inet6 && s.Family.String() != s.Protocol {
		kind = s.Family.String() + " " + s.Protocol
	}
	local, remote := endOf(s.LocalAddress, s.LocalPort), ""
	if s.State != socket.Listen && s.RemotePort != 0 && s.RemotePort != anyPort {
		remote = endOf(s.RemoteAddress, s.RemotePort)
	}
	if s.Family == socket.Unix {
		kind, local = "unix "+s.Type.String(), text.Word(s.Path)
		if s.Path == "" {
			local = "*"
		}
	}
	if s.Family == socket.Packet || s.Family == socket.XDP {
		local = n.device(s)
	}
	return []string{text.Line(kind), s.State.String(), local, remote, n.peer(s), n.owners(s), n.remarks(s)}
}

// device returns the name of the device that a socket gets its frames from: * is all.
func (n *netPrinter) device(s *cos.Socket) string {
	if s.Index == 0 {
		return "*"
	}
	for i := range n.net.Namespaces {
		if n.net.Namespaces[i].Inum != s.NetNS {
			continue
		}
		for _, d := range n.net.Namespaces[i].Devices {
			if d.Index == s.Index {
				return text.Word(d.Name)
			}
		}
	}
	return fmt.Sprint("device ", s.Index)
}

func endOf(a socket.Address, port uint32) string {
	if ip := a.IP(); ip.IsValid() {
		return endpoint(anyIP(ip.Unmap()), port)
	}
	return endpoint(a.String(), port)
}

func anyIP(a netip.Addr) string {
	if a.IsUnspecified() {
		return ""
	}
	return a.String()
}

// peer says who is at the other end, if that is on the node.
func (n *netPrinter) peer(s *cos.Socket) string {
	peer := n.byAddr[s.PeerSocket]
	switch {
	case s.PeerPodUID != "" && s.PeerPodUID == s.PodUID:
		return "itself"
	case s.PeerPodUID != "":
		return "pod " + n.nameOf(s.PeerPodUID)
	case peer == nil:
		return ""
	case s.Family == socket.Unix && peer.Path != "":
		return "node " + text.Word(peer.Path)
	case len(peer.Owners) > 0:
		return "node " + n.process(peer.Owners[0].PID)
	}
	return "node"
}

// maxOwners is how many processes of a socket are named.
const maxOwners = 3

func (n *netPrinter) owners(s *cos.Socket) string {
	var pids []int32
	for _, o := range s.Owners {
		if !slices.Contains(pids, o.PID) {
			pids = append(pids, o.PID)
		}
	}
	var names []string
	for i, pid := range pids {
		if i == maxOwners {
			names = append(names, fmt.Sprintf("and %d more", len(pids)-i))
			break
		}
		names = append(names, n.process(pid))
	}
	return strings.Join(names, ", ")
}

func (n *netPrinter) process(pid int32) string {
	if p := n.processes[pid]; p != nil {
		return fmt.Sprintf("%d %s", pid, text.Word(p.Comm))
	}
	return fmt.Sprint(pid)
}

func (n *netPrinter) remarks(s *cos.Socket) string {
	var all []string
	switch s.Held {
	case socket.HeldInFlight:
		all = append(all, "in flight")
	case socket.HeldByQueue:
		all = append(all, "not accepted yet")
	case socket.HeldByKernel:
		all = append(all, "of the kernel")
	}
	if s.ReceiveQueue > 0 && s.State != socket.Listen {
		all = append(all, fmt.Sprintf("%d to receive", s.ReceiveQueue))
	}
	if s.SendQueue > 0 && s.State != socket.Listen {
		all = append(all, fmt.Sprintf("%d to send", s.SendQueue))
	}
	if s.Filter != nil {
		all = append(all, fmt.Sprintf("%s filter of %d instructions", text.Line(s.Filter.Kind), s.Filter.Instructions))
	}
	if s.Anomalies != 0 {
		all = append(all, strings.ToUpper(s.Anomalies.String()))
	}
	if len(all) == 0 {
		return ""
	}
	return "(" + strings.Join(all, ", ") + ")"
}

// table prints rows with their columns aligned. Columns that no row has are left out.
func (n *netPrinter) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = min(max(widths[i], len([]rune(cell))), maxColumn)
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if widths[i] > 0 {
				fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
			}
		}
		fmt.Fprintf(n.w, "    %s\n", strings.TrimRight(line.String(), " "))
	}
}

// maxColumn is how wide columns are made; what is longer shifts the rest of its line.
const maxColumn = 64

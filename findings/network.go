package findings

import (
	"fmt"
	"net/netip"
	"regexp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
)

var (
	networkNeeds = Needs{Processes: true, Sections: cos.SectionNetwork}
	wholeNetwork = Needs{Sections: cos.SectionNetwork, Whole: true} // of rules about what a table lacks
)

func networkRules() []Rule {
	all := socketRules
	for i := range endpointSigns {
		e := &endpointSigns[i]
		all = append(all, Rule{ID: e.id, Group: Network, Title: e.title, Meaning: e.meaning, Severity: e.severity, Techniques: e.techniques, Benign: e.benign,
			Needs: networkNeeds, Next: "nodelens ss IMAGE --pod {pod}", Check: perNode(e.look)})
	}
	return append(all, namespaceRules...)
}

var socketRules = []Rule{
	{
		ID: "net-packet-socket", Group: Network, Severity: High, Techniques: []Technique{"T1040", "T1205.002"},
		Title:   "A process sees the packets of a network",
		Meaning: "It has a packet socket, by which it gets frames before the firewall does. Tools for traces and addresses have one; backdoors that wait for a certain packet do, too.",
		Needs:   networkNeeds, Benign: []string{"a client for addresses, or a tool for traces", causeAgent}, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(packetSocket),
	},
	{
		ID: "net-raw-socket", Group: Network, Severity: Medium, Techniques: []Technique{"T1095"},
		Title:   "A process makes packets itself",
		Meaning: "It has a raw socket, by which packets of any kind are sent and received past ports. ping and VPNs have one.",
		Needs:   networkNeeds, Benign: []string{"ping, or a protocol of routers"}, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(rawSocket),
	},
	{
		ID: "net-filtered-backdoor", Group: Network, Severity: Critical, Techniques: []Technique{"T1205.002", "T1036"},
		Title:   "A disguised process waits for certain packets",
		Meaning: "It has a packet or raw socket with a filter, and hides what it is: its program is gone, or it calls itself a thread of the kernel. BPFDoor and its like look so.",
		Needs:   Needs{Processes: true, Sections: cos.SectionNetwork | cos.SectionFiles}, Next: "nodelens dump exe IMAGE --pid {pid} -o program", Check: perSocket(filteredBackdoor),
	},
	{
		ID: "net-disguised-listener", Group: Network, Severity: Critical, Techniques: []Technique{"T1571", "T1036"},
		Title:   "A disguised process can be connected to",
		Meaning: "It listens for connections, and hides what it is: its program is gone, or it calls itself a thread of the kernel. It is a back door.",
		Needs:   Needs{Processes: true, Sections: cos.SectionNetwork | cos.SectionFiles}, Benign: []string{causeUpgraded}, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(disguisedListener),
	},
	{
		ID: "net-disguised-connection", Group: Network, Severity: High, Techniques: []Technique{"T1071", "T1036"},
		Title:   "A disguised process is connected to another machine",
		Meaning: "It has a connection that leaves the node, and hides what it is: its program is gone, or it calls itself a thread of the kernel.",
		Needs:   Needs{Processes: true, Sections: cos.SectionNetwork | cos.SectionFiles}, Benign: []string{causeUpgraded}, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(disguisedConnection),
	},
	{
		ID: "net-shell-listener", Group: Network, Severity: Critical, Techniques: []Technique{"T1059.004", "T1571"},
		Title:   "A shell can be connected to",
		Meaning: "A shell has a listening socket open, or one that it was started with. Who connects gives commands.",
		Needs:   networkNeeds, Benign: []string{"a descriptor that a server passed on by mistake"}, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(shellListener),
	},
	{
		ID: "net-known-backdoor-port", Group: Network, Severity: Medium, Techniques: []Technique{"T1571"},
		Title:   "A process listens on a port that backdoors are known for",
		Meaning: "The port is one that tools of attackers have by default, and no service has. A number proves nothing.",
		Needs:   networkNeeds, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(backdoorPort),
	},
	{
		ID: "net-foreign-namespace-socket", Group: Network, Severity: Medium, Techniques: []Technique{"T1611"},
		Title:   "A process in a pod has a socket of another network",
		Meaning: "The socket is of a network namespace that is not the pod's. It was passed on, or made while the process was elsewhere.",
		Needs:   networkNeeds, Benign: []string{causeAgent, "the process of a network plugin"}, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(foreignSocket),
	},
	{
		ID: "net-hidden-socket", Group: Network, Severity: High, Techniques: []Technique{"T1014"},
		Title:   "A socket is hidden from the table of its protocol",
		Meaning: "A process has it open, and the table from which ss reads lacks it or has it in a wrong place, though the table is whole. Rootkits hide connections so.",
		Needs:   wholeNetwork, Benign: []string{causeSmear}, Next: "nodelens ss IMAGE --pid {pid}", Check: hiddenSocket,
	},
	{
		ID: "net-ownerless-socket", Group: Network, Severity: Low, Techniques: []Technique{"T1014"},
		Title:   "Nobody has a socket open that has a file",
		Meaning: "The socket has a file, and no process that was found has it open. A process that is hidden could; the kernel has such files of its own.",
		Needs:   Needs{Processes: true, Sections: cos.SectionNetwork, Whole: true}, Benign: []string{"the kernel's own", causeSmear}, Next: "nodelens ss IMAGE", Check: perSocket(ownerless),
	},
	{
		ID: "net-special-family", Group: Network, Severity: Medium, Techniques: []Technique{"T1095"},
		Title:   "A process in a pod talks past the pod's network",
		Meaning: "It has a socket of a family that leaves the pod's network namespace out or its firewall behind, such as vsock to the hypervisor, or XDP.",
		Needs:   networkNeeds, Benign: []string{causeAgent, "a runtime that runs pods in virtual machines"}, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(specialFamily),
	},
	{
		ID: "net-unix-other-pod", Group: Network, Severity: Low, Techniques: []Technique{"T1559"},
		Title:   "Processes of two pods are connected on the node",
		Meaning: "A unix socket leads from one pod to another, by a directory of the node that both have. Policies for networks do not see that.",
		Needs:   networkNeeds, Benign: []string{"a driver of volumes, or of a service mesh"}, Next: "nodelens ss IMAGE --pod {pod}", Check: perSocket(unixOtherPod),
	},
}

func packetSocket(n *Node, s *cos.Socket, found func(Finding)) {
	if s.Family != socket.Packet {
		return
	}
	f := Finding{Confidence: Likely, Evidence: []Evidence{ofSocket(s, "protocol", s.Protocol), ofSocket(s, "ifindex", fmt.Sprint(s.Index))}, Summary: "it has a packet socket for " + s.Protocol}
	if s.Filter != nil {
		f.Evidence = append(f.Evidence, ofSocket(s, "filter", fmt.Sprintf("%s, %d instructions, %s%s", s.Filter.Kind, s.Filter.Instructions, s.Filter.SHA256, s.Filter.Tag)))
	}
	f.Benign = []Benign{{causeAgent, n.agent(n.ofSocket(s))}}
	if s.PodUID == "" {
		f.Severity = Medium
		if p := n.firstOwner(s); p != nil && addressClients.MatchString(called(p)) {
			f.Severity = Low
		}
	}
	found(f)
}

// addressClients are programs of a node that have packet sockets for what they do.
var addressClients = regexp.MustCompile(`^(systemd-network(d)?|dhclient|dhcpcd|udhcpc|NetworkManager|lldpd|keepalived|wpa_supplicant|tcpdump|arping|cilium-agent|containerd-shim.*)$`)

// firstOwner returns the first process that has a socket open; nil where there is none.
func (n *Node) firstOwner(s *cos.Socket) *cos.Process {
	for _, o := range s.Owners {
		if p := n.Process(o.PID); p != nil {
			return p
		}
	}
	return nil
}

func rawSocket(_ *Node, s *cos.Socket, found func(Finding)) {
	if s.Type != socket.Raw || s.Family != socket.Inet && s.Family != socket.Inet6 || len(s.Owners) == 0 {
		return
	}
	severity := Medium
	if s.PodUID == "" {
		severity = Low
	}
	found(Finding{Severity: severity, Confidence: Certain, Evidence: []Evidence{ofSocket(s, "protocol", s.Protocol)}, Summary: "it has a raw socket for " + s.Protocol})
}

// disguise says how a process hides what it is: empty where it does not.
func (n *Node) disguise(p *cos.Process) (how string, upgraded BenignState) {
	switch {
	case callsItselfKernel(p):
		return "it calls itself a thread of the kernel", RuledOut
	case n.goneProgram(p.PID) == nil || n.startsContainer(p):
		return "", RuledOut
	case p.PodUID == "" && !inMemoryOnly(n.goneProgram(p.PID)):
		return "its program's file is gone", Unchecked
	}
	return "its program's file is gone", RuledOut
}

// disguised looks at who has a socket.
func (n *Node) disguised(s *cos.Socket, found func(Finding), f Finding) {
	for _, o := range s.Owners {
		p := n.Process(o.PID)
		if p == nil {
			continue
		}
		how, upgraded := n.disguise(p)
		if how == "" {
			continue
		}
		if upgraded == Unchecked { // of the node, where packages are upgraded in place
			f.Severity = Medium
		}
		f.Benign = append(f.Benign, Benign{causeUpgraded, upgraded})
		f.Confidence, f.Summary = Likely, f.Summary+", and "+how
		f.Evidence = append(f.Evidence, ofTask(p, "exe", p.Exe), ofTask(p, "comm", p.Comm))
		found(f)
		return
	}
}

func filteredBackdoor(n *Node, s *cos.Socket, found func(Finding)) {
	if s.Filter != nil && (s.Family == socket.Packet || s.Type == socket.Raw) {
		n.disguised(s, found, Finding{Summary: "it has a filter on a socket for packets", Evidence: []Evidence{ofSocket(s, "filter", fmt.Sprintf("%s, %d instructions", s.Filter.Kind, s.Filter.Instructions))}})
	}
}

func isInet(s *cos.Socket) bool { return s.Family == socket.Inet || s.Family == socket.Inet6 }

func listens(s *cos.Socket) bool { return isInet(s) && s.State == socket.Listen }

func listening(s *cos.Socket) string {
	return fmt.Sprintf("%s %v:%d", s.Protocol, s.LocalAddress, s.LocalPort)
}

func disguisedListener(n *Node, s *cos.Socket, found func(Finding)) {
	if listens(s) {
		n.disguised(s, found, Finding{Summary: "it listens on " + listening(s), Evidence: []Evidence{ofSocket(s, "listens", listening(s))}})
	}
}

func disguisedConnection(n *Node, s *cos.Socket, found func(Finding)) {
	if ip := s.RemoteAddress.IP(); isInet(s) && s.State == socket.Established && ip.IsValid() && !ip.IsLoopback() && !ip.IsUnspecified() {
		n.disguised(s, found, Finding{Summary: "it is connected, " + ends(s), Evidence: []Evidence{ofSocket(s, "connection", ends(s))}})
	}
}

func shellListener(n *Node, s *cos.Socket, found func(Finding)) {
	if !listens(s) {
		return
	}
	for _, o := range s.Owners {
		if p := n.Process(o.PID); p != nil && isShell(p) {
			found(Finding{Confidence: Likely, Evidence: []Evidence{ofSocket(s, "listens", listening(s)), ofTask(p, "exe", p.Exe)}, Summary: "a shell has " + listening(s) + " open"})
			return
		}
	}
}

// backdoorPorts are those that tools of attackers listen on by default and that no service has.
var backdoorPorts = map[uint32]bool{1337: true, 4444: true, 5554: true, 6666: true, 12345: true, 31337: true, 54321: true, 1524: true, 2323: true, 65535: true}

func backdoorPort(_ *Node, s *cos.Socket, found func(Finding)) {
	if listens(s) && backdoorPorts[s.LocalPort] && !s.LocalAddress.IP().IsLoopback() {
		found(Finding{Confidence: Possible, Evidence: []Evidence{ofSocket(s, "listens", listening(s))}, Summary: "it listens on " + listening(s)})
	}
}

func foreignSocket(n *Node, s *cos.Socket, found func(Finding)) {
	p := n.owner(s)
	if p == nil || p.PodUID == "" || !isInet(s) || s.NetNS == 0 || p.Namespaces.Net == 0 || s.NetNS == p.Namespaces.Net {
		return
	}
	found(Finding{Confidence: Certain, Benign: []Benign{{causeAgent, n.agent(n.ofSocket(s))}}, Evidence: []Evidence{ofSocket(s, "netns", fmt.Sprint(s.NetNS)), ofTask(p, "namespace net", fmt.Sprint(p.Namespaces.Net))}, Summary: fmt.Sprintf("it has a socket of network namespace %d and is in %d", s.NetNS, p.Namespaces.Net)})
}

func ownerless(_ *Node, s *cos.Socket, found func(Finding)) {
	if s.Anomalies&socket.NoOwner != 0 && isInet(s) {
		found(Finding{Confidence: Possible, Evidence: []Evidence{ofSocket(s, "inode", fmt.Sprint(s.Inode)), ofSocket(s, "state", s.State.String())}, Summary: "no process has it open"})
	}
}

func specialFamily(n *Node, s *cos.Socket, found func(Finding)) {
	p := n.owner(s)
	if p == nil || !n.Ordinary(p) || s.Family != socket.Vsock && s.Family != socket.XDP {
		return
	}
	found(Finding{Confidence: Certain, Evidence: []Evidence{ofSocket(s, "family", s.Family.String())}, Summary: "it has a socket of the family " + s.Family.String()})
}

func unixOtherPod(n *Node, s *cos.Socket, found func(Finding)) {
	if s.Family != socket.Unix || s.PodUID == "" || s.Peer == 0 {
		return
	}
	peer := n.unix[s.Peer]
	if peer == nil || peer.PodUID == "" || peer.PodUID == s.PodUID || peer.Path == "" {
		return
	}
	path := peer.Path
	found(Finding{Confidence: Certain, Evidence: []Evidence{ofSocket(s, "peer", fmt.Sprint(s.Peer)), ofSocket(peer, "path", path)}, Summary: "it is connected to pod " + n.OfPod(peer.PodUID).String() + " by " + quote(path)})
}

// An endpointSign is an address that says what a pod is after.
type endpointSign struct {
	id, title, meaning string
	severity           Severity
	techniques         []Technique
	benign             []string
	all                bool // also of the cluster's own pods and of the node
	host               bool // the address must be one of the node's own
	match              func(remote netip.AddrPort) bool
}

func (e *endpointSign) concerns(n *Node, uid string) bool {
	if e.all {
		return true
	}
	pod := n.Pod(uid)
	return uid != "" && (pod == nil || !System(pod.Namespace))
}

func (e *endpointSign) look(n *Node, found func(Finding)) {
	seen := map[string]bool{}
	take := func(uid string, subject Subject, remote netip.AddrPort, evidence Evidence) {
		remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
		if key := subject.String() + remote.String(); remote.IsValid() && e.concerns(n, uid) && e.match(remote) && (!e.host || n.ownAddress(remote.Addr())) && !seen[key] {
			seen[key] = true
			found(Finding{Subject: subject, Object: remote.String(), Confidence: Likely, Evidence: []Evidence{evidence}, Summary: "it is connected to " + remote.String()})
		}
	}
	for i := range n.Report.Network.Sockets {
		s := &n.Report.Network.Sockets[i]
		if isInet(s) && s.RemotePort != 0 && s.State != socket.Listen {
			take(s.PodUID, n.ofSocket(s), netip.AddrPortFrom(s.RemoteAddress.IP(), uint16(s.RemotePort)), ofSocket(s, "connection", ends(s)))
		}
	}
	for i := range n.Report.Network.Conntrack {
		c := &n.Report.Network.Conntrack[i]
		if c.SourcePodUID == "" || n.hasSocket[flowKey{c.SourcePodUID, c.Original.DestinationPort}] {
			continue // the socket was told
		}
		take(c.SourcePodUID, n.OfPod(c.SourcePodUID), netip.AddrPortFrom(c.Original.Destination, c.Original.DestinationPort),
			Evidence{"nf_conn", c.Addr, "connection", fmt.Sprintf("%v:%d -> %v:%d", c.Original.Source, c.Original.SourcePort, c.Original.Destination, c.Original.DestinationPort)})
	}
}

// A flowKey is whose connections lead to a port.
type flowKey struct {
	pod  string
	port uint16
}

// ownAddress reports whether an address is one of the node's own.
func (n *Node) ownAddress(a netip.Addr) bool {
	for i := range n.Report.Network.Namespaces {
		ns := &n.Report.Network.Namespaces[i]
		for _, own := range ns.Addresses {
			if ns.Initial && own.Local == a {
				return true
			}
		}
	}
	return false
}

var (
	metadataServer = netip.MustParseAddr("169.254.169.254")
	minerPorts     = map[uint16]bool{3333: true, 4444: true, 5555: true, 7777: true, 9999: true, 14433: true, 14444: true, 45560: true, 45700: true, 20128: true}
)

func ports(all ...uint16) func(netip.AddrPort) bool {
	return func(a netip.AddrPort) bool {
		for _, p := range all {
			if a.Port() == p {
				return true
			}
		}
		return false
	}
}

var endpointSigns = []endpointSign{
	{
		id: "net-metadata-server", severity: Low, techniques: []Technique{"T1552.005"}, benign: []string{"an application that has an identity of the cloud, by the cluster's own way"},
		title:   "A pod asks the cloud's metadata server",
		meaning: "It is connected to 169.254.169.254, which gives out the node's identity where nothing stands before it. Applications ask there for their own.",
		match:   func(a netip.AddrPort) bool { return a.Addr() == metadataServer },
	},
	{
		id: "net-kubelet", severity: High, techniques: []Technique{"T1613", "T1609"}, benign: []string{"a collector of metrics"}, host: true,
		title:   "A pod is connected to the kubelet",
		meaning: "It talks to the node's kubelet, by which commands are run in all pods of the node. Collectors of metrics do that with few rights.",
		match:   ports(10250, 10255, 10248),
	},
	{
		id: "net-etcd", severity: High, techniques: []Technique{"T1552.007", "T1613"}, benign: []string{"an application with an etcd of its own"},
		title:   "A pod is connected to etcd",
		meaning: "It talks to a port of etcd. Who can read the cluster's etcd has all its secrets.",
		match:   ports(2379, 2380),
	},
	{
		id: "net-miner-port", severity: Medium, techniques: []Technique{"T1496.001"}, all: true, benign: []string{"another service on that port"},
		title:   "A connection leads to a port of mining pools",
		meaning: "The port is one that mining pools have and few services do, on an address that is not of a private network. A number proves nothing.",
		match: func(a netip.AddrPort) bool {
			return minerPorts[a.Port()] && !a.Addr().IsPrivate() && !a.Addr().IsLoopback() && !a.Addr().IsLinkLocalUnicast()
		},
	},
	{
		id: "net-irc-or-tor", severity: Medium, techniques: []Technique{"T1071", "T1090.003"}, all: true,
		title:   "A connection leads to a chat server or an onion router",
		meaning: "The port is one of IRC or Tor, on an address that is not of a private network. Botnets are commanded so.",
		match: func(a netip.AddrPort) bool {
			return ports(6660, 6666, 6667, 6668, 6669, 6697, 9001, 9030, 9050, 9150)(a) && !a.Addr().IsPrivate() && !a.Addr().IsLoopback()
		},
	},
	{
		id: "net-ssh-from-pod", severity: Low, techniques: []Technique{"T1021.004"}, benign: []string{"a job that fetches from git, or copies files"},
		title:   "A pod is connected to a server for SSH",
		meaning: "It talks to port 22. Jobs fetch from git so; intruders go on to other machines.",
		match:   ports(22),
	},
}

var namespaceRules = []Rule{
	{
		ID: "net-tunnel-device", Group: Network, Severity: Medium, Techniques: []Technique{"T1572"},
		Title:   "A pod has a tunnel",
		Meaning: "A device of the pod's network leads elsewhere by a tunnel. Traffic can so leave past what is seen of the pod.",
		Needs:   networkNeeds, Benign: []string{"a VPN that is meant to be there"}, Next: "nodelens ss IMAGE --pod {pod}", Check: perDevice(tunnelDevice),
	},
	{
		ID: "net-promiscuous-device", Group: Network, Severity: Medium, Techniques: []Technique{"T1040"},
		Title:   "A device takes packets that are not for it",
		Meaning: "It is promiscuous, and is no port of a bridge. Somebody listens to others' traffic.",
		Needs:   networkNeeds, Benign: []string{"a tool for traces", causeAgent}, Next: "nodelens ss IMAGE", Check: perDevice(promiscuous),
	},
	{
		ID: "net-hidden-device", Group: Network, Severity: High, Techniques: []Technique{"T1014", "T1564"},
		Title:   "A network device is hidden from a table of the kernel",
		Meaning: "One of the tables that every device is in lacks it. Rootkits hide devices from lists.",
		Needs:   wholeNetwork, Benign: []string{causeSmear}, Next: "nodelens ss IMAGE", Check: perNode(hiddenDevice),
	},
	{
		ID: "net-hidden-namespace", Group: Network, Severity: High, Techniques: []Technique{"T1564"},
		Title:   "A network namespace is hidden from the kernel's list",
		Meaning: "It is in use, and the list of all network namespaces lacks it. What is in it, no tool shows.",
		Needs:   wholeNetwork, Benign: []string{causeSmear}, Next: "nodelens ss IMAGE", Check: perNode(hiddenNamespace),
	},
	{
		ID: "net-unknown-netfilter-hook", Group: Network, Severity: Critical, Techniques: []Technique{"T1205", "T1014"},
		Title:   "Packets go through code that nobody knows",
		Meaning: "netfilter calls a function that is in no code the kernel knows of. A rootkit looks at each packet there.",
		Needs:   networkNeeds, Next: "nodelens modules IMAGE", Check: perNode(netfilterHook),
	},
}

func ofNamespace(n *Node, ns *cos.NetworkNamespace) Subject {
	if ns.PodUID != "" {
		return n.OfPod(ns.PodUID)
	}
	return Subject{}
}

// perDevice looks at each network device; what is found is of the pod whose namespace it is in, or of the node.
func perDevice(look func(ns *cos.NetworkNamespace, d *network.Device, found func(Finding))) check {
	return perNode(func(n *Node, found func(Finding)) {
		for i := range n.Report.Network.Namespaces {
			ns := &n.Report.Network.Namespaces[i]
			for _, d := range ns.Devices {
				look(ns, d, func(f Finding) {
					f.Subject, f.Object = ofNamespace(n, ns), deviceName(ns, d)
					found(f)
				})
			}
		}
	})
}

func deviceName(ns *cos.NetworkNamespace, d *network.Device) string {
	return fmt.Sprintf("%s of network namespace %d", d.Name, ns.Inum)
}

func ofDevice(d *network.Device, field, value string) Evidence {
	return Evidence{"net_device", d.Addr, field, value}
}

var tunnelKinds = regexp.MustCompile(`^(tun|tap|wireguard|ipip|gre|gretap|ip6tnl|ip6gre|sit|vxlan|geneve|ppp|l2tp\w*|vti6?|xfrm|ovpn)$`)

func tunnelDevice(ns *cos.NetworkNamespace, d *network.Device, found func(Finding)) {
	if ns.PodUID != "" && tunnelKinds.MatchString(d.Kind) && uint32(d.Flags)&1 != 0 { // IFF_UP: some kinds make one in each namespace that nobody uses
		found(Finding{Confidence: Certain, Evidence: []Evidence{ofDevice(d, "kind", d.Kind), ofDevice(d, "name", d.Name)}, Summary: quote(d.Name) + " is a tunnel of the kind " + d.Kind})
	}
}

func promiscuous(ns *cos.NetworkNamespace, d *network.Device, found func(Finding)) {
	if d.Promiscuity == 0 || d.Master != nil {
		return
	}
	severity := Medium
	if ns.PodUID == "" {
		severity = Low
	}
	found(Finding{Severity: severity, Confidence: Certain, Evidence: []Evidence{ofDevice(d, "promiscuity", fmt.Sprint(d.Promiscuity))}, Summary: quote(d.Name) + " is promiscuous"})
}

func hiddenNamespace(n *Node, found func(Finding)) {
	for i := range n.Report.Network.Namespaces {
		ns := &n.Report.Network.Namespaces[i]
		if lack := ns.Expected() &^ ns.Sources; lack != 0 {
			found(Finding{Subject: ofNamespace(n, ns), Object: fmt.Sprint(ns.Inum), Confidence: Likely, Evidence: []Evidence{{"net", ns.Addr, "found by", ns.Sources.String()}, {"net", ns.Addr, "missing from", lack.String()}},
				Summary: fmt.Sprintf("network namespace %d is missing from the %s", ns.Inum, lack)})
		}
	}
}

func netfilterHook(n *Node, found func(Finding)) {
	for i := range n.Report.Network.Namespaces {
		ns := &n.Report.Network.Namespaces[i]
		for _, h := range ns.Hooks {
			if h.Unknown && !h.Removed {
				found(Finding{Subject: ofNamespace(n, ns), Object: h.Function.String(), Confidence: Likely, Evidence: []Evidence{{"nf_hook_entry", h.Ops, "function", h.Function.String()}, {"nf_hook_entry", h.Ops, "hook", h.Family + " " + h.Hook}},
					Summary: fmt.Sprintf("%s %s of network namespace %d calls %v", h.Family, h.Hook, h.NetNS, h.Function)})
			}
		}
	}
}

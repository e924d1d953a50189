package cos

import (
	"net/netip"

	"github.com/nodelens/nodelens/linux/network/netfilter"
	"github.com/nodelens/nodelens/linux/network/socket"
)

// A flow is a connection as one of its ends has it.
type flow struct {
	netns         uint32 // of addresses that each namespace has of its own; else 0
	protocol      string
	local, remote netip.AddrPort
}

// newFlow returns a flow in a namespace.
func newFlow(netns uint32, protocol string, local, remote netip.AddrPort) flow {
	f := flow{protocol: protocol, local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), remote: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
	if inNamespace(f.local.Addr()) || inNamespace(f.remote.Addr()) {
		f.netns = netns
	}
	return f
}

// inNamespace reports whether an address is another's in each namespace.
func inNamespace(a netip.Addr) bool { return a.IsLoopback() || a.IsLinkLocalUnicast() }

// mirror returns the flow as the other end has it.
func (f flow) mirror() flow {
	f.local, f.remote = f.remote, f.local
	return f
}

// flowOf returns the flow of a socket that is connected.
func flowOf(s *Socket) (flow, bool) {
	local, remote := s.LocalAddress.IP(), s.RemoteAddress.IP()
	if !local.IsValid() || !remote.IsValid() || remote.IsUnspecified() || s.RemotePort == 0 {
		return flow{}, false
	}
	return newFlow(s.NetNS, s.Protocol, netip.AddrPortFrom(local, uint16(s.LocalPort)), netip.AddrPortFrom(remote, uint16(s.RemotePort))), true
}

// peers finds the other ends of connections.
type peers struct {
	sockets map[flow]*Socket
	inodes  map[uint64]*Socket    // of unix sockets
	nat     map[flow]flow         // of each end, what the other end has
	pods    map[netip.Addr]string // of the addresses of pods; empty where several have one
}

// joinPeers names the pods at the other ends.
func (r *netReader) joinPeers() {
	p := &peers{sockets: map[flow]*Socket{}, inodes: map[uint64]*Socket{}, nat: map[flow]flow{}, pods: map[netip.Addr]string{}}
	for i := range r.net.Pods {
		pod := &r.net.Pods[i]
		for _, ip := range pod.IPs {
			addr := netip.MustParseAddr(ip)
			if uid, there := p.pods[addr]; there && uid != pod.UID {
				p.pods[addr] = ""
			} else {
				p.pods[addr] = pod.UID
			}
		}
	}
	for i := range r.net.Sockets {
		s := &r.net.Sockets[i]
		if f, ok := flowOf(s); ok {
			p.sockets[f] = s
		}
		if s.Family == socket.Unix && s.Inode != 0 {
			p.inodes[s.Inode] = s
		}
	}
	for i := range r.net.Conntrack {
		p.addNAT(&r.net.Conntrack[i].Connection)
	}
	for i := range r.net.Sockets {
		p.join(&r.net.Sockets[i])
	}
	for i := range r.net.Conntrack {
		p.joinConnection(&r.net.Conntrack[i])
	}
}

// tupleFlow returns the flow of a tuple, as its source has it.
func tupleFlow(c *netfilter.Connection, t *netfilter.Tuple) flow {
	return newFlow(c.NetNS, c.Protocol, netip.AddrPortFrom(t.Source, t.SourcePort), netip.AddrPortFrom(t.Destination, t.DestinationPort))
}

// addNAT adds a connection whose ends do not see each other's addresses.
func (p *peers) addNAT(c *netfilter.Connection) {
	client, server := tupleFlow(c, &c.Original), tupleFlow(c, &c.Reply)
	if client.mirror() != server {
		p.nat[client], p.nat[server] = server, client
	}
}

// maxTranslations is how often an address is translated on a way through a node: in the
// namespaces of both ends, and in the node's.
const maxTranslations = 4

// other returns the flow at the other end of one, and the socket there if there is one.
func (p *peers) other(f flow) (flow, *Socket) {
	end := f.mirror()
	for range maxTranslations {
		if s := p.sockets[end]; s != nil {
			return end, s
		}
		next, ok := p.nat[end.mirror()]
		if !ok {
			break
		}
		end = next
	}
	return end, nil
}

// join sets the other end of a socket.
func (p *peers) join(s *Socket) {
	if s.Family == socket.Unix {
		if peer := p.inodes[s.Peer]; peer != nil && s.Peer != 0 {
			s.PeerPodUID, s.PeerSocket = peer.PodUID, peer.Addr
		}
		return
	}
	f, ok := flowOf(s)
	if !ok {
		return
	}
	end, peer := p.other(f)
	if peer != nil && peer != s {
		s.PeerPodUID, s.PeerSocket = peer.PodUID, peer.Addr
		return
	}
	s.PeerPodUID = p.pods[end.local.Addr()]
}

// joinConnection says between which pods a connection is.
func (p *peers) joinConnection(c *Connection) {
	client, server := tupleFlow(&c.Connection, &c.Original), tupleFlow(&c.Connection, &c.Reply)
	c.SourcePodUID = p.podAt(client)
	c.DestinationPodUID = p.podAt(server)
}

// podAt returns the pod at the local end of a flow.
func (p *peers) podAt(f flow) string {
	if s := p.sockets[f]; s != nil && s.PodUID != "" {
		return s.PodUID
	}
	return p.pods[f.local.Addr()]
}

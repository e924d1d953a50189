package cos

import (
	"fmt"
	"net/netip"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// A PodRoute is a way by which packets that are sent elsewhere come to a pod.
type PodRoute struct {
	Name       string `json:"name" jsonx:"null"`     // of the Service, as NAMESPACE/NAME:PORT, where the rules tell it
	Protocol   string `json:"protocol" jsonx:"null"` // tcp, udp or sctp; empty: any
	Address    string `json:"address" jsonx:"null"`  // that they are sent to, or a network; empty: any of the node's, or several
	Port       uint16 `json:"port" jsonx:"null"`     // 0: any
	LastPort   uint16 `json:"lastPort,omitempty"`    // of a range that begins with Port; 0: Port alone
	TargetPort uint16 `json:"targetPort"`            // of the pod
	By         string `json:"by"`                    // what brings them: one of the constants
	Chain      string `json:"chain" jsonx:"null"`    // whose rule translates the address
}

// What brings packets to a pod.
const (
	ByNFTables = "nftables" // a rule of nf_tables
	ByIPTables = "iptables" // a rule of iptables, which nf_tables may hold
	ByIPVS     = "ipvs"     // a service of IPVS
	ByListener = "listener" // nothing: the pod listens in the node's own namespace
)

// joinServices says of each pod which Services, rules and ports lead to it.
func (r *netReader) joinServices() {
	pods := map[netip.Addr]*PodNetwork{}
	byUID := map[string]*PodNetwork{}
	for i := range r.net.Pods {
		pod := &r.net.Pods[i]
		byUID[pod.UID] = pod
		for _, ip := range pod.IPs {
			addr := netip.MustParseAddr(ip)
			if other, there := pods[addr]; there && other != pod {
				r.gaps = append(r.gaps, vmem.NewGap("services of pods at "+ip, vmem.Place{}, fmt.Errorf("%w: several pods have the address", linux.ErrDisagree)))
				pods[addr] = nil
				continue
			}
			pods[addr] = pod
		}
	}
	w := &natWalk{steps: maxNATSteps, found: map[natRoute]bool{}}
	for i := range r.net.Namespaces {
		ns := &r.net.Namespaces[i]
		for k := range ns.NFTables {
			w.walk(graphOfTable(&ns.NFTables[k]))
		}
		for k := range ns.IPTables {
			w.walk(graphOfXTable(&ns.IPTables[k]))
		}
		for k := range ns.IPVS {
			w.all = append(w.all, routesOfIPVS(&ns.IPVS[k])...)
		}
	}
	if w.steps < 0 {
		r.gaps = append(r.gaps, vmem.NewGap("services of pods", vmem.Place{}, fmt.Errorf("%w: rules lead on in more than %d ways", kstruct.ErrTooMany, maxNATSteps)))
	}
	for _, route := range w.sorted() {
		if pod := pods[route.nat.Addr()]; pod != nil {
			pod.add(&route)
		}
	}
	for i := range r.net.Sockets {
		s := &r.net.Sockets[i]
		if pod := byUID[s.PodUID]; pod != nil && pod.Host && s.NetNS == pod.NetNS && listens(s) {
			pod.HostPorts = append(pod.HostPorts, PodRoute{
				Protocol: s.Protocol, Address: anyAddress(s.LocalAddress.IP()), Port: uint16(s.LocalPort), TargetPort: uint16(s.LocalPort), By: ByListener, //nolint:gosec // a port
			})
		}
	}
}

// add adds a way that leads to the pod.
func (p *PodNetwork) add(route *natRoute) {
	to := PodRoute{
		Name: route.cond.name, Protocol: route.cond.protocol, Port: route.cond.port, TargetPort: route.nat.Port(), By: route.by, Chain: route.chain,
	}
	if route.cond.last != route.cond.port {
		to.LastPort = route.cond.last
	}
	if to.TargetPort == 0 {
		to.TargetPort = to.Port
	}
	switch prefix := route.cond.to; {
	case prefix.IsSingleIP():
		to.Address = prefix.Addr().String()
	case prefix.IsValid():
		to.Address = prefix.String()
	}
	if route.host {
		p.HostPorts = append(p.HostPorts, to)
	} else {
		p.Services = append(p.Services, to)
	}
}

// anyAddress returns an address, empty if it stands for any.
func anyAddress(a netip.Addr) string {
	if !a.IsValid() || a.IsUnspecified() {
		return ""
	}
	return a.String()
}

// listens reports whether others can reach a socket by its port.
func listens(s *Socket) bool {
	if s.Family != socket.Inet && s.Family != socket.Inet6 || s.LocalPort == 0 || s.Type == socket.Raw {
		return false
	}
	return s.State == socket.Listen || s.Type == socket.Dgram && s.State == socket.Unconn
}

package cos

import (
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/ipvs"
	"github.com/nodelens/nodelens/linux/network/netfilter"
	"github.com/nodelens/nodelens/linux/network/netfilter/ipset"
	"github.com/nodelens/nodelens/linux/network/netfilter/nftables"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
	"github.com/nodelens/nodelens/vmem"
)

// limit bounds the section, whose longest lists are cut first.
func (r *netReader) limit() {
	most := r.kernel.Limits().ReportBytes
	b := newBudget(most, "bytes of JSON")
	b.add(
		netShare(r, "sockets", &r.net.Sockets, sizeOfSocket),
		netShare(r, "connection tracking", &r.net.Conntrack, func(*Connection) int { return 900 }),
		netShare(r, "expected connections", &r.net.Expectations, func(*netfilter.Expectation) int { return 800 }),
	)
	for i := range r.net.Namespaces {
		ns := &r.net.Namespaces[i]
		of := " of " + ns.String()
		b.add(
			netShare(r, "processes"+of, &ns.PIDs, func(*int32) int { return 8 }),
			netShare(r, "mounts"+of, &ns.Mounts, func(s *string) int { return jsonSize(*s) }),
			netShare(r, "devices"+of, &ns.Devices, func(d **network.Device) int { return 900 + jsonSize((*d).Alias) }),
			netShare(r, "addresses"+of, &ns.Addresses, func(**network.Address) int { return 450 }),
			netShare(r, "routes"+of, &ns.Routes, func(t **network.Route) int { return 400 + 120*len((*t).NextHops) }),
			netShare(r, "rules"+of, &ns.Rules, func(**network.Rule) int { return 350 }),
			netShare(r, "neighbours"+of, &ns.Neighbours, func(**network.Neighbour) int { return 350 }),
			netShare(r, "nftables"+of, &ns.NFTables, sizeOf[nftables.Table]),
			netShare(r, "iptables"+of, &ns.IPTables, sizeOf[xtables.Table]),
			netShare(r, "ipset"+of, &ns.IPSets, sizeOf[ipset.Set]),
			netShare(r, "IPVS"+of, &ns.IPVS, func(s *ipvs.Service) int { return 250 + 200*len(s.Destinations) }),
			netShare(r, "netfilter hooks"+of, &ns.Hooks, func(*netfilter.Hook) int { return 350 }),
		)
	}
	route := func(p *PodRoute) int { return 200 + jsonSize(p.Name) + jsonSize(p.Chain) }
	for i := range r.net.Pods {
		pod := &r.net.Pods[i]
		of := " of pod " + pod.UID
		b.add(
			netShare(r, "services"+of, &pod.Services, route),
			netShare(r, "host ports"+of, &pod.HostPorts, route),
			netShare(r, "addresses"+of, &pod.IPs, func(s *string) int { return jsonSize(*s) }),
		)
	}
	b.finish(most)
}

func netShare[T any](r *netReader, what string, list *[]T, size func(*T) int) share {
	return newShare("the network", list, size, func(err error) { r.gaps = append(r.gaps, vmem.NewGap(what, vmem.Place{}, err)) })
}

// sizeOfSocket is about how long a socket is as JSON.
func sizeOfSocket(s *Socket) int {
	n := 1300 + jsonSize(s.Path) + jsonSize(s.Cgroup) + 2*len(s.Name) + 40*len(s.Owners)
	for _, a := range s.Associations {
		n += 350 + 40*(len(a.LocalAddresses)+len(a.RemoteAddresses))
	}
	if s.TCP != nil {
		n += 900
	}
	return n
}

// sizeOf returns how long a record is as JSON.
func sizeOf[T any](record *T) int {
	text, err := jsonx.Marshal(record)
	if err != nil {
		return 0
	}
	return len(text)
}

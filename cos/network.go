package cos

import (
	"context"
	"iter"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/ipvs"
	"github.com/nodelens/nodelens/linux/network/netfilter"
	"github.com/nodelens/nodelens/linux/network/netfilter/ipset"
	"github.com/nodelens/nodelens/linux/network/netfilter/nftables"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// A Network is the network of a node as it was, and whose it was: the section
// SectionNetwork.
type Network struct {
	Namespaces []NetworkNamespace `json:"namespaces"` // the initial one first, the others by ascending inum
	Sockets    []Socket           `json:"sockets"`    // by namespace, then in the order of package socket
	Conntrack  []Connection       `json:"conntrack"`  // in the order of the kernel's table
	// Expectations are connections that others announced, in the order of the kernel's table.
	Expectations []netfilter.Expectation `json:"expectations"`
	Pods         []PodNetwork            `json:"pods"` // in the order of the report's
}

// A NetworkNamespace is a network namespace, and what ip, tc and nft would have said in it.
type NetworkNamespace struct {
	network.Namespace
	PodUID string `json:"podUID" jsonx:"null"` // of the pod whose namespace it is; empty for the node's own
	network.Configuration
	NFTables []nftables.Table `json:"nftables"`
	IPTables []xtables.Table  `json:"iptables"` // those that nf_tables does not hold
	IPSets   []ipset.Set      `json:"ipsets"`
	IPVS     []ipvs.Service   `json:"ipvs"`
	Hooks    []netfilter.Hook `json:"hooks"` // what sees packets, with iptables and nf_tables among it
}

// A Socket is a socket, and who has it.
type Socket struct {
	socket.Socket
	// PodUID is of the pod that has it: of a process that has it open, or else of the cgroup
	// that it is counted for, or else of its namespace. ContainerID is likewise, but for the
	// namespace, which is of no container.
	PodUID      string `json:"podUID" jsonx:"null"`
	ContainerID string `json:"containerID" jsonx:"null"`
	// PeerPodUID is the pod at the other end, and PeerSocket the socket there, where they are
	// on this node: by addresses and ports, also as NAT has them, or by a pod's address.
	PeerPodUID string        `json:"peerPodUID" jsonx:"null"`
	PeerSocket vmem.VirtAddr `json:"peerSocket" jsonx:"null"`
}

// A Connection is an entry of connection tracking, and between which pods it is.
type Connection struct {
	netfilter.Connection
	SourcePodUID      string `json:"sourcePodUID" jsonx:"null"`      // of the one who began it
	DestinationPodUID string `json:"destinationPodUID" jsonx:"null"` // of the one who was reached in the end
}

// A PodNetwork is the network of a pod.
type PodNetwork struct {
	UID   string   `json:"uid"`
	NetNS uint32   `json:"netns" jsonx:"null"` // inode number of its namespace; 0 if none of its processes is left
	Host  bool     `json:"hostNetwork"`        // that is the node's own
	IPs   []string `json:"ips"`                // of the devices of its own namespace, but for loopback and link-local ones
	// HostPorts are ports of the node that lead to the pod: by rules of a container runtime, or
	// as it listens itself in the node's namespace. Services are the other ways: those of
	// Kubernetes' Services, and whatever rules lead to one of the IPs.
	HostPorts []PodRoute `json:"hostPorts"`
	Services  []PodRoute `json:"services"`
}

// Network reads the node's network and joins it with the pods; beside it is what was lost.
// Only the end of ctx is an error.
func (n *Node) Network(ctx context.Context) (*Network, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readNetwork(ctx, a)
}

// addNetwork adds the section to the report.
func (a *analysis) addNetwork(ctx context.Context) error {
	net, gaps, err := readNetwork(ctx, a)
	if err != nil {
		return err
	}
	a.report.Network = net
	a.lose(gaps)
	return nil
}

// A netReader reads the network of a node.
type netReader struct {
	*analysis
	ctx        context.Context //nolint:containedctx // it lives as long as one call
	pods       podIndex
	modules    *module.Set
	namespaces []*network.Namespace
	net        *Network
	gaps       []vmem.Gap
}

func readNetwork(ctx context.Context, a *analysis) (*Network, []vmem.Gap, error) {
	r := &netReader{analysis: a, ctx: ctx, pods: indexPods(a.report), net: new(Network)}
	var err error
	if r.modules, err = a.moduleSet(ctx); err != nil {
		return nil, nil, err
	}
	r.gaps = append(r.gaps, r.modules.Gaps()...)
	for _, read := range []func(){
		r.readNamespaces, r.readConfigurations, r.readNetfilter, r.readSockets, r.readConntrack, r.joinPods, r.joinPeers, r.joinServices, r.limit,
	} {
		read()
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
	return r.net, r.gaps, nil
}

// found yields what a walk yields without an error, and loses the errors.
func found[T any](r *netReader, object string, walk iter.Seq2[T, error]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for t, err := range walk {
			if err != nil {
				r.gaps = append(r.gaps, vmem.NewGap(object, vmem.Place{}, err))
			} else if !yield(t) {
				return
			}
		}
	}
}

func (r *netReader) readNamespaces() {
	for ns := range found(r, "network namespaces", network.Namespaces(r.ctx, r.kernel, r.tasks)) {
		r.namespaces = append(r.namespaces, ns)
		r.net.Namespaces = append(r.net.Namespaces, NetworkNamespace{Namespace: *ns, PodUID: r.podOf(ns)})
	}
}

// readConfigurations reads devices, addresses, routes and the like.
func (r *netReader) readConfigurations() {
	at := map[*network.Namespace]*NetworkNamespace{}
	for i, ns := range r.namespaces {
		at[ns] = &r.net.Namespaces[i]
	}
	opts := &network.Options{Types: r.modules.Types}
	for c := range found(r, "network devices", network.Configurations(r.ctx, r.kernel, r.namespaces, opts)) {
		if ns := at[c.Namespace]; ns != nil {
			ns.Configuration = *c
			ns.Configuration.Namespace = nil // it is beside it
		}
	}
}

// readNetfilter reads what is done with packets in each namespace.
func (r *netReader) readNetfilter() {
	symbols, err := module.NewSymbolizer(r.ctx, r.modules, nil)
	if err != nil {
		return // as ctx is done
	}
	r.gaps = append(r.gaps, symbols.Gaps()...)
	opts := &netfilter.Options{Symbols: symbols}
	for i, ns := range r.namespaces {
		to, of := &r.net.Namespaces[i], " of "+ns.String()
		for t := range found(r, "nftables"+of, nftables.Tables(r.ctx, r.kernel, r.modules, ns)) {
			to.NFTables = appendPlain(r, "nftables"+of, to.NFTables, t)
		}
		for t := range found(r, "iptables"+of, xtables.Tables(r.ctx, r.kernel, r.modules, ns)) {
			to.IPTables = appendPlain(r, "iptables"+of, to.IPTables, t)
		}
		for s := range found(r, "ipset"+of, ipset.Sets(r.ctx, r.kernel, r.modules, ns)) {
			to.IPSets = appendPlain(r, "ipset"+of, to.IPSets, s)
		}
		for s := range found(r, "IPVS"+of, ipvs.Services(r.ctx, r.kernel, r.modules, ns)) {
			to.IPVS = append(to.IPVS, *s)
		}
		for h := range found(r, "netfilter hooks"+of, netfilter.Hooks(r.ctx, r.kernel, r.modules, ns, opts)) {
			to.Hooks = append(to.Hooks, h)
		}
	}
}

// appendPlain appends a record as it is written: without what its package keeps to print it.
func appendPlain[T any](r *netReader, object string, to []T, record *T) []T {
	var plain T
	text, err := jsonx.Marshal(record)
	if err == nil {
		err = jsonx.Unmarshal(text, &plain)
	}
	if err != nil {
		r.gaps = append(r.gaps, vmem.NewGap(object, vmem.Place{}, err))
		return to
	}
	return append(to, plain)
}

func (r *netReader) readSockets() {
	opts := &socket.Options{Tasks: r.tasks, Namespaces: r.namespaces, Modules: r.modules}
	for s := range found(r, "sockets", socket.Sockets(r.ctx, r.kernel, opts)) {
		r.net.Sockets = append(r.net.Sockets, Socket{Socket: *s})
	}
}

func (r *netReader) readConntrack() {
	for c := range found(r, "connection tracking", netfilter.Conntrack(r.ctx, r.kernel, r.modules, r.namespaces)) {
		r.net.Conntrack = append(r.net.Conntrack, Connection{Connection: *c})
	}
	for e := range found(r, "expected connections", netfilter.Expectations(r.ctx, r.kernel, r.modules, r.namespaces)) {
		r.net.Expectations = append(r.net.Expectations, *e)
	}
}

package cos

import (
	"context"
	"errors"

	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// A Network is the network of a node as it was: the section SectionNetwork.
type Network struct {
	Namespaces []NetworkNamespace `json:"namespaces"` // the initial one first, the others by ascending inum
}

// A NetworkNamespace is a network namespace, and what ip would have said in it.
type NetworkNamespace struct {
	network.Namespace
	PodUID string `json:"podUID" jsonx:"null"` // of the pod whose namespace it is; empty for the node's own
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
	a.report.Gaps = append(a.report.Gaps, gaps...)
	return nil
}

// A netReader reads the network of a node.
type netReader struct {
	*analysis
	pods podIndex
	net  *Network
	gaps []vmem.Gap
}

func readNetwork(ctx context.Context, a *analysis) (*Network, []vmem.Gap, error) {
	r := &netReader{analysis: a, pods: indexPods(a.report), net: new(Network)}
	r.readNamespaces(ctx)
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return r.net, r.gaps, nil
}

// lose adds what was lost, unless it is the end of the context.
func (r *netReader) lose(object string, err error) {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		r.gaps = append(r.gaps, vmem.NewGap(object, vmem.Place{}, err))
	}
}

func (r *netReader) readNamespaces(ctx context.Context) {
	for ns, err := range network.Namespaces(ctx, r.kernel, r.tasks) {
		if err != nil {
			r.lose("network namespaces", err)
			continue
		}
		r.net.Namespaces = append(r.net.Namespaces, NetworkNamespace{Namespace: *ns, PodUID: r.podOf(ns)})
	}
}

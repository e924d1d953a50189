package netfilter

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

func FuzzWalkConntrack(f *testing.F) {
	nftest.FuzzWalk(f, func(ctx context.Context, n *nftest.Node) {
		for _, err := range Conntrack(ctx, n.K, n.Mods, n.Namespaces) {
			_ = err // a loss, here and below
		}
		for _, err := range Expectations(ctx, n.K, n.Mods, n.Namespaces) {
			_ = err
		}
		for _, ns := range n.Namespaces {
			for _, err := range Hooks(ctx, n.K, n.Mods, ns, nil) {
				_ = err
			}
		}
	})
}

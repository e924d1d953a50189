package ipset

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

func FuzzWalkSets(f *testing.F) {
	nftest.FuzzWalk(f, func(ctx context.Context, n *nftest.Node) {
		for _, ns := range n.Namespaces {
			for s, err := range Sets(ctx, n.K, n.Mods, ns) {
				if err == nil { // else it is a loss
					_ = s.String()
				}
			}
		}
	})
}

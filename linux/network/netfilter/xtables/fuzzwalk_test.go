package xtables

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

func FuzzWalkTables(f *testing.F) {
	nftest.FuzzWalk(f, func(ctx context.Context, n *nftest.Node) {
		for _, ns := range n.Namespaces {
			names := SetNames(ctx, n.K, n.Mods, ns)
			for t, err := range Tables(ctx, n.K, n.Mods, ns) {
				if err == nil { // else it is a loss
					_ = t.String()
				}
			}
			_ = names(1)
		}
	})
}

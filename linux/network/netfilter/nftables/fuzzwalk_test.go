package nftables

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

func FuzzWalkTables(f *testing.F) {
	nftest.FuzzWalk(f, func(ctx context.Context, n *nftest.Node) {
		for _, ns := range n.Namespaces {
			for t, err := range Tables(ctx, n.K, n.Mods, ns) {
				if err == nil { // else it is a loss
					_, _, _ = t.String(), t.JSON(), t.IPTables()
				}
			}
		}
	})
}

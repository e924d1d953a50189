package ipvs

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

func FuzzWalkServices(f *testing.F) {
	nftest.FuzzWalk(f, func(ctx context.Context, n *nftest.Node) {
		for _, ns := range n.Namespaces {
			for s, err := range Services(ctx, n.K, n.Mods, ns) {
				if err == nil { // else it is a loss
					_ = s.String()
				}
			}
			for _, err := range Connections(ctx, n.K, n.Mods, ns) {
				_ = err
			}
		}
	})
}

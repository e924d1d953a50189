package process

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

func FuzzWalkProcesses(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		r := New(n.K)
		for _, t := range n.Tasks { // an error is a loss
			_, _ = r.Security(t)
			_, _ = r.Status(ctx, t)
			_, _ = r.Stat(ctx, t)
			_, _ = r.Signals(ctx, t)
			_, _ = r.Relations(ctx, t)
			_, _ = r.Scheduling(t)
			_, _ = r.Limits(t)
			_, _ = r.Keyrings(t)
		}
	})
}

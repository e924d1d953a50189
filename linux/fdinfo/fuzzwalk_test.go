package fdinfo

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

func FuzzWalkInfo(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		r := New(n.K)
		_, _, _ = r.Locks(ctx, n.Tasks) // an error is a loss
		_, _, _ = r.Pipes(ctx, n.Tasks)
		for i, t := range n.Tasks {
			if i%8 != 1 {
				continue
			}
			for fd, err := range t.Files(ctx) {
				if err == nil {
					_, _ = r.Info(ctx, t, fd)
				}
			}
		}
	})
}

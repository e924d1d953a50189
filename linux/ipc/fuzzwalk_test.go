package ipc

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

func FuzzWalkIPC(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		r := New(n.K)
		for ns, err := range r.Namespaces(ctx, n.Tasks) {
			if err != nil {
				continue
			}
			for i := range ns.Shm {
				for _, err := range r.Content(ctx, &ns.Shm[i]) {
					_ = err // a loss
				}
			}
		}
	})
}

package printk

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

func FuzzWalkLog(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		for range Records(ctx, n.K) {
			continue
		}
	})
}

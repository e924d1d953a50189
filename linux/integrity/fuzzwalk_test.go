package integrity

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

func FuzzWalkHooks(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		c, err := Open(ctx, n.K, nil)
		if err != nil {
			return
		}
		for _, err := range c.Hooks(ctx) {
			_ = err // a loss
		}
	})
}

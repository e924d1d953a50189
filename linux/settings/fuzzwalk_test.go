package settings

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

func FuzzWalkSettings(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		_, _, _ = Read(ctx, n.K, nil) // an error is a loss
	})
}

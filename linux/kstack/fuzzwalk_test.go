package kstack

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/linux/module"
)

func FuzzWalkStacks(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		mods, err := module.Open(ctx, n.K, nil)
		if err != nil {
			return
		}
		r, err := New(ctx, n.K, mods)
		if err != nil {
			return
		}
		for _, t := range n.Tasks { // an error is a loss
			_, _ = r.Stack(t)
			_, _ = r.WChan(t)
		}
	})
}

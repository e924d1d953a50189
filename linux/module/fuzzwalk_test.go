package module

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

func FuzzWalkModules(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		set, err := Open(ctx, n.K, nil)
		if err != nil {
			return
		}
		for _, m := range set.Modules() { // an error is a loss
			_, _ = set.Symbols(m)
			_, _ = set.Types(m.Name)
		}
		_, _ = set.Freed(ctx)
		_, _ = NewSymbolizer(ctx, set, nil)
	})
}

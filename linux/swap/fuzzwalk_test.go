package swap

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// FuzzWalkSwap reads the swap areas of a damaged node.
func FuzzWalkSwap(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		r, err := Open(ctx, n.K, nil)
		if err != nil {
			return
		}
		page := make([]byte, vmem.PageSize)
		for number := range uint8(vmem.SwapTypeCount + 1) {
			for _, offset := range []uint64{0, 1, 600, 1 << 49} {
				_ = r.ReadPage(page, number, offset) // an error is a loss
				_, _ = r.Users(number, offset)
			}
		}
	})
}

package swap

import (
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// TestKernels: what is read of swap is bound by the types of all kernels there are. Those of zram are of modules.
func TestKernels(t *testing.T) {
	t.Parallel()
	nodetest.EachKernel(t, func(t *testing.T, types *isf.File) {
		v := bindViews(types)
		nodetest.Bound(t, map[string]error{"swap areas": v.err, "swap cache": v.cacheErr}, map[string]bool{
			"users, by a map or by tables": v.info.Has("Map") || v.cluster.Has("Table"), "swap cache": v.cached != 0 && v.spaceLen > 0,
		})
	})
}

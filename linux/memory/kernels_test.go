package memory

import (
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// TestKernels: what is read of memory is bound by the types of all kernels there are.
func TestKernels(t *testing.T) {
	t.Parallel()
	nodetest.EachKernel(t, func(t *testing.T, types *isf.File) {
		v, m := bindViews(types), bindMaps(types)
		nodetest.Bound(t, map[string]error{"memory": v.err, "registers": v.regsErr, "maps": m.err}, map[string]bool{
			"pages": m.pages.Ok(), "huge pages": m.order.Ok(),
		})
	})
}

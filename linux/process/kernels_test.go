package process

import (
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// TestKernels: what is read of tasks is bound by the types of all kernels there are.
func TestKernels(t *testing.T) {
	t.Parallel()
	nodetest.EachKernel(t, func(t *testing.T, types *isf.File) {
		v := bindViews(types)
		nodetest.Bound(t, map[string]error{"tasks": v.err, "terminals": v.ttyErr, "timers": v.timers.err}, nil)
	})
}

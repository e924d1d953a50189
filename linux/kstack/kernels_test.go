package kstack

import (
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// TestKernels: stacks are bound by the types of all kernels there are.
func TestKernels(t *testing.T) {
	t.Parallel()
	nodetest.EachKernel(t, func(t *testing.T, types *isf.File) {
		v := bindViews(types)
		nodetest.Bound(t, map[string]error{"stacks": v.err}, map[string]bool{"modules": v.module.Ok()})
	})
}

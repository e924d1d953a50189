package ktext_test

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/linux/ktext"
	"github.com/nodelens/nodelens/vmem"
)

// FuzzWalkCode compares code of a kernel that is overwritten.
func FuzzWalkCode(f *testing.F) {
	n := nodes(f)[0]
	open := func(m vmem.Memory) (*linux.Kernel, error) {
		k, err := image.OpenKernel(context.Background(), m, &image.Options{Symbols: n.symbols})
		if err != nil {
			return nil, err
		}
		return k.Kernel, nil
	}
	k, err := open(n.mem)
	if err != nil {
		f.Fatal(err)
	}
	nodetest.FuzzWalkOf(f, n.mem, k, open, func(ctx context.Context, k *linux.Kernel) {
		r, _, err := ktext.Compare(ctx, k, n.build, nil)
		if err != nil {
			return
		}
		for _, m := range r.Modifications {
			_ = m.String()
		}
	})
}

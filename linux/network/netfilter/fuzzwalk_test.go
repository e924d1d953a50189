package netfilter

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

func FuzzWalkConntrack(f *testing.F) {
	var opts Options // of modules that all walks have in common
	nftest.FuzzWalk(f, func(ctx context.Context, n *nftest.Node) {
		if opts.Symbols == nil {
			opts.Symbols, _ = module.NewSymbolizer(ctx, n.Mods, nil)
		}
		for _, err := range Conntrack(ctx, n.K, n.Mods, n.Namespaces) {
			_ = err // a loss, here and below
		}
		for _, err := range Expectations(ctx, n.K, n.Mods, n.Namespaces) {
			_ = err
		}
		for _, ns := range n.Namespaces {
			for _, err := range Hooks(ctx, n.K, n.Mods, ns, &opts) {
				_ = err
			}
		}
	})
}

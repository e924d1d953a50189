package pagecache

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// walkAll reads what a set has: the files of some processes with their contents, and what has no name.
func walkAll(ctx context.Context, n *node) {
	for i, t := range n.Tasks {
		if i%24 != 1 || ctx.Err() != nil { // many see the same
			continue
		}
		f, err := n.set.FS(ctx, t)
		if err != nil {
			continue
		}
		left := 400
		for file, err := range f.Walk(ctx, "") {
			if left--; left < 0 || ctx.Err() != nil {
				break
			}
			if err != nil {
				continue
			}
			_, _ = file.Xattrs() // an error is a loss, here and below
			_, _ = file.Target()
			if c, err := file.Content(ctx); err == nil {
				_, _ = c.Missing(), c.Swapped()
				_, _ = c.ReadAt(make([]byte, 100), 0)
			}
		}
	}
	for _, s := range n.set.Supers() {
		_, _ = n.set.Layers(s)
	}
	_, _ = n.set.Nameless(ctx)
}

// FuzzWalkFiles walks over the files of a damaged node.
func FuzzWalkFiles(f *testing.F) {
	modules := nodes.Bundled(f).set.opts.Modules // which have a target of their own
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) {
		set, err := Open(ctx, n.K, &Options{Tasks: n.Tasks, Modules: modules})
		if err == nil {
			walkAll(ctx, &node{n, set})
		}
	})
}

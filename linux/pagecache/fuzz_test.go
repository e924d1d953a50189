package pagecache

import (
	"context"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/vmem"
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
			if c, err := file.Content(); err == nil {
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

// FuzzWalkFiles overwrites words of the pages that a walk over the bundled node's files reads. The walk must end
// soon, and take no more than so much memory.
func FuzzWalkFiles(f *testing.F) {
	n := nodes.Bundled(f)
	r := smeartest.NewRecorder(n.Mem)
	before, err := reopen(context.Background(), n, r)
	if err != nil {
		f.Fatal(err)
	}
	opened := r.Pages()
	walkAll(context.Background(), before)
	pages := slices.DeleteFunc(r.Pages(), func(p vmem.PhysAddr) bool {
		_, found := slices.BinarySearch(opened, p)
		return found
	})
	at, err := n.K.Symbol("page_offset_base")
	if err != nil {
		f.Fatal(err)
	}
	direct, err := n.K.Space().Uint64(at)
	if err != nil {
		f.Fatal(err)
	}
	smeartest.AddEdits(f)
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := smeartest.New(n.Mem)
		m.Edit(edits, pages, direct)
		damaged, err := reopen(t.Context(), n, m)
		if err != nil {
			t.Skip(err)
		}
		smeartest.Bounded(t, func(ctx context.Context) { walkAll(ctx, damaged) })
	})
}

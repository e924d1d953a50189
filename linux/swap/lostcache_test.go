package swap

import (
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// TestLostCache: where the swap cache of an area is lost, no page of it is read: the area may have an older one than the cache. That is told.
func TestLostCache(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *nodetest.Node) {
		told := toldPages(t, n)
		if len(told) == 0 {
			t.Skip("nothing was swapped out")
		}
		r := openNode(t, n)
		if r.tables() {
			t.Skip("the cache is in tables")
		}
		array, err := n.K.Symbol("swapper_spaces")
		if err != nil {
			t.Fatal(err)
		}
		at, err := n.K.Space().Translate(array)
		if err != nil {
			t.Fatal(err)
		}
		m := smeartest.New(n.Mem)
		m.Write(at.At(array), make([]byte, 8*vmem.SwapTypeCount))
		var lost nodetest.Node
		if err := lost.On(m, nil); err != nil {
			t.Fatal(err)
		}
		bad, err := Open(t.Context(), lost.K, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(bad.Areas()) != len(r.Areas()) || len(bad.Gaps()) < len(r.Areas()) {
			t.Errorf("%d areas, %d gaps; before there were %d areas", len(bad.Areas()), len(bad.Gaps()), len(r.Areas()))
		}
		tried, page := 0, make([]byte, vmem.PageSize)
		for _, p := range told {
			number, offset, ok := p.entry(t)
			if !ok || r.ReadPage(page, number, offset) != nil {
				continue
			}
			if tried++; !errors.Is(bad.ReadPage(page, number, offset), kstruct.ErrCorrupt) {
				t.Fatalf("page %d of area %d is read: %v", offset, number, bad.ReadPage(page, number, offset))
			}
		}
		if tried == 0 {
			t.Error("no page was read before")
		}
	})
}

// TestOptionsStay: options are the caller's, and can be used for another kernel.
func TestOptionsStay(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *nodetest.Node) {
		var o Options
		_, _ = Open(t.Context(), n.K, &o) // whether there is swap is for others
		if o.Modules != nil || o.Files != nil {
			t.Errorf("the caller's options became %+v", o)
		}
	})
}

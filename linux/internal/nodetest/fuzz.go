package nodetest

import (
	"context"
	"flag"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

var plain = Set[*Node]{Make: func(n *Node) (*Node, error) { return n, nil }}

// FuzzWalk overwrites words of the pages that a walk over the bundled node reads, beyond those that its kernel and its
// processes take to be found: with anything, with the addresses of other such pages, with those of neighbours. The walk must end soon,
// and have no more than so much memory at a time. What it loses is its own affair.
func FuzzWalk(f *testing.F, walk func(ctx context.Context, n *Node)) {
	f.Helper()
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing == nil || fuzzing.Value.String() == "" {
		testimages.Long(f) // for the walk alone, and the first edits
	}
	n := plain.Bundled(f)
	FuzzWalkOf(f, n.Mem, n.K, func(m vmem.Memory) (*Node, error) {
		d := &Node{Image: n.Image}
		return d, d.On(m, &linux.Options{Symbols: n.K.Symbols(), TaskScan: linux.ScanNever})
	}, walk)
}

// FuzzWalkOf is [FuzzWalk] over another node: its memory, its kernel as it was opened, and how it is opened where some of that memory is
// overwritten. What is read to open it stays as it is.
func FuzzWalkOf[T any](f *testing.F, mem vmem.Memory, k *linux.Kernel, open func(vmem.Memory) (T, error), walk func(ctx context.Context, n T)) {
	f.Helper()
	r := smeartest.NewRecorder(mem)
	whole, err := open(r)
	if err != nil {
		f.Fatal(err)
	}
	opened := r.Pages()
	walk(context.Background(), whole)
	pages := slices.DeleteFunc(r.Pages(), func(p vmem.PhysAddr) bool {
		_, found := slices.BinarySearch(opened, p)
		return found
	})
	if len(pages) == 0 {
		f.Skip("the walk reads no pages of its own on this node")
	}
	at, err := k.Symbol("page_offset_base")
	if err != nil {
		f.Fatal(err)
	}
	direct, err := k.Space().Uint64(at)
	if err != nil {
		f.Fatal(err)
	}
	smeartest.AddEdits(f)
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := smeartest.New(mem)
		m.Edit(edits, pages, direct)
		damaged, err := open(m)
		if err != nil {
			t.Skip(err)
		}
		smeartest.BoundedPeak(t, func(ctx context.Context) { walk(ctx, damaged) })
	})
}

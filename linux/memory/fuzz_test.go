package memory

import (
	"context"
	"io"
	"regexp"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// walkAll reads what there is of the memory of some processes.
func walkAll(ctx context.Context, r *Reader, tasks []*linux.Task) {
	patterns := []Pattern{{Bytes: []byte("kubelet")}, {Expr: regexp.MustCompile(`pod[0-9a-f]{8}`)}}
	some := 0
	for _, t := range tasks {
		mm, err := t.MM()
		if err != nil || ctx.Err() != nil {
			continue
		}
		_, _ = r.Registers(t) // an error is a loss, here and below
		if _, _, err := r.Suspicious(ctx, t); err != nil || some == 4 {
			continue
		}
		some++
		_, _ = r.WriteCore(ctx, io.Discard, t)
		for m, err := range r.Mappings(ctx, mm) {
			if err != nil {
				continue
			}
			u, err := r.Usage(ctx, mm, &m.VMA)
			if err == nil {
				_ = r.Smaps(&m, &u)
			}
		}
		for range r.Search(ctx, []*linux.Task{t}, patterns) {
			continue
		}
	}
}

// FuzzWalkMemory overwrites words of the pages that a walk over the memory of the bundled node's processes reads. The
// walk must end soon, and have no more than so much memory at a time.
func FuzzWalkMemory(f *testing.F) {
	n := nodes.Bundled(f)
	on := func(m vmem.Memory) (*nodetest.Node, error) {
		d := &nodetest.Node{Image: n.Image}
		return d, d.On(m, &linux.Options{Symbols: n.K.Symbols(), TaskScan: linux.ScanNever})
	}
	r := smeartest.NewRecorder(n.Mem)
	before, err := on(r)
	if err != nil {
		f.Fatal(err)
	}
	opened := r.Pages()
	walkAll(context.Background(), New(before.K), before.Tasks)
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
		damaged, err := on(m)
		if err != nil {
			t.Skip(err)
		}
		smeartest.BoundedPeak(t, func(ctx context.Context) { walkAll(ctx, New(damaged.K), damaged.Tasks) })
	})
}

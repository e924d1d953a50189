package memory

import (
	"context"
	"io"
	"regexp"
	"testing"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
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
		for _, err := range r.Search(ctx, []*linux.Task{t}, patterns) {
			_ = err
		}
	}
}

// FuzzWalkMemory walks over the memory of a damaged node's processes.
func FuzzWalkMemory(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) { walkAll(ctx, New(n.K), n.Tasks) })
}

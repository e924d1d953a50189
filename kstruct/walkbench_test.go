package kstruct_test

import (
	"context"
	"iter"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// benchWalk measures a walk over the bundled image.
func benchWalk[T any](b *testing.B, walk func(*kstruct.Walk) iter.Seq2[T, error]) {
	k := kernel(b)
	space := kstruct.NewSpace(k.Space(), k.Symbols(), k.Info().KASLRShift)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		for _, err := range walk(space.Walk(context.Background(), nil)) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(max(n, 1)), "ns/entry")
}

// member returns the offset of a member of the bundled image's kernel.
func member(b *testing.B, typ, path string) vmem.VirtAddr {
	f, err := kernel(b).Symbols().Field(typ, path)
	if err != nil {
		b.Fatal(err)
	}
	return vmem.VirtAddr(f.Offset)
}

func symbol(b *testing.B, name string) vmem.VirtAddr {
	a, err := kernel(b).Symbol(name)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

func BenchmarkList(b *testing.B) {
	head := symbol(b, "init_task") + member(b, "task_struct", "tasks")
	benchWalk(b, func(w *kstruct.Walk) iter.Seq2[vmem.VirtAddr, error] { return w.List(head) })
}

func BenchmarkIDR(b *testing.B) {
	idr := symbol(b, "init_pid_ns") + member(b, "pid_namespace", "idr")
	benchWalk(b, func(w *kstruct.Walk) iter.Seq2[kstruct.Entry, error] { return w.IDR(idr) })
}

func BenchmarkMaple(b *testing.B) {
	task := processOf(b, kernel(b), "systemd").Addr
	mm, err := kernel(b).Space().Uint64(task + member(b, "task_struct", "mm"))
	if err != nil {
		b.Fatal(err)
	}
	tree := vmem.VirtAddr(mm) + member(b, "mm_struct", "mm_mt")
	benchWalk(b, func(w *kstruct.Walk) iter.Seq2[kstruct.Entry, error] { return w.Maple(tree) })
}

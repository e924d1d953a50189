package kstruct

import (
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

func bundledTypes(b *testing.B) *isf.File {
	b.Helper()
	img, err := testimages.Bundled()
	if err != nil {
		b.Fatal(err)
	}
	types, err := isf.Open(img.ISF)
	if err != nil {
		b.Fatal(err)
	}
	return types
}

func BenchmarkBind(b *testing.B) {
	types := bundledTypes(b)
	b.ReportAllocs()
	for b.Loop() {
		binder := NewBinder(types)
		Bind[kernelTask](binder, "task_struct")
		if err := binder.Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads ten members of a task_struct, which lie in one page.
func BenchmarkRead(b *testing.B) {
	v := Bind[kernelTask](NewBinder(bundledTypes(b)), "task_struct")
	as := newMemory(b, nil)
	var t kernelTask
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Read(as, base, &t); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadScalars reads as many members one by one, to compare.
func BenchmarkReadScalars(b *testing.B) {
	as := newMemory(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		for off := range 10 {
			if _, err := as.Uint64(base + vmem.VirtAddr(off*136)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

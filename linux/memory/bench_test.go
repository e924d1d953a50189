package memory

import (
	"io"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/linux"
)

// biggest returns the process with the most memory.
func biggest(b *testing.B, n *node) *linux.Task {
	b.Helper()
	i := slices.IndexFunc(n.Tasks, func(t *linux.Task) bool { return t.Comm == "containerd" })
	if i < 0 {
		b.Fatal("no containerd")
	}
	return n.Tasks[i]
}

// BenchmarkCore writes a core.
func BenchmarkCore(b *testing.B) {
	n := nodes.Bundled(b)
	t := biggest(b, n)
	b.ReportAllocs()
	for b.Loop() {
		core, err := n.r.WriteCore(b.Context(), io.Discard, t)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(core.Bytes))
	}
}

// BenchmarkSearch searches the memory of a process for bytes that are not there.
func BenchmarkSearch(b *testing.B) {
	n := nodes.Bundled(b)
	t := biggest(b, n)
	core, err := n.r.WriteCore(b.Context(), io.Discard, t)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(core.Bytes))
	b.ReportAllocs()
	for b.Loop() {
		for hit, err := range n.r.Search(b.Context(), []*linux.Task{t}, []Pattern{{Bytes: []byte("bytes that are nowhere")}}) {
			b.Fatal(hit.Address, err)
		}
	}
}

// BenchmarkSegments tells what of a process is in memory, page by page.
func BenchmarkSegments(b *testing.B) {
	n := nodes.Bundled(b)
	t := biggest(b, n)
	pages := 0.0
	for b.Loop() {
		segments, _, err := n.r.Segments(b.Context(), t)
		if err != nil {
			b.Fatal(err)
		}
		for i := range segments {
			pages += float64(segments[i].Present()) / 4096
		}
	}
	b.ReportMetric(pages/b.Elapsed().Seconds(), "pages/s")
}

// BenchmarkPageStates tells what became of each page of all processes.
func BenchmarkPageStates(b *testing.B) {
	n := nodes.Bundled(b)
	type area struct {
		mm *linux.MM
		v  linux.VMA
	}
	var areas []area
	for _, t := range n.Tasks {
		mm, err := t.MM()
		if err != nil {
			continue
		}
		for v, err := range mm.VMAs(b.Context()) {
			if err == nil {
				areas = append(areas, area{mm, v})
			}
		}
	}
	b.ReportAllocs()
	pages := 0.0
	for b.Loop() {
		for i := range areas {
			for _, err := range n.r.PageStates(b.Context(), areas[i].mm, &areas[i].v) {
				if err != nil {
					b.Fatal(err)
				}
				pages++
			}
		}
	}
	b.ReportMetric(pages/b.Elapsed().Seconds(), "pages/s")
}

// BenchmarkMappings reads the mappings of all processes.
func BenchmarkMappings(b *testing.B) {
	n := nodes.Bundled(b)
	var mms []*linux.MM
	for _, t := range n.Tasks {
		if mm, err := t.MM(); err == nil {
			mms = append(mms, mm)
		}
	}
	b.ReportAllocs()
	mappings := 0.0
	for b.Loop() {
		for _, mm := range mms {
			for _, err := range n.r.Mappings(b.Context(), mm) {
				if err != nil {
					b.Fatal(err)
				}
				mappings++
			}
		}
	}
	b.ReportMetric(mappings/b.Elapsed().Seconds(), "VMAs/s")
}

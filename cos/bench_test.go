package cos

import (
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// BenchmarkAnalyzeNode analyses the bundled image with symbols that are loaded already.
func BenchmarkAnalyzeNode(b *testing.B) { benchmarkAnalyze(b, bundled(b)) }

// BenchmarkAnalyzeImages does so with the other images.
func BenchmarkAnalyzeImages(b *testing.B) {
	for _, img := range testimages.All(b) {
		if img.ISF != "" {
			b.Run(img.Name, func(b *testing.B) { benchmarkAnalyze(b, img) })
		}
	}
}

func benchmarkAnalyze(b *testing.B, img testimages.Image) {
	symbols, err := openISF(img.ISF)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := AnalyzeNode(b.Context(), File(img.Path), &Options{Symbols: symbols})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(r.Processes)), "processes")
	}
}

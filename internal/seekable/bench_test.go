package seekable_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/seekable"
)

// image returns what the benchmarks read: the file that NODELENS_BENCH names, such as a
// memory image, or a made one.
func image(b *testing.B) []byte {
	b.Helper()
	name := os.Getenv("NODELENS_BENCH")
	if name == "" {
		return packtest.Memory(64 << 20)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return content
}

// BenchmarkReader opens a file of each format, reads 4 KiB at random places, cold, where
// the block is not in the cache, and warm, where it is, and reads all of it in order. The
// bytes of states are those that an open file holds besides its cache.
func BenchmarkReader(b *testing.B) {
	content := image(b)
	for name, p := range packedAll(b, content) {
		b.Run(name, func(b *testing.B) { benchReader(b, p.format, p.file, int64(len(content))) })
	}
}

func benchReader(b *testing.B, format checkpoint.Format, file []byte, size int64) {
	b.Run("open", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			open(b, format, file, nil).Size()
		}
		b.StopTimer()
		before := heap()
		r := open(b, format, file, &seekable.Options{CacheBytes: 1})
		r.Size()
		b.ReportMetric(float64(heap()-before), "state-bytes")
		runtime.KeepAlive(r)
	})
	for name, cache := range map[string]int64{"cold": 1, "warm": 2 * size} {
		r := open(b, format, file, &seekable.Options{CacheBytes: cache})
		r.Size()
		b.Run("random/"+name, func(b *testing.B) {
			p := make([]byte, 4096)
			rng := rand.New(rand.NewPCG(1, 2))
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.ReadAt(p, rng.Int64N(r.Size()-int64(len(p)))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("sequential", func(b *testing.B) {
		r := open(b, format, file, &seekable.Options{CacheBytes: 4 << 20})
		r.Size()
		p := make([]byte, 1<<20)
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			for off := int64(0); off < r.Size(); off += int64(len(p)) {
				if _, err := r.ReadAt(p, off); err != nil && !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
			}
		}
	})
}

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	for range 3 { // caches are let go of in the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

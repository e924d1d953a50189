package lime

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/nodelens/nodelens/internal/extent"
)

// benchSize is the size of the memory above 4 GiB in the image of these benchmarks.
const benchSize = 64 << 20

// benchImage writes an image with a range of low memory, one below 4 GiB and one above.
func benchImage(b *testing.B) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "image")
	w, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	for _, r := range []physRange{mem(0x1000, 0x9e000), mem(0x100000, benchSize), mem(4<<30, benchSize)} {
		if _, err := w.Write(record(r)); err != nil {
			b.Fatal(err)
		}
	}
	return name
}

func benchOpen(b *testing.B) *File {
	b.Helper()
	f, err := Open(benchImage(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	readAll(b, f) // so that the file is mapped
	return f
}

func readAll(b *testing.B, f *File) {
	p := make([]byte, 1<<20)
	for off := int64(4 << 30); off < 4<<30+benchSize; off += int64(len(p)) {
		if _, err := f.ReadAt(p, off); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	name := benchImage(b)
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(name)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

func BenchmarkReadAtRandom(b *testing.B) {
	f := benchOpen(b)
	rng := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.ReadAt(p, 4<<30+rng.Int64N(benchSize/4096)*4096); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadAtSequential(b *testing.B) {
	f := benchOpen(b)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		readAll(b, f)
	}
}

// BenchmarkResync searches the content of a broken record for a header.
func BenchmarkResync(b *testing.B) {
	const size = 64 << 20
	file := image(head(mem(0x1000, extent.Limit/2)), make([]byte, size))
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		open(b, file)
	}
}

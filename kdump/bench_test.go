package kdump

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/nodelens/nodelens/internal/blockcache"
	"github.com/nodelens/nodelens/internal/testimages"
)

// formats are what benchmarks read a real node's memory from.
var formats = []struct {
	name string
	args []string
}{
	{"zlib", []string{"-c", "-d", "1"}},
	{"lzo", []string{"-l", "-d", "1"}},
	{"none", []string{"-d", "1"}},
	{"lzo-flat", []string{"-F", "-l", "-d", "1"}},
}

// benchmark calls b with a dump in each format.
func benchmark(b *testing.B, bench func(b *testing.B, name string)) {
	image := testimages.Named(b, "s-6.12-la57")
	for _, f := range formats {
		b.Run(f.name, func(b *testing.B) { bench(b, testimages.Makedumpfile(b, image, f.args...)) })
	}
}

func mustOpen(b *testing.B, name string) *File {
	b.Helper()
	f, err := Open(name)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

func BenchmarkOpen(b *testing.B) {
	benchmark(b, func(b *testing.B, name string) {
		info, err := os.Stat(name)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(info.Size())
		b.ReportAllocs()
		for b.Loop() {
			if err := mustOpen(b, name).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRandom reads 4 KiB at a time: pages that were never read, and among 16 MiB
// that were.
func BenchmarkRandom(b *testing.B) {
	benchmark(b, func(b *testing.B, name string) {
		for _, temperature := range []string{"cold", "warm"} {
			b.Run(temperature, func(b *testing.B) {
				f := mustOpen(b, name)
				defer f.Close()
				base, size := int64(64<<20), int64(16<<20)
				if temperature == "cold" {
					f.cache, size = blockcache.New(0), 192<<20
				}
				page := make([]byte, blockSize)
				rng := rand.New(rand.NewPCG(1, 2))
				read := func(off int64) {
					if _, err := f.ReadAt(page, base+off); err != nil {
						b.Fatal(err)
					}
				}
				for off := int64(0); off < size; off += blockSize {
					read(off)
				}
				b.SetBytes(blockSize)
				b.ReportAllocs()
				for b.Loop() {
					read(rng.Int64N(size/blockSize) * blockSize)
				}
			})
		}
	})
}

func BenchmarkSequential(b *testing.B) {
	benchmark(b, func(b *testing.B, name string) {
		f := mustOpen(b, name)
		defer f.Close()
		r := f.Ranges()[len(f.Ranges())-1]
		p := make([]byte, 1<<20)
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for off := uint64(0); b.Loop(); off = (off + 1<<20) % (r.Size &^ (1<<20 - 1)) {
			if _, err := f.ReadAt(p, int64(uint64(r.Start)+off)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPage decodes pages of the small dumps that are in the repository.
func BenchmarkPage(b *testing.B) {
	for _, name := range []string{"zlib", "lzo", "snappy", "zstd"} {
		b.Run(name, func(b *testing.B) {
			file := fixture(b, name+".kdump")
			f := open(b, file)
			var d decoder
			desc, err := d.locate(f.index, 0x100)
			if err != nil {
				b.Fatal(err)
			}
			page := make([]byte, blockSize)
			b.SetBytes(blockSize)
			b.ReportAllocs()
			for b.Loop() {
				if err := d.decode(bytes.NewReader(file), desc, page); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

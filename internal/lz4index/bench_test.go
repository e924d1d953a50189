package lz4index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/internal/packtest"
)

func compress(b *testing.B, content []byte, opts ...lz4.Option) []byte {
	b.Helper()
	var file bytes.Buffer
	w := lz4.NewWriter(&file)
	if err := w.Apply(opts...); err != nil {
		b.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return file.Bytes()
}

const benchSize = 64 << 20

var benchBlocks = []lz4.BlockSize{lz4.Block64Kb, lz4.Block4Mb}

func BenchmarkNew(b *testing.B) {
	content := packtest.Memory(benchSize)
	for _, size := range []uint64{0, benchSize} {
		for _, block := range benchBlocks {
			file := compress(b, content, lz4.BlockSizeOption(block), lz4.SizeOption(size))
			b.Run(fmt.Sprintf("block=%d/contentsize=%d", block, size), func(b *testing.B) {
				b.SetBytes(benchSize)
				b.ReportAllocs()
				for b.Loop() {
					open(b, file, nil)
				}
			})
		}
	}
}

// BenchmarkReadAt reads 4 KiB at random places: cold, where the block is never in
// the cache, and warm, where it always is.
func BenchmarkReadAt(b *testing.B) {
	content := packtest.Memory(benchSize)
	for _, block := range benchBlocks {
		file := compress(b, content, lz4.BlockSizeOption(block))
		for name, cache := range map[string]int64{"cold": 1, "warm": 2 * benchSize} {
			b.Run(fmt.Sprintf("block=%d/%s", block, name), func(b *testing.B) {
				benchReads(b, open(b, file, &Options{CacheBytes: cache}))
			})
		}
	}
	b.Run("linked/cold", func(b *testing.B) {
		benchReads(b, open(b, fixture(b, "b4-linked.lz4"), &Options{CacheBytes: 1}))
	})
}

func benchReads(b *testing.B, r *Reader) {
	p := make([]byte, 4096)
	for off := int64(0); off < r.Size(); off += 64 << 10 {
		if _, err := r.ReadAt(p[:1], off); err != nil {
			b.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.ReadAt(p, rng.Int64N(r.Size()-int64(len(p)))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadAtSequential(b *testing.B) {
	file := compress(b, packtest.Memory(benchSize), lz4.BlockSizeOption(lz4.Block4Mb))
	r := open(b, file, &Options{CacheBytes: 16 << 20})
	p := make([]byte, 1<<20)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		for off := int64(0); off < r.Size(); off += int64(len(p)) {
			if _, err := r.ReadAt(p, off); err != nil {
				b.Fatal(err)
			}
		}
	}
}

package lime

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/nodelens/nodelens/internal/blockcache"
)

// benchBlocks is how many blocks the compressed image of these benchmarks has, each
// of about 76 KiB of memory in 39 KiB.
const benchBlocks = 1024

// benchAVML returns an image that repeats the first block of a fixture at every MiB.
func benchAVML(b *testing.B) []byte {
	b.Helper()
	block := fixture(b, "v0.20.0.avml")[:block2]
	var file []byte
	for i := range uint64(benchBlocks) {
		binary.LittleEndian.PutUint64(block[8:], i<<20)
		binary.LittleEndian.PutUint64(block[16:], i<<20+pattern1.Size-1)
		file = append(file, block...)
	}
	return file
}

func BenchmarkAVMLOpen(b *testing.B) {
	file := benchAVML(b)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		open(b, file)
	}
}

// BenchmarkAVMLReadAt reads pages at random: cold, where each needs a chunk decoded, and
// warm, where none does.
func BenchmarkAVMLReadAt(b *testing.B) {
	f, err := NewFile(bytes.NewReader(benchAVML(b)), benchBlocks*block2)
	if err != nil {
		b.Fatal(err)
	}
	for name, budget := range map[string]int64{"cold": 1, "warm": 2 * benchBlocks * int64(pattern1.Size)} {
		b.Run(name, func(b *testing.B) {
			f.payload.cache = blockcache.New(budget)
			benchPages(b, f)
		})
	}
}

func benchPages(b *testing.B, f *File) {
	p := make([]byte, 4096)
	for i := range int64(benchBlocks) {
		if _, err := f.ReadAt(p, i<<20); err != nil {
			b.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.ReadAt(p, rng.Int64N(benchBlocks)<<20+rng.Int64N(16)<<12); err != nil {
			b.Fatal(err)
		}
	}
}

package vmem_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

// pieces is memory of which each byte is its address plus 1, as far as it has ranges.
type pieces struct {
	*extent.Table
	src *bytes.Reader
}

func newPieces(t *testing.T, ranges []physRange) pieces {
	t.Helper()
	src := make([]byte, 64)
	var records []extent.Extent
	for i := range src {
		src[i] = byte(i + 1)
	}
	for _, r := range ranges {
		records = append(records, extent.Extent{Range: r, Offset: int64(r.Start)})
	}
	table, err := extent.New(records)
	if err != nil {
		t.Fatal(err)
	}
	return pieces{table, bytes.NewReader(src)}
}

func (m pieces) ReadAt(p []byte, off int64) (int, error) { return m.Table.ReadAt(m.src, p, off) }

func randomPhys(rng *rand.Rand) []physRange {
	var rs []physRange
	for range rng.IntN(5) {
		start := rng.Uint64N(60)
		rs = append(rs, physRange{Start: vmem.PhysAddr(start), Size: rng.Uint64N(64-start) / 3})
	}
	return rs
}

func TestWithZerosAgainstByteMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		have, zeros := randomPhys(rng), randomPhys(rng)
		m := vmem.WithZeros(newPieces(t, have), zeros)
		want := vmem.NormalizeRanges(append(append([]physRange(nil), have...), zeros...))
		if diff := cmp.Diff(want, m.Ranges(), equateEmpty); diff != "" {
			t.Fatalf("ranges of %v and zeros %v (-want +got):\n%s", have, zeros, diff)
		}
		for off := range 66 {
			checkZeros(t, m, have, want, off, rng.IntN(70))
		}
	}
}

// checkZeros compares a read with what each byte must be.
func checkZeros(t *testing.T, m vmem.Memory, have, all []physRange, off, size int) {
	t.Helper()
	var want []byte
	for a := vmem.PhysAddr(off); len(want) < size; a++ {
		if _, ok := vmem.SearchRanges(all, a); !ok {
			break
		}
		b := byte(0)
		if _, ok := vmem.SearchRanges(vmem.NormalizeRanges(have), a); ok {
			b = byte(a + 1)
		}
		want = append(want, b)
	}
	got := bytes.Repeat([]byte{0xff}, size)
	n, err := m.ReadAt(got, int64(off))
	if !bytes.Equal(want, got[:n]) || (err == nil) != (n == size) || err != nil && !errors.Is(err, vmem.ErrNotCaptured) {
		t.Fatalf("%d bytes at %d of %v, all %v: % x, %v; want % x", size, off, have, all, got[:n], err, want)
	}
}

// failingMemory has bytes that can't be read.
type failingMemory struct{ err error }

func (failingMemory) Ranges() []physRange { return []physRange{{Start: 0, Size: 16}} }

func (m failingMemory) ReadAt([]byte, int64) (int, error) { return 0, m.err }

func TestWithZerosKeepsErrors(t *testing.T) {
	broken := errors.New("broken disk")
	m := vmem.WithZeros(failingMemory{broken}, []physRange{{Start: 0, Size: 32}})
	if n, err := m.ReadAt(make([]byte, 4), 8); n != 0 || !errors.Is(err, broken) {
		t.Errorf("what can't be read: %d, %v; want %v", n, err, broken)
	}
	if n, err := m.ReadAt(make([]byte, 4), 16); n != 4 || err != nil {
		t.Errorf("zeros behind it: %d, %v", n, err)
	}
	if n, err := m.ReadAt(make([]byte, 4), -4); n != 0 || err == nil {
		t.Errorf("negative address: %d, %v", n, err)
	}
	if got := vmem.WithZeros(m, nil); got != m {
		t.Error("no zeros, and another memory")
	}
}

func BenchmarkWithZeros(b *testing.B) {
	have := []physRange{{Start: 0, Size: 1 << 20}}
	table, err := extent.New([]extent.Extent{{Range: have[0]}})
	if err != nil {
		b.Fatal(err)
	}
	m := vmem.WithZeros(pieces{table, bytes.NewReader(make([]byte, 1<<20))}, []physRange{{Start: 1 << 20, Size: 1 << 20}})
	p := make([]byte, 2<<20)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := m.ReadAt(p, 0); n != len(p) {
			b.Fatal(n, err)
		}
	}
}

package lime

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/vmem"
)

// pack compresses an image in blocks of 64 KiB with checksums.
func pack(t testing.TB, image []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := lz4.NewWriter(&packed)
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.BlockChecksumOption(true)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(image); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// checkWhatIsLeft reads all ranges of f: what it gives must be right, and what it does
// not give must be in a gap. It returns how many bytes f gave.
func checkWhatIsLeft(t *testing.T, f *File) (left int) {
	t.Helper()
	p := make([]byte, 256)
	lostAt := []physRange(nil)
	for _, r := range f.Ranges() {
		for at := r.Start; r.Contains(at); {
			q := p[:min(uint64(len(p)), uint64(r.Last()-at)+1)]
			n, err := f.ReadAt(q, int64(at))
			if !bytes.Equal(q[:n], contents(physRange{Start: at, Size: uint64(n)})) {
				t.Fatalf("wrong bytes at %v", at)
			}
			left += n
			at += vmem.PhysAddr(n)
			if err != nil {
				lostAt = append(lostAt, physRange{Start: at, Size: 1})
				at = at&^63 + 64
			}
		}
	}
	gaps := f.Gaps()
	for _, r := range lostAt {
		listed := false
		for _, g := range gaps {
			listed = listed || g.Place.Physical().ContainsRange(r)
		}
		if !listed {
			t.Fatalf("memory at %v can't be read and is in no gap", r.Start)
		}
	}
	return left
}

// Wherever a compressed image is overwritten (but for its first block, without which
// nobody can tell what it is), no wrong byte comes out of it, and with
// one block lost most of it is left.
func TestDamagedLZ4(t *testing.T) {
	t.Parallel()
	ranges := []physRange{mem(0x1000, 0x9e000), mem(0x100000, 0x80000)}
	packed := pack(t, image(record(ranges[0]), record(ranges[1])))
	rng := rand.New(rand.NewPCG(1, 2))
	all, best := 0x9e000+0x80000, 0
	for range 30 {
		bad := bytes.Clone(packed)
		for i, at := 0, len(bad)/10+rng.IntN(len(bad)*9/10-60); i < 60; i++ {
			bad[at+i] = byte(rng.Uint32())
		}
		f := open(t, bad)
		left := checkWhatIsLeft(t, f)
		if left < all && len(f.Gaps()) == 0 {
			t.Fatal("memory is lost and there is no gap")
		}
		best = max(best, left)
	}
	if best < all-65<<10 {
		t.Errorf("at most %d of %d bytes were left; a damaged block should cost no more than itself", best, all)
	}
	f := open(t, packed)
	checkMemory(t, f, ranges)
}

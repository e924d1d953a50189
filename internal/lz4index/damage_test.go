package lz4index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmem"
)

// survey reads all of r in small steps. It returns what could not be read, and
// fails the test where a byte that could be read is not that of want.
func survey(t *testing.T, r *Reader, want []byte) (lost []bool) {
	t.Helper()
	lost = make([]bool, r.Size())
	const step = 1000
	for off := int64(0); off < r.Size(); {
		p := make([]byte, min(step, r.Size()-off))
		n, err := r.ReadAt(p, off)
		if !bytes.Equal(p[:n], want[min(int(off), len(want)):min(int(off)+n, len(want))]) {
			t.Fatalf("wrong bytes at %d", off)
		}
		off += int64(n)
		if err == nil {
			continue
		}
		d, ok := errors.AsType[*Damage](err)
		if !ok || !errors.Is(err, vmem.ErrNotCaptured) || off < d.Start || off >= d.Start+d.Size {
			t.Fatalf("ReadAt(%d) = %v, want damage there", off, err)
		}
		for ; off < d.Start+d.Size; off++ {
			lost[off] = true
		}
		if n, err := r.ReadAt(p[:1], off-1); n != 0 || err == nil {
			t.Fatalf("ReadAt(%d) = %d, %v after %v", off-1, n, err, d)
		}
	}
	return lost
}

// checkListed fails the test if what was lost is not what r lists as damage.
func checkListed(t *testing.T, r *Reader, lost []bool) {
	t.Helper()
	listed := make([]bool, r.Size())
	for _, d := range r.Damage() {
		for i := range d.Size {
			listed[d.Start+i] = true
		}
	}
	if !slices.Equal(lost, listed) {
		t.Error("what can't be read is not what Damage lists")
	}
}

// Wherever a file is cut off, what precedes the cut is there, and the cut is listed.
func TestCutAnywhere(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	for name, content := range fixtures {
		t.Run(name, func(t *testing.T) {
			file, want := fixture(t, name), content()
			rng := rand.New(rand.NewPCG(5, 6))
			kept := int64(0)
			for n := 15; n < len(file); n += 1 + rng.IntN(len(file)/testimages.Trials(20, 6)) {
				r := open(t, file[:n], nil)
				for _, l := range survey(t, r, want) {
					if l {
						t.Fatalf("cut at %d: a hole before the cut", n)
					}
				}
				if r.Size() < kept || r.Size() > int64(len(want)) {
					t.Errorf("cut at %d: %d bytes left, after %d bytes of a shorter file", n, r.Size(), kept)
				}
				kept = r.Size()
				d := slices.DeleteFunc(r.Damage(), func(d Damage) bool { return errors.Is(&d, errUnproven) })
				if len(d) != 1 || d[0].Start != r.Size() {
					t.Errorf("cut at %d: damage %v, want one at the end", n, d)
				}
			}
			if kept < int64(len(want))*3/4 {
				t.Errorf("only %d of %d bytes left of almost the whole file", kept, len(want))
			}
		})
	}
}

// With block checksums no damage goes unnoticed, wherever it is.
func TestOverwrittenAnywhere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"b4-sums.lz4", "b4-linked-all.lz4", "b6-sums.lz4"} {
		t.Run(name, func(t *testing.T) {
			file, want := fixture(t, name), fixtures[name]()
			rng := rand.New(rand.NewPCG(7, 8))
			for range testimages.Trials(40, 6) {
				bad := bytes.Clone(file)
				at := 15 + rng.IntN(len(bad)-15)
				copy(bad[at:], packtest.Noise(1+rng.IntN(512)))
				r := open(t, bad, nil)
				lost := survey(t, r, want)
				checkListed(t, r, lost)
				if len(r.Damage()) == 0 {
					t.Fatalf("overwritten at %d: no damage listed", at)
				}
			}
		})
	}
}

// shorten changes one byte of block i such that the block still looks sound but
// decodes to fewer bytes: what a flipped bit in a match length does.
func shorten(t *testing.T, file []byte, i int) []byte {
	t.Helper()
	x, err := newIndex(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	b := x.blocks[i]
	bad := bytes.Clone(file)
	src := bad[b.src : b.src+int64(b.srcSize)]
	for n := len(src) / 2; n < len(src); n++ {
		src[n]--
		if s := scanBlock(src, 64<<10); s.ok && s.size < 64<<10 && src[n]&15 != 14 {
			return bad
		}
		src[n]++
	}
	t.Fatal("no byte of the block can be changed so")
	return nil
}

func TestShortenedBlock(t *testing.T) {
	t.Parallel()
	const full = 64 << 10
	lose := func(start, size int64, err error) []Damage {
		return []Damage{{Start: start, Size: size, Err: err}}
	}
	tests := []struct {
		name string
		want []Damage
	}{
		{"b4.lz4", lose(full, full, errMalformed)},
		{"b4-size.lz4", lose(full, full, errMalformed)},
		{"b4-sums.lz4", lose(full, full, errMalformed)},
		{"b4-nosum.lz4", lose(0, 0, errUnproven)},
		{"b4-linked.lz4", []Damage{
			{Start: full, Size: full, Err: errMalformed},
			{Start: 2 * full, Size: int64(len(text())) - 2*full, Err: errDependent},
		}},
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(Damage{}, "Offset"), cmpopts.EquateErrors()}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, shorten(t, fixture(t, tt.name), 1), nil)
			if tt.want[0].Size > 0 {
				checkListed(t, r, survey(t, r, text()))
				if r.Size() != int64(len(text())) {
					t.Errorf("Size() = %d, want %d", r.Size(), len(text()))
				}
			}
			if d := cmp.Diff(tt.want, r.Damage(), ignore); d != "" {
				t.Errorf("damage (-want +got):\n%s", d)
			}
		})
	}
}

// wreck makes the given blocks malformed.
func wreck(t *testing.T, file []byte, blocks ...int) []byte {
	t.Helper()
	x, err := newIndex(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(file)
	for _, i := range blocks {
		b := x.blocks[i]
		clear(bad[b.src+int64(b.srcSize)/2 : b.src+int64(b.srcSize)])
	}
	return bad
}

func TestMalformedBlocks(t *testing.T) {
	t.Parallel()
	const full = 64 << 10
	size := int64(len(text()))
	type damage struct {
		start, size int64
		err         error
	}
	tests := []struct {
		name   string
		blocks []int
		size   int64
		want   []damage
	}{
		{"b4.lz4", []int{0}, size, []damage{{0, full, errMalformed}}},
		{"b4.lz4", []int{0, 2}, size, []damage{{0, full, errMalformed}, {2 * full, full, errMalformed}}},
		{"b4.lz4", []int{1, 2}, size, []damage{{full, 2 * full, errMalformed}}},
		{"b4.lz4", []int{3}, 3 * full, []damage{{3 * full, 0, errUnplaced}}},
		{"b4-size.lz4", []int{3}, size, []damage{{3 * full, size - 3*full, errMalformed}}},
		{"b4-size.lz4", []int{1, 3}, size, []damage{{full, full, errMalformed}, {3 * full, size - 3*full, errMalformed}}},
		{"b4-linked.lz4", []int{0}, size, []damage{{0, full, errMalformed}, {full, size - full, errDependent}}},
		{"b20000.lz4", []int{4}, 80000, []damage{{80000, 0, errUnplaced}}},
	}
	for _, tt := range tests {
		r := open(t, wreck(t, fixture(t, tt.name), tt.blocks...), nil)
		checkListed(t, r, survey(t, r, text()))
		var got []damage
		for _, d := range r.Damage() {
			got = append(got, damage{d.Start, d.Size, d.Err})
		}
		opts := cmp.Options{cmp.AllowUnexported(damage{}), cmpopts.EquateErrors()}
		if d := cmp.Diff(tt.want, got, opts); d != "" || r.Size() != tt.size {
			t.Errorf("%s, blocks %v: size %d, want %d; damage (-want +got):\n%s", tt.name, tt.blocks, r.Size(), tt.size, d)
		}
	}
}

// A checksum that fails shows only when the block is decoded, and the blocks that
// need it are lost with it when they are asked for.
func TestLateDamage(t *testing.T) {
	t.Parallel()
	file := fixture(t, "b4-linked-all.lz4")
	x, err := newIndex(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	file[x.blocks[1].src+int64(x.blocks[1].srcSize)]++
	r := open(t, file, nil)
	if d := r.Damage(); d != nil {
		t.Errorf("damage before reading: %v", d)
	}
	if _, err := r.ReadAt(make([]byte, 1), r.Size()-1); !errors.Is(err, errDependent) {
		t.Errorf("read of the last block: %v, want %v", err, errDependent)
	}
	want := []Damage{
		{Offset: x.blocks[1].src, Start: x.blocks[1].dst, Size: 64 << 10, Err: errChecksum},
		{Offset: x.blocks[3].src, Start: x.blocks[3].dst, Size: int64(x.blocks[3].size), Err: errDependent},
	}
	if d := cmp.Diff(want, r.Damage(), cmpopts.EquateErrors()); d != "" {
		t.Errorf("damage (-want +got):\n%s", d)
	}
	checkListed(t, r, survey(t, r, text()))
}

func TestDamageBetweenFrames(t *testing.T) {
	t.Parallel()
	b4 := fixture(t, "b4.lz4")
	file := bytes.Join([][]byte{b4, []byte("not a frame"), b4}, nil)
	r := open(t, file, nil)
	survey(t, r, text())
	d := r.Damage()
	if len(d) != 1 || d[0].Offset != int64(len(b4)) || d[0].Start != int64(len(text())) || r.Size() != d[0].Start {
		t.Errorf("size %d, damage %v; want one at %d", r.Size(), d, len(b4))
	}
}

func TestContentSizeMismatch(t *testing.T) {
	t.Parallel()
	const full = 64 << 10
	size := int64(len(text()))
	tests := []struct {
		claim, size int64
		want        Damage
	}{
		{size + 1, size + 1, Damage{Start: 3 * full, Size: size + 1 - 3*full, Err: errMalformed}},
		{5 * full, size, Damage{Err: errSumOfSizes}},
		{3 * full, size, Damage{Err: errSumOfSizes}},
		{1<<63 - 1, size, Damage{Err: errSumOfSizes}},
	}
	for _, tt := range tests {
		// The checksum of the descriptor is right, as any writer would compute it.
		file := fixture(t, "b4-size.lz4")
		binary.LittleEndian.PutUint64(file[6:], uint64(tt.claim))
		file[14] = byte(xxh32(file[4:14]) >> 8)
		r := open(t, file, nil)
		checkListed(t, r, survey(t, r, text()))
		opts := cmp.Options{cmpopts.EquateErrors(), cmpopts.IgnoreFields(Damage{}, "Offset")}
		if d := cmp.Diff([]Damage{tt.want}, r.Damage(), opts); d != "" || r.Size() != tt.size {
			t.Errorf("content size %d: Size() = %d, want %d; damage (-want +got):\n%s", tt.claim, r.Size(), tt.size, d)
		}
	}
}

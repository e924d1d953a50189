package lime

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

// The machine of the fixtures: see testdata/README.md.
var (
	pattern1 = mem(0x1000, 0x12fff)
	zeros1   = mem(0x20000, 0x4000)
	random   = mem(0x40000, 0x4fff)
	zeros2   = mem(0x60000, 0x1000)
	zeros3   = mem(0x61000, 0x2000)
	pattern2 = mem(0x80000, 0x1001)
)

// machine returns the memory of the machine of the fixtures.
func machine(r physRange) []byte {
	switch {
	case within(r, random):
		b := make([]byte, r.Size)
		for i := range b {
			a := uint64(r.Start) + uint64(i)
			sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, a/32))
			b[i] = sum[a%32]
		}
		return b
	case within(r, pattern1), within(r, pattern2):
		return contents(r)
	}
	return make([]byte, r.Size)
}

func within(r, outer physRange) bool { return r.Start >= outer.Start && r.Last() <= outer.Last() }

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkMachine compares all that f has with the machine of the fixtures.
func checkMachine(t *testing.T, f *File, want []physRange) {
	t.Helper()
	if d := cmp.Diff(want, f.Ranges()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	for _, r := range f.Ranges() {
		got := make([]byte, r.Size+1)
		n, err := f.ReadAt(got, int64(r.Start))
		if !errors.Is(err, vmem.ErrNotCaptured) || !bytes.Equal(got[:n], machine(r)) {
			t.Errorf("memory %v: %d bytes, %v; want all and %v", r, n, err, vmem.ErrNotCaptured)
		}
	}
}

// Where the blocks of the fixture v0.20.0.avml begin.
const (
	block1 = 0
	block2 = 0x9dc2
	block3 = 0xedfb
)

func avmlHead(r physRange) []byte {
	b := head(r)
	copy(b, "AVML\x02")
	return b
}

func TestAVML(t *testing.T) {
	t.Parallel()
	file := fixture(t, "v0.20.0.avml")
	low, mid, high := file[:block2], file[block2:block3], file[block3:]
	all := []physRange{pattern1, random, pattern2}
	tests := []struct {
		name string
		file []byte
		want []physRange
	}{
		{"as made by 0.20.0", file, all},
		{"another order", image(high, low, mid), all},
		{"0.17.0, not compressed", fixture(t, "v0.17.0-raw.avml"), all},
		{"zeros that are headers alone", image(low, avmlHead(zeros1), mid, avmlHead(zeros2), avmlHead(zeros3), high),
			[]physRange{pattern1, zeros1, random, mem(0x60000, 0x3000), pattern2}},
		{"mixed with LiME", image(low, record(mem(0x30000, 0x100))[:32], make([]byte, 0x100), mid, high),
			[]physRange{pattern1, mem(0x30000, 0x100), random, pattern2}},
		{"LiME first", image(head(zeros1), make([]byte, zeros1.Size), mid, high), []physRange{zeros1, random, pattern2}},
		{"padding and identifiers inside a stream",
			retrail(image(low[:42], []byte("\xfe\x03\x00\x00abc"+streamID), low[42:]), 42-32+7+10+block2-42-8),
			[]physRange{pattern1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, tt.file)
			checkMachine(t, f, tt.want)
			checkGaps(t, f, nil)
		})
	}
}

// retrail sets the length at the end of a block.
func retrail(file []byte, n uint64) []byte {
	binary.LittleEndian.PutUint64(file[len(file)-8:], n)
	return file
}

// edit returns a copy of b with the byte at offset off changed.
func edit(b []byte, off int) []byte {
	b = slices.Clone(b)
	b[off] ^= 0x40
	return b
}

func TestAVMLDamage(t *testing.T) {
	t.Parallel()
	file := fixture(t, "v0.20.0.avml")
	low, mid := file[:block2], file[block2:block3]
	chunk2 := 42 + 4 + int(low[43]) + int(low[44])<<8 + int(low[45])<<16 // of the first block
	first := mem(0x1000, 0x10000)                                        // its content
	rest := mem(0x11000, 0x2fff)
	tests := []struct {
		name string
		file []byte
		want []physRange
		gaps []lost
	}{
		{"chunk of an impossible type", edit(file, chunk2), []physRange{first, random, pattern2},
			[]lost{{int64(chunk2), rest, ErrDamaged}}},
		{"chunk with another length", edit(file, chunk2+1), []physRange{first, random, pattern2},
			[]lost{{int64(chunk2), rest, ErrDamaged}}},
		{"identifier", edit(file, block2+33), []physRange{pattern1, pattern2},
			[]lost{{block2 + 32, random, ErrDamaged}}},
		{"length behind a block", edit(file, block2-8), []physRange{pattern1, random, pattern2},
			[]lost{{block1, physRange{}, ErrDamaged}}},
		{"header of the second block", edit(file, block2), []physRange{pattern1, pattern2},
			[]lost{{block2, physRange{}, ErrNoHeader}}},
		{"cut off in a chunk", file[:block2+0x100], []physRange{pattern1},
			[]lost{{block2 + 42, random, ErrTruncated}}},
		{"cut off in the second chunk", file[:chunk2+0x100], []physRange{first},
			[]lost{{int64(chunk2), rest, ErrTruncated}}},
		{"cut off between chunks", file[:chunk2], []physRange{first}, []lost{{int64(chunk2), rest, ErrTruncated}}},
		{"cut off before the length", file[:block2-8], []physRange{pattern1}, nil},
		{"cut off behind a header: not taken for zeros", image(low, avmlHead(zeros1)), []physRange{pattern1},
			[]lost{{block2 + 32, zeros1, ErrDamaged}}},
		{"a broken chunk, and the file cut off in the next block",
			image(avmlHead(mem(0, 0x1000)), []byte(streamID+"\x02\x01\x00\x00"), low[:chunk2+0x100]), []physRange{first},
			[]lost{{42, mem(0, 0x1000), ErrDamaged}, {int64(46 + chunk2), rest, ErrTruncated}}},
		{"a piece missing, up to the next header", image(low[:chunk2+0x10], mid), []physRange{first, random},
			[]lost{{int64(chunk2), rest, ErrDamaged}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, tt.file)
			checkMachine(t, f, tt.want)
			checkGaps(t, f, tt.gaps)
		})
	}
}

// Damage that leaves the headers alone shows in reading, and only there.
func TestAVMLChecksum(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]int{"data": block2 + 32 + 10 + 0x1000, "sum": block2 + 32 + 10 + 5} {
		f := open(t, edit(fixture(t, "v0.20.0.avml"), off))
		checkGaps(t, f, nil)
		for range 2 {
			n, err := f.ReadAt(make([]byte, random.Size), int64(random.Start))
			if n != 0 || !errors.Is(err, vmem.ErrNotCaptured) || !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: damaged chunk reads %d bytes, %v; want %v", name, n, err, ErrDamaged)
			}
			checkGaps(t, f, []lost{{block2 + 42, random, ErrDamaged}})
		}
	}
}

// LiME headers alone may be zeros that AVML 0.17.0 left out, or records that LiME broke
// off; so they are lost.
func TestHeadersAloneInLiME(t *testing.T) {
	t.Parallel()
	f := open(t, fixture(t, "v0.17.0.lime"))
	checkMachine(t, f, []physRange{pattern1, random, pattern2})
	checkGaps(t, f, []lost{{0x1303f, zeros1, ErrShort}, {0x1807e, zeros2, ErrShort}, {0x1809e, zeros3, ErrShort}})
}

// Wherever an image is cut off, all that precedes the cut is there, and the rest of its
// block is a gap.
func TestAVMLCut(t *testing.T) {
	t.Parallel()
	file := fixture(t, "v0.20.0.avml")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		size := 32 + rng.IntN(len(file)-32)
		f := open(t, file[:size])
		checkMachine(t, f, f.Ranges())
		have := slices.Clone(f.Ranges())
		for _, g := range f.Gaps() {
			have = append(have, g.Place.Physical())
		}
		want := []physRange{pattern1, random, pattern2}
		want = want[:1+b2i(size >= block2+32)+b2i(size >= block3+32)]
		if d := cmp.Diff(want, vmem.NormalizeRanges(have)); d != "" {
			t.Errorf("cut at %#x: accounted for (-want +got):\n%s", size, d)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestAVMLConcurrentReads(t *testing.T) {
	t.Parallel()
	f := open(t, fixture(t, "v0.20.0.avml"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { checkMachine(t, f, []physRange{pattern1, random, pattern2}) })
	}
	wg.Wait()
}

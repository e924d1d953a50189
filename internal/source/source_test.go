package source

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/gaplist"
	"github.com/nodelens/nodelens/vmem"
)

// A file that the lz4 command made; testdata/README.md of lz4index says how.
const packed = "../lz4index/testdata/b4-sums.lz4"

const packedSize = 210000

func read(t *testing.T, s *Source, off int64, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := s.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOpen(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "image.lz4") // the name is of no concern
	if err := os.WriteFile(plain, []byte("page frame"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		size       int64
		compressed string
	}{
		plain:                           {10, ""},
		packed:                          {packedSize, "LZ4"},
		"../inflate/testdata/zopfli.gz": {210000, "gzip"},
		"../inflate/testdata/fixed.zz":  {210000, "zlib"},
	} {
		s, err := Open(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Size() != want.size || s.Compressed() != want.compressed || read(t, s, 5, 5) != "frame" {
			t.Errorf("%s: size %d, compressed %q, content %q", name, s.Size(), s.Compressed(), read(t, s, 5, 5))
		}
		if g := s.Gaps(new(extent.Table)); len(g) > 0 {
			t.Errorf("%s: gaps %v", name, g)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNewBorrows(t *testing.T) {
	s, err := New(t.Context(), strings.NewReader("page frame"), 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := read(t, s, 0, 10); got != "page frame" {
		t.Errorf("after Close: %q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("\x04\x22\x4D\x18"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), broken, nil); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), broken) {
		t.Errorf("frame without a descriptor: %v", err)
	}
}

// Damage of the compressed file is a gap in the memory that the table finds there.
func TestGaps(t *testing.T) {
	file, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	at := len(file) / 2
	copy(file[at:], bytes.Repeat([]byte{0xff}, 64))
	s, err := New(t.Context(), bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Size() != packedSize {
		t.Fatalf("size %d, want %d: the damage is inside a block", s.Size(), packedSize)
	}
	// The second block, of 64 KiB each, holds the middle of the file. One half of it is
	// memory of one range, the other of another.
	const half = 65536 + 32768
	table, err := extent.New([]extent.Extent{
		{Range: vmem.Range[vmem.PhysAddr]{Start: 0x100000, Size: half}, Offset: 0},
		{Range: vmem.Range[vmem.PhysAddr]{Start: 0x900000, Size: packedSize - half}, Offset: half},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []vmem.Range[vmem.PhysAddr]
	for _, g := range s.Gaps(table) {
		got = append(got, g.Place.Physical())
		if g.Place.Offset > int64(at) || g.Place.Offset < int64(at)-10000 || !errors.Is(g, vmem.ErrNotCaptured) {
			t.Errorf("gap %v: want one that wraps ErrNotCaptured, at the block that has offset %#x", g, at)
		}
	}
	want := []vmem.Range[vmem.PhysAddr]{{Start: 0x100000 + 65536, Size: 32768}, {Start: 0x900000, Size: 32768}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
	if g := s.Gaps(new(extent.Table)); len(g) != 1 || g[0].Place.Physical().Size != 0 {
		t.Errorf("gaps of a table without memory: %v, want one without a range", g)
	}
}

// Damage in a place where very many ranges of memory lie is listed only so far.
func TestManyGaps(t *testing.T) {
	file, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	copy(file[len(file)/2:], bytes.Repeat([]byte{0xff}, 64))
	s, err := New(t.Context(), bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Size() != packedSize {
		t.Fatalf("size %d, want %d", s.Size(), packedSize)
	}
	var extents []extent.Extent
	for i := range int64(gaplist.Limit + 3) {
		extents = append(extents, extent.Extent{Range: vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(i) << 12, Size: 8}, Offset: 65536 + 8*i})
	}
	table, err := extent.New(extents)
	if err != nil {
		t.Fatal(err)
	}
	gaps := s.Gaps(table)
	if last := gaps[len(gaps)-1]; len(gaps) != gaplist.Limit+1 || !strings.Contains(last.Error(), "3 gaps more") {
		t.Errorf("%d gaps, the last %v", len(gaps), last)
	}
}

// What only begins like a zlib stream is a plain file.
func TestNoZlib(t *testing.T) {
	zz, err := os.ReadFile("../inflate/testdata/lime.zz")
	if err != nil {
		t.Fatal(err)
	}
	noise := []byte("\x78\x9c")
	for rng := rand.New(rand.NewPCG(1, 2)); len(noise) < 10_000; {
		noise = append(noise, byte(rng.Uint32()))
	}
	wrong := bytes.Clone(zz)
	clear(wrong[10:200])
	late := bytes.Clone(zz)
	copy(late[2000:], noise)
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"whole":      {zz, "zlib"},
		"cut":        {zz[:500], "zlib"},
		"broken":     {wrong, ""},
		"damaged":    {late, "zlib"},
		"check bits": {append([]byte("\x78\x9d"), zz[2:]...), ""},
		"noise":      {noise, ""},
		"header":     {zz[:2], "zlib"},
		"no more":    {zz[:1], ""},
	} {
		s, err := New(t.Context(), bytes.NewReader(test.file), int64(len(test.file)), nil)
		if name == "header" {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("header of zlib alone: %v", err)
			}
			continue
		}
		if err != nil || s.Compressed() != test.want {
			t.Errorf("%s: taken for %q, %v; want %q", name, s.Compressed(), err, test.want)
		}
	}
}

// A Source of a Source is its content, and closes nothing.
func TestNewOfSource(t *testing.T) {
	for _, name := range []string{packed, "../inflate/testdata/text.gz"} {
		s, err := Open(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := New(t.Context(), s, 7, nil)
		if err != nil {
			t.Fatal(err)
		}
		if again.Size() != s.Size() || again.Compressed() != s.Compressed() {
			t.Errorf("%s: size %d, %s; of another of it %d, %s", name, s.Size(), s.Compressed(), again.Size(), again.Compressed())
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if got := read(t, s, 5, 5); got != "frame" {
			t.Errorf("%s: after Close of another: %q", name, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A file that ends early reaches as far as it can be decoded.
func TestReaches(t *testing.T) {
	file, err := os.ReadFile("../inflate/testdata/lime.zz")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), bytes.NewReader(file[:len(file)/2]), int64(len(file)/2), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Reaches(100_000) || s.Reaches(300_000) || !s.Reaches(s.Size()) || s.Reaches(s.Size()+1) || s.Size() > 300_000 {
		t.Errorf("half a file reaches %v, %v; its size is %d", s.Reaches(100_000), s.Reaches(300_000), s.Size())
	}
	g := s.Gaps(new(extent.Table))
	if len(g) != 1 || !errors.Is(g[0], io.ErrUnexpectedEOF) || !errors.Is(g[0], vmem.ErrNotCaptured) {
		t.Errorf("gaps %v, want one", g)
	}
}

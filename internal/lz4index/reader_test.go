package lz4index

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/vmem"
)

// The inputs that testdata/README.md describes.
var (
	text  = packtest.Text
	yes   = sync.OnceValue(func() []byte { return bytes.Repeat([]byte("nodelens\n"), 1000000) })
	mixed = sync.OnceValue(func() []byte { return bytes.Join([][]byte{text(), packtest.Noise(70000), text()}, nil) })
)

// fixtures says what the files in testdata decode to.
var fixtures = map[string]func() []byte{
	"default.lz4":       text,
	"b4.lz4":            text,
	"b4-nosum.lz4":      text,
	"b4-size.lz4":       text,
	"b4-sums.lz4":       text,
	"b4-linked.lz4":     text,
	"b4-linked-hc.lz4":  text,
	"b4-linked-all.lz4": text,
	"b20000.lz4":        text,
	"b20000-linked.lz4": text,
	"stored.lz4":        mixed,
	"stored-linked.lz4": mixed,
	"b5.lz4":            yes,
	"b6-sums.lz4":       yes,
	"b7.lz4":            yes,
	"b7-linked.lz4":     yes,
	"legacy.lz4":        yes,
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, file []byte, opts *Options) *Reader {
	t.Helper()
	r, err := New(bytes.NewReader(file), int64(len(file)), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkContent reads all of r and compares.
func checkContent(t *testing.T, r *Reader, want []byte) {
	t.Helper()
	if r.Size() != int64(len(want)) {
		t.Errorf("Size() = %d, want %d", r.Size(), len(want))
	}
	got := make([]byte, r.Size()+1)
	n, err := r.ReadAt(got, 0)
	if !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], want) {
		t.Errorf("read %d bytes, %v; want %d equal bytes and EOF", n, err, len(want))
	}
	if d := cmp.Diff([]Damage(nil), r.Damage()); d != "" {
		t.Errorf("damage (-want +got):\n%s", d)
	}
}

func TestFixtures(t *testing.T) {
	t.Parallel()
	for name, content := range fixtures {
		t.Run(name, func(t *testing.T) {
			file, want := fixture(t, name), content()
			checkContent(t, open(t, file, nil), want)

			r := open(t, file, nil)
			packtest.CheckRandomReads(t, r, want, rand.New(rand.NewPCG(1, 2)), 200, 9000)
			r = open(t, file, &Options{CacheBytes: 1})
			packtest.CheckRandomReads(t, r, want, rand.New(rand.NewPCG(3, 4)), 50, 9000)
		})
	}
}
func TestConcurrentReaders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"b4.lz4", "b4-linked.lz4", "b20000-linked.lz4", "stored-linked.lz4"} {
		for _, cache := range []int64{1, 200_000, 0} {
			r := open(t, fixture(t, name), &Options{CacheBytes: cache})
			want := fixtures[name]()
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() { packtest.CheckRandomReads(t, r, want, rand.New(rand.NewPCG(uint64(i), 0)), 100, 9000) })
			}
			wg.Wait()
		}
	}
}

func TestSequenceOfFrames(t *testing.T) {
	t.Parallel()
	skippable := []byte("\x5F\x2A\x4D\x18\x03\x00\x00\x00abc")
	file := bytes.Join([][]byte{
		skippable, fixture(t, "b4-linked.lz4"), fixture(t, "legacy.lz4"), skippable, fixture(t, "b4-size.lz4"),
		fixture(t, "legacy.lz4"), fixture(t, "legacy.lz4"),
	}, nil)
	want := bytes.Join([][]byte{text(), yes(), text(), yes(), yes()}, nil)
	checkContent(t, open(t, file, nil), want)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	b4 := fixture(t, "b4.lz4")
	// Descriptors with a right checksum each, as any writer would compute it.
	descriptor := func(d ...byte) []byte {
		return append(append([]byte("\x04\x22\x4D\x18"), d...), byte(xxh32(d)>>8))
	}
	flipped := bytes.Clone(b4)
	flipped[4] ^= flgBlockSums
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty magic", []byte("\x04\x22"), "lz4: file offset 0x0: unexpected EOF"},
		{"other", []byte("EMiL\x01\x00\x00\x00"), "lz4: file offset 0x0: magic number 0x4c694d45 is not that of an LZ4 frame"},
		{"cut descriptor", b4[:6], "lz4: file offset 0x0: unexpected EOF"},
		{"flipped descriptor", flipped, "lz4: file offset 0x0: frame descriptor: checksum mismatch"},
		{"version", descriptor(0xA0, 0x40), "lz4: file offset 0x0: frame descriptor a0 40 is of no known version"},
		{"block size", descriptor(0x60, 0x30), "lz4: file offset 0x0: frame descriptor 60 30 is of no known version"},
		{"dictionary", descriptor(0x61, 0x40, 1, 2, 3, 4), "lz4: file offset 0x0: frame needs dictionary 0x4030201, which is not supported"},
		{"cut skippable", []byte("\x50\x2A\x4D\x18\x03\x00\x00\x00ab"), "lz4: file offset 0x0: skippable frame of 3 bytes: unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(bytes.NewReader(tt.file), int64(len(tt.file)), nil)
			if _, ok := errors.AsType[*FormatError](err); !ok || err.Error() != tt.want {
				t.Errorf("New() = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	skippable := "\x5F\x2A\x4D\x18\x03\x00\x00\x00abc"
	tests := []struct {
		file string
		want bool
	}{
		{"", false},
		{"\x04\x22\x4D", false},
		{"\x04\x22\x4D\x18", true},
		{"\x02\x21\x4C\x18\x00", true},
		{"EMiL\x01\x00\x00\x00", false},
		{skippable, false},
		{skippable + "\x28\xb5\x2f\xfd", false},
		{skippable + skippable + "\x04\x22\x4D\x18", true},
		{strings.Repeat(skippable, 100), false},
		{"\x5F\x2A\x4D\x18\xff\xff\xff\xff", false},
	}
	for _, tt := range tests {
		if got := Detect(strings.NewReader(tt.file)); got != tt.want {
			t.Errorf("Detect(%.20q) = %v", tt.file, got)
		}
	}
}

func TestReaderErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken disk")
	file := fixture(t, "b4.lz4")
	if _, err := New(failAt{bytes.NewReader(file), 100, broken}, int64(len(file)), nil); !errors.Is(err, broken) {
		t.Errorf("New() = %v, want %v", err, broken)
	}
	disk := failAt{bytes.NewReader(file), int64(len(file)), broken}
	r, err := New(&disk, int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	disk.limit = 10
	if _, err = r.ReadAt(make([]byte, 10), 0); !errors.Is(err, broken) || errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("ReadAt() = %v, want %v alone", err, broken)
	}
	disk.limit = int64(len(file))
	checkContent(t, r, text())
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("ReadAt(-1) gave no error")
	}
}

// failAt fails reads that go beyond limit.
type failAt struct {
	io.ReaderAt
	limit int64
	err   error
}

func (f failAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.limit {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestXXH32(t *testing.T) {
	t.Parallel()
	// Vectors of the xxHash specification's reference implementation (xxhsum -H0).
	tests := map[string]uint32{
		"":     0x02CC5D05,
		"a":    0x550D7456,
		"abc":  0x32D153FF,
		"abcd": 0xA3643705,
		"Nobody inspects the spammish repetition": 0xE2293B2F,
	}
	for s, want := range tests {
		if got := xxh32([]byte(s)); got != want {
			t.Errorf("xxh32(%q) = %#x, want %#x", s, got, want)
		}
	}
	d := newDigest()
	for p := packtest.Noise(1000); len(p) > 0; {
		n := min(len(p), len(p)%37+1)
		d.add(p[:n])
		p = p[n:]
	}
	if got, want := d.sum(), xxh32(packtest.Noise(1000)); got != want {
		t.Errorf("digest in pieces = %#x, in one %#x", got, want)
	}
}

package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

func put(t testing.TB, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t *testing.T, name string) *Source {
	t.Helper()
	s, err := Open(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Opened(); err != nil {
		t.Fatal(err)
	}
	return s
}

func noise(size int) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(b)
	return b
}

// A file that is mapped shrinks: what is gone can't be read, and all else can.
func TestShrink(t *testing.T) {
	t.Parallel()
	content := noise(1 << 20)
	name := put(t, content)
	s := open(t, name)
	const left = 300_000
	if err := os.Truncate(name, left); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1<<20)
	n, err := s.ReadAt(got, 0)
	if n != left || !bytes.Equal(got[:n], content[:n]) {
		t.Errorf("%d bytes, want the first %d", n, left)
	}
	l, ok := errors.AsType[*Loss](err)
	if !ok || l.Offset != left || !errors.Is(err, ErrShrunk) || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("across the new end: %v", err)
	}
	if n, err := s.ReadAt(got[:100], 700_000); n != 0 || !errors.Is(err, ErrShrunk) {
		t.Errorf("behind the new end: %d, %v", n, err)
	}
	if n, err := s.ReadAt(got[:100], 1000); n != 100 || err != nil {
		t.Errorf("what is left: %d, %v", n, err)
	}
	table, err := extent.New([]extent.Extent{{Range: vmem.Range[vmem.PhysAddr]{Start: 0x100000, Size: 1 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	var places []vmem.Place
	for _, g := range s.Gaps(table) {
		places = append(places, g.Place)
		if g.Reason() != "truncated" {
			t.Errorf("gap %v: reason %s", g, g.Reason())
		}
	}
	want := []vmem.Place{vmem.PhysicalPlace(vmem.Range[vmem.PhysAddr]{Start: 0x100000 + left, Size: 1<<20 - left}, left)}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

// A compressed file shrinks before all of it was decoded.
func TestShrinkPacked(t *testing.T) {
	t.Parallel()
	content := noise(2 << 20)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	w.Close()
	name := put(t, packed.Bytes())
	s := open(t, name)
	if err := os.Truncate(name, 1<<20); err != nil {
		t.Fatal(err)
	}
	size := s.Size()
	if size >= 1<<20 || size < 800_000 {
		t.Errorf("size %d, want a little less than what is left of the file", size)
	}
	got := make([]byte, size)
	if n, err := s.ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, content[:n]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	gaps := s.Gaps(new(extent.Table))
	if len(gaps) != 1 || !errors.Is(gaps[0], ErrShrunk) {
		t.Errorf("gaps %v, want one", gaps)
	}
}

// broken is a file of which some can't be read.
type broken struct {
	io.ReaderAt
	start, end int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off+int64(len(p)) <= b.start || off >= b.end:
		return b.ReaderAt.ReadAt(p, off)
	case off < b.start:
		n, _ := b.ReaderAt.ReadAt(p[:b.start-off], off)
		return n, syscall.EIO
	}
	return 0, syscall.EIO
}

func TestBadSector(t *testing.T) {
	t.Parallel()
	content := noise(64 << 10)
	s, err := New(t.Context(), broken{bytes.NewReader(content), 0x3200, 0x5000}, int64(len(content)), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(content))
	n, err := s.ReadAt(got, 0)
	if n != 0x3200 || !bytes.Equal(got[:n], content[:n]) || !errors.Is(err, syscall.EIO) || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("%#x bytes, %v", n, err)
	}
	for _, at := range []int64{0x4000, 0x4800, 0x3300} {
		if _, err := s.ReadAt(got[:8], at); !errors.Is(err, syscall.EIO) {
			t.Errorf("at %#x: %v", at, err)
		}
	}
	gaps := s.Gaps(new(extent.Table))
	if len(gaps) != 1 || gaps[0].Place != vmem.ImagePlace(0x3200) || gaps[0].Reason() != "input-output" {
		t.Errorf("gaps %v, want one at 0x3200", gaps)
	}
}

// Losses that one behind them takes in are told once.
func TestLossesMerge(t *testing.T) {
	t.Parallel()
	f := newFile(t.Context(), nil, 1<<20)
	for _, l := range [][2]int64{{0x10000, 0x10001}, {0x20000, 0x20001}, {0x30000, 0x30001}, {0x1f000, 1 << 20}, {0x8000, 0x8001}} {
		f.lose(l[0], l[1], ErrShrunk)
	}
	var got [][2]int64
	for _, l := range f.losses {
		got = append(got, [2]int64{l.start, l.end})
	}
	if want := [][2]int64{{0x8000, 0x8001}, {0x10000, 0x10001}, {0x1f000, 1 << 20}}; !slices.Equal(got, want) {
		t.Errorf("%#x, want %#x", got, want)
	}
}

// The losses that are kept are bounded, and one more says so.
func TestManyLosses(t *testing.T) {
	t.Parallel()
	const size = 1 << 40
	s, err := New(t.Context(), broken{bytes.NewReader(make([]byte, 4096)), 4096, size}, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	for i := range int64(maxLosses + 10) {
		if _, err := s.ReadAt(b, 4096+i*3*lossUnit); err == nil {
			t.Fatal("what is lost was read")
		}
	}
	gaps := s.Gaps(new(extent.Table))
	if len(gaps) != maxLosses+1 || gaps[maxLosses].Reason() != "too-many" {
		t.Errorf("%d gaps, the last %v", len(gaps), gaps[len(gaps)-1])
	}
}

func TestOpenKinds(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := exec.CommandContext(t.Context(), "mkfifo", fifo).Run(); err != nil {
		t.Skip(err)
	}
	for name, want := range map[string]error{
		t.TempDir(): ErrDirectory,
		fifo:        ErrPipe,
		os.DevNull:  ErrDevice,
	} {
		if s, err := Open(t.Context(), name, nil); !errors.Is(err, want) || s != nil {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if s := open(t, put(t, nil)); s.Size() != 0 {
		t.Errorf("empty file: size %d", s.Size())
	}
}

// While a file is opened its reading and its decoding end with the context; after that the
// context has no effect.
func TestContext(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("page"), 1<<20) // much of little
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, file := range map[string][]byte{"plain": content[:1<<20], "gzip": packed.Bytes()} {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := New(ctx, bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		b := make([]byte, 8)
		if n, err := s.ReadAt(b, 1<<19); n != 0 || err == nil {
			t.Errorf("%s: cancelled: %d bytes, %v", name, n, err)
		}
		if err := s.Opened(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: opened: %v", name, err)
		}
		if _, err := New(ctx, bytes.NewReader(file), int64(len(file)), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: new: %v", name, err)
		}

		ctx, cancel = context.WithCancel(t.Context())
		if s, err = New(ctx, bytes.NewReader(file), int64(len(file)), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Opened(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if n, err := s.ReadAt(b, 1<<19); n != 8 || err != nil {
			t.Errorf("%s: cancelled after it was opened: %d bytes, %v", name, n, err)
		}
		if g := s.Gaps(new(extent.Table)); len(g) > 0 {
			t.Errorf("%s: gaps %v", name, g)
		}
	}
}

// Decoding ends soon after its context, not with the file.
func TestContextWhileDecoding(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	for range 8 {
		if _, err := w.Write(make([]byte, 4<<20)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	s, err := New(ctx, bytes.NewReader(packed.Bytes()), int64(packed.Len()), &Options{Progress: func(_, _ int64) {
		if steps++; steps == 2 {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if size := s.Size(); size > 4<<20 {
		t.Errorf("decoded %d bytes, cancelled after 2 MiB", size)
	}
	if err := s.Opened(); !errors.Is(err, context.Canceled) {
		t.Errorf("opened: %v", err)
	}
}

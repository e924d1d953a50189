package source

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/testimages"
)

// zstdFile writes content as a whole-file .zst, and returns its name.
func zstdFile(t *testing.T, content []byte) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "image.zst")
	if err := os.WriteFile(name, w.EncodeAll(content, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// readAll opens a file, reads parts of it and the whole of it, and returns how many bytes
// were decoded in a first pass.
func readAll(t *testing.T, name, dir string, content []byte) (decoded int64) {
	t.Helper()
	decoded = readSome(t, name, dir, content, 10)
	s, err := Open(t.Context(), name, &Options{IndexDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(content))
	if n, err := s.ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return decoded
}

// readSome is readAll for a few places.
func readSome(t *testing.T, name, dir string, content []byte, places int) (decoded int64) {
	t.Helper()
	s, err := Open(t.Context(), name, &Options{IndexDir: dir, Progress: func(done, _ int64) { decoded = max(decoded, done) }})
	if err != nil {
		t.Fatal(err)
	}
	if s.Size() != int64(len(content)) {
		t.Errorf("size %d, want %d", s.Size(), len(content))
	}
	packtest.CheckRandomReads(t, s, content, rand.New(rand.NewPCG(1, 2)), places, 90_000)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return decoded
}

func indexes(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A file that was read once is not decoded first when it is opened again, unless it changed,
// or its index did.
func TestIndex(t *testing.T) {
	testimages.Long(t)
	content := packtest.Memory(40 << 20) // more than there is between states that are kept
	name, dir := zstdFile(t, content), filepath.Join(t.TempDir(), "cache", "index")
	if readAll(t, name, dir, content) == 0 {
		t.Fatal("the first time there was no pass")
	}
	kept := indexes(t, dir)
	if len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	if n := readAll(t, name, dir, content); n > 0 {
		t.Errorf("the second time %d bytes were decoded first", n)
	}
	for what, change := range map[string]func() error{
		"another time": func() error { return os.Chtimes(name, time.Time{}, time.Unix(1e9, 0)) },
		"damaged index": func() error {
			for _, x := range indexes(t, dir) {
				b, err := os.ReadFile(x)
				if err != nil {
					return err
				}
				b[len(b)/2] ^= 1
				if err := os.WriteFile(x, b, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		"short index":  func() error { return os.Truncate(indexes(t, dir)[0], 100) },
		"no directory": func() error { return os.RemoveAll(dir) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if what == "short index" {
			for _, x := range indexes(t, dir)[1:] {
				_ = os.Remove(x)
			}
		}
		readSome(t, name, dir, content, 2)
		if n := readSome(t, name, dir, content, 2); n > 0 {
			t.Errorf("%s: not kept anew, %d bytes decoded first", what, n)
		}
	}
}

// Many may read, and keep an index, at once.
func TestIndexConcurrently(t *testing.T) {
	testimages.Long(t)
	content := packtest.Memory(5 << 20)
	name, dir := zstdFile(t, content), filepath.Join(t.TempDir(), "index")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { readAll(t, name, dir, content) })
	}
	wg.Wait()
	if kept := indexes(t, dir); len(kept) != 1 {
		t.Errorf("kept %v", kept)
	}
	if n := readAll(t, name, dir, content); n > 0 {
		t.Errorf("%d bytes decoded first", n)
	}
}

// Without a directory nothing is kept.
func TestNoIndex(t *testing.T) {
	content := packtest.Memory(1 << 20)
	name, dir := zstdFile(t, content), t.TempDir()
	readAll(t, name, "", content)
	if kept := indexes(t, dir); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}
}

package rpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/unpack"
)

// A file is what a test reads of one in a package.
type file struct {
	Name    string
	Regular bool
	Size    int64
	Content string // text, or the SHA-256
}

// want is what rpm2cpio and cpio -t say that build.sh packs.
var want = []file{
	{Name: "./usr/lib/debug/lib/modules/6.1.0-9"},
	{"./usr/lib/debug/lib/modules/6.1.0-9/vmlinux", true, 24024, "c8464ce8d0e1f21c70c2ae2c5bc9594d500faf8c43218887cdf17a878e5bf88a"},
	{"./usr/lib/debug/lib/modules/6.1.0-9/vmlinux.link", false, 7, "vmlinux"},
	{Name: "./usr/lib/debug/lib/modules/6.1.0-9/README", Regular: true},
	{"./usr/lib/debug/lib/modules/6.1.0-9/again", true, 5, "text\n"},
}

// files reads all files of an archive.
func files(a *Reader) ([]file, error) {
	var found []file
	for {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		b, err := io.ReadAll(a)
		if err != nil {
			return found, err
		}
		f := file{h.Name, h.Regular(), h.Size, string(b)}
		if len(b) > 100 {
			sum := sha256.Sum256(b)
			f.Content = hex.EncodeToString(sum[:])
		}
		found = append(found, f)
	}
}

// payload returns a reader of the archive in a package.
func payload(b []byte) (io.Reader, error) {
	off, err := Payload(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return unpack.NewReader(bytes.NewReader(b[off:]), unpack.Format(b[off:]))
}

func TestPackages(t *testing.T) {
	for _, name := range []string{"xz", "zstd", "gzip", "bzip2", "plain"} {
		t.Run(name, func(t *testing.T) {
			b := read(t, name)
			if !Detect(b) {
				t.Error("not detected")
			}
			r, err := payload(b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := files(NewReader(r))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSkip: files need not be read.
func TestSkip(t *testing.T) {
	r, err := payload(read(t, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	a := NewReader(r)
	for _, w := range want {
		if h, err := a.Next(); err != nil || h.Name != w.Name {
			t.Errorf("%+v, %v, want %s", h, err, w.Name)
		}
	}
	if _, err := a.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// TestCutOff: a package that ends anywhere gives an error, and what came before.
func TestCutOff(t *testing.T) {
	b := read(t, "plain")
	for n := 0; n < len(b); n += 1 + n/100 {
		r, err := payload(b[:n])
		if err == nil {
			var got []file
			if got, err = files(NewReader(r)); len(got) > len(want) {
				t.Errorf("%d bytes: %d files", n, len(got))
			}
		}
		if err == nil && n < len(b)-512 { // the padding behind the trailer
			t.Errorf("%d of %d bytes are no error", n, len(b))
		}
	}
}

func TestMalformed(t *testing.T) {
	b := read(t, "plain")
	off, err := Payload(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte){
		"headers":   func(b []byte) { b[leadSize] = 0 },
		"entries":   func(b []byte) { b[leadSize+8] = 0xff },
		"data":      func(b []byte) { b[leadSize+12] = 0xff },
		"archive":   func(b []byte) { b[off] = 'x' },
		"large":     func(b []byte) { copy(b[off:], stripped) },
		"number":    func(b []byte) { b[off+60] = 'x' },
		"no name":   func(b []byte) { copy(b[off+94:], "00000000") },
		"long name": func(b []byte) { copy(b[off+94:], "00010000") },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(b)
			change(b)
			r, err := payload(b)
			if err == nil {
				_, err = files(NewReader(r))
			}
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%v", err)
			}
		})
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".rpm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzPayload changes packages.
func FuzzPayload(f *testing.F) {
	f.Add(read(f, "plain"))
	f.Add(read(f, "zstd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		off, err := Payload(bytes.NewReader(b), int64(len(b)))
		if err == nil && (off < leadSize+2*headerSize || off > int64(len(b))) {
			t.Fatalf("payload at %d of %d bytes", off, len(b))
		}
		if err != nil && off != 0 {
			t.Fatalf("offset %d, error %v", off, err)
		}
	})
}

// FuzzReader changes archives. What is read of the files is never more than there is.
func FuzzReader(f *testing.F) {
	b := read(f, "plain")
	off, err := Payload(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[off:])
	f.Fuzz(func(t *testing.T, b []byte) {
		a, total := NewReader(bytes.NewReader(b)), 0
		for {
			h, err := a.Next()
			if err != nil {
				return
			}
			n, err := io.Copy(io.Discard, a)
			if err == nil && n != h.Size || n > h.Size || strings.HasSuffix(h.Name, "\x00") {
				t.Fatalf("%d bytes of %+v, %v", n, h, err)
			}
			if total += int(n) + entryHeader; total > len(b) {
				t.Fatalf("%d bytes of %d", total, len(b))
			}
		}
	})
}

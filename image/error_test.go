package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

// What is no image is said to be what it is, in one sentence, and what to do in another.
func TestForeign(t *testing.T) {
	t.Parallel()
	zip := []byte("PK\x03\x04" + strings.Repeat("\x00", 22) + "\x0a\x00\x00\x00s-6.1.lime" + strings.Repeat("\x00", 4096))
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := exec.CommandContext(t.Context(), "mkfifo", fifo).Run(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for name, test := range map[string]struct {
		file string
		says string // behind the name
		want error
	}{
		"empty":       {put(t, "f", nil), " is empty: copy it again, or look whether it was written at all", ErrFormat},
		"JPEG":        {put(t, "f", []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00")), " is a JPEG picture, not memory", ErrFormat},
		"zip":         {put(t, "f", zip), ` is a zip archive that begins with "s-6.1.lime", not memory: unpack it first: unzip f`, ErrFormat},
		"zip in gzip": {put(t, "f", packedBy(t, "gzip", zip)), ` is a zip archive that begins with "s-6.1.lime", not memory (inside of gzip): unpack it first: unzip f`, ErrFormat},
		"text":        {put(t, "f", []byte("no image\n")), " is a text, not memory", ErrFormat},
		"vmlinux":     {os.Args[0], " is an ELF program, such as a vmlinux, not memory: it may hold symbols, and no memory", ErrFormat},
		"zeros":       {put(t, "f", make([]byte, 1<<20)), " is nothing but zeros: look whether it was written at all", ErrFormat},
		"noise":       {put(t, "f", append(make([]byte, 1<<20), "noise"...)), " is in no known image format, and no kernel is in it to tell what memory it could be: ", ErrFormat},
		"bad LiME":    {put(t, "f", []byte("EMiL\x07\x00\x00\x00"+strings.Repeat("\x00", 64))), ": not in a known image format: lime: ", lime.ErrFormat},
		"directory":   {dir, " is a directory: name the image in it", ErrNotFile},
		"pipe":        {fifo, " is a pipe: an image is read here and there, so save it to a file first", ErrNotFile},
		"device":      {os.DevNull, " is a device that is no disk: the memory of this machine is in /proc/kcore", ErrNotFile},
		"cut ELF":     {put(t, "f", elfImage[:40]), " is cut off before its first byte of memory: copy it again", ErrTruncated},
		"cut gzip":    {put(t, "f", packedBy(t, "gzip", limeImage)[:15]), " is cut off before its first byte of memory: copy it again", ErrTruncated},
		"cut LZ4":     {put(t, "f", packed(t, limeImage)[:20]), " is cut off before its first byte of memory: copy it again", ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := Open(t.Context(), test.file, nil)
			if f != nil || !errors.Is(err, test.want) {
				t.Fatalf("%v, %v, want %v", f, err, test.want)
			}
			if text := err.Error(); !strings.HasPrefix(text, "image: "+test.file+test.says) || strings.Contains(text, "\n") {
				t.Errorf("says %q, want %q", text, test.file+test.says)
			}
			if e, ok := errors.AsType[*Error](err); ok && (e.Name != test.file || e.Detail() == "") {
				t.Errorf("%+v: no name or no detail", e)
			}
		})
	}
}

// cutImage returns the name of a file with the first bytes of the bundled image.
func cutImage(t *testing.T, size int64) string {
	t.Helper()
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	s, err := source.Open(t.Context(), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := make([]byte, size)
	if _, err := s.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return put(t, "cut.lime", b)
}

// cutCore returns an ELF core that has the memory of a LiME image's last record, as far as the
// file goes.
func cutCore(lime []byte, size uint64) []byte {
	const start = 0x100000
	at := bytes.Index(lime, encode(0x4C694D45, uint32(1), uint64(start))) + 32
	return encode(elfImage[:64], uint32(1), uint32(7), uint64(120), uint64(0), uint64(start), size, size, uint64(0), lime[at:])
}

// An image that is cut off before its kernel says that first, in each format and compressed
// in each way.
func TestCutOff(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(cutImage(t, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"plain": content, "ELF core": cutCore(content, 190<<20)}
	for packer := range packers {
		z := packedBy(t, packer, append(bytes.Clone(content), make([]byte, 1<<20)...))
		files[packer] = z[:len(z)/2]
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := put(t, "cut", data)
			f, err := Open(t.Context(), file, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			k, err := OpenKernel(t.Context(), f, nil)
			e, ok := errors.AsType[*Error](err)
			if k != nil || !ok || !errors.Is(err, ErrTruncated) {
				t.Fatalf("%v, %v, want %v", k, err, ErrTruncated)
			}
			want := regexp.MustCompile(` is cut off: it has [0-7] of the 19[01] MiB that its headers announce, and the kernel is not among them: copy it again$`)
			if !strings.HasPrefix(e.Error(), file) || !want.MatchString(e.Error()) {
				t.Errorf("says %q", e)
			}
			if !strings.Contains(e.Detail(), "kallsyms") {
				t.Errorf("detail %q", e.Detail())
			}
		})
	}
}

// An image that is cut off behind its kernel, whose symbols are lost, says so.
func TestCutOffSymbols(t *testing.T) {
	t.Parallel()
	missing := &btfconv.MissingError{Part: btfconv.PartKallsyms, Release: "6.1.0-56", Err: btfconv.ErrNotFound}
	f, err := Open(t.Context(), put(t, "cut", limeImage[:len(limeImage)-1]), &Options{Symbols: failing{missing}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = OpenKernel(t.Context(), f, &Options{Symbols: failing{missing}})
	want := "and not all symbols of its kernel, 6.1.0-56, are among them: copy it again, or name the vmlinux of that kernel"
	if !errors.Is(err, ErrTruncated) || !errors.Is(err, missing) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// failing are symbols that can't be had.
type failing struct{ err error }

func (s failing) Symbols(context.Context, vmem.Memory) (*isf.File, string, error) {
	return nil, "", s.err
}

// Symbols that are cut off are not taken for an image that is.
func TestCutOffSymbolFile(t *testing.T) {
	t.Parallel()
	name := put(t, "f", append(make([]byte, 1<<20), "noise"...))
	given := fmt.Errorf("symbols.json.xz: %w", io.ErrUnexpectedEOF)
	_, err := Open(t.Context(), name, &Options{Symbols: failing{given}})
	want := ": the symbols did not help: symbols.json.xz: unexpected EOF"
	if errors.Is(err, ErrTruncated) || !errors.Is(err, ErrFormat) || !errors.Is(err, given) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// An error of the system names the file once.
func TestNoFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "node.lime")
	_, err := Open(t.Context(), name, nil)
	if !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), name) != 1 {
		t.Error(err)
	}
}

// An image that is being unpacked ends soon after its context.
func TestCancelUnpacking(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(limeImage); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var at time.Time
	f, err := Open(ctx, put(t, "image.lime.gz", packed.Bytes()), &Options{Progress: func(string, int64, int64) {
		if at.IsZero() {
			at = time.Now()
			cancel()
		}
	}})
	if f != nil || !errors.Is(err, context.Canceled) || at.IsZero() {
		t.Errorf("%v, %v, want %v", f, err, context.Canceled)
	}
	t.Logf("ended %v after it was cancelled", time.Since(at))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

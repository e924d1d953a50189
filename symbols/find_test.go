package symbols

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/isf"
)

// write puts b into a new file below t's directory and returns its name.
func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// isfFile writes the symbols of a kernel to a file and returns its name.
func isfFile(t testing.TB, k symboltest.Kernel) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), k.Release+".isf.json.xz")
	if err := k.Symbols(t).WriteFile(name); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFindGiven(t *testing.T) {
	ctx, mem := t.Context(), symboltest.Running.Memory()
	name := isfFile(t, symboltest.Running)
	found, err := Find(ctx, mem, &Options{Given: name})
	if err != nil {
		t.Fatal(err)
	}
	if found.From != "ISF file "+name || found.File.Banner() != symboltest.Running.Banner()+"\n" || len(found.Tried) > 0 {
		t.Errorf("%+v", found)
	}

	other := isfFile(t, symboltest.Older)
	_, err = Find(ctx, mem, &Options{Given: other, Paths: []string{name}})
	if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), other) {
		t.Errorf("another kernel's: %v", err)
	}
	if _, err := Find(ctx, mem, &Options{Given: name + "x"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Find(ctx, mem, &Options{Given: t.TempDir()}); !errors.Is(err, errIrregular) {
		t.Errorf("directory: %v", err)
	}
	for _, content := range []string{"", "text", "\x1f\x8b\x08 broken"} {
		if _, err := Find(ctx, mem, &Options{Given: write(t, "file", []byte(content))}); err == nil {
			t.Errorf("%q is no error", content)
		}
	}
}

// TestFindGivenForeign: a file that has no symbols is said to be what it is.
func TestFindGivenForeign(t *testing.T) {
	for content, want := range map[string]string{
		"\xff\xfe{\x00\"\x00m\x00\"\x00:\x00": "a text in UTF-16: save it as UTF-8",
		"\xff\xd8\xff\xe0\x00\x10JFIF":        "it is a JPEG picture; known are: ISF, BTF",
		"\x00\x01\x02\x03":                    "it begins with 00 01 02 03; known are: ISF, BTF",
	} {
		_, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Given: write(t, "file", []byte(content))})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

// TestFindPipe: a pipe that nobody writes to is not waited for.
func TestFindPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "vmlinux.json")
	if err := exec.CommandContext(t.Context(), "mkfifo", fifo).Run(); err != nil {
		t.Skip(err)
	}
	for _, opts := range []*Options{{Given: fifo}, {Paths: []string{fifo}}, {Paths: []string{filepath.Dir(fifo)}}} {
		done := make(chan error, 1)
		go func() {
			_, err := Find(t.Context(), symboltest.Running.Memory(), opts)
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, errIrregular) {
				t.Errorf("%+v: %v", opts, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%+v: it waits", opts)
		}
	}
}

// TestFindOrder: the image is asked first, each refusal is told, and the first that fits
// is taken.
func TestFindOrder(t *testing.T) {
	right, wrong, missing := isfFile(t, symboltest.Running), isfFile(t, symboltest.Rebuilt), filepath.Join(t.TempDir(), "missing")
	found, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Paths: []string{wrong, missing, right, isfFile(t, symboltest.Older)}})
	if err != nil {
		t.Fatal(err)
	}
	if found.From != "ISF file "+right {
		t.Errorf("from %s", found.From)
	}
	if len(found.Tried) != 3 {
		t.Fatalf("tried %v", found.Tried)
	}
	if _, ok := errors.AsType[*btfconv.MissingError](found.Tried[0].Err); !ok || found.Tried[0].Source != imageName {
		t.Errorf("first: %v", found.Tried[0])
	}
	if a := found.Tried[1]; !errors.Is(a.Err, ErrMismatch) || a.Name != wrong {
		t.Errorf("second: %v", a)
	}
	if a := found.Tried[2]; !errors.Is(a.Err, fs.ErrNotExist) || strings.Count(a.String(), missing) > 2 {
		t.Errorf("third: %v", a)
	}
}

func TestFindNothing(t *testing.T) {
	_, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Paths: []string{t.TempDir()}})
	e, ok := errors.AsType[*NotFoundError](err)
	if !ok || e.Release != symboltest.Running.Release || e.BuildID != symboltest.Running.BuildID {
		t.Fatalf("%v", err)
	}
	if _, ok := errors.AsType[*btfconv.MissingError](err); !ok || !errors.Is(err, ErrNothing) {
		t.Errorf("not wrapped: %v", err)
	}
	for _, part := range []string{symboltest.Running.Release, symboltest.Running.BuildID, "the image: ", "directory "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

func TestFindAccept(t *testing.T) {
	refusal := errors.New("no such kernel")
	asked := 0
	opts := &Options{Given: isfFile(t, symboltest.Running), Accept: func(context.Context, *isf.File) error {
		asked++
		return refusal
	}}
	if _, err := Find(t.Context(), symboltest.Running.Memory(), opts); !errors.Is(err, refusal) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

// A textConverter converts files that begin with a word.
type textConverter struct {
	symboltest.Kernel

	t testing.TB
}

func (textConverter) String() string { return "text" }

func (textConverter) Detect(head []byte) bool { return strings.HasPrefix(string(head), "SYMBOLS") }

func (c textConverter) Convert(_ context.Context, _ io.ReaderAt, _ int64, opts *ConvertOptions) (*isf.File, error) {
	opts.Progress("converting", 1, 1)
	return c.Symbols(c.t), nil
}

// A counting converter counts how often it converts.
type counting struct {
	textConverter

	times atomic.Int32
}

func (c *counting) Convert(ctx context.Context, r io.ReaderAt, size int64, opts *ConvertOptions) (*isf.File, error) {
	c.times.Add(1)
	return c.textConverter.Convert(ctx, r, size, opts)
}

func TestFindConverter(t *testing.T) {
	name := write(t, "some.txt", []byte("SYMBOLS of a kernel"))
	opts := &Options{Given: name, Converters: []Converter{textConverter{symboltest.Running, t}}}
	if found, err := Find(t.Context(), symboltest.Running.Memory(), opts); err != nil || found.From != "text "+name {
		t.Errorf("%+v, %v", found, err)
	}
	opts.Converters = []Converter{textConverter{symboltest.Older, t}}
	if _, err := Find(t.Context(), symboltest.Running.Memory(), opts); !errors.Is(err, ErrMismatch) {
		t.Errorf("another kernel's: %v", err)
	}
	opts.Converters = nil
	if _, err := Find(t.Context(), symboltest.Running.Memory(), opts); !errors.Is(err, ErrFormat) {
		t.Errorf("without a converter: %v", err)
	}
}

func TestFindCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, opts := range []*Options{nil, {Given: isfFile(t, symboltest.Running)}} {
		if _, err := Find(ctx, symboltest.Running.Memory(), opts); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
}

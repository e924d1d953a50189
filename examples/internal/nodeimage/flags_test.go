package nodeimage

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/symbols/remote"
)

// parseSymbols reads the flags for symbols; the error is that of parsing or of check.
func parseSymbols(args ...string) (*Symbols, error) {
	f := New("-")
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(new(bytes.Buffer))
	f.Register(set)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	return &f.Symbols, f.Check()
}

func TestSymbolFlags(t *testing.T) {
	store := symbols.NewStore(t.TempDir())
	t.Setenv("DEBUGINFOD_URLS", "https://debuginfod.example")
	s, err := parseSymbols("-symbols", "a", "-symbols", "b", "-fetch=gke-1309-gke1046000-cos-arm64-113-18244-291-9-c-pre")
	if err != nil {
		t.Fatal(err)
	}
	o := s.options(store, nil)
	if len(o.Paths) < 2 || !slices.Equal(o.Paths[:2], []string{"a", "b"}) || o.Given != "" || o.Store != store || len(o.Converters) == 0 {
		t.Errorf("%+v", o)
	}
	if len(o.Fetch) != 2 {
		t.Fatalf("%+v", o.Fetch)
	}
	if b, ok := o.Fetch[0].(*remote.COS); !ok || b.Build != "18244.291.9" || b.Arch != "arm64" {
		t.Errorf("%+v", o.Fetch[0])
	}
	if d, ok := o.Fetch[1].(*remote.Debuginfod); !ok || !slices.Equal(d.URLs, []string{"https://debuginfod.example"}) {
		t.Errorf("%+v", o.Fetch[1])
	}
	for args, fetches := range map[string]bool{"-raw": false, "-fetch": true, "-fetch=false": false} {
		if s, err := parseSymbols(args); err != nil || len(s.options(store, nil).Fetch) > 0 != fetches {
			t.Errorf("%s: %+v, %v", args, s, err)
		}
	}
	if s, err := parseSymbols("-vmlinux", "file"); err != nil || s.options(store, nil).Given != "file" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSymbolFlagsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-isf", "a", "-vmlinux", "b"}, {"-isf", "a", "-fetch"}, {"-vmlinux", "a", "-symbols", "b"}, {"-fetch=ubuntu-2404"},
	} {
		if s, err := parseSymbols(args...); err == nil {
			t.Errorf("%q: %+v", args, s)
		}
	}
}

// A file of symbols that ends early is not taken for the image.
func TestAdviseCutSymbols(t *testing.T) {
	s := &Flags{Symbols: Symbols{ISF: "cut.json"}}
	if got := s.Advise(fmt.Errorf("cut.json: %w", io.ErrUnexpectedEOF)); !strings.Contains(got, "file of symbols is cut off") {
		t.Errorf("advice %q", got)
	}
	s.Symbols.ISF = ""
	if got := s.Advise(io.ErrUnexpectedEOF); got != "" {
		t.Errorf("advice %q where no file is given", got)
	}
}

// The reasoning of -v is one line, whatever errors were joined in it.
func TestFailVerbose(t *testing.T) {
	var stderr bytes.Buffer
	err := &image.Error{Name: "node.lime", Is: "cut off", Err: fmt.Errorf("%w: %w", image.ErrTruncated, errors.Join(io.EOF, fs.ErrInvalid))}
	s := &Flags{Verbose: true}
	s.Fail(&stderr, "analyzenode", err)
	if want := "analyzenode: node.lime is cut off\n  the image is cut off: EOF; invalid argument\n"; stderr.String() != want {
		t.Errorf("%q, want %q", &stderr, want)
	}
}

func TestAdvise(t *testing.T) {
	for err, part := range map[error]string{
		ErrNoBundled:              "clone",
		new(btfconv.MissingError): "cos-tools/BUILD/vmlinux",
		image.ErrFormat:           "LZ4",
		linux.ErrNoKernel:         "too damaged",
		kstruct.ErrUnsupported:    "-vmlinux",
	} {
		if got := New("-").Advise(fmt.Errorf("cos: %w", err)); !strings.Contains(got, part) {
			t.Errorf("%v: %q lacks %q", err, got, part)
		}
	}
	given := &Flags{Symbols: Symbols{ISF: "a", dash: "-"}}
	other := fmt.Errorf("%w: %w", linux.ErrNoKernel, linux.ErrOtherKernel)
	if got := given.Advise(other); !strings.Contains(got, "very kernel") || !strings.Contains(got, "leave out -isf") {
		t.Errorf("symbols of another kernel: %q", got)
	}
	if got := given.Advise(linux.ErrNoKernel); !strings.HasPrefix(got, "The image may be too damaged") || !strings.Contains(got, "leave out -isf") {
		t.Errorf("a kernel that is not found: %q", got)
	}
	if got := New("-").Advise(io.ErrUnexpectedEOF); got != "" {
		t.Errorf("advice against anything: %q", got)
	}
}

func TestBundled(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{filepath.Dir(bundledImage), filepath.Join("cos", "testdata")} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, bundledImage), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Bundled(filepath.Join(root, "cos", "testdata"))
	if want := filepath.Join(root, bundledImage); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

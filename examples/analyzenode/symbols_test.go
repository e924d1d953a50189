package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/symbols/remote"
)

// parseSymbols reads the flags for symbols; the error is that of parsing or of check.
func parseSymbols(args ...string) (*symbolFlags, error) {
	var s settings
	c := newCommand(&s)
	c.Flags.SetOutput(new(bytes.Buffer))
	if err := c.Flags.Parse(args); err != nil {
		return nil, err
	}
	return &s.symbols, s.symbols.check()
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
	for args, fetches := range map[string]bool{"-q": false, "-fetch": true, "-fetch=false": false} {
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

// TestWrongSymbols: the error says of which kernel they are, and which one runs.
func TestWrongSymbols(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODELENS_CACHE", t.TempDir())
	wrong := filepath.Join(t.TempDir(), "wrong.isf.json")
	if err := symboltest.Older.Symbols(t).WriteFile(wrong); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-isf", wrong, img.Path}, &stdout, &stderr); status != exitNoReport || stdout.Len() > 0 {
		t.Errorf("exit status %d", status)
	}
	for _, part := range []string{wrong, "the image runs 6.1.0-56-cloud-amd64, the file is of 5.10.0-7", "Without -isf"} {
		if !strings.Contains(stderr.String(), part) {
			t.Errorf("stderr %q lacks %q", &stderr, part)
		}
	}
}

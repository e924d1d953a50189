package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/internal/testimages"
)

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

package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/testimages"
)

// TestFilteredImages captures images of paused machines as if they were the machine, with
// all left out that can be. What is left must give the same report.
func TestFilteredImages(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			if filepath.Ext(img.Path) != ".elf" || img.ISF == "" || img.Truth == "" {
				t.Skip("no ELF core with its symbols and what /proc said")
			}
			root, out := t.TempDir(), filepath.Join(t.TempDir(), "filtered.lime")
			iomem, err := os.ReadFile(filepath.Join(img.Truth, "proc", "iomem"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, root, "proc/iomem", iomem)
			if err := os.Symlink(img.Path, filepath.Join(root, "proc", "kcore")); err != nil {
				t.Fatal(err)
			}
			// QEMU's cores have memory besides RAM, which the manifest notes.
			capture(t, exitNotWhole, "-root", root, "-isf", img.ISF, "-leave-out", "free,clean-files", "-o", out)
			got, want := report(t, out, img.ISF), report(t, img.Path, img.ISF)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("report (-whole +filtered):\n%s", d)
			}
			info, err := os.Stat(out)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := os.Stat(img.Path)
			if err != nil || info.Size() >= whole.Size() {
				t.Errorf("filtered image of %d bytes, whole one of %d: %v", info.Size(), whole.Size(), err)
			}
		})
	}
}

// report returns what AnalyzeNode finds in an image, as JSON.
func report(t *testing.T, image, symbols string) string {
	t.Helper()
	r, err := cos.AnalyzeNode(context.Background(), cos.File(image), &cos.Options{SymbolFile: symbols})
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

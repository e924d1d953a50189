package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/layouts"
)

// TestImage makes the layout of the bundled node's kernel, which is the one that the library
// carries, of the image and of its ISF file.
func TestImage(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	known := layouts.Known().ByRelease("6.1.0-56-cloud-amd64")[0]
	for name, args := range map[string][]string{"image": {img.Path}, "ISF": {"-build-id", known.BuildID, img.ISF}} {
		dir := filepath.Join(t.TempDir(), "layouts")
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), append(args, "-q", "-o", dir), &stdout, &stderr); status != 0 || stderr.Len() > 0 {
			t.Fatalf("%s: exit status %d: %s", name, status, &stderr)
		}
		if want := filepath.Join(dir, known.Name) + "\n"; stdout.String() != want {
			t.Errorf("%s: made %q, not %q", name, &stdout, want)
		}
		set, err := layouts.Dir(dir)
		if err != nil || len(set.All()) != 1 {
			t.Fatal(set.All(), err)
		}
		f, err := set.All()[0].File()
		if err != nil || !f.HasField("task_struct", "real_parent") || !f.HasField("cred", "uid.val") {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(filepath.Join(dir, known.Name)); err != nil || info.Size() > 40<<10 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none.isf.json")
	if err := symboltest.Running.Symbols(t).WriteFile(none); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		status int
		stderr string
	}{
		"nothing":       {nil, 2, "name a file"},
		"one build id":  {[]string{"-build-id", "00", "a", "b"}, 2, "name one file"},
		"no types":      {[]string{"-o", dir, none}, 1, "task_struct"},
		"no such file":  {[]string{filepath.Join(dir, "nothing")}, 1, "no such file"},
		"of no use":     {[]string{"main.go"}, 1, "main.go"},
		"no directory":  {[]string{"-o", none, none}, 1, ""},
		"unknown flags": {[]string{"-x"}, 2, "-x"},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), test.args, &stdout, &stderr); status != test.status || !strings.Contains(stderr.String(), test.stderr) || stdout.Len() > 0 {
			t.Errorf("%s: exit status %d, %q, %q", name, status, &stdout, &stderr)
		}
	}
}

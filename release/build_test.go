package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// TestReproducible releases a command from two copies of the repository, in directories of other names and depths, the second time in another environment. It gives
// the same bytes. With NODELENS_RELEASE set all is built anew the second time, which takes minutes.
func TestReproducible(t *testing.T) {
	testimages.Long(t)
	dir := t.TempDir()
	module, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var dist [2]string
	for i, place := range []string{"a", "second/and/deeper"} {
		root := filepath.Join(dir, place)
		copySources(t, module, root)
		t.Chdir(root)
		if i == 1 {
			if os.Getenv("NODELENS_RELEASE") != "" {
				t.Setenv("GOCACHE", filepath.Join(dir, "cache"))
			}
			t.Setenv("GOFLAGS", "-tags=other -ldflags=-v")
			t.Setenv("CGO_ENABLED", "1")
			t.Setenv("GOAMD64", "v3")
			t.Setenv("HOME", filepath.Join(dir, "home"))
			t.Setenv("TZ", "Asia/Tokyo")
		}
		b, err := newBuilder(t.Context(), "v0.1.2", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		dist[i] = filepath.Join(root, "dist")
		if err := empty(dist[i]); err != nil {
			t.Fatal(err)
		}
		b.packages = []string{modulePath + "/examples/vmlinux2isf"}
		if err := b.release(t.Context(), "linux/amd64", dist[i]); err != nil {
			t.Fatal(err)
		}
		if err := writeSums(dist[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"nodelens_v0.1.2_linux_amd64.tar.gz", "nodelens_v0.1.2_linux_amd64.cdx.json", sumsFile} {
		if !bytes.Equal(read(t, filepath.Join(dist[0], name)), read(t, filepath.Join(dist[1], name))) {
			t.Errorf("%s is another the second time", name)
		}
	}
	for line := range strings.Lines(string(read(t, filepath.Join(dist[0], sumsFile)))) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got, err := sumOf(filepath.Join(dist[0], name)); got != sum || err != nil {
			t.Errorf("%s has the digest %s, not %s: %v", name, got, sum, err)
		}
	}
}

// copySources copies what programs are built of: the module without its images and what others are.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "lab" || name == "testdata"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o750)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, rel), b, 0o600)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

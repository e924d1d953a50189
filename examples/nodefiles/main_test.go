package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// start runs the command.
func start(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if got := run(context.Background(), args, &out, &err); got != status {
		t.Fatalf("%q: status %d, want %d: %s", args, got, status, err.String())
	}
	return out.String(), err.String()
}

// What is extracted is what the guest read.
func TestExtract(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(img.Truth, "pods.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	start(t, 0, "-q", "-to", dir, img.Path, "run/pods.json", "run/edge.list")
	got, err := os.ReadFile(filepath.Join(dir, "run/pods.json"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
	_, told := start(t, exitPartial, "-q", "-to", dir, img.Path, "run/pods.json")
	if !strings.Contains(told, "file exists") {
		t.Errorf("a file was written twice: %s", told)
	}

	var pods []struct{ Containers map[string]string }
	if err := json.Unmarshal(want, &pods); err != nil {
		t.Fatal(err)
	}
	id := pods[1].Containers["checkout"]
	out, told := start(t, exitPartial, "-q", "-container", id[:12], "-tar", "-", img.Path, "etc", "bin", "var")
	if !strings.Contains(told, "bin/busybox: not whole") {
		t.Errorf("nothing is told of what is not whole: %s", told)
	}
	names := map[string]string{}
	for r := tar.NewReader(strings.NewReader(out)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names[h.Name] = string(b)
	}
	const volume = "var/run/secrets/kubernetes.io/serviceaccount/"
	if names[volume+"namespace"] != "shop" || !strings.HasPrefix(names[volume+"token"], "lab-token-of-") {
		t.Errorf("%q", names)
	}
	if _, whole := names["bin/busybox"]; whole {
		t.Error("a file that is not whole is in the archive as if it were")
	}
	list, _ := start(t, 0, "-q", img.Path, "run/pods.json")
	if !strings.Contains(list, "-rw-r--r-- 0:0 ") || !strings.Contains(list, " run/pods.json ") {
		t.Error(list)
	}
}

func TestRefused(t *testing.T) {
	for _, args := range [][]string{{}, {"-container", "12345678", "-pid", "3", "a"}, {"-tar", "x", "-to", "y", "a"}, {"-container", "12", "a"}} {
		start(t, 2, args...)
	}
}

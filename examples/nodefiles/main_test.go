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
	out, told := start(t, exitPartial, "-q", "-show-secrets", "-container", id[:12], "-tar", "-", img.Path, "etc", "bin", "var")
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

// No value that the pods were given as a secret is in anything that the command says or writes unless it is asked for: of a container, of the
// kubelet's volumes, or of the runtime's records.
func TestSecrets(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(img.Truth, "pods.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pods []struct {
		Pod struct {
			UID        string
			Containers []struct{ Env map[string]string }
		}
		Containers map[string]string
	}
	if err := json.Unmarshal(text, &pods); err != nil {
		t.Fatal(err)
	}
	values := []string{"lab-token-of-"}
	for _, p := range pods {
		for _, c := range p.Pod.Containers {
			for name, value := range c.Env {
				if strings.Contains(name, "PASSWORD") || strings.Contains(name, "TOKEN") {
					values = append(values, value)
				}
			}
		}
	}
	if len(values) < 3 {
		t.Fatalf("%q", values)
	}
	id := pods[1].Containers["checkout"]
	for _, args := range [][]string{
		{"-tar", "-", img.Path, "run/containerd", "var/lib/kubelet"}, {img.Path, "run/containerd", "var/lib/kubelet"},
		{"-tar", "-", "-container", id, img.Path, "var/run", "run"}, {"-container", id, img.Path, "var/run", "run"},
	} {
		var outs [2]string
		for i, more := range [][]string{{"-q"}, {"-q", "-show-secrets"}} {
			var out, told bytes.Buffer
			if status := run(context.Background(), append(more, args...), &out, &told); status != 0 && status != exitPartial {
				t.Fatalf("%q: %d, %s", args, status, told.String())
			}
			outs[i] = out.String() + told.String()
		}
		for _, v := range values {
			if strings.Contains(outs[0], v) {
				t.Errorf("%q: %s is shown", args, v)
			}
		}
		if !strings.Contains(outs[0], "secrets are hidden") || !strings.Contains(outs[1], "secrets are SHOWN") {
			t.Errorf("%q: it is not said: %s", args, outs[0][max(0, len(outs[0])-300):])
		}
		if archive := args[0] == "-tar"; archive != strings.Contains(outs[1], values[0]) {
			t.Errorf("%q: secrets are not shown although that is asked for", args)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, args := range [][]string{{}, {"-container", "12345678", "-pid", "3", "a"}, {"-tar", "x", "-to", "y", "a"}, {"-container", "12", "a"}} {
		start(t, 2, args...)
	}
}

package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// TestCore writes the core of the lab's first process, refuses to write over it, and finds what a case of memory wrote.
func TestCore(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "core")
	var out, messages bytes.Buffer
	if err := run(t.Context(), []string{"-pid", "1", "-o", name, img.Path}, &out, &messages); err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Type != elf.ET_CORE || !strings.Contains(messages.String(), "task 1 (systemd): 1 threads") || !strings.Contains(messages.String(), " 0 bytes lost") {
		t.Errorf("%v, %s", f.Type, &messages)
	}
	if err := run(t.Context(), []string{"-pid", "1", "-o", name, img.Path}, &out, &messages); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), []string{"-search", "EDGE-MEMF[A-Z]", img.Path}, &out, &messages); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `rw-s /memfd:edge-mapped (deleted) "EDGE-MEMFD"`) {
		t.Errorf("found:\n%s", &out)
	}
	if err := run(t.Context(), []string{"-pid", "4194000", "-o", name + "2", img.Path}, &out, &messages); err == nil {
		t.Error("a process that there is not")
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"image"}, {"-o", "x", "image"}, {"-pid", "1", "image"}, {"-pid", "1", "-o", "x"}, {"-search", "a", "-o", "x", "image"}} {
		if _, err := parse(args, new(bytes.Buffer)); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := parse([]string{"-search", "(", "image"}, new(bytes.Buffer)); err == nil {
		t.Error("no expression")
	}
}

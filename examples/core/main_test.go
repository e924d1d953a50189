package main

import (
	"bytes"
	"context"
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/testimages"
)

// call runs the command, and returns what it said where.
func call(t *testing.T, ctx context.Context, want int, args ...string) (stdout, stderr string) { //nolint:revive // t comes first in tests
	t.Helper()
	var out, messages bytes.Buffer
	if got := run(ctx, args, &out, &messages); got != want {
		t.Errorf("%q: status %d, want %d: %s", args, got, want, &messages)
	}
	return out.String(), messages.String()
}

// TestCore writes the core of the lab's first process, refuses to write over it, and finds what a case of memory wrote.
func TestCore(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	ctx, name := t.Context(), filepath.Join(t.TempDir(), "core")
	_, messages := call(t, ctx, command.OK, img.Path, "-pid", "1", "-o", name)
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Type != elf.ET_CORE || !strings.Contains(messages, "task 1 (systemd): threads: 1,") || !strings.Contains(messages, "lost: 0\n") {
		t.Errorf("%v, %s", f.Type, messages)
	}
	if _, messages := call(t, ctx, 1, "-pid", "1", "-o", name, img.Path); !strings.Contains(messages, "exists") {
		t.Errorf("over a file: %s", messages)
	}
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
	if out, _ := call(t, ctx, command.OK, "-search", "EDGE-MEMF[A-Z]", img.Path); !strings.Contains(out, `rw-s /memfd:edge-mapped (deleted) "EDGE-MEMFD"`) {
		t.Errorf("found:\n%s", out)
	}
	if _, messages := call(t, ctx, 1, "-pid", "4194000", "-o", name+"2", img.Path); !strings.Contains(messages, "no process 4194000") {
		t.Error(messages)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if status := run(ended, []string{"-search", "a", img.Path}, new(bytes.Buffer), new(bytes.Buffer)); status == command.OK {
		t.Error("interrupted, and it went well")
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"image"}, {"-o", "x", "image"}, {"-pid", "1", "image"}, {"-pid", "1", "-o", "x"}, {"-search", "a", "-o", "x", "image"}, {"-search", "(", "image"}, {"-what"},
	} {
		call(t, t.Context(), 2, args...)
	}
	if out, messages := call(t, t.Context(), command.OK, "-h"); !strings.Contains(out, "core -pid 748") || messages != "" {
		t.Errorf("help: %q, %q", out, messages)
	}
}

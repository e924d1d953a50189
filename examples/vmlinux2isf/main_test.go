package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/isf"
)

// hostile returns an ELF file that gcc made, in which a structure is named so that a
// terminal obeys, and has two members of one name, which is worth a complaint.
func hostile(t *testing.T) []byte {
	t.Helper()
	elf := sample(t, "gcc5.elf.zst")
	for from, to := range map[string]string{"flexible\x00touch": "\x1b]0;pwn\a\x00touch", "items\x00": "count\x00"} {
		if bytes.Count(elf, []byte(from)) != 1 {
			t.Fatalf("the file has %q %d times", from, bytes.Count(elf, []byte(from)))
		}
		elf = bytes.Replace(elf, []byte(from), []byte(to), 1)
	}
	return elf
}

// sample returns a file of dwarfconv's tests.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("..", "..", "dwarfconv", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	r, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	elf, err := r.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return elf
}

func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	vmlinux, out := filepath.Join(dir, "vmlinux"), filepath.Join(dir, "out\x1b[2J.json")
	if err := os.WriteFile(vmlinux, hostile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	if status := run(t.Context(), []string{vmlinux, "-o", out}, io.Discard, &stderr); status != exitNotWhole {
		t.Errorf("exit status %d: %s", status, &stderr)
	}
	if text := stderr.String(); strings.ContainsAny(text, "\x1b\a") || !strings.Contains(text, `\x1b]0;pwn\a`) || !strings.Contains(text, `out\x1b[2J.json`) {
		t.Errorf("standard error: %q", text)
	}
	f, err := isf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.UserType("\x1b]0;pwn\a"); err != nil {
		t.Errorf("the name of the structure is lost: %v", err)
	}
}

// A vmlinux with reduced debug information makes no ISF, and is told to be one.
func TestReduced(t *testing.T) {
	for _, name := range []string{"reduced-g1.elf.zst", "reduced-baseonly.elf.zst"} {
		dir := t.TempDir()
		vmlinux, out := filepath.Join(dir, "vmlinux"), filepath.Join(dir, "out.json")
		if err := os.WriteFile(vmlinux, sample(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		if status := run(t.Context(), []string{"-o", out, vmlinux}, io.Discard, &stderr); status != exitNoResult {
			t.Errorf("%s: exit status %d", name, status)
		}
		if text := stderr.String(); !strings.Contains(text, "reduced") || !strings.Contains(text, "task_struct") {
			t.Errorf("%s: standard error: %q", name, text)
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("%s: there is a file: %v", name, err)
		}
	}
}

func TestUsage(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"help":         {[]string{"vmlinux", "-h"}, exitWhole, "usage: vmlinux2isf [flags] VMLINUX\n", ""},
		"nothing":      {nil, exitUsage, "", "one file is expected, not 0\nusage: "},
		"two files":    {[]string{"a", "-q", "b"}, exitUsage, "", "one file is expected, not 2"},
		"unknown flag": {[]string{"a", "-x"}, exitUsage, "", "-x\nusage: "},
		"no file":      {[]string{filepath.Join(t.TempDir(), "no\x1b")}, exitNoResult, "", `no\x1b: no such file`},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), test.args, &stdout, &stderr); status != test.status {
			t.Errorf("%s: exit status %d", name, status)
		}
		if !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) || test.stdout == "" && stdout.Len() > 0 || test.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%s: stdout %q, stderr %q", name, &stdout, &stderr)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestParseStat(t *testing.T) {
	rest := " S 1 2 3 0 -1 2129984 0 0 0 0 1 2 3 4 20 0 1 0 987654 4096 1"
	for _, comm := range []string{"sh", "a b", "x) R 1 (y", "a\nb) S", ""} {
		flags, start := parseStat([]byte("42 (" + comm + ")" + rest))
		if flags != 2129984 || start != 987654 {
			t.Errorf("%q: flags %d, start %d", comm, flags, start)
		}
	}
	for _, broken := range []string{"", "42", "42 (x) S 1"} {
		if flags, start := parseStat([]byte(broken)); flags != 0 || start != 0 {
			t.Errorf("%q: flags %d, start %d", broken, flags, start)
		}
	}
}

func TestPopulation(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, flags string) {
		dir := filepath.Join(proc, pid)
		for _, sub := range []string{"task/" + pid, "fd/0", "fd/1"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		stat := pid + " (x) S 1 1 1 0 -1 " + flags + " 0 0 0 0 1 2 3 4 20 0 1 0 77 0 0\n"
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	process("5", "0")
	process("7", "2097152") // a kernel thread
	process("900", "4194304")
	before, err := population(proc)
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != 2 || before[5] != "77 [5] 2" {
		t.Fatalf("population: %v", before)
	}
	if err := os.RemoveAll(filepath.Join(proc, "900")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(proc, "5/fd/9"), 0o755); err != nil {
		t.Fatal(err)
	}
	process("6", "0")
	after, err := population(proc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := before.changes(after); !slices.Equal(diff, []int{5, 6, 900}) {
		t.Errorf("changes: %v", diff)
	}
	if diff := after.changes(after); diff != nil {
		t.Errorf("changes of the same: %v", diff)
	}
}

func TestDescriptors(t *testing.T) {
	dir := t.TempDir()
	for name, target := range map[string]string{"2": "/b", "10": "two\nlines", "3": "socket:[1]"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	lines, exact := descriptors(dir)
	if want := "10 two\\012lines\n2 /b\n3 socket:[1]\n"; string(lines) != want {
		t.Errorf("lines %q, want %q", lines, want)
	}
	if want := "2 /b\x003 socket:[1]\x0010 two\nlines\x00"; string(exact) != want {
		t.Errorf("exact %q, want %q", exact, want)
	}
}

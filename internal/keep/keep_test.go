package keep

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func newDir(t *testing.T) *Dir {
	t.Helper()
	return &Dir{Path: filepath.Join(t.TempDir(), "cache", "kept"), Most: 1 << 20, One: 1 << 16}
}

// put keeps content, and returns the file that has it.
func (d *Dir) put(t *testing.T, key, content string) string {
	t.Helper()
	if err := d.Put(key, []byte(content)); err != nil {
		t.Fatal(err)
	}
	if got := d.Get(key); string(got) != content {
		t.Fatalf("%q is kept as %q", content, got)
	}
	return filepath.Join(d.Path, fileName(key))
}

func TestKeep(t *testing.T) {
	t.Parallel()
	d := newDir(t)
	if got := d.Get("a"); got != nil {
		t.Errorf("without a directory: %q", got)
	}
	d.put(t, "a", "one")
	d.put(t, "b", "")
	d.put(t, "a", "two")
	if got := d.Get("c"); got != nil {
		t.Errorf("of another key: %q", got)
	}
	if got := d.Get("b"); got == nil || len(got) > 0 {
		t.Errorf("what is empty: %v", got)
	}
	if err := d.Put("large", make([]byte, d.One)); err != nil || d.Get("large") != nil {
		t.Errorf("what is too large: %v", err)
	}
	for _, dir := range []string{d.Path, filepath.Dir(d.Path)} {
		if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(d.Path, "new-*")); len(left) > 0 || err != nil {
		t.Errorf("%q is left, %v", left, err)
	}
}

// TestDistrust has what is kept changed, in each byte and in its length, and moved to the name of another key.
func TestDistrust(t *testing.T) {
	t.Parallel()
	d := newDir(t)
	file := d.put(t, "key", "content")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte, key string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(d.Path, fileName(key)), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := d.Get(key); got != nil {
			t.Errorf("%s: %q", what, got)
		}
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1
		try(fmt.Sprintf("byte %d", i), b, "key")
		try(fmt.Sprintf("cut off at %d", i), whole[:i], "key")
	}
	try("more than there was", append(bytes.Clone(whole), 0), "key")
	try("of another key", whole, "yek")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("what is damaged stays: %v", err)
	}
	if d.put(t, "key", "content"); d.Get("key") == nil {
		t.Error("it can't be kept again")
	}
}

// TestOthers has others able to read or write the directory or a file, and links in their place.
func TestOthers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes there")
	}
	for what, change := range map[string]func(d *Dir, file string) error{
		"a directory that a group writes":  func(d *Dir, _ string) error { return os.Chmod(d.Path, 0o770) },
		"a directory that all write":       func(d *Dir, _ string) error { return os.Chmod(d.Path, 0o702) },
		"a file that all read":             func(_ *Dir, file string) error { return os.Chmod(file, 0o604) },
		"a file that a group writes":       func(_ *Dir, file string) error { return os.Chmod(file, 0o620) },
		"a directory of somebody else":     func(d *Dir, _ string) error { return os.Chown(d.Path, os.Geteuid()+1, -1) },
		"a file of somebody else":          func(_ *Dir, file string) error { return os.Chown(file, os.Geteuid()+1, -1) },
		"a link in place of the directory": func(d *Dir, _ string) error { return swap(d.Path) },
		"a link in place of the file":      func(_ *Dir, file string) error { return swap(file) },
		"a directory in place of the file": func(_ *Dir, file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return os.Mkdir(file, 0o700)
		},
	} {
		d := newDir(t)
		file := d.put(t, "key", "content")
		if err := change(d, file); err != nil {
			if os.Geteuid() != 0 && strings.Contains(what, "somebody else") {
				continue // who is not root can't give files away
			}
			t.Fatalf("%s: %v", what, err)
		}
		if got := d.Get("key"); got != nil {
			t.Errorf("%s: %q", what, got)
		}
		if err := d.Put("key", []byte("new")); strings.Contains(what, "directory") && !strings.Contains(what, "file") && err == nil {
			t.Errorf("%s: something was put there", what)
		}
	}
}

// swap puts a link to a file in its place.
func swap(name string) error {
	moved := name + ".moved"
	if err := os.Rename(name, moved); err != nil {
		return err
	}
	return os.Symlink(moved, name)
}

// TestBound drops what was used least recently.
func TestBound(t *testing.T) {
	t.Parallel()
	d := newDir(t)
	d.Most = int64(3*(head+1+1000) + 10)
	content := strings.Repeat("x", 1000)
	for i, key := range []string{"a", "b", "c"} {
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(d.put(t, key, content), at, at); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(d.Path, "other")
	if err := os.WriteFile(other, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = d.Get("a") // which is used
	d.put(t, "d", content)
	for key, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if got := d.Get(key) != nil; got != want {
			t.Errorf("%s is kept: %t", key, got)
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("what is not ours: %v", err)
	}
}

// TestMany has many read and write at once.
func TestMany(t *testing.T) {
	t.Parallel()
	d := newDir(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				key := fmt.Sprint(i % 3)
				if err := d.Put(key, []byte("content of "+key)); err != nil {
					t.Error(err)
				}
				if got := d.Get(key); got != nil && string(got) != "content of "+key {
					t.Errorf("%q", got)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(magic), "key")
	f.Add([]byte(magic+strings.Repeat("\xff", 50)), "")
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		if content, err := parse(b, key); err == nil && !bytes.HasSuffix(b, append([]byte(key), content...)) {
			t.Errorf("%q", content)
		}
	})
}

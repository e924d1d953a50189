package keep

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file has another identity when it was written to, was replaced, or is another one; and the same as long as nothing was done to it.
func TestIdentity(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "image")
	at := time.Unix(1e9, 0)
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{}
	check := func(what string) {
		t.Helper()
		id, err := Identity(name)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if again, err := Identity(name); again != id || err != nil {
			t.Errorf("%s: %s, then %s: %v", what, id, again, err)
		}
		if other := seen[id]; other != "" {
			t.Errorf("%s is as %s", what, other)
		}
		seen[id] = what
	}
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(i * i >> 8)
	}
	write(content)
	check("the file")
	for what, i := range map[string]int{"another beginning": 0, "another end": len(content) - 1, "another middle": (len(content) - sampleSize) / samples * 8} {
		content[i] ^= 1
		write(content)
		check(what)
	}
	write(content[:len(content)-1])
	check("a shorter file")
	write(content[:10])
	check("a small file")
	at = at.Add(1)
	write(content[:10])
	check("a file of another time")
	for _, none := range []string{filepath.Dir(name), "/dev/null", "/proc/self/status"} {
		if _, err := Identity(none); !errors.Is(err, ErrNoIdentity) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", none, err)
		}
	}
}

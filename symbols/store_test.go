package symbols

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/isf"
)

// stored returns the names in the store's directory of symbols.
func stored(t testing.TB, s *Store) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Dir(), "symbols"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestStore(t *testing.T) {
	store := NewStore(filepath.Join(t.TempDir(), "cache"))
	name := isfFile(t, symboltest.Running)
	opts := &Options{Store: store, Paths: []string{name}}
	found, err := Find(t.Context(), symboltest.Running.Memory(), opts)
	if err != nil || found.From != "ISF file "+name || found.KeepErr != nil {
		t.Fatalf("%+v, %v", found, err)
	}
	want := symboltest.Running.BuildID + "-" + bannerKey(symboltest.Running.Banner()) + ".isf.zst"
	if got := stored(t, store); len(got) != 1 || got[0] != want {
		t.Fatalf("stored %q, want %q", got, want)
	}
	info, err := os.Stat(filepath.Join(store.Dir(), "symbols", want))
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("%v, %v", info, err)
	}

	// The second time the file is not needed.
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	found, err = Find(t.Context(), symboltest.Running.Memory(), opts)
	if err != nil || found.From != "store "+filepath.Join(store.Dir(), "symbols", want) {
		t.Fatalf("%+v, %v", found, err)
	}
	if found.File.Banner() != symboltest.Running.Banner()+"\n" {
		t.Errorf("banner %q", found.File.Banner())
	}
	if _, err := Find(t.Context(), symboltest.Older.Memory(), opts); !errors.Is(err, ErrNothing) {
		t.Errorf("another kernel: %v", err)
	}
}

// TestStoreByBanner: an image without VMCOREINFO names its kernel by its banner alone.
func TestStoreByBanner(t *testing.T) {
	store := NewStore(t.TempDir())
	if _, err := store.Put(symboltest.Running.Symbols(t), "no build id"); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, store); len(got) != 1 || !strings.HasPrefix(got[0], "none-") {
		t.Fatalf("stored %q", got)
	}
	mem := symboltest.Running.Memory()
	mem.Forget(symboltest.Notes, 0x1000)
	if found, err := Find(t.Context(), mem, &Options{Store: store}); err != nil || !strings.HasPrefix(found.From, "store ") {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestStoreDamaged: what is not what its name says is removed, and made anew.
func TestStoreDamaged(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"another kernel": func(t *testing.T, path string) {
			if err := symboltest.Older.Symbols(t).WriteFile(path); err != nil {
				t.Fatal(err)
			}
		},
		"cut off": func(t *testing.T, path string) {
			if err := os.Truncate(path, 100); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := NewStore(t.TempDir())
			path, err := store.Put(symboltest.Running.Symbols(t), symboltest.Running.BuildID)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			spoil(t, path)
			found, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Store: store, Paths: []string{isfFile(t, symboltest.Running)}})
			if err != nil || !strings.HasPrefix(found.From, "ISF file ") {
				t.Fatalf("%+v, %v", found, err)
			}
			if len(found.Tried) < 2 || found.Tried[1].Name != path || !strings.Contains(found.String(), "refused: ") {
				t.Errorf("tried %v", found.Tried)
			}
			if f, err := isf.Open(path); err != nil || f.Banner() != symboltest.Running.Banner()+"\n" {
				t.Errorf("not made anew: %v", err)
			}
		})
	}
}

// TestStoreUnwritable: symbols are found all the same.
func TestStoreUnwritable(t *testing.T) {
	store := NewStore(filepath.Join(write(t, "file", nil), "cache"))
	found, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Store: store, Paths: []string{isfFile(t, symboltest.Running)}})
	if err != nil || found.KeepErr == nil || !strings.Contains(found.String(), "not kept for the next time: "+found.KeepErr.Error()) {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestDefaultStore(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have caches elsewhere")
	}
	t.Setenv("NODELENS_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	t.Setenv("HOME", "/home/user")
	if s, err := DefaultStore(); err != nil || s.Dir() != "/xdg/nodelens" {
		t.Errorf("%v, %v", s, err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	if s, err := DefaultStore(); err != nil || s.Dir() != "/home/user/.cache/nodelens" {
		t.Errorf("%v, %v", s, err)
	}
	t.Setenv("HOME", "")
	if s, err := DefaultStore(); !errors.Is(err, ErrNoStore) {
		t.Errorf("%v, %v", s, err)
	}
	t.Setenv("NODELENS_CACHE", "/own")
	if s, err := DefaultStore(); err != nil || s.Dir() != "/own" {
		t.Errorf("%v, %v", s, err)
	}
}

func TestStoreAbsent(t *testing.T) {
	store := NewStore(t.TempDir())
	const source, key = "https://host/path", "../../etc"
	if store.Absent(source, key) {
		t.Error("at once")
	}
	if err := store.SetAbsent(source, key); err != nil {
		t.Fatal(err)
	}
	if !store.Absent(source, key) || store.Absent(source, "other") || store.Absent("other", key) {
		t.Error("not told apart")
	}
	past := time.Now().Add(-NegativeAge)
	if err := os.Chtimes(store.negative(source, key), past, past); err != nil {
		t.Fatal(err)
	}
	if store.Absent(source, key) {
		t.Error("remembered for ever")
	}
	if err := store.SetAbsent(source, key); err != nil || !store.Absent(source, key) {
		t.Errorf("not renewed: %v", err)
	}
}

// TestStoreLock: of two programs one waits for the other.
func TestStoreLock(t *testing.T) {
	store := NewStore(t.TempDir())
	unlock, err := store.Lock(t.Context(), "kernel")
	if err != nil {
		t.Fatal(err)
	}
	other, err := store.Lock(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 2*lockPause)
	defer cancel()
	if _, err := store.Lock(ctx, "kernel"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	done := make(chan error)
	go func() {
		unlock, err := store.Lock(t.Context(), "kernel")
		if err == nil {
			unlock()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("two have the lock: %v", err)
	case <-time.After(2 * lockPause):
		unlock()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestStoreConvertsOnce: of many that want the symbols of one kernel at once, one
// converts.
func TestStoreConvertsOnce(t *testing.T) {
	store, name := NewStore(t.TempDir()), write(t, "some.txt", []byte("SYMBOLS"))
	conv := &counting{textConverter: textConverter{symboltest.Running, t}}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			opts := &Options{Store: store, Paths: []string{name}, Converters: []Converter{conv}}
			if _, err := Find(t.Context(), symboltest.Running.Memory(), opts); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := conv.times.Load(); n != 1 {
		t.Errorf("converted %d times", n)
	}
}

// TestStorePrograms: two programs that write at the same time leave a whole file.
func TestStorePrograms(t *testing.T) {
	if dir := os.Getenv("SYMBOLS_TEST_STORE"); dir != "" {
		for range 50 {
			if _, err := NewStore(dir).Put(symboltest.Running.Symbols(t), symboltest.Running.BuildID); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	store := NewStore(t.TempDir())
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStorePrograms$")
			cmd.Env = append(os.Environ(), "SYMBOLS_TEST_STORE="+store.Dir())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wait.Wait()
	if got := stored(t, store); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
	if found, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Store: store}); err != nil {
		t.Errorf("%+v, %v", found, err)
	}
}

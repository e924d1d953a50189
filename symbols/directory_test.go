package symbols

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/symboltest"
)

// An elfConverter knows ELF files.
type elfConverter struct{ textConverter }

func (elfConverter) String() string { return "vmlinux" }

func (elfConverter) Detect(head []byte) bool { return bytes.HasPrefix(head, []byte("\x7fELF")) }

// put writes a file below dir.
func put(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// asISF returns the symbols of a kernel as a file.
func asISF(t testing.TB, k symboltest.Kernel, name string) []byte {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := k.Symbols(t).WriteFile(name); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDirectory: the right file is found in each layout, beside wrong ones that the same
// layout has, and no file of another kernel is opened to the end.
func TestDirectory(t *testing.T) {
	id := symboltest.Running.BuildID
	vmlinux, other := symboltest.File("running.vmlinux"), symboltest.File("older.vmlinux")
	for name, right := range map[string]string{
		"gdb":             ".build-id/" + id[:2] + "/" + id[2:] + ".debug",
		"debuginfod":      id + "/debuginfo",
		"bucket":          "18244.291.9/vmlinux",
		"bucket by board": "18244.291.9/lakitu/vmlinux",
		"Debian":          "boot/vmlinux-" + symboltest.Running.Release,
		"Red Hat":         "lib/modules/" + symboltest.Running.Release + "/vmlinux",
		"build directory": "lib/modules/" + symboltest.Running.Release + "/build/vmlinux",
		"by release":      "linux-image-" + symboltest.Running.Release + "-dbg",
		"alone":           "vmlinux",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, ".build-id/"+symboltest.Older.BuildID[:2]+"/"+symboltest.Older.BuildID[2:]+".debug", other)
			put(t, dir, symboltest.Older.BuildID+"/debuginfo", other)
			put(t, dir, "17162.40.42/vmlinux", other)
			put(t, dir, "boot/vmlinux-"+symboltest.Older.Release, other)
			put(t, dir, "vmlinuz-"+symboltest.Running.Release, []byte("boot image"))
			path := put(t, dir, right, vmlinux)
			opts := &Options{Paths: []string{dir}, Converters: []Converter{elfConverter{textConverter{symboltest.Running, t}}}}
			found, err := Find(t.Context(), symboltest.Running.Memory(), opts)
			if err != nil || found.From != "vmlinux "+path {
				t.Fatalf("%+v, %v", found, err)
			}
			for _, a := range found.Tried[1:] {
				if !errors.Is(a.Err, ErrMismatch) || !strings.Contains(a.Name, "17162.40.42") {
					t.Errorf("tried %v", a)
				}
			}
		})
	}
}

// TestDirectoryLink: lib/modules/RELEASE/build leads out of the directory.
func TestDirectoryLink(t *testing.T) {
	dir, tree := t.TempDir(), t.TempDir()
	put(t, tree, "vmlinux", symboltest.File("running.vmlinux"))
	modules := filepath.Join(dir, "lib", "modules", symboltest.Running.Release)
	if err := os.MkdirAll(modules, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(tree, filepath.Join(modules, "build")); err != nil {
		t.Skip(err) // on Windows it takes a privilege
	}
	opts := &Options{Paths: []string{dir}, Converters: []Converter{elfConverter{textConverter{symboltest.Running, t}}}}
	if found, err := Find(t.Context(), symboltest.Running.Memory(), opts); err != nil || found.From != "vmlinux "+filepath.Join(modules, "build", "vmlinux") {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestDirectoryBuildInMemory: the build whose name is in memory is tried first.
func TestDirectoryBuildInMemory(t *testing.T) {
	dir, mem := t.TempDir(), symboltest.Running.Memory()
	put(t, dir, "17162.40.42/vmlinux", symboltest.File("older.vmlinux"))
	path := put(t, dir, "18244.291.9/vmlinux", symboltest.File("running.vmlinux"))
	mem.Write(0x9000, []byte("NAME=\"Container-Optimized OS\"\nID=cos\nBUILD_ID=18244.291.9\n\x00"))
	opts := &Options{Paths: []string{dir}, Converters: []Converter{elfConverter{textConverter{symboltest.Running, t}}}}
	if found, err := Find(t.Context(), mem, opts); err != nil || found.From != "vmlinux "+path || len(found.Tried) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestDirectoryISF: Volatility's files are found by their banners, whatever their names.
func TestDirectoryISF(t *testing.T) {
	for _, packed := range []string{"", ".xz", ".gz", ".zst"} {
		for _, right := range []string{"some.json", "linux/some.json", "x.isf.json"} {
			dir := t.TempDir()
			put(t, dir, "aaa.json"+packed, asISF(t, symboltest.Older, "a.json"+packed))
			put(t, dir, "linux/bbb.json", asISF(t, symboltest.Rebuilt, "b.json"))
			put(t, dir, "broken.json.xz", []byte("\xfd7zXZ\x00 no more"))
			put(t, dir, "text.json", []byte("{\"a\": \"b\"}"))
			put(t, dir, "empty.json", nil)
			path := put(t, dir, right+packed, asISF(t, symboltest.Running, "r.json"+packed))
			found, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Paths: []string{dir}})
			if err != nil || found.From != "ISF file "+path {
				t.Fatalf("%s%s: %+v, %v", right, packed, found, err)
			}
			for _, a := range found.Tried[1:] {
				if a.Name != filepath.Join(dir, "broken.json.xz") && a.Name != filepath.Join(dir, "empty.json") {
					t.Errorf("tried %v", a)
				}
			}
		}
	}
}

func TestDirectoryMissing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for c, err := range Directory(missing).Find(t.Context(), Identify(symboltest.Running.Memory(), nil)) {
		if c != nil || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// TestReadBanner: the banner is found across the pieces that are read.
func TestReadBanner(t *testing.T) {
	banner := `"` + base64.StdEncoding.EncodeToString([]byte(symboltest.Running.Banner()+"\n\x00")) + `"`
	for before := pieceSize - len(banner) - 2; before <= pieceSize+2; before++ {
		text := strings.Repeat(" ", before) + banner
		if got, err := readBanner(t.Context(), strings.NewReader(text)); got != symboltest.Running.Banner() || err != nil {
			t.Fatalf("behind %d bytes: %q, %v", before, got, err)
		}
	}
}

// FuzzReadBanner changes ISF files.
func FuzzReadBanner(f *testing.F) {
	for _, name := range []string{"a.json", "a.json.xz", "a.json.gz", "a.json.zst"} {
		f.Add(asISF(f, symboltest.Running, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		banner, err := readBanner(t.Context(), bytes.NewReader(b))
		if banner != "" && (err != nil || !strings.HasPrefix(banner, "Linux version")) {
			t.Fatalf("%q, %v", banner, err)
		}
	})
}

func TestUserDirectories(t *testing.T) {
	has := func(dir string) bool { return slices.Contains(UserDirectories(), dir) }
	cache := t.TempDir()
	t.Setenv("DEBUGINFOD_CACHE_PATH", cache)
	if !has(cache) {
		t.Errorf("%q lacks %s", UserDirectories(), cache)
	}
	t.Setenv("DEBUGINFOD_CACHE_PATH", filepath.Join(cache, "missing"))
	if has(filepath.Join(cache, "missing")) {
		t.Error("a directory that does not exist")
	}
	if runtime.GOOS != "linux" {
		return // caches are elsewhere
	}
	t.Setenv("DEBUGINFOD_CACHE_PATH", "")
	t.Setenv("XDG_CACHE_HOME", cache)
	dir := filepath.Join(cache, "debuginfod_client")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !has(dir) {
		t.Errorf("%q lacks %s", UserDirectories(), dir)
	}
}

package symbols

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
func (f fake) asISF(t testing.TB, name string) []byte {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := f.symbols(t).WriteFile(name); err != nil {
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
	id := running.buildID
	vmlinux, other := testFile(t, "running.vmlinux"), testFile(t, "older.vmlinux")
	for name, right := range map[string]string{
		"gdb":             ".build-id/" + id[:2] + "/" + id[2:] + ".debug",
		"debuginfod":      id + "/debuginfo",
		"bucket":          "18244.291.9/vmlinux",
		"bucket by board": "18244.291.9/lakitu/vmlinux",
		"Debian":          "boot/vmlinux-" + running.release,
		"Red Hat":         "lib/modules/" + running.release + "/vmlinux",
		"build directory": "lib/modules/" + running.release + "/build/vmlinux",
		"by release":      "linux-image-" + running.release + "-dbg",
		"alone":           "vmlinux",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, ".build-id/"+older.buildID[:2]+"/"+older.buildID[2:]+".debug", other)
			put(t, dir, older.buildID+"/debuginfo", other)
			put(t, dir, "17162.40.42/vmlinux", other)
			put(t, dir, "boot/vmlinux-"+older.release, other)
			put(t, dir, "vmlinuz-"+running.release, []byte("boot image"))
			path := put(t, dir, right, vmlinux)
			opts := &Options{Paths: []string{dir}, Converters: []Converter{elfConverter{textConverter{running, t}}}}
			found, err := Find(t.Context(), running.memory(), opts)
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

// TestDirectoryBuildInMemory: the build whose name is in memory is tried first.
func TestDirectoryBuildInMemory(t *testing.T) {
	dir, mem := t.TempDir(), running.memory()
	put(t, dir, "17162.40.42/vmlinux", testFile(t, "older.vmlinux"))
	path := put(t, dir, "18244.291.9/vmlinux", testFile(t, "running.vmlinux"))
	mem.Write(0x9000, []byte("NAME=\"Container-Optimized OS\"\nID=cos\nBUILD_ID=18244.291.9\n\x00"))
	opts := &Options{Paths: []string{dir}, Converters: []Converter{elfConverter{textConverter{running, t}}}}
	if found, err := Find(t.Context(), mem, opts); err != nil || found.From != "vmlinux "+path || len(found.Tried) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestDirectoryISF: Volatility's files are found by their banners, whatever their names.
func TestDirectoryISF(t *testing.T) {
	for _, packed := range []string{"", ".xz", ".gz", ".zst"} {
		for _, right := range []string{"some.json", "linux/some.json", "x.isf.json"} {
			dir := t.TempDir()
			put(t, dir, "aaa.json"+packed, older.asISF(t, "a.json"+packed))
			put(t, dir, "linux/bbb.json", rebuilt.asISF(t, "b.json"))
			put(t, dir, "broken.json.xz", []byte("\xfd7zXZ\x00 no more"))
			put(t, dir, "text.json", []byte("{\"a\": \"b\"}"))
			put(t, dir, "empty.json", nil)
			path := put(t, dir, right+packed, running.asISF(t, "r.json"+packed))
			found, err := Find(t.Context(), running.memory(), &Options{Paths: []string{dir}})
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
	for c, err := range Directory(missing).Find(t.Context(), Identify(running.memory(), nil)) {
		if c != nil || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// TestReadBanner: the banner is found across the pieces that are read.
func TestReadBanner(t *testing.T) {
	banner := `"` + base64.StdEncoding.EncodeToString([]byte(running.banner()+"\n\x00")) + `"`
	for before := pieceSize - len(banner) - 2; before <= pieceSize+2; before++ {
		text := strings.Repeat(" ", before) + banner
		if got, err := readBanner(t.Context(), strings.NewReader(text)); got != running.banner() || err != nil {
			t.Fatalf("behind %d bytes: %q, %v", before, got, err)
		}
	}
}

// FuzzReadBanner changes ISF files.
func FuzzReadBanner(f *testing.F) {
	for _, name := range []string{"a.json", "a.json.xz", "a.json.gz", "a.json.zst"} {
		f.Add(running.asISF(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		banner, err := readBanner(t.Context(), bytes.NewReader(b))
		if banner != "" && (err != nil || !strings.HasPrefix(banner, "Linux version")) {
			t.Fatalf("%q, %v", banner, err)
		}
	})
}

package testimages

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// machine sets up directories of images and golden files and an empty cache for
// one test, and returns the first two.
func machine(t *testing.T) (images, golden string) {
	t.Helper()
	images, golden = t.TempDir(), t.TempDir()
	t.Setenv("NODELENS_IMAGES", images)
	t.Setenv("NODELENS_GOLDEN", golden)
	for _, name := range []string{"TMPDIR", "TMP"} { // Unix, Windows
		t.Setenv(name, t.TempDir())
	}
	return images, golden
}

func put(t *testing.T, data []byte, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func pack(t *testing.T, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func packXZ(t *testing.T, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func archive(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		body := h.Linkname // of regular files: what they hold
		h.Linkname, h.Size, h.Mode = "", int64(len(body)), 0o600
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return pack(t, b.Bytes())
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const version = "console=ttyS0\nLinux version 6.1.0-56-cloud-amd64 (someone@example.org)\n"

func TestUnpackedLayout(t *testing.T) {
	images, golden := machine(t)
	lime := put(t, []byte("image"), images, "b.lime")
	put(t, []byte("never read, for it is there uncompressed"), images, "b.lime.zst")
	put(t, []byte(version), images, "b", "version")
	put(t, packXZ(t, "symbols"), images, "b.isf.json.xz")
	put(t, nil, golden, "6.1.0-56.dwarf2json.isf.json.xz")
	elf := put(t, []byte("core"), images, "a-la57.elf")

	isf := Named(t, "b").ISF
	if got := read(t, isf); got != "symbols" {
		t.Errorf("the symbols are %q", got)
	}
	want := []Image{
		{Name: "a-la57", Path: elf},
		{Name: "b", Path: lime, Truth: filepath.Join(images, "b"), ISF: isf},
	}
	all := want
	if testing.Short() {
		all = want[:1]
	}
	if diff := cmp.Diff(all, All(t)); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1], Named(t, "b")); diff != "" {
		t.Errorf("Named (-want +got):\n%s", diff)
	}
	if got := Dir(t); got != images {
		t.Errorf("Dir = %s, want %s", got, images)
	}
}

func TestPackedLayout(t *testing.T) {
	images, golden := machine(t)
	core := bytes.Repeat([]byte("core"), 1<<16)
	put(t, pack(t, core), images, "a.elf.zst")
	put(t, archive(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "./"},
		tar.Header{Typeflag: tar.TypeReg, Name: "./version", Linkname: version},
		tar.Header{Typeflag: tar.TypeDir, Name: "./pid/1/"},
		tar.Header{Typeflag: tar.TypeReg, Name: "./pid/1/comm", Linkname: "systemd\n"},
	), images, "a.truth.tar.zst")
	put(t, packXZ(t, "golden symbols"), golden, "6.1.0-56.dwarf2json.isf.json.xz")

	img := Named(t, "a")
	if got := read(t, img.ISF); got != "golden symbols" {
		t.Errorf("the symbols are %q", got)
	}
	if diff := cmp.Diff(Image{Name: "a", Path: img.Path, Truth: img.Truth, ISF: img.ISF}, img); diff != "" {
		t.Errorf("Named (-want +got):\n%s", diff)
	}
	if read(t, img.Path) != string(core) {
		t.Error("the unpacked image differs from what was packed")
	}
	if filepath.Ext(img.Path) != ".elf" {
		t.Errorf("Path = %s, want one that ends in .elf", img.Path)
	}
	if got, want := read(t, img.Truth, "pid", "1", "comm"), "systemd\n"; got != want {
		t.Errorf("pid/1/comm = %q, want %q", got, want)
	}
	if diff := cmp.Diff([]Image{img}, All(t)); diff != "" {
		t.Errorf("unpacked a second time elsewhere (-first +second):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(img.Path), "partial-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUnpackedByAnotherProcess(t *testing.T) {
	machine(t)
	path := put(t, pack(t, nil), t.TempDir(), "a.truth.tar.zst")
	var theirs string
	dst, err := unpacked(path, func(tmp string, _ io.Reader) error {
		cache := filepath.Dir(filepath.Dir(tmp))
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		theirs = cachedAs(cache, info)
		put(t, []byte("theirs"), theirs, "version")
		put(t, []byte("ours"), tmp, "version")
		return nil
	})
	if err != nil || dst != theirs {
		t.Fatalf("unpacked = %s, %v, want %s", dst, err, theirs)
	}
	if got := read(t, dst, "version"); got != "theirs" {
		t.Errorf("version holds %q, want what was there first", got)
	}
}

func TestChangedFileIsUnpackedAgain(t *testing.T) {
	images, _ := machine(t)
	for _, want := range []string{"first", "the second"} {
		put(t, pack(t, []byte(want)), images, "a.lime.zst")
		if got := read(t, Named(t, "a").Path); got != want {
			t.Errorf("image holds %q, want %q", got, want)
		}
	}
}

func TestAbsent(t *testing.T) {
	images, _ := machine(t)
	if _, err := load("*"); !errors.Is(err, errAbsent) {
		t.Errorf("no images: %v, want %v", err, errAbsent)
	}
	if _, err := golden("none"); !errors.Is(err, errAbsent) {
		t.Errorf("no golden file: %v, want %v", err, errAbsent)
	}
	t.Setenv("NODELENS_IMAGES", filepath.Join(images, "mistyped"))
	if _, err := load("*"); err == nil || errors.Is(err, errAbsent) {
		t.Errorf("variable names a missing directory: %v, want an error other than %v", err, errAbsent)
	}
}

func TestFoundOnlyWhereNamed(t *testing.T) {
	top := t.TempDir()
	put(t, nil, top, "clone", "go.mod")
	put(t, nil, top, "shared", "images", "a.lime")
	put(t, nil, top, "shared", "golden", "a.json")
	t.Setenv("NODELENS_IMAGES", "")
	t.Setenv("NODELENS_GOLDEN", "")
	t.Setenv("NODELENS_THOROUGH", "")
	t.Chdir(filepath.Join(top, "clone"))

	if got, err := load("*"); !errors.Is(err, errAbsent) {
		t.Errorf("load without NODELENS_IMAGES = %v, %v, want %v", got, err, errAbsent)
	}
	if got, err := golden("a.json"); !errors.Is(err, errAbsent) {
		t.Errorf("golden without NODELENS_GOLDEN = %s, %v, want %v", got, err, errAbsent)
	}
	if Thorough() {
		t.Error("Thorough without NODELENS_IMAGES and NODELENS_THOROUGH")
	}
	t.Setenv("NODELENS_THOROUGH", "1")
	if !Thorough() {
		t.Error("not Thorough with NODELENS_THOROUGH")
	}
}

func TestDamagedArchives(t *testing.T) {
	for name, data := range map[string][]byte{
		"not zstd":        []byte("plain"),
		"not tar":         pack(t, bytes.Repeat([]byte("x"), 1024)),
		"cut off":         archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "version", Linkname: version})[:20],
		"leaves its root": archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "../version", Linkname: version}),
		"symbolic link":   archive(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "version"}),
	} {
		t.Run(name, func(t *testing.T) {
			images, _ := machine(t)
			put(t, nil, images, "a.lime")
			put(t, data, images, "a.truth.tar.zst")
			if got, err := load("a"); err == nil || errors.Is(err, errAbsent) {
				t.Errorf("load = %v, %v, want an error that fails the test", got, err)
			}
		})
	}
}

package dwarfconv

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
)

// TestPacked converts one sample packed in all ways. Each must give what the file
// itself gives, and leave nothing behind.
func TestPacked(t *testing.T) {
	plain := unpacked(t, "gcc5.elf")
	f, _ := convertWarned(t, plain)
	want := contents(f)
	packed := []string{"gcc5.elf.xz", "gcc5.elf.gzip", "gcc5.elf.bzip2", "gcc5.elf.zst", "xz.deb", "zstd.deb", "gzip.deb", "link.deb"}
	for _, name := range rpmPackages {
		packed = append(packed, filepath.Join(rpmTestdata, name))
	}
	for _, name := range packed {
		t.Run(filepath.Base(name), func(t *testing.T) {
			dir := t.TempDir()
			stages := map[string]bool{}
			got, err := ConvertFile(context.Background(), filepath.Join("testdata", name), &Options{
				TempDir:  dir,
				Warn:     func(err error) { t.Error(err) },
				Progress: func(stage string, _, _ int64) { stages[stage] = true },
			})
			if err != nil {
				t.Fatal(err)
			}
			c := contents(got)
			if c.Metadata.Types[0].Name != filepath.Base(name) {
				t.Errorf("made from %v", c.Metadata.Types)
			}
			c.Metadata = want.Metadata
			if diff := cmp.Diff(want, c); diff != "" {
				t.Errorf("(-plain +packed):\n%s", diff)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			if !stages["unpack"] || !stages["units"] {
				t.Errorf("told of %v", stages)
			}
		})
	}
}

// rpmPackages hold gcc5.elf, too; seen from testdata they are in rpmTestdata.
var (
	rpmPackages = []string{"xz.rpm", "zstd.rpm", "gzip.rpm", "bzip2.rpm", "plain.rpm"}
	rpmTestdata = filepath.Join("..", "..", "internal", "rpm", "testdata")
)

// refused are what can't be converted, and why.
var refused = map[string]error{
	"stripped.elf.zst": ErrNoDWARF,
	"split.elf.zst":    errSplit,
	"empty.deb":        errNoVmlinux,

	"reduced-g1.elf.zst":       ErrReduced,
	"reduced-baseonly.elf.zst": ErrReduced,
	"README.md":                ErrFormat,
}

func TestRefused(t *testing.T) {
	for name, want := range refused {
		f, err := ConvertFile(context.Background(), filepath.Join("testdata", name), nil)
		if f != nil || !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	boot := make([]byte, 1<<12)
	copy(boot[0x202:], "HdrS")
	arm := make([]byte, 64)
	copy(arm[56:], "ARM\x64")
	truncated := unpacked(t, "gcc5.elf")
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"a bzImage", boot, ErrBootImage},
		{"an Image of arm64", arm, ErrBootImage},
		{"nothing", nil, ErrFormat},
		{"the first half of a kernel", truncated[:len(truncated)/2], errELF},
	} {
		if _, err := Convert(context.Background(), bytes.NewReader(c.file), int64(len(c.file)), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(name); err == nil && bytes.HasPrefix(b, []byte(elf.ELFMAG)) {
		if _, err := ConvertFile(context.Background(), name, nil); !errors.Is(err, ErrNotKernel) && !errors.Is(err, ErrNoDWARF) {
			t.Errorf("the test's own program: %v, want %v", err, ErrNotKernel)
		}
	}
}

// TestEverySample fails for files in testdata that no test looks at.
func TestEverySample(t *testing.T) {
	used := []string{"gcc5-nosymtab.elf", "odd-gcc5.elf", "odd-clang5.elf"}
	for _, s := range samples {
		used = append(used, s.name)
	}
	for name := range refused {
		used = append(used, strings.TrimSuffix(name, ".zst"))
	}
	for _, name := range sampleNames(t) {
		if !slices.Contains(used, name) {
			t.Errorf("%s is of no use", name)
		}
	}
}

// systemMap is what nm says of gcc5.elf.
func systemMap(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "gcc5.map"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func convertWithMap(t *testing.T, name, text string) *isf.File {
	t.Helper()
	b := unpacked(t, name)
	opts := &Options{Name: name, SystemMap: strings.NewReader(text), SystemMapName: "System.map", Warn: func(err error) { t.Error(err) }}
	f, err := Convert(context.Background(), bytes.NewReader(b), int64(len(b)), opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// symbolsOf returns address and type of each symbol.
func symbolsOf(f *isf.File) map[string]isf.Symbol {
	m := map[string]isf.Symbol{}
	for s := range f.Symbols() {
		m[s.Name] = isf.Symbol{Address: s.Address, Type: s.Type}
	}
	return m
}

// TestNoSymtab converts a file whose symbols are those of its DWARF alone: the same,
// but for what only the linker and the assembler know.
func TestNoSymtab(t *testing.T) {
	want := symbolsOf(convertSample(t, "gcc5.elf"))
	f := convertSample(t, "gcc5-nosymtab.elf")
	got := symbolsOf(f)
	for name := range want {
		if !inC(name) || name == "outside" || name == "alias" || strings.Contains(name, ".") {
			delete(want, name)
		}
	}
	// What is static in a function, and the second of two that are static in their files.
	delete(want, "twin")
	delete(got, "twin")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-with +without a symbol table):\n%s", diff)
	}
	if f.Banner() == "" {
		t.Error("no banner")
	}
}

// TestSystemMap adds a System.map to a file without a symbol table: the symbols are
// those that the table would have given, with their types.
func TestSystemMap(t *testing.T) {
	plain := convertSample(t, "gcc5.elf")
	want := symbolsOf(plain)
	f := convertWithMap(t, "gcc5-nosymtab.elf", systemMap(t))
	if diff := cmp.Diff(want, symbolsOf(f)); diff != "" {
		t.Errorf("(-symbol table +System.map):\n%s", diff)
	}
	if f.Banner() != plain.Banner() {
		t.Errorf("banner %q", f.Banner())
	}
	m := f.Metadata()
	if len(m.Symbols) != 2 || m.Symbols[1] != (isf.Source{Kind: "system-map", Name: "System.map"}) {
		t.Errorf("symbols of %v", m.Symbols)
	}
}

// TestSystemMapOverrides moves a symbol, and adds one. What is moved keeps its type, and
// nothing else changes.
func TestSystemMapOverrides(t *testing.T) {
	want := symbolsOf(convertSample(t, "gcc5.elf"))
	moved := want["init_outer"]
	if moved.Type == nil {
		t.Fatal("init_outer has no type")
	}
	moved.Address = 0xffffffffc0001000
	want["init_outer"] = moved
	want["added"] = isf.Symbol{Address: 0xffffffffc0002000}
	got := symbolsOf(convertWithMap(t, "gcc5.elf", "ffffffffc0001000 D init_outer\nffffffffc0002000 d added\n\nffffffffc0003000 t left_out\t[module]\n"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSystemMapRefused(t *testing.T) {
	for _, text := range []string{"", "\n", "no map\n", "zzz T name\n", "ffffffff81000000 T\n", "ffffffff81000000 Text name\n"} {
		b := unpacked(t, "gcc5.elf")
		opts := &Options{SystemMap: strings.NewReader(text)}
		if _, err := Convert(context.Background(), bytes.NewReader(b), int64(len(b)), opts); !errors.Is(err, errSystemMap) {
			t.Errorf("%q: %v, want %v", text, err, errSystemMap)
		}
	}
}

// TestIrregular: a directory is refused, and so is a pipe, which nobody writes to.
func TestIrregular(t *testing.T) {
	dir := t.TempDir()
	names := []string{dir}
	if fifo := filepath.Join(dir, "fifo"); exec.CommandContext(t.Context(), "mkfifo", fifo).Run() == nil {
		names = append(names, fifo)
	}
	for _, name := range names {
		done := make(chan error, 1)
		go func() {
			_, err := ConvertFile(t.Context(), name, nil)
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: it waits", name)
		}
	}
}

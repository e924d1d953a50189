package btfconv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// exportsStart is where the tables start in testdata/ksymtab/ksymtab.bin.
const exportsStart = 12

func wantExports(t testing.TB) []kernelSymbol {
	t.Helper()
	var want []kernelSymbol
	for line := range strings.Lines(string(readTestFile(t, "testdata/ksymtab/symbols.txt"))) {
		s := kernelSymbol{kind: 'R'}
		if _, err := fmt.Sscanf(line, "%x %s", &s.addr, &s.name); err != nil {
			t.Fatal(err)
		}
		want = append(want, s)
	}
	return want
}

func TestExports(t *testing.T) {
	t.Parallel()
	window := readTestFile(t, "testdata/ksymtab/ksymtab.bin")
	at, ok := searchExports(window)
	if !ok || at != exportsStart {
		t.Fatalf("found %v at %#x, want %#x", ok, at, exportsStart)
	}
	table := parseExports(window[at:], fixtureAddr+uint64(at), 0)
	if diff := gocmp.Diff(wantExports(t), table.symbols, exportKernelSymbol); diff != "" {
		t.Error(diff)
	}
	if err := table.check(window[at:]); err != nil {
		t.Error(err)
	}
}

// A table that was cut short, or of which a part is overwritten, is not found or
// doesn't pass the check.
func TestExportsDamaged(t *testing.T) {
	t.Parallel()
	const block = 128
	whole := readTestFile(t, "testdata/ksymtab/ksymtab.bin")[exportsStart:]
	want := wantExports(t)
	random := rand.New(rand.NewPCG(1, 2))
	for at := 0; at+block <= len(whole); at += block {
		for _, fill := range fillings(whole, block, random) {
			window := slices.Clone(whole)
			copy(window[at:], fill)
			table := parseExports(window, fixtureAddr+exportsStart, 0)
			if table.check(window) != nil || len(table.symbols) < minExports {
				continue
			}
			if diff := gocmp.Diff(want, table.symbols, exportKernelSymbol); diff != "" {
				t.Errorf("block at %#x of %#x: %s", at, len(window), diff)
			}
		}
	}
}

func FuzzKsymtab(f *testing.F) {
	f.Add(readTestFile(f, "testdata/ksymtab/ksymtab.bin"))
	f.Fuzz(func(t *testing.T, window []byte) {
		at, ok := searchExports(window)
		if !ok {
			return
		}
		table := parseExports(window[at:], fixtureAddr, 0)
		if len(table.symbols) < minExports || table.end != len(table.symbols)*ksymSize {
			t.Fatalf("%d symbols in %d bytes", len(table.symbols), table.end)
		}
		if err := table.check(window[at:]); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}

func TestParseSymbols(t *testing.T) {
	t.Parallel()
	const running = "ffffffff9a000000 T _text\n0000000000000000 A fixed_percpu_data\nffffffff9a000010 t x\n" +
		"ffffffffc0000000 t init_module\t[lab]\n\nffffffff9b000000 D init_task\n"
	got, err := parseSymbols(strings.NewReader(running))
	if err != nil {
		t.Fatal(err)
	}
	want := []kernelSymbol{
		{"_text", 0xffffffff9a000000, 'T'}, {"fixed_percpu_data", 0, 'A'}, {"x", 0xffffffff9a000010, 't'},
		{"init_task", 0xffffffff9b000000, 'D'},
	}
	if diff := gocmp.Diff(want, got, exportKernelSymbol); diff != "" {
		t.Error(diff)
	}
}

func TestParseSymbolsMalformed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"hidden":        {"0000000000000000 T _text\n0000000000000000 D init_task\n", ErrNotFound},
		"empty":         {"", ErrNotFound},
		"two words":     {"ffffffff9a000000 T\n", ErrDamaged},
		"no address":    {"_text T ffffffff9a000000\n", ErrDamaged},
		"a placeholder": {"ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n", ErrDamaged},
		"binary":        {string(bytes.Repeat([]byte{0, 1}, 100)), ErrDamaged},
	} {
		if _, err := parseSymbols(strings.NewReader(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// The addresses of a database are those that the kernel was linked with.
// Types of something other than the kernel that the symbols are of are told to be so.
func TestConvertNoKernelTypes(t *testing.T) {
	t.Parallel()
	symbols := "ffffffff81000000 T _text\nffffffff82000000 D init_task\n"
	f, err := Convert(bytes.NewReader(readTestFile(t, "testdata/btf/kinds.btf")), strings.NewReader(symbols), nil)
	if err != nil {
		t.Fatal(err)
	}
	if lost := f.Lost(); len(lost) != 1 || !errors.Is(lost[0], ErrNotFound) || !strings.Contains(lost[0].Error(), "task_struct") {
		t.Errorf("lost %v", lost)
	}
}

func TestConvertShift(t *testing.T) {
	t.Parallel()
	const moved = "ffffffff9a000000 T _text\nffffffff9c000000 D init_task\n0000000000001000 A cpu_tss_rw\n"
	const elsewhere = "0000000000200040 A phys_startup_64\nffffffff80200000 T _text\nffffffff80200040 T startup_64\nffffffff82200000 D init_task\n"
	btf := readTestFile(t, "testdata/btf/kinds.btf")
	for _, c := range []struct {
		name, text string
		shift      uint64
		want       map[string]uint64
	}{
		{"KASLR", moved, 0, map[string]uint64{"_text": 0xffffffff81000000, "init_task": 0xffffffff83000000, "cpu_tss_rw": 0x1000}},
		{"named shift", moved, 0x18000000, map[string]uint64{"_text": 0xffffffff82000000, "init_task": 0xffffffff84000000, "cpu_tss_rw": 0x1000}},
		{"linked elsewhere", elsewhere, 0, map[string]uint64{
			"_text": 0xffffffff80200000, "startup_64": 0xffffffff80200040, "init_task": 0xffffffff82200000, "phys_startup_64": 0x200040,
		}},
	} {
		f, err := Convert(bytes.NewReader(btf), strings.NewReader(c.text), &Options{KASLRShift: c.shift})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := map[string]uint64{}
		for s := range f.Symbols() {
			got[s.Name] = s.Address
		}
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

package btfconv

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
)

// A fixture is what scripts/kallsyms of one kernel wrote for a System.map.
type fixture struct {
	name  string
	names int // index of kallsyms_names
	text  bool
	short bool // without long names, which came with 6.1
	mode  offsetMode
}

// See testdata/README.md.
var fixtures = []fixture{
	{name: "5.10-all", names: 0x1410, short: true, mode: absolutePerCPU},
	{name: "6.1-text", names: 0x11b0, text: true, mode: absolutePerCPU},
	{name: "6.12-all", names: 8, mode: absolutePerCPU},
	{name: "6.12-uniprocessor", names: 8, mode: baseRelative},
	{name: "7.2-all", names: 4, mode: pcRelative},
	{name: "7.2-text", names: 4, text: true, mode: pcRelative},
}

const (
	fixtureAddr = 0xffffffff82000000
	fixturePad  = 16 // bytes before the tables
)

func (x *fixture) window(t testing.TB) []byte {
	t.Helper()
	return append(make([]byte, fixturePad), readTestFile(t, "testdata/kallsyms/"+x.name+".bin")...)
}

// decode locates and decodes the tables of a fixture.
func (x *fixture) decode(window []byte) ([]kernelSymbol, []uint32, *kallsymsTable, error) {
	table, err := locateKallsyms(window, fixtureAddr-fixturePad, x.names+fixturePad)
	if err != nil {
		return nil, nil, nil, err
	}
	symbols, byName, err := table.decode()
	return symbols, byName, table, err
}

// want returns the part of the System.map that the tables are of.
func (x *fixture) want(t testing.TB) []kernelSymbol {
	t.Helper()
	all, err := parseSymbols(bytes.NewReader(readTestFile(t, "testdata/kallsyms/System.map")))
	if err != nil {
		t.Fatal(err)
	}
	table := newSymbolTable(all, nil)
	within := func(a uint64, from, to string) bool {
		low, _ := table.find(from)
		high, _ := table.find(to)
		return a >= low && a <= high
	}
	for i := range all {
		if all[i].addr < startKernelMap {
			all[i].kind = 'A' // make_percpus_absolute
		}
	}
	return slices.DeleteFunc(all, func(s kernelSymbol) bool {
		inText := within(s.addr, "_stext", "_etext") || within(s.addr, "_sinittext", "_einittext")
		return x.short && len(s.name) >= 120 || x.mode != absolutePerCPU && s.addr < startKernelMap || x.text && !inText
	})
}

// sortLoosely sorts symbols by address and, where several share one, by name: in
// which order the tool has those, it doesn't say.
func sortLoosely(symbols []kernelSymbol) []kernelSymbol {
	slices.SortFunc(symbols, func(a, b kernelSymbol) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.name, b.name))
	})
	return symbols
}

var exportKernelSymbol = gocmp.AllowUnexported(kernelSymbol{})

func TestKallsyms(t *testing.T) {
	t.Parallel()
	for _, x := range fixtures {
		t.Run(x.name, func(t *testing.T) {
			symbols, byName, table, err := x.decode(x.window(t))
			if err != nil {
				t.Fatal(err)
			}
			if table.mode != x.mode {
				t.Errorf("mode %d, want %d", table.mode, x.mode)
			}
			if byName != nil && !slices.IsSortedFunc(byName, func(a, b uint32) int { return strings.Compare(symbols[a].name, symbols[b].name) }) {
				t.Error("not in the order of the names")
			}
			if (byName == nil) != x.short {
				t.Errorf("order of names: %v", byName != nil)
			}
			if diff := gocmp.Diff(sortLoosely(x.want(t)), sortLoosely(symbols), exportKernelSymbol); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever block of the tables is overwritten, what comes out is an error or
// what would have come out.
func TestKallsymsDamaged(t *testing.T) {
	t.Parallel()
	const block, step = 1024, 256 // longer than a name
	random := rand.New(rand.NewPCG(1, 2))
	for _, x := range fixtures {
		window := x.window(t)
		want, _, _, err := x.decode(window)
		if err != nil {
			t.Fatal(err)
		}
		wrong := 0
		for at := fixturePad; at+block <= len(window); at += step {
			for _, fill := range fillings(window, block, random) {
				b := slices.Clone(window)
				copy(b[at:], fill)
				got, _, _, err := x.decode(b)
				if err == nil && !slices.Equal(got, want) {
					wrong++
					t.Logf("%s: block at %#x of %#x", x.name, at-fixturePad, len(window))
				}
			}
		}
		if wrong > 0 {
			t.Errorf("%s: %d damaged tables were taken for whole ones", x.name, wrong)
		}
	}
}

// A part of the order of names that was overwritten costs nothing: it can be made again.
func TestKallsymsOrderDamaged(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for _, x := range fixtures {
		window := x.window(t)
		want, order, table, err := x.decode(window)
		if err != nil {
			t.Fatal(err)
		}
		if order == nil {
			continue
		}
		for _, at := range []int{table.seqs, table.seqs + 3*table.num/2, table.seqs + 3*table.num - 600} {
			for i, fill := range fillings(window, 600, random) {
				b := slices.Clone(window)
				copy(b[at:], fill)
				got, _, _, err := x.decode(b)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: filling %d at %#x of %#x: %v", x.name, i, at-table.seqs, 3*table.num, err)
				}
			}
		}
	}
}

// fillings returns what a block of memory may be overwritten with.
func fillings(window []byte, size int, random *rand.Rand) [][]byte {
	noise := make([]byte, size)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	other := random.IntN(len(window) - size)
	return [][]byte{make([]byte, size), bytes.Repeat([]byte{0xff}, size), noise, window[other : other+size]}
}

func TestKallsymsCutShort(t *testing.T) {
	t.Parallel()
	step := 77
	if testimages.Thorough() {
		step = 7
	}
	for _, x := range fixtures {
		window := x.window(t)
		for n := 0; n < len(window); n += step {
			if _, _, _, err := x.decode(window[:n]); err == nil {
				t.Fatalf("%s: no error for %d bytes of %d", x.name, n, len(window))
			}
		}
	}
}

func FuzzKallsyms(f *testing.F) {
	for _, x := range fixtures {
		f.Add(x.window(f), x.names+fixturePad)
	}
	f.Fuzz(func(t *testing.T, window []byte, names int) {
		table, err := locateKallsyms(window, fixtureAddr-fixturePad, names)
		if err != nil {
			return
		}
		symbols, byName, err := table.decode()
		if err != nil {
			return
		}
		if len(symbols) != table.num || byName != nil && len(byName) != table.num {
			t.Fatalf("%d symbols, %d in order, of %d", len(symbols), len(byName), table.num)
		}
		last := uint64(0)
		for _, s := range symbols {
			if s.addr < last || s.name == "" {
				t.Fatalf("%q at %#x after %#x", s.name, s.addr, last)
			}
			last = s.addr
		}
	})
}

func BenchmarkKallsyms(b *testing.B) {
	x := fixtures[2]
	window := x.window(b)
	b.SetBytes(int64(len(window)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := x.decode(window); err != nil {
			b.Fatal(err)
		}
	}
}

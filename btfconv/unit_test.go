package btfconv

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestLinkedAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config string
		want   uint64
		ok     bool
	}{
		{"# x\nCONFIG_PHYSICAL_START=0x1000000\nCONFIG_PHYSICAL_ALIGN=0x200000\n", 0xffffffff81000000, true},
		{"\nCONFIG_PHYSICAL_START=0x100000\nCONFIG_PHYSICAL_ALIGN=0x1000000\n", 0xffffffff81000000, true},
		{"\nCONFIG_PHYSICAL_START=0x4000000\nCONFIG_PHYSICAL_ALIGN=0x200000\n", 0xffffffff84000000, true},
		{"\nCONFIG_PHYSICAL_START=0x1000000\n", 0, false},
		{"\nCONFIG_PHYSICAL_START=0x1000000\nCONFIG_PHYSICAL_ALIGN=3\n", 0, false},
		{"", 0, false},
	} {
		if got, ok := linkedAt([]byte(c.config)); got != c.want || ok != c.ok {
			t.Errorf("%q: %#x, %v, want %#x, %v", c.config, got, ok, c.want, c.ok)
		}
	}
}

func TestLayouts(t *testing.T) {
	t.Parallel()
	btf, err := parseBTF(readTestFile(t, "testdata/btf/kinds.btf"), nil, btfPlace{})
	if err != nil {
		t.Fatal(err)
	}
	l := newLayouts(btf)
	for _, c := range []struct {
		typ, path string
		want      uint64
		ok        bool
	}{
		{"all", "number", 8, true},
		{"all", "high", 242, true},
		{"all", "named.inner", 244, true},
		{"all", "again.prev", 184, true},
		{"bits", "d", 8, true},
		{"all", "missing", 0, false},
		{"all", "number.x", 0, false},
		{"missing", "x", 0, false},
	} {
		if got, ok := l.offset(c.typ, c.path); got != c.want || ok != c.ok {
			t.Errorf("%s.%s: %d, %v, want %d, %v", c.typ, c.path, got, ok, c.want, c.ok)
		}
	}
	if size, ok := l.size("all"); size != 256 || !ok {
		t.Errorf("size %d, %v", size, ok)
	}
}

func TestMissingError(t *testing.T) {
	t.Parallel()
	const help = "an ISF file of exactly this kernel, or one made from its vmlinux with debug information, would help"
	for _, c := range []struct {
		err  MissingError
		want string
	}{
		{
			MissingError{Part: PartBTF, Release: "6.6.87+", BuildID: "e0c9", Err: ErrNotFound},
			"btfconv: kernel 6.6.87+ (build id e0c9): no usable BTF in the image: not found; " + help +
				", as would /sys/kernel/btf/vmlinux with /proc/kallsyms of a machine that runs it",
		},
		{
			MissingError{Part: PartKallsyms, Err: ErrDamaged},
			"btfconv: unknown kernel: no usable kallsyms in the image: damaged; " + help +
				", as would System.map or /proc/kallsyms of a machine that runs it, with its BTF",
		},
		{
			MissingError{Part: PartInitTask, Release: "6.1.0", Err: ErrDamaged},
			"btfconv: kernel 6.1.0: no usable init_task in the image: damaged; " + help,
		},
	} {
		if c.err.Error() != c.want || !errors.Is(&c.err, c.err.Err) {
			t.Errorf("%q, want %q", c.err.Error(), c.want)
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	c := clock{seconds: 8, nanoseconds: 16, real: 32}
	keeper := func(sec, nsec, offset int64) []byte {
		b := make([]byte, 40)
		for i, v := range map[uint64]int64{c.seconds: sec, c.nanoseconds: nsec, c.real: offset} {
			binary.LittleEndian.PutUint64(b[i:], uint64(v))
		}
		return b
	}
	for _, x := range []struct {
		name              string
		sec, nsec, offset int64
		want              bool
	}{
		{"set", -1_790_000_000, 250_000_000, 1_789_999_999_750_000_000, true},
		{"off by a nanosecond", -1_790_000_000, 250_000_000, 1_789_999_999_750_000_001, false},
		{"not set", 0, 0, 0, false},
		{"too many nanoseconds", -1_790_000_000, 1_000_000_000, 1_789_999_999_000_000_000, false},
	} {
		if got := c.isAt(keeper(x.sec, x.nsec, x.offset)); got != x.want {
			t.Errorf("%s: %v", x.name, got)
		}
	}
}

// Of several symbols with one name, a global one stays, else the lowest; what a
// table has is not replaced.
func TestSymbolTable(t *testing.T) {
	t.Parallel()
	table := newSymbolTable([]kernelSymbol{
		{"b", 3, 't'}, {"a", 1, 't'}, {"b", 4, 'T'}, {"b", 2, 't'}, {"c", 9, 'd'}, {"c", 5, 'd'},
	}, nil)
	table.add([]kernelSymbol{{"c", 7, 'R'}, {"d", 8, 'R'}, {"aa", 6, 'R'}})
	want := []kernelSymbol{{"a", 1, 't'}, {"aa", 6, 'R'}, {"b", 4, 'T'}, {"c", 5, 'd'}, {"d", 8, 'R'}}
	if diff := gocmp.Diff(want, table.sorted, exportKernelSymbol); diff != "" {
		t.Error(diff)
	}
}

// Words are read from the kernel's image, or through the direct map.
func TestFinderWord(t *testing.T) {
	t.Parallel()
	const text, base = 0xffffffff9a000000, 0xffff888000000000
	le := binary.LittleEndian
	mem := &patched{emptyMemory(8 << 20), 2 << 20, slices.Concat(le.AppendUint64(nil, base), le.AppendUint64(nil, 7))}
	s := &search{mem: mem, image: kernelImage{mem: mem, text: text, phys: 2 << 20}, symbols: &symbolTable{}}
	f := &finder{search: s}
	if _, err := f.word(base); !errors.Is(err, ErrNotFound) {
		t.Errorf("without page_offset_base: %v", err)
	}
	s.symbols.add([]kernelSymbol{{"page_offset_base", text, 'D'}})
	for va, want := range map[uint64]uint64{text + 8: 7, base + 2<<20 + 8: 7, base: 0} {
		if got, err := f.word(va); got != want || err != nil {
			t.Errorf("%#x: %#x, %v, want %#x", va, got, err, want)
		}
	}
	for _, va := range []uint64{base - 8, base + 8<<20, text + 8<<20, text + kernelImageMax} {
		if _, err := f.word(va); err == nil {
			t.Errorf("%#x: no error", va)
		}
	}
}

package image

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/raw"
	"github.com/nodelens/nodelens/vmem"
)

// asked counts how often it is asked for symbols, and has none.
type asked struct{ times int }

var errNoSymbols = errors.New("no symbols")

func (a *asked) Symbols(context.Context, vmem.Memory) (*isf.File, string, error) {
	a.times++
	return nil, "", errNoSymbols
}

// A file that unpacks to much in which there is no sign of a kernel is gone through once: no
// symbols are looked for. One in which there is a sign, wherever that is, is searched as before.
func TestBombWithoutSign(t *testing.T) {
	t.Parallel()
	const size = 3<<20 + 100
	header := encode(0x4C694D45, uint32(1), uint64(0x100000), uint64(0x100000+size-1), uint64(0))
	for name, test := range map[string]struct {
		sign string
		at   int
		want int
	}{
		"none":                {"", 0, 0},
		"banner":              {"Linux version ", 77, 1},
		"across two reads":    {"swapper", signChunk - 3, 1},
		"the last bytes":      {"OSRELEASE=", size - 10, 1},
		"a part of one alone": {"Linux versio", 4096, 0},
	} {
		memory := bytes.Repeat([]byte{0xfe, 1, 2, 3}, size/4)
		copy(memory[test.at:], test.sign)
		var opts Options
		raw := packedBy(t, "zstd", memory)
		a := new(asked)
		opts.Symbols = a
		if f, err := NewFile(t.Context(), bytes.NewReader(raw), int64(len(raw)), &opts); f != nil || !errors.Is(err, ErrFormat) || a.times != test.want {
			t.Errorf("%s, no header: %v, %v, asked %d times, want %d", name, f, err, a.times, test.want)
		}
		lime := packedBy(t, "gzip", append(bytes.Clone(header), memory...))
		f, err := NewFile(t.Context(), bytes.NewReader(lime), int64(len(lime)), nil)
		if err != nil {
			t.Fatal(err)
		}
		a = new(asked)
		opts.Symbols = a
		_, err = OpenKernel(t.Context(), f, &opts)
		if want := map[int]error{0: linux.ErrNoKernel, 1: errNoSymbols}[test.want]; !errors.Is(err, want) || a.times != test.want {
			t.Errorf("%s, LiME: %v, asked %d times, want %d", name, err, a.times, test.want)
		}
	}
}

// Where much is unpacked whose pages repeat each other it is no memory, whatever signs are in it;
// free memory, of one word over and over, is.
func TestBombWithSign(t *testing.T) {
	t.Parallel()
	const size, much = 96 << 20, 32 << 20
	page := make([]byte, vmem.PageSize)
	for i := range page {
		page[i] = byte(i * i >> 3)
	}
	for name, test := range map[string]struct {
		unit []byte
		sign string
		size int
		want error
	}{
		"pages":              {page, "Linux version ", size, errRepeated},
		"pages, not so much": {page, "Linux version ", much - 4096, nil},
		"poison":             {bytes.Repeat([]byte{0xaa}, vmem.PageSize), "Linux version ", size, nil},
		"poison, no sign":    {bytes.Repeat([]byte{0xaa}, vmem.PageSize), "", size, errNoSign},
	} {
		b := bytes.Repeat(test.unit, test.size/len(test.unit))
		copy(b, test.sign)
		f, err := raw.NewFile(bytes.NewReader(b), int64(len(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := findSign(t.Context(), f, 10_000, much); !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

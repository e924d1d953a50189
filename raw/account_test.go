package raw

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

// seen is all that a file shows: of each range the address, the size and the content.
func seen(t *testing.T, f *File, seed maphash.Seed) string {
	t.Helper()
	var all strings.Builder
	for _, r := range f.Ranges() {
		b := make([]byte, r.Size)
		if n, err := f.ReadAt(b, int64(r.Start)); n != len(b) || err != nil {
			t.Fatalf("%v: %d bytes, %v", r, n, err)
		}
		fmt.Fprintf(&all, "%v %x ", r, maphash.Bytes(seed, b))
	}
	return all.String()
}

// told reports whether a gap tells of a byte of the file: that it has no address, or that other bytes have its memory.
func told(f *File, at int64, regions []Region) bool {
	for _, g := range f.Gaps() {
		var n int64
		if _, err := fmt.Sscanf(g.Err.Error(), "%d bytes", &n); err != nil {
			continue
		}
		if from := g.Place.Offset; errors.Is(g, ErrNoAddress) && at >= from && at < from+n {
			return true
		}
		for i, r := range regions {
			if errors.Is(g, ErrOverlap) && g.Place.Offset == r.Offset && at >= r.Offset && at < r.Offset+int64(r.Range.Size) && hides(regions[:i], r, at) {
				return true
			}
		}
	}
	return false
}

// hides reports whether regions have the memory of a byte of a region behind them.
func hides(before []Region, r Region, at int64) bool {
	for _, b := range before {
		if b.Range.Contains(r.Range.Start + vmem.PhysAddr(at-r.Offset)) {
			return true
		}
	}
	return false
}

// Each byte of a file is memory that can be read, so that another value there is seen, or a gap tells of it: whatever the regions are,
// and whether what is outside of RAM counts.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	ram := []physRange{span(0x1000, 0x2800), span(0x5000, 0x6000)}
	machine := Machine{RAM: ram, Known: []Place{{0x200, 0x1200}}}
	for name, tt := range map[string]struct {
		size    int
		regions []Region
		ram     []physRange
	}{
		"one":                       {0x6000, nil, nil},
		"of RAM":                    {0x6123, nil, ram},
		"of no RAM":                 {0x5000, nil, []physRange{}},
		"a hole in the file":        {0x6000, []Region{{span(0x10000, 0x12000), 0}, {span(0x20000, 0x22000), 0x3000}}, nil},
		"from the midst on":         {0x4321, []Region{{span(0x1000, 0x5000), 0x321}}, ram},
		"cut off":                   {0x2345, []Region{{span(0, 0x2000), 0}, {span(0x4000, 0x8000), 0x2000}}, nil},
		"backwards":                 {0x4000, []Region{{span(0x8000, 0xa000), 0x2000}, {span(0, 0x2000), 0}}, nil},
		"the same memory":           {0x4000, []Region{{span(0x1000, 0x3000), 0}, {span(0x1000, 0x3000), 0x2000}}, nil},
		"some memory twice":         {0x5000, []Region{{span(0x1800, 0x2800), 0x1000}, {span(0x1000, 0x4000), 0x2000}, {span(0, 0x1001), 0}}, nil},
		"twice, and not RAM":        {0x4000, []Region{{span(0x1000, 0x3000), 0}, {span(0x2000, 0x4000), 0x2000}}, ram},
		"the same bytes":            {0x2000, []Region{{span(0x1000, 0x3000), 0}, {span(0x7000, 0x9000), 0}}, nil},
		"ranges behind one another": {0x2800, layout(t, 0x2800, machine), ram},
		"cut off in a range of RAM": {0x2000, layout(t, 0x2000, machine), ram},
	} {
		file := content(tt.size)
		clear(file[tt.size/3 : tt.size/2]) // outside of RAM this is no memory, until there is something
		opts := &Options{Regions: tt.regions, RAM: tt.ram}
		seed := maphash.MakeSeed()
		before := seen(t, open(t, file, opts), seed)
		for at := 0; at < tt.size; at = next(at, tt.size) {
			b := bytes.Clone(file)
			b[at] ^= 0x10
			f := open(t, b, opts)
			if now := seen(t, f, seed); now == before && !told(f, int64(at), tt.regions) {
				t.Errorf("%s: byte %#x is neither memory of %v nor in a gap: %v", name, at, f.Ranges(), f.Gaps())
				break
			}
		}
	}
}

// next returns the next byte to try: all at the ends of pages, and some between.
func next(at, size int) int {
	if n := at % vmem.PageSize; n < 4 || n > vmem.PageSize-4 || at > size-4 {
		return at + 1
	}
	return min(at+101, at-at%vmem.PageSize+vmem.PageSize-3)
}

func layout(t *testing.T, size int64, m Machine) []Region {
	t.Helper()
	l, err := FindLayout(size, m)
	if err != nil {
		t.Fatal(err)
	}
	return l.Regions
}

package extent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/vmem"
)

type physRange = vmem.Range[vmem.PhysAddr]

func ext(start, size uint64, off int64) Extent {
	return Extent{Range: physRange{Start: vmem.PhysAddr(start), Size: size}, Offset: off}
}

func mustNew(t testing.TB, records []Extent) *Table {
	t.Helper()
	tab, err := New(records)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestNew(t *testing.T) {
	tests := []struct {
		name    string
		records []Extent
		extents []Extent
		ranges  []physRange
	}{
		{"none", nil, nil, nil},
		{"empty record", []Extent{ext(4, 0, 9)}, nil, nil},
		{"any order", []Extent{ext(8, 2, 0), ext(0, 2, 2)}, []Extent{ext(0, 2, 2), ext(8, 2, 0)},
			[]physRange{{Start: 0, Size: 2}, {Start: 8, Size: 2}}},
		{"adjacent", []Extent{ext(0, 2, 32), ext(2, 2, 66)}, []Extent{ext(0, 2, 32), ext(2, 2, 66)},
			[]physRange{{Start: 0, Size: 4}}},
		{"adjacent in the source too", []Extent{ext(0, 2, 32), ext(2, 2, 34)}, []Extent{ext(0, 4, 32)},
			[]physRange{{Start: 0, Size: 4}}},
		{"first wins over one that starts before", []Extent{ext(2, 4, 100), ext(0, 4, 200)},
			[]Extent{ext(0, 2, 200), ext(2, 4, 100)}, []physRange{{Start: 0, Size: 6}}},
		{"first wins inside a larger one", []Extent{ext(2, 2, 100), ext(0, 8, 200)},
			[]Extent{ext(0, 2, 200), ext(2, 2, 100), ext(4, 4, 204)}, []physRange{{Start: 0, Size: 8}}},
		{"inside the first", []Extent{ext(0, 8, 100), ext(2, 2, 200)}, []Extent{ext(0, 8, 100)},
			[]physRange{{Start: 0, Size: 8}}},
		{"the top of physical memory", []Extent{ext(Limit-1, 1, 0)}, []Extent{ext(Limit-1, 1, 0)},
			[]physRange{{Start: Limit - 1, Size: 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := mustNew(t, tt.records)
			if d := cmp.Diff(tt.extents, tab.extents); d != "" {
				t.Errorf("extents (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.ranges, tab.Ranges(), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("ranges (-want +got):\n%s", d)
			}
		})
	}
}

// Of each record how many bytes the table has not, whatever hides them.
func TestOverlaps(t *testing.T) {
	for range 300 {
		var records []Extent
		size := make(map[int]uint64)
		for i := range rand.IntN(8) {
			records = append(records, ext(rand.Uint64N(40), rand.Uint64N(20), int64(1000*i)))
			size[i] = records[i].Range.Size
		}
		tab := mustNew(t, records)
		for _, e := range tab.extents {
			size[int(e.Offset/1000)] -= e.Range.Size
		}
		var want []Overlap
		for i := range records {
			if size[i] > 0 {
				want = append(want, Overlap{i, size[i]})
			}
		}
		if d := cmp.Diff(want, tab.Overlaps(), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%v (-want +got):\n%s", records, d)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		record Extent
		want   string
	}{
		{ext(Limit, 1, 0), "52 bits"},
		{ext(Limit-1, 2, 0), "52 bits"},
		{ext(^uint64(0), 2, 0), "52 bits"},
		{ext(1, ^uint64(0), 0), "52 bits"},
		{ext(0, 1, -1), "source offset"},
		{ext(0, 2, 1<<63-2), "source offset"},
	}
	for _, tt := range tests {
		if _, err := New([]Extent{tt.record}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%v) = %v, want an error with %q", tt.record, err, tt.want)
		}
	}
}

// oracle is the obvious implementation: for each address, the source offset of
// its byte, or -1.
type oracle [48]int64

func newOracle(records []Extent) *oracle {
	var o oracle
	for a := range o {
		o[a] = -1
		for _, r := range records {
			if r.Range.Contains(vmem.PhysAddr(a)) {
				o[a] = r.Offset + int64(a) - int64(r.Range.Start)
				break
			}
		}
	}
	return &o
}

func (o *oracle) ranges() []physRange {
	var rs []physRange
	for a, off := range o {
		switch {
		case off < 0:
		case a > 0 && o[a-1] >= 0:
			rs[len(rs)-1].Size++
		default:
			rs = append(rs, physRange{Start: vmem.PhysAddr(a), Size: 1})
		}
	}
	return rs
}

func (o *oracle) read(src []byte, from, n int) (got []byte, whole bool) {
	for a := from; a < from+n; a++ {
		if a >= len(o) || o[a] < 0 {
			return got, false
		}
		got = append(got, src[o[a]])
	}
	return got, true
}

func randomRecords(rng *rand.Rand) []Extent {
	var records []Extent
	for range rng.IntN(9) {
		start := rng.Uint64N(44)
		records = append(records, ext(start, rng.Uint64N(min(13, 49-start)), rng.Int64N(200)))
	}
	return records
}

func TestAgainstOracle(t *testing.T) {
	src := make([]byte, 256)
	for i := range src {
		src[i] = byte(i)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		records := randomRecords(rng)
		tab, want := mustNew(t, records), newOracle(records)
		if d := cmp.Diff(want.ranges(), tab.Ranges(), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%v: ranges (-want +got):\n%s", records, d)
		}
		for from := range len(want) + 1 {
			n := rng.IntN(len(want) + 2)
			checkRead(t, tab, want, src, from, n)
		}
	}
}

func checkRead(t *testing.T, tab *Table, o *oracle, src []byte, from, n int) {
	t.Helper()
	want, whole := o.read(src, from, n)
	p := make([]byte, n)
	got, err := tab.ReadAt(bytes.NewReader(src), p, int64(from))
	if !bytes.Equal(p[:got], want) {
		t.Fatalf("ReadAt(%d bytes, %d) = % x, want % x", n, from, p[:got], want)
	}
	if whole != (err == nil) || !whole && !errors.Is(err, vmem.ErrNotCaptured) {
		t.Fatalf("ReadAt(%d bytes, %d): error %v after %d bytes", n, from, err, got)
	}
}

func TestReadAtSourceErrors(t *testing.T) {
	tab := mustNew(t, []Extent{ext(0x10, 8, 4)})
	read := func(src io.ReaderAt, off int64) (int, error) { return tab.ReadAt(src, make([]byte, 8), off) }

	n, err := read(strings.NewReader("1234567"), 0x10)
	if n != 3 || !errors.Is(err, vmem.ErrNotCaptured) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("source that ends early: %d, %v", n, err)
	}
	broken := errors.New("broken disk")
	n, err = read(failing{broken}, 0x10)
	if n != 2 || !errors.Is(err, broken) || errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("source that fails: %d, %v", n, err)
	}
	if !strings.Contains(err.Error(), "0x12") {
		t.Errorf("error %q does not name the first address lost", err)
	}
	for _, off := range []int64{-1, -1 << 63, 1<<63 - 1} {
		if n, err := read(strings.NewReader(""), off); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
			t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
		}
	}
	if n, err := tab.ReadAt(failing{broken}, nil, 0); n != 0 || err != nil {
		t.Errorf("empty read = %d, %v", n, err)
	}
}

// failing gives two bytes, then its error.
type failing struct{ err error }

func (f failing) ReadAt(p []byte, off int64) (int, error) { return 2, f.err }

func ExampleTable_ReadAt() {
	src := strings.NewReader("high memory, low memory")
	t, err := New([]Extent{ext(0x1000, 11, 0), ext(0, 10, 13)})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := make([]byte, 4)
	n, err := t.ReadAt(src, p, 0x1000)
	fmt.Printf("%s %v\n", p[:n], err)
	n, err = t.ReadAt(src, p, 7)
	fmt.Printf("%s %v\n", p[:n], err)
	// Output:
	// high <nil>
	// ory physical address 0xa: not captured
}

func BenchmarkReadAt(b *testing.B) {
	records := make([]Extent, 4096)
	for i := range records {
		records[i] = ext(uint64(i)*0x2000, 0x1000, int64(i)*0x1000)
	}
	tab := mustNew(b, records)
	src := bytes.NewReader(make([]byte, len(records)*0x1000))
	p := make([]byte, 0x1000)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := tab.ReadAt(src, p, int64(i*37%len(records))*0x2000); err != nil {
			b.Fatal(err)
		}
	}
}

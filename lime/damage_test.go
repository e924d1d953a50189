package lime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/gaplist"
	"github.com/nodelens/nodelens/vmem"

	"github.com/nodelens/nodelens/internal/testimages"
)

// The ranges of a machine with damaged images.
var low, mid, high = mem(0x1000, 0x400), mem(0x8000, 0x300), mem(0x10000, 0x200)

// withCopy is a record that holds the copy of a header: of LiME's own, as on its stack, or
// of another machine's image.
func withCopy(r physRange, at int, copied physRange) []byte {
	b := record(r)
	copy(b[32+at:], head(copied))
	return b
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x10
	return b
}

// damageTest is a damaged image, what there is of it and what is lost.
type damageTest struct {
	name   string
	file   []byte
	ranges []physRange
	gaps   []lost
}

var damageTests = []damageTest{
	{"short record", image(record(low)[:32+0x123], record(mid), record(high)),
		[]physRange{mem(0x1000, 0x123), mid, high},
		[]lost{{32 + 0x123, mem(0x1123, 0x400-0x123), ErrShort}}},
	{"short by so much that the next record is inside", image(record(mem(0x1000, 0x4000))[:32], record(mid), record(high)),
		[]physRange{mid, high},
		[]lost{{32, mem(0x1000, 0x4000), ErrShort}}},
	{"two short records", image(record(low)[:32+0x80], record(mid)[:32+1], record(high)),
		[]physRange{mem(0x1000, 0x80), high},
		[]lost{{32 + 0x80, mem(0x1080, 0x380), ErrAmbiguous}}},
	{"two short records, each before a whole one", image(record(low)[:32+0x80], record(mid), record(high)[:32+1], record(mem(0x20000, 0x10))),
		[]physRange{mem(0x1000, 0x80), mid, mem(0x10000, 1), mem(0x20000, 0x10)},
		[]lost{{32 + 0x80, mem(0x1080, 0x380), ErrShort}, {3*32 + 0x80 + 0x300 + 1, mem(0x10001, 0x1ff), ErrShort}}},
	{"cut off", image(record(low), record(mid)[:32+0x123]),
		[]physRange{low, mem(0x8000, 0x123)},
		[]lost{{2*32 + 0x400 + 0x123, mem(0x8123, 0x300-0x123), ErrTruncated}}},
	{"cut off in a header", image(record(low), record(mid)[:31]),
		[]physRange{low},
		[]lost{{32 + 0x400, physRange{}, ErrNoHeader}}},
	{"cut off behind a header", image(record(low), record(mid)[:32]),
		[]physRange{low},
		[]lost{{2*32 + 0x400, mid, ErrTruncated}}},
	{"something behind the last record", image(record(low), make([]byte, 100)),
		[]physRange{low},
		[]lost{{32 + 0x400, physRange{}, ErrNoHeader}}},
	{"header overwritten", image(record(low), flip(record(mid), 2), record(high)),
		[]physRange{low, high},
		[]lost{{32 + 0x400, physRange{}, ErrNoHeader}}},
	{"last header overwritten", image(record(low), flip(record(mid), 2)),
		[]physRange{low},
		[]lost{{32 + 0x400, physRange{}, ErrNoHeader}}},
	{"reserved bytes are of no concern where a header belongs", image(record(low), flip(record(mid), 30)),
		[]physRange{low, mid}, nil},
	{"a range that is longer in its header, and behind it the next", image(head(mem(0x1000, 0x500)), contents(low), record(mid)),
		[]physRange{low, mid},
		[]lost{{32 + 0x400, mem(0x1400, 0x100), ErrShort}}},
}

// What is damaged in two places, or in all, costs those places.
var p1, p2, p3 = mem(0x1000, 0x3000), mem(0x100000, 0x4000), mem(0x200000, 0x8000)

// headTo is a record header whose range has so many bytes more.
func headTo(r physRange, more int64) []byte {
	return head(physRange{Start: r.Start, Size: uint64(int64(r.Size) + more)})
}

// without is a record, less so many bytes at its end.
func without(r physRange, n int) []byte {
	b := record(r)
	return b[:len(b)-n]
}

const end12 = 2*32 + 0x3000 + 0x4000 // of the first two records

var severalFaultsTests = []damageTest{
	{"short by a page, and the file cut off",
		image(record(p1), without(p2, 0x1000), without(p3, 100)),
		[]physRange{p1, mem(0x100000, 0x3000), mem(0x200000, 0x8000-100)},
		[]lost{{end12 - 0x1000, mem(0x103000, 0x1000), ErrShort}, {32 + end12 + 0x7000 - 100, mem(0x208000-100, 100), ErrTruncated}}},
	{"all short by pages",
		image(without(p1, 0x1000), without(p2, 0x2000), without(p3, 0x3000)),
		[]physRange{mem(0x1000, 0x2000), mem(0x100000, 0x2000), mem(0x200000, 0x5000)},
		[]lost{{32 + 0x2000, mem(0x3000, 0x1000), ErrShort}, {end12 - 0x3000, mem(0x102000, 0x2000), ErrShort},
			{32 + end12 + 0x2000, mem(0x205000, 0x3000), ErrTruncated}}},
	{"every end one too high",
		image(headTo(p1, 1), contents(p1), headTo(p2, 1), contents(p2), headTo(p3, 1), contents(p3)),
		[]physRange{p1, p2, p3},
		[]lost{{32 + 0x3000, mem(0x4000, 1), ErrShort}, {end12, mem(0x104000, 1), ErrShort}, {32 + end12 + 0x8000, mem(0x208000, 1), ErrTruncated}}},
	{"every end one too high, with another machine's header in the last",
		image(headTo(p1, 1), contents(p1), headTo(p2, 1), withCopy(p2, 0x10, mem(0x90000000, 0x1000))[32:]),
		[]physRange{p1, p2},
		[]lost{{32 + 0x3000, mem(0x4000, 1), ErrShort}, {end12, mem(0x104000, 1), ErrTruncated}}},
	{"every end one too low",
		image(headTo(p1, -1), contents(p1), headTo(p2, -1), contents(p2), headTo(p3, -1), contents(p3)),
		[]physRange{mem(0x1000, 0x2fff), mem(0x100000, 0x3fff), mem(0x200000, 0x7fff)},
		[]lost{{32 + 0x2fff, physRange{}, ErrNoHeader}, {end12 - 1, physRange{}, ErrNoHeader}, {32 + end12 + 0x7fff, physRange{}, ErrNoHeader}}},
	{"a header overwritten, and the file cut off",
		image(record(p1), flip(record(p2), 2), without(p3, 100)),
		[]physRange{p1, mem(0x200000, 0x8000-100)},
		[]lost{{32 + 0x3000, physRange{}, ErrNoHeader}, {32 + end12 + 0x8000 - 100, mem(0x208000-100, 100), ErrTruncated}}},
	{"a header overwritten before one that is short",
		image(record(p1), flip(record(p2), 2), without(p3, 0x1000), record(mem(0x300000, 0x10))),
		[]physRange{p1, mem(0x200000, 0x7000), mem(0x300000, 0x10)},
		[]lost{{32 + 0x3000, physRange{}, ErrNoHeader}, {32 + end12 + 0x7000, mem(0x207000, 0x1000), ErrShort}}},
}

func TestSeveralFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range severalFaultsTests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, tt.file)
			if d := cmp.Diff(tt.ranges, f.Ranges()); d != "" {
				t.Errorf("ranges (-want +got):\n%s", d)
			}
			checkGaps(t, f, tt.gaps)
		})
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	for _, tt := range damageTests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, tt.file)
			checkMemory(t, f, tt.ranges)
			checkGaps(t, f, tt.gaps)
		})
	}
}

// Headers in memory do not matter while the chain of records holds.
func TestHeadersInMemory(t *testing.T) {
	t.Parallel()
	f := open(t, image(withCopy(low, 0x10, high), withCopy(mid, 0x100, mem(0x20000, 0x100)), record(high)))
	checkGaps(t, f, nil)
	if d := cmp.Diff([]physRange{low, mid, high}, f.Ranges()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
}

var copyTests = []damageTest{
	{"a copy of its own header in a short record",
		image(withCopy(mid, 0x10, mid)[:32+0x123], record(high)),
		[]physRange{mem(0x8000, 0x123), high},
		[]lost{{32 + 0x123, mem(0x8123, 0x300-0x123), ErrShort}}},
	{"a copy of an earlier header in one that is cut off",
		image(record(low), withCopy(mid, 0x10, low)[:32+0x123]),
		[]physRange{low, mem(0x8000, 0x123)},
		[]lost{{2*32 + 0x400 + 0x123, mem(0x8123, 0x300-0x123), ErrTruncated}}},
	{"another machine's header in a short record: nothing from there on is believed",
		image(withCopy(low, 0x10, mem(0x90000, 0x1000))[:32+0x123], record(mid), record(high)),
		[]physRange{mem(0x1000, 0x10), mid, high},
		[]lost{{32 + 0x10, mem(0x1010, 0x400-0x10), ErrAmbiguous}}},
	{"a copy of the next header, as it is in the page cache, in a record that is cut off",
		image(record(p1), withCopy(p2, 32+0x3000-0x1000, p3)[:32+0x2800]),
		[]physRange{p1, mem(0x100000, 0x2020)},
		[]lost{{2*32 + 0x3000 + 0x2020, mem(0x102020, 0x1fe0), ErrAmbiguous}}},
	{"another machine's header in one that is cut off",
		image(record(low), withCopy(mid, 0x10, mem(0x90000, 0x1000))[:32+0x123]),
		[]physRange{low, mem(0x8000, 0x10)},
		[]lost{{2*32 + 0x400 + 0x10, mem(0x8010, 0x300-0x10), ErrAmbiguous}}},
}

func TestHeadersInDamagedMemory(t *testing.T) {
	t.Parallel()
	for _, tt := range copyTests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, tt.file)
			if d := cmp.Diff(tt.ranges, f.Ranges()); d != "" {
				t.Errorf("ranges (-want +got):\n%s", d)
			}
			checkGaps(t, f, tt.gaps)
		})
	}
}

// An image of thousands of damaged records, and of chunks, is listed only so far.
func TestManyGaps(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	var records [][]byte
	page := contents(mem(0, 0x1000))
	for i := range uint64(gaplist.Limit + 10) {
		records = append(records, head(mem(0x10000*i, 0x2000)), page)
	}
	checkMany(t, "records", open(t, image(records...)), 10)
	if !testimages.Thorough() {
		return
	}

	const size = gaplist.Limit + 20
	stream := []byte(streamID)
	for range size {
		stream = append(stream, chunkStored, chunkSum+1, 0, 0, 1, 2, 3, 4, 'x') // a wrong checksum
	}
	block := image(avmlHead(mem(0x1000, size)), stream, binary.LittleEndian.AppendUint64(nil, uint64(len(stream))))
	f := open(t, block)
	for i := range int64(size) {
		if n, err := f.ReadAt(make([]byte, 1), 0x1000+i); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
			t.Fatalf("chunk %d: %d bytes, %v", i, n, err)
		}
	}
	checkMany(t, "chunks", f, 20)
}

// checkMany checks that all gaps but some are listed, and their number.
func checkMany(t *testing.T, name string, f *File, more int) {
	t.Helper()
	gaps := f.Gaps()
	last := gaps[len(gaps)-1]
	if len(gaps) != gaplist.Limit+1 || last.Reason() != "too-many" || !strings.Contains(last.Error(), strconv.Itoa(more)+" gaps more") {
		t.Errorf("%s: %d gaps, the last %v, want that it says %d more", name, len(gaps), last, more)
	}
}

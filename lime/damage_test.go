package lime

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestDamage(t *testing.T) {
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
	{"another machine's header in one that is cut off",
		image(record(low), withCopy(mid, 0x10, mem(0x90000, 0x1000))[:32+0x123]),
		[]physRange{low, mem(0x8000, 0x10)},
		[]lost{{2*32 + 0x400 + 0x10, mem(0x8010, 0x300-0x10), ErrAmbiguous}}},
}

func TestHeadersInDamagedMemory(t *testing.T) {
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

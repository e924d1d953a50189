package raw

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

type physRange = vmem.Range[vmem.PhysAddr]

// span is the memory from first to end, exclusive.
func span(first, end uint64) physRange {
	return physRange{Start: vmem.PhysAddr(first), Size: end - first}
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// RAM as PCs have it: with the page at 0 and the last KiB below 640 KiB reserved.
var (
	low    = span(0x1000, 0x9fc00)
	main   = span(mib, 2*gib-0x20000)
	high   = span(4*gib, 6*gib)
	nested = span(8*gib, 9*gib)
)

// layoutTest is a file of a machine; known are addresses in it.
type layoutTest struct {
	name  string
	size  int64
	ram   []physRange
	top   []physRange
	known []Place
	want  Layout
}

var layoutTests = []layoutTest{
	{"all memory", 6 * gib, []physRange{low, main, high}, nil, []Place{{gib, gib}, {5 * gib, 5 * gib}},
		Layout{"from address 0", []Region{{span(0, 6*gib), 0}}}},
	{"more than RAM", gib, []physRange{low, span(mib, gib-0x20000)}, nil, []Place{{mib, mib}},
		Layout{"from address 0", []Region{{span(0, gib), 0}}}},
	{"without the hole", 4 * gib, []physRange{low, main, high}, nil, []Place{{gib, gib}},
		Layout{"around the hole below 4 GiB", []Region{{span(0, 2*gib), 0}, {high, 2 * gib}}}},
	{"without the hole, which begins late, and the kernel above", 3*gib + gib/4 + 2*gib, []physRange{low, span(mib, 3*gib+gib/4), high}, nil,
		[]Place{{3*gib + gib/4 + mib, 4*gib + mib}},
		Layout{"around the hole below 4 GiB", []Region{{span(0, 3*gib+gib/4), 0}, {high, 3*gib + gib/4}}}},
	{"ranges of RAM", 0x9ec00 + 2*gib - 0x20000 - mib + 2*gib, []physRange{low, main, high}, nil, []Place{{0x9ec00, mib}},
		Layout{"in ranges of RAM, one behind the other", []Region{{low, 0}, {main, 0x9ec00}, {high, 0x9ec00 + 2*gib - 0x20000 - mib}}}},
	{"ranges of RAM, of which the tool did not know one", 2 * gib, []physRange{high, nested}, []physRange{high}, []Place{{mib, 4*gib + mib}},
		Layout{"in ranges of RAM, one behind the other", []Region{{high, 0}}}},
	{"ranges of RAM, with one inside another resource", 3 * gib, []physRange{high, nested}, []physRange{high}, []Place{{mib, 4*gib + mib}},
		Layout{"in ranges of RAM, one behind the other", []Region{{high, 0}, {nested, 2 * gib}}}},
	{"ranges of RAM, cut off", gib, []physRange{low, main, high}, nil, []Place{{0x9ec00, mib}},
		Layout{"in ranges of RAM, one behind the other, cut off", []Region{{low, 0}, {main, 0x9ec00}, {high, 0x9ec00 + 2*gib - 0x20000 - mib}}}},
	{"all memory, cut off", gib, []physRange{low, main}, nil, []Place{{mib, mib}},
		Layout{"from address 0, cut off", []Region{{span(0, 2*gib-0x20000), 0}}}},
	{"cut off, with the hole or without", 3*gib + 1, []physRange{low, main, high}, nil, []Place{{mib, mib}},
		Layout{"from address 0, cut off", []Region{{span(0, 2*gib-0x20000), 0}}}},
}

func TestFindLayout(t *testing.T) {
	for _, tt := range layoutTests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FindLayout(tt.size, Machine{RAM: tt.ram, Top: tt.top, Known: tt.known})
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v; layout (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestFindLayoutRefuses(t *testing.T) {
	ram := []physRange{low, main, high}
	for name, m := range map[string]Machine{
		"no RAM":             {Known: []Place{{mib, mib}}},
		"nothing known":      {RAM: ram},
		"two shifts":         {RAM: ram, Known: []Place{{mib, mib}, {2 * mib, 3 * mib}}},
		"a shift of no file": {RAM: ram, Known: []Place{{0x12345, mib}}},
		"known is no RAM":    {RAM: []physRange{low}, Known: []Place{{0, 4 * gib}}},
		"beyond memory":      {RAM: []physRange{{Start: 1<<52 - 1, Size: 2}}, Known: []Place{{0, 1<<52 - 1}}},
		"beyond everything":  {RAM: []physRange{{Start: ^vmem.PhysAddr(0), Size: 1}}, Known: []Place{{0, 0}}},
		"top beyond memory":  {RAM: ram, Top: []physRange{{Start: 0, Size: 1 << 63}}, Known: []Place{{0, 0}}},
	} {
		if l, err := FindLayout(gib, m); !errors.Is(err, ErrLayout) || l.Regions != nil {
			t.Errorf("%s: %v, %v, want %v", name, l, err, ErrLayout)
		}
	}
	if l, err := FindLayout(0, Machine{RAM: ram, Known: []Place{{mib, mib}}}); !errors.Is(err, ErrLayout) {
		t.Errorf("an empty file: %v, %v, want %v", l, err, ErrLayout)
	}
}

package jsonx

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A stored structure has all that Pack packs.
type stored struct {
	base
	Comm    string            `json:"comm"`
	Level   level             `json:"level"`
	Levels  []level           `json:"levels"`
	At      time.Time         `json:"at"`
	Never   time.Time         `json:"never"`
	Point   point             `json:"point"`
	Inner   *inner            `json:"inner"`
	Inline  *inline           `json:"inline" jsonx:"inline"`
	Without *other            `json:"without" jsonx:"inline"`
	Inners  []inner           `json:"inners"`
	Empty   []inner           `json:"empty,omitempty"`
	None    []inner           `json:"none,omitempty"`
	Raw     []byte            `json:"raw"`
	Yes     bool              `json:"yes"`
	Dict    map[name]*string  `json:"dict"`
	NoDict  map[string]string `json:"noDict"`
	Pair    [2]inner          `json:"pair"`
	Text    *string           `json:"text"`
	Any     any               `json:"any"`
	Nil     any               `json:"nil"`
	Address netip.Addr        `json:"address"`
	Nowhere netip.Addr        `json:"nowhere"`
	Big     uint64            `json:"big" jsonx:"hex"`
	Small   int64             `json:"small"`
	Tagged  tagged            `json:"tagged"`
}

type inline struct {
	X int `json:"x"`
	Y int `json:"y"`
}

type other struct {
	Z int `json:"z"`
}

// A tagged structure has a method of its own, and all that it has in its fields.
type tagged struct {
	A string `json:"a"`
}

func (tagged) MarshalJSON() ([]byte, error) { panic("its fields tell all of it") }

func (*tagged) UnmarshalJSON([]byte) error { panic("its fields tell all of it") }

func fullStored() *stored {
	empty := ""
	return &stored{
		base: base{ID: 7, Parent: -1}, Comm: "d\xe9f\xff", Level: 3, Levels: []level{1, 2}, At: time.Date(2026, 11, 21, 1, 49, 10, 5, time.UTC), Point: point{1, -2},
		Inner: &inner{Name: "d\xe9f\xff", Args: []name{"", "\xff", name(strings.Repeat("long", 100))}}, Inline: &inline{1, 2},
		Inners: []inner{{}, {Name: "x", Args: []name{}}}, Empty: []inner{}, Raw: []byte{0, 0xff}, Yes: true,
		Dict: map[name]*string{"": &empty, "\xff": nil}, Pair: [2]inner{{Name: "\xfd"}, {}}, Text: &empty,
		Any:     map[string]any{"a": []any{nil, true, "\xff", int64(-1), uint64(1 << 63), 1.5}, "b": map[string]any{}},
		Address: netip.MustParseAddr("fe80::1%eth0"), Big: 1<<64 - 1, Small: -1 << 63, Tagged: tagged{"a"},
	}
}

var sameStored = cmp.AllowUnexported(stored{}, point{}, netip.Addr{})

// What is packed is unpacked as it was, also over something else.
func TestPack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]*stored{"full": fullStored(), "zero": {}} {
		b, err := Pack(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for over, got := range map[string]*stored{"nothing": {}, "another": fullStored()} {
			if err := Unpack(b, got); err != nil {
				t.Errorf("%s over %s: %v", name, over, err)
			}
			if d := cmp.Diff(want, got, sameStored, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("%s over %s (-want +got):\n%s", name, over, d)
			}
		}
		for i := range b {
			if err := Unpack(b[:i], new(stored)); err == nil {
				t.Errorf("%s: %d of %d bytes are taken", name, i, len(b))
			}
		}
		if err := Unpack(append(b, 0), new(stored)); err == nil {
			t.Errorf("%s: a byte more is taken", name)
		}
	}
}

// An interface holds what JSON can have, whatever type it is of.
func TestPackAny(t *testing.T) {
	t.Parallel()
	type some struct {
		V any `json:"v"`
	}
	for _, test := range []struct{ in, want any }{
		{level(3), "level 3"}, {point{1, 2}, []any{int64(1), int64(2)}}, {[]byte{1}, "AQ=="}, {uint8(3), uint64(3)}, {name("n"), "n"}, {[]string{"a"}, []any{"a"}},
		{map[name]int{"a": 1}, map[string]any{"a": int64(1)}}, {inner{Name: "x"}, map[string]any{"name": "x", "args": []any{}}},
	} {
		b, err := Pack(some{test.in})
		if err != nil {
			t.Errorf("%T: %v", test.in, err)
			continue
		}
		var got some
		if err := Unpack(b, &got); err != nil {
			t.Errorf("%T: %v", test.in, err)
		}
		if d := cmp.Diff(test.want, got.V); d != "" {
			t.Errorf("%T (-want +got):\n%s", test.in, d)
		}
	}
}

// What can't be packed is an error.
func TestNoPack(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		1, struct{ A int }{}, struct {
			A chan int `json:"a"`
		}{}, struct {
			A map[int]int `json:"a"`
		}{map[int]int{1: 1}}, struct {
			A error `json:"a"`
		}{},
	} {
		if b, err := Pack(v); err == nil {
			t.Errorf("%T: %x", v, b)
		}
	}
	if err := Unpack(nil, stored{}); err == nil {
		t.Error("no pointer is taken")
	}
}

func FuzzUnpack(f *testing.F) {
	for _, v := range []*stored{fullStored(), {}} {
		b, err := Pack(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := new(stored)
		if Unpack(b, got) != nil {
			return
		}
		again, err := Pack(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := Unpack(again, new(stored)); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	v := fullStored()
	packed, err := Pack(v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("pack", func(b *testing.B) {
		for b.Loop() {
			_, _ = Pack(v)
		}
	})
	b.Run("unpack", func(b *testing.B) {
		for b.Loop() {
			_ = Unpack(packed, v)
		}
	})
}

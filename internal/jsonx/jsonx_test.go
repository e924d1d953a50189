package jsonx

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A level is written by name.
type level int

func (l level) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "level %d", int(l)), nil }

func (l *level) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "level %d", l)
	return err
}

// A point has JSON of its own.
type point struct{ x, y int }

func (p point) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "[%d,%d]", p.x, p.y), nil }

func (p *point) UnmarshalJSON(b []byte) error {
	_, err := fmt.Sscanf(string(b), "[%d,%d]", &p.x, &p.y)
	return err
}

type name string

type inner struct {
	Name name   `json:"name" jsonx:"null"`
	Args []name `json:"args"`
}

type base struct {
	ID     int32  `json:"id"`
	Parent int32  `json:"parent" jsonx:"null=-1"`
	Hidden string `json:"-"`
}

type outer struct {
	base
	Comm   string          `json:"comm"`
	Empty  string          `json:"empty,omitempty"`
	Shift  uint64          `json:"shift" jsonx:"hex"`
	Base   int64           `json:"base" jsonx:"hex"`
	Level  level           `json:"level"`
	Levels []level         `json:"levels"`
	At     time.Time       `json:"at"`
	Point  point           `json:"point"`
	Inner  *inner          `json:"inner"`
	Inners []inner         `json:"inners"`
	Raw    []byte          `json:"raw,omitempty"`
	Yes    bool            `json:"yes"`
	Dict   map[name]string `json:"dict"`
	Counts map[string]int  `json:"counts,omitempty"`
	Pair   [2]inner        `json:"pair"`
	Since  time.Time       `json:"since,omitzero"`
	_      int             // what is not exported is left out
}

// MarshalJSON is what makes Marshal be called from it.
func (o outer) MarshalJSON() ([]byte, error) { return Marshal(o) }

func (o *outer) UnmarshalJSON(b []byte) error { return Unmarshal(b, o) }

var full = outer{
	base: base{ID: 7, Parent: -1},
	Comm: "d\xe9f\xff\x1b", Empty: "\xfe", Shift: 1<<64 - 1, Base: -0x1000, Level: 3, Levels: []level{1, 2},
	At: time.Date(2026, 11, 21, 1, 49, 10, 5, time.FixedZone("", 3600)), Point: point{1, -2},
	Inner:  &inner{Name: "<\u202e>", Args: []name{"a", "\xff", "", "b\x80\x81", "\ufffd"}},
	Inners: []inner{{}, {Name: "x"}}, Raw: []byte{1, 2}, Yes: true,
	Counts: map[string]int{"x": 1, "a\xff": -2}, Pair: [2]inner{{Name: "\xfd"}, {}}, Since: time.Date(2026, 11, 21, 1, 49, 10, 5, time.UTC),
	Dict: map[name]string{"b": "\xff", "a\xfe": "", "a\xff": "<", "": "x"},
}

const fullJSON = `{"id":7,"parent":null,"comm":"d` + "\ufffdf\ufffd" + `\u001b","commBytes":"ZOlm/xs=",` +
	`"empty":"` + "\ufffd" + `","emptyBytes":"/g==","shift":"0xffffffffffffffff","base":"-0x1000","level":"level 3","levels":["level 1","level 2"],` +
	`"at":"2026-11-21T00:49:10.000000005Z","point":[1,-2],` +
	`"inner":{"name":"\u003c\u202e\u003e","args":["a","` + "\ufffd" + `","","b` + "\ufffd\ufffd\",\"\ufffd" + `"],"argsBytes":[null,"/w==",null,"YoCB",null]},` +
	`"inners":[{"name":null,"args":[]},{"name":"x","args":[]}],"raw":"AQI=","yes":true,` +
	`"dict":{"":"x","a` + "\ufffd" + `":"","a` + "\ufffd" + `":"\u003c","b":"` + "\ufffd" + `"},"dictBytes":[null,null,"Yf4=",null,"Yf8=",null,null,"/w=="],` +
	`"counts":{"a` + "\ufffd" + `":-2,"x":1},"countsBytes":["Yf8=",null,null,null],` +
	`"pair":[{"name":"` + "\ufffd" + `","nameBytes":"/Q==","args":[]},{"name":null,"args":[]}],"since":"2026-11-21T01:49:10.000000005Z"}`

func TestMarshal(t *testing.T) {
	for want, v := range map[string]any{
		fullJSON: full,
		`{"id":0,"parent":0,"comm":"","shift":"0x0","base":"0x0","level":"level 0","levels":[],"at":null,"point":[0,0],"inner":null,"inners":[],"yes":false,"dict":{},"pair":[{"name":null,"args":[]},{"name":null,"args":[]}]}`: &outer{},
	} {
		for how, marshal := range map[string]func(any) ([]byte, error){"jsonx": Marshal, "json": json.Marshal} {
			got, err := marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", how, diff)
			}
		}
	}
}

func TestUnmarshal(t *testing.T) {
	unexported := cmp.AllowUnexported(outer{}, point{}, base{})
	for _, want := range []outer{full, {}} {
		text, err := Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for how, unmarshal := range map[string]func([]byte, any) error{"jsonx": Unmarshal, "json": json.Unmarshal} {
			got := outer{Comm: "gone", Inner: new(inner), Levels: make([]level, 1)}
			if err := unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, unexported); diff != "" {
				t.Errorf("%s (-want +got):\n%s", how, diff)
			}
		}
	}
	var got base
	if err := Unmarshal([]byte(` { "later" : {}, "ID": 8, "id" : 9 } `), &got); err != nil || got != (base{ID: 9}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// What an interface holds is read as the same JSON again.
func TestAny(t *testing.T) {
	type dict map[string]any
	type holder struct {
		Any  any   `json:"any"`
		List []any `json:"list"`
	}
	in := holder{Any: dict{"b": []int{1, -2}, "a\xff": nil, "c": dict{}}, List: []any{true, "\x1b<\xff", uint64(1<<64 - 1), uint8(7), 0.5, []string{}, level(3), nil}}
	const text = `{"any":{"a` + "\ufffd" + `":null,"b":[1,-2],"c":{}},"list":[true,"\u001b\u003c` + "\ufffd" + `",18446744073709551615,7,0.5,[],"level 3",null]}`
	want := holder{
		Any:  map[string]any{"b": []any{int64(1), int64(-2)}, "a\ufffd": nil, "c": map[string]any{}},
		List: []any{true, "\x1b<\ufffd", uint64(1<<64 - 1), int64(7), 0.5, []any{}, "level 3", nil},
	}
	for _, v := range []holder{in, want} {
		got, err := Marshal(v)
		if diff := cmp.Diff(text, string(got)); diff != "" || err != nil {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		var out holder
		if err := Unmarshal(got, &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
	}
	if err := Unmarshal([]byte(`{"list":[1e999]}`), new(holder)); err == nil {
		t.Error("a number out of range is taken")
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for text, part := range map[string]string{
		``:                                "unexpected end",
		`[]`:                              "an array where an object should be",
		`{"id":"7"}`:                      "id: ",
		`{"id":4294967296}`:               "4294967296",
		`{"comm":7}`:                      "comm: ",
		`{"shift":7}`:                     "shift: ",
		`{"shift":"7"}`:                   "no hexadecimal",
		`{"shift":"-0x7"}`:                "negative",
		`{"shift":"0x"}`:                  "invalid syntax",
		`{"base":"0x8000000000000000"}`:   "out of range",
		`{"level":"none"}`:                "level: ",
		`{"at":"yesterday"}`:              "at: ",
		`{"inners":[{},{"args":7}]}`:      "inners: [1]: args: ",
		`{"comm":"a","commBytes":"/w=="}`: errBytes.Error(),
		`{"comm":"a","commBytes":"%"}`:    "base64",
		`{"inner":{"args":["a"],"argsBytes":[]}}`: errBytes.Error(),
		`{"dict":[]}`:                           "an array where an object should be",
		`{"pair":[{}]}`:                         "1 elements where 2 should be",
		`{"dict":{"a":7}}`:                      "a number where a string should be",
		`{"dict":{"a":"b"},"dictBytes":[null]}`: errBytes.Error(),
	} {
		if err := Unmarshal([]byte(text), new(outer)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", text, err, part)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for part, v := range map[string]any{
		"has no tag": struct{ A int }{},
		"unknown option": struct {
			A int `json:"a" jsonx:"string"`
		}{},
		"invalid syntax": struct {
			A int `json:"a" jsonx:"null=x"`
		}{},
		"map": struct {
			A map[int]int `json:"a"`
		}{map[int]int{}},
		"map[string][]string can't be written: its bytes": struct {
			A map[string][]string `json:"a"`
		}{map[string][]string{}},
		"no place": struct {
			A [][]string `json:"a"`
		}{},
		"its bytes have no place": struct {
			A []map[string]string `json:"a"`
		}{[]map[string]string{{}}},
		"no structure": 7,
	} {
		if text, err := Marshal(v); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%T: %s, %v, want %q", v, text, err, part)
		}
	}
	if err := Unmarshal(nil, full); err == nil || !strings.Contains(err.Error(), "no pointer") {
		t.Errorf("no pointer: %v", err)
	}
}

// TestTimes writes times that a hostile image may hold.
func TestTimes(t *testing.T) {
	for want, at := range map[string]time.Time{
		"null":                             {},
		`"0001-01-01T00:00:00.000000001Z"`: time.Time{}.Add(1),
		`"9999-12-31T23:59:59.999999999Z"`: time.Date(10000, 1, 1, 0, 0, 0, -1, time.UTC),
	} {
		if got := string(appendTime(nil, at)); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
	for _, at := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<62, 0), time.Unix(-1<<62, 0)} {
		if got := string(appendTime(nil, at)); got != "null" {
			t.Errorf("%v: %s", at, got)
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("a", "\xff", uint64(1), int64(-1))
	f.Fuzz(func(t *testing.T, a, b string, u uint64, i int64) {
		want := outer{base: base{ID: int32(i), Parent: int32(u)}, Comm: a, Shift: u, Base: i, Inner: &inner{Name: name(b), Args: []name{name(a), name(b)}}}
		text, err := Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got outer
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(outer{}, point{}, base{})); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", text, diff)
		}
	})
}

// FuzzUnmarshal reads anything: what is taken is written and read again the same.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(fullJSON))
	f.Add([]byte(`{"comm":"\udcff","commBytes":null,"at":"2026-01-01T00:00:00+01:00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second outer
		if Unmarshal(data, &first) != nil {
			return
		}
		text, err := Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := Unmarshal(text, &second); err != nil {
			t.Fatal(err)
		}
		again, err := Marshal(second)
		if err != nil || string(again) != string(text) {
			t.Fatalf("%s, again %s: %v", text, again, err)
		}
	})
}

type identity struct {
	N    int    `json:"n"`
	Name string `json:"name" jsonx:"null"`
}

// A hider has members of its own in the place of those that it embeds.
type hider struct {
	base
	Parent map[string]*string `json:"parent"`
	Names  []string           `json:"names,omitzero"`
	Text   *string            `json:"text,omitempty"`
}

func TestHidden(t *testing.T) {
	text := "\xff"
	for want, v := range map[string]hider{
		`{"id":1,"parent":{"a":null,"b":"` + "\ufffd" + `"},"parentBytes":[null,null,null,"/w=="],"names":[],"text":"` + "\ufffd" + `","textBytes":"/w=="}`: {base: base{ID: 1}, Parent: map[string]*string{"a": nil, "b": &text}, Names: []string{}, Text: &text},
		`{"id":1,"parent":{}}`: {base: base{ID: 1}},
	} {
		got, err := Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
		var back hider
		if err := Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, back, cmp.AllowUnexported(hider{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", got, diff)
		}
	}
}

type subject struct {
	A     int       `json:"a"`
	Inner *identity `json:"identity" jsonx:"inline"`
	Z     int       `json:"z"`
}

func TestInline(t *testing.T) {
	for text, want := range map[string]subject{
		`{"a":1,"n":null,"name":null,"z":2}`:                      {A: 1, Z: 2},
		`{"a":1,"n":0,"name":null,"z":2}`:                         {A: 1, Inner: &identity{}, Z: 2},
		`{"a":1,"n":3,"name":"x\ufffd","nameBytes":"eP8=","z":2}`: {A: 1, Inner: &identity{N: 3, Name: "x\xff"}, Z: 2},
	} {
		got, err := Marshal(want)
		if err != nil || string(got) != strings.ReplaceAll(text, `\ufffd`, "\ufffd") {
			t.Errorf("%+v is %s (%v), want %s", want, got, err, text)
		}
		back := subject{A: 9, Inner: &identity{N: 9}}
		if err := Unmarshal([]byte(text), &back); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, back); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if _, err := Marshal(struct {
		A identity `json:"a" jsonx:"inline"`
	}{}); err == nil {
		t.Error("a structure that is no pointer is inline")
	}
}

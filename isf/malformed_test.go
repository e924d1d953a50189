package isf

import (
	"errors"
	"strings"
	"testing"
)

// malformed are files that are JSON, but not ISF in some places.
var malformed = []struct {
	name, sections string
	path           string // what is left out; "" for nothing
	complaint      string
}{
	{"base type without size", `"base_types":{"a":{"kind":"int"},"b":{"size":1}}`, "base_types.a", "base type without size"},
	{"base type is null", `"base_types":{"a":null}`, "base_types.a", "base type is null, want an object"},
	{"size is text", `"base_types":{"a":{"size":"4"}}`, "base_types.a", "size is a string, want a number"},
	{"size is negative", `"base_types":{"a":{"size":-4}}`, "base_types.a", "size is negative"},
	{"size is no integer", `"base_types":{"a":{"size":4.5}}`, "base_types.a", "size is no integer"},
	{"size is too large", `"base_types":{"a":{"size":18446744073709551616}}`, "base_types.a", "size does not fit in 64 bits"},
	{"signed is a number", `"base_types":{"a":{"size":4,"signed":1}}`, "base_types.a", "signed is a number, want true or false"},
	{"user type without kind", `"user_types":{"a":{"size":1,"fields":{}}}`, "user_types.a", "user type without size or kind"},
	{"user type without size", `"user_types":{"a":{"kind":"union","fields":{}}}`, "user_types.a", "user type without size or kind"},
	{"user type of another kind", `"user_types":{"a":{"size":1,"kind":"enum"}}`, "user_types.a", "kind of a user type is none of struct, union, class"},
	{"fields is an array", `"user_types":{"a":{"size":1,"kind":"struct","fields":[{"x":[]}]}}`, "user_types.a", "fields is an array, want an object"},
	{"field without type", `"user_types":{"a":{"size":1,"kind":"struct","fields":{"x":{"offset":0}}}}`, "user_types.a.fields.x", "field without offset or type"},
	{"field without offset", `"user_types":{"a":{"size":1,"kind":"struct","fields":{"x":{"type":{"kind":"function"}}}}}`, "user_types.a.fields.x", "field without offset or type"},
	{"field of negative offset", field(`{"kind":"function"},"offset":-1`), "user_types.a.fields.x", "offset is negative"},
	{"field of type null", field(`null`), "user_types.a.fields.x", "type is null, want an object"},
	{"type without kind", field(`{"name":"x"}`), "user_types.a.fields.x", "type without a kind that ISF has"},
	{"type of unknown kind", field(`{"kind":"typedef","name":"x"}`), "user_types.a.fields.x", "type without a kind that ISF has"},
	{"base without name", field(`{"kind":"base"}`), "user_types.a.fields.x", "incomplete type of kind base"},
	{"struct with a base", field(`{"kind":"struct","base":"x"}`), "user_types.a.fields.x", "incomplete type of kind struct"},
	{"pointer to nothing", field(`{"kind":"pointer"}`), "user_types.a.fields.x", "incomplete type of kind pointer"},
	{"pointer to half a type", field(`{"kind":"pointer","subtype":{"kind":"enum"}}`), "user_types.a.fields.x", "incomplete type of kind enum"},
	{"array without count", field(`{"kind":"array","subtype":{"kind":"function"}}`), "user_types.a.fields.x", "incomplete type of kind array"},
	{"bitfield without length", field(`{"kind":"bitfield","bit_position":1,"type":{"kind":"base","name":"int"}}`), "user_types.a.fields.x", "incomplete type of kind bitfield"},
	{"bitfield without position", field(`{"kind":"bitfield","bit_length":1,"type":{"kind":"base","name":"int"}}`), "user_types.a.fields.x", "incomplete type of kind bitfield"},
	{"bitfield too far", field(`{"kind":"bitfield","bit_position":256,"bit_length":1,"type":{"kind":"base","name":"int"}}`), "user_types.a.fields.x", "bit_position is 256"},
	{"type nested too deep", field(strings.Repeat(`{"kind":"pointer","subtype":`, 100) + `{"kind":"function"}` + strings.Repeat("}", 100)), "user_types.a.fields.x", "type nested deeper than 100"},
	{"enum without size", `"enums":{"e":{"base":"int","constants":{}}}`, "enums.e", "enum without size"},
	{"enum of base 1", `"enums":{"e":{"size":4,"base":1}}`, "enums.e", "base is a number, want a string"},
	{"constant is text", `"enums":{"e":{"size":4,"constants":{"X":"1","Y":2}}}`, "enums.e.constants.X", "constant is a string, want a number"},
	{"constant too small", `"enums":{"e":{"size":4,"constants":{"X":-9223372036854775809}}}`, "enums.e.constants.X", "constant does not fit in 64 bits"},
	{"constant too large", `"enums":{"e":{"size":4,"constants":{"X":1e20}}}`, "enums.e.constants.X", "constant does not fit in 64 bits"},
	{"symbol without address", `"symbols":{"a.b":{"type":{"kind":"function"}}}`, "symbols.a.b", "symbol without address"},
	{"symbol is a number", `"symbols":{"s":1}`, "symbols.s", "symbol is a number, want an object"},
	{"symbol of half a type", `"symbols":{"s":{"address":1,"type":{"kind":"struct"}}}`, "symbols.s", "incomplete type of kind struct"},
	{"section is an array", `"user_types":[{"size":1}]`, "user_types", "user_types is an array, want an object"},
	{"section is a number", `"base_types":7`, "base_types", "base_types is a number, want an object"},
	{"constant data is not base64", `"symbols":{"s":{"address":1,"constant_data":"?"}}`, "symbols.s", "constant_data: illegal base64 data at input byte 0"},
	{"sections of writers that had none", `"symbols":null,"enums":null`, "", ""},
	{"fields and type with more than is known", field(`{"kind":"function","name":1,"signature":[{"a":{}},"\"",null,true,-1.5e3]}`), "user_types.a.fields.x", "name is a number, want a string"},
}

// field returns a user type a that has the fields x of the given type and y.
func field(typ string) string {
	return `"user_types":{"a":{"size":1,"kind":"struct","fields":{"x":{"offset":1,"type":` + typ + `},"y":{"offset":0,"type":{"kind":"function"}}}}}`
}

func TestMalformed(t *testing.T) {
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			sections := c.sections + `,"symbols":{"last":{"address":1}}`
			if strings.HasPrefix(c.sections, `"symbols"`) {
				sections = `"x":1,` + c.sections
			}
			var got []string
			for _, m := range file(t, sections).Malformed() {
				if !errors.Is(m, ErrMalformed) || m.Offset < 28 {
					t.Errorf("offset %d: %v", m.Offset, m)
				}
				got = append(got, m.Path+": "+m.Err.Error())
			}
			var want []string
			if c.path != "" {
				want = []string{c.path + ": malformed: " + c.complaint}
			}
			equal(t, want, got)
		})
	}
}

// What is malformed must take nothing else with it.
func TestMalformedKeepsTheRest(t *testing.T) {
	f := file(t, `
		"base_types":{"bad":[{"size":1}],"good":{"size":1}},
		"user_types":{
			"a":{"kind":"struct","size":16,"fields":{
				"bad1":{"offset":"0","type":{"kind":"base","name":"good"}},
				"good1":{"offset":8,"type":{"kind":"base","name":"good"}},
				"bad2":7,
				"good2":{"offset":12,"type":{"kind":"base","name":"good"}}}},
			"bad":{"kind":"struct","fields":{"fine":{"offset":0,"type":{"kind":"base","name":"good"}}}},
			"c":{"kind":"union","size":1,"fields":{}}},
		"enums":{"e":{"size":4,"base":"good","constants":{"A":1,"B":null,"C":3}},"bad":1},
		"symbols":{"x":{"address":1},"bad":{"address":{}},"y":{"address":2}}`)
	good := base("good")
	equal(t, Contents{
		Metadata: Metadata{Format: "6.2.0"},
		Bases:    []BaseType{{Name: "good", Size: 1, Kind: BaseInt, Signed: true}},
		Types: []UserType{
			{Name: "a", Kind: KindStruct, Size: 16, Fields: []Field{{Name: "good1", Offset: 8, Type: good}, {Name: "good2", Offset: 12, Type: good}}},
			{Name: "c", Kind: KindUnion, Size: 1},
		},
		Enums:   []Enum{{Name: "e", Size: 4, Base: "good", Constants: []Constant{{"A", 1}, {"C", 3}}}},
		Symbols: []Symbol{{Name: "x", Address: 1}, {Name: "y", Address: 2}},
	}, contents(f))
	var paths []string
	for _, m := range f.Malformed() {
		paths = append(paths, m.Path)
	}
	equal(t, []string{
		"base_types.bad", "user_types.a.fields.bad1", "user_types.a.fields.bad2", "user_types.bad",
		"enums.e.constants.B", "enums.bad", "symbols.bad",
	}, paths)

	// Who looks for what was left out is told so.
	_, typeErr := f.UserType("bad")
	_, fieldErr := f.Field("a", "bad1")
	_, constantErr := f.Constant("e", "B")
	_, symbolErr := f.Symbol("bad")
	_, otherErr := f.Symbol("other")
	for err, want := range map[error]string{
		typeErr:     "isf: no user type bad (left out: malformed: user type without size or kind)",
		fieldErr:    "isf: struct a has no field bad1 (left out: malformed: offset is a string, want a number)",
		constantErr: "isf: enum e has no constant B (left out: malformed: constant is null, want a number)",
		symbolErr:   "isf: no symbol bad (left out: malformed: address is an object, want a number)",
		otherErr:    "isf: no symbol other",
	} {
		if err.Error() != want || !errors.Is(err, ErrNotFound) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestMalformedMetadata(t *testing.T) {
	f, err := Decode(strings.NewReader(`{"metadata":{"format":"6.2.0","producer":{"name":1,"version":"2"},"linux":{"symbols":[{"kind":"dwarf"},[]],"types":null}}}`))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, Metadata{Format: "6.2.0", Producer: Producer{Version: "2"}, Symbols: []Source{{Kind: "dwarf"}, {}}}, f.Metadata())
	if m := f.Malformed(); len(m) != 1 || m[0].Path != "metadata" {
		t.Errorf("malformed: %v", m)
	}
}

func TestTooMuchMalformed(t *testing.T) {
	for _, c := range []struct {
		n    int
		want error
	}{{maxMalformed, nil}, {maxMalformed + 1, ErrMalformed}} {
		_, err := Decode(strings.NewReader(`{"metadata":{"format":"6.2.0"},"symbols":{"a":0` + strings.Repeat(`,"a":0`, c.n-1) + `}}`))
		if !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", c.n, err, c.want)
		}
	}
}

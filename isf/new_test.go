package isf

import (
	"fmt"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	f, err := New(Contents{
		Metadata: Metadata{Producer: Producer{Name: "test"}},
		Bases:    []BaseType{{Name: "int", Size: 4, Kind: BaseInt, Signed: true}, {Name: "char", Size: 1, Kind: BaseChar}},
		Types: []UserType{
			{Name: "b", Kind: KindUnion, Size: 8},
			{Name: "a", Kind: KindStruct, Size: 16, Fields: []Field{
				{Offset: 8, Type: &Type{Kind: KindUnion, Name: "b"}, Anonymous: true},
				{Name: "z", Offset: 4, Type: base("int")},
				{Name: "y", Offset: 4, Type: bitfield(0, 3, base("int"))},
				{Name: "x", Offset: 0, Type: base("char")},
				{Offset: 0, Type: structure("c"), Anonymous: true},
			}},
		},
		Enums:   []Enum{{Name: "e", Size: 4, Constants: []Constant{{"B", 2}, {"C", -1}, {"A", 2}}}},
		Symbols: []Symbol{{Name: "s", Address: 2}, {Name: "r", Address: 1, Type: voidType}},
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, Contents{
		Metadata: Metadata{Format: "6.2.0", Producer: Producer{Name: "test"}},
		Bases: []BaseType{
			{Name: "char", Size: 1, Kind: BaseChar},
			{Name: "int", Size: 4, Kind: BaseInt, Signed: true},
			{Name: "pointer", Size: 8, Kind: BaseInt},
			{Name: "void"},
		},
		Types: []UserType{
			{Name: "a", Kind: KindStruct, Size: 16, Fields: []Field{
				{Name: "unnamed_field_1", Offset: 0, Type: structure("c"), Anonymous: true},
				{Name: "x", Offset: 0, Type: base("char")},
				{Name: "y", Offset: 4, Type: bitfield(0, 3, base("int"))},
				{Name: "z", Offset: 4, Type: base("int")},
				{Name: "unnamed_field_0", Offset: 8, Type: &Type{Kind: KindUnion, Name: "b"}, Anonymous: true},
			}},
			{Name: "b", Kind: KindUnion, Size: 8},
		},
		Enums:   []Enum{{Name: "e", Size: 4, Base: "void", Constants: []Constant{{"C", -1}, {"A", 2}, {"B", 2}}}},
		Symbols: []Symbol{{Name: "r", Address: 1, Type: voidType}, {Name: "s", Address: 2}},
	}, contents(f))
	equal(t, contents(f), contents(mustDecode(t, encode(t, f))))
}

func TestNewEmpty(t *testing.T) {
	f, err := New(Contents{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, `{"base_types":{"pointer":{"endian":"little","kind":"int","signed":false,"size":8},"void":{"endian":"little","kind":"void","signed":false,"size":0}},`+
		`"enums":{},"metadata":{"format":"6.2.0"},"symbols":{},"user_types":{}}`+"\n", string(encode(t, f)))
}

// A member without a name is numbered in hexadecimal.
func TestNewUnnamed(t *testing.T) {
	u := UserType{Name: "u", Kind: KindStruct, Fields: make([]Field, 12)}
	for i := range u.Fields {
		u.Fields[i] = Field{Offset: uint64(i), Type: structure("x"), Anonymous: true}
	}
	f, err := New(Contents{Types: []UserType{u}})
	if err != nil {
		t.Fatal(err)
	}
	if at, err := f.Field("u", "unnamed_field_b"); err != nil || at.Offset != 11 {
		t.Errorf("%v, %v", at, err)
	}
}

func TestNewRefuses(t *testing.T) {
	endless := &Type{Kind: KindPointer}
	endless.Elem = &Type{Kind: KindArray, Elem: endless}
	deep := voidType
	for range MaxTypeDepth {
		deep = pointer(deep)
	}
	typed := func(fields ...Field) Contents {
		return Contents{Types: []UserType{{Name: "u", Kind: KindStruct, Fields: fields}}}
	}
	many := make([]Symbol, 50)
	for i := range many {
		many[i].Name = fmt.Sprint("s", i/2)
	}
	for _, c := range []struct {
		name     string
		contents Contents
		want     []string
	}{
		{"base types of one name", Contents{Bases: []BaseType{{Name: "b"}, {Name: "a"}, {Name: "b"}}}, []string{"base types called b more than once"}},
		{"user types of one name", Contents{Types: []UserType{{Name: "a", Kind: KindStruct}, {Name: "a", Kind: KindUnion}}}, []string{"user types called a more than once"}},
		{"enums and symbols of one name", Contents{Enums: make([]Enum, 2), Symbols: make([]Symbol, 2)}, []string{"enums called  more than once", "symbols called  more than once"}},
		{"fields of one name", typed(Field{Name: "x", Type: voidType}, Field{Name: "x", Type: voidType}), []string{"u: members called x more than once"}},
		{"a field of a taken name", typed(Field{Name: "unnamed_field_0", Type: voidType}, Field{Type: voidType}), []string{"u: members called unnamed_field_0 more than once"}},
		{"constants of one name", Contents{Enums: []Enum{{Name: "e", Constants: []Constant{{"A", 1}, {"A", 1}}}}}, []string{"e: constants called A more than once"}},
		{"a user type that is none", Contents{Types: []UserType{{Name: "a", Kind: KindEnum}, {Name: "b"}}}, []string{"user type a is a enum", "user type b is a void"}},
		{"a base type of unknown kind", Contents{Bases: []BaseType{{Name: "a", Kind: 5}}}, []string{"base type a is a BaseKind(5)"}},
		{"fields without type", typed(Field{Name: "x"}, Field{Name: "y"}), []string{"u.x has a broken type", "u.y has a broken type"}},
		{"pointer to nothing", typed(Field{Name: "x", Type: pointer(nil)}), []string{"u.x has a broken type"}},
		{"bits of nothing", typed(Field{Name: "x", Type: bitfield(1, 1, nil)}), []string{"u.x has a broken type"}},
		{"bits of a struct", typed(Field{Name: "x", Type: bitfield(1, 1, structure("u"))}), []string{"u.x has a broken type"}},
		{"unknown kind", typed(Field{Name: "x", Type: &Type{Kind: KindBitfield + 1}}), []string{"u.x has a broken type"}},
		{"types without end", Contents{Symbols: []Symbol{{Name: "s", Type: endless}, {Name: "t", Type: deep}}}, []string{"symbol s has a broken type", "symbol t has a broken type"}},
		{"more than anyone wants to read", Contents{Symbols: many}, []string{
			"symbols called s0 more than once", "symbols called s1 more than once", "symbols called s10 more than once", "symbols called s11 more than once",
			"symbols called s12 more than once", "symbols called s13 more than once", "symbols called s14 more than once", "symbols called s15 more than once",
			"symbols called s16 more than once", "symbols called s17 more than once",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := New(c.contents)
			if f != nil || err == nil {
				t.Fatal("no error")
			}
			equal(t, "isf: bad contents: "+strings.Join(c.want, "\n"), err.Error())
		})
	}
	if _, err := New(Contents{Symbols: []Symbol{{Type: deep.Elem}}}); err != nil {
		t.Errorf("as deep as may be: %v", err)
	}
}

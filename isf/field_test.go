package isf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestField(t *testing.T) {
	f := file62(t)
	for _, c := range []struct {
		typ, path string
		want      Field
	}{
		{"task", "state", Field{Name: "state", Type: &Type{Kind: KindEnum, Name: "state"}}},
		{"task", "tasks", Field{Name: "tasks", Offset: 8, Type: structure("list_head")}},
		{"task", "tasks.prev", Field{Name: "prev", Offset: 16, Type: pointer(structure("list_head"))}},
		{"task", "whole", Field{Name: "whole", Offset: 24, Type: array(2, base("int"))}},
		{"task", "high", Field{Name: "high", Offset: 28, Type: base("int")}}, // two levels of unnamed ones
		{"unnamed_a", "high", Field{Name: "high", Offset: 4, Type: base("int")}},
		{"task", "unnamed_field_0", Field{Name: "unnamed_field_0", Offset: 24, Type: &Type{Kind: KindUnion, Name: "unnamed_a"}, Anonymous: true}},
		{"task", "unnamed_field_0.unnamed_field_0.high", Field{Name: "high", Offset: 28, Type: base("int")}},
		{"task", "comm[15]", Field{Name: "comm", Offset: 71, Type: base("char")}},
		{"task", "grid[1]", Field{Name: "grid", Offset: 44, Type: array(3, base("int"))}},
		{"task", "grid[1][2]", Field{Name: "grid", Offset: 52, Type: base("int")}},
		{"task", "numbers[3].level", Field{Name: "level", Offset: 108, Type: base("int")}}, // a flexible array
		{"task", "whole[1]", Field{Name: "whole", Offset: 28, Type: base("int")}},
		{"task", "dead", Field{Name: "dead", Offset: 4, Type: bitfield(1, 1, base("unsigned int"))}},
	} {
		got, err := f.Field(c.typ, c.path)
		if err != nil || !f.HasField(c.typ, c.path) {
			t.Errorf("%s.%s: %v", c.typ, c.path, err)
		}
		equal(t, c.want, got)
	}
}

func TestFieldErrors(t *testing.T) {
	f := file62(t)
	for _, c := range []struct{ typ, path, want string }{
		{"absent", "x", "isf: no user type absent"},
		{"task", "absent", "isf: struct task has no field absent"},
		{"task", "", "isf: struct task has no field "},
		{"task", "tasks.absent", "isf: struct task has no field tasks.absent"},
		{"task", "tasks.", "isf: struct task has no field tasks."},
		{"task", ".tasks", "isf: struct task has no field .tasks"},
		{"task", "state.x", "isf: struct task has no field state.x (state is enum state)"},
		{"task", "tasks.next.next", "isf: struct task has no field tasks.next.next (next is struct list_head *)"},
		{"task", "exit.x", "isf: struct task has no field exit.x (exit is function *)"},
		{"task", "comm[16]", "isf: struct task has no field comm[16] (comm is char[16])"},
		{"task", "comm[1][1]", "isf: struct task has no field comm[1][1] (comm is char)"},
		{"task", "state[0]", "isf: struct task has no field state[0] (state is enum state)"},
		{"task", "comm[-1]", "isf: struct task has no field comm[-1] (bad index [-1])"},
		{"task", "comm[1", "isf: struct task has no field comm[1 (bad index [1)"},
		{"task", "comm[]", "isf: struct task has no field comm[] (bad index [])"},
		{"task", "numbers[18446744073709551615]", "isf: struct task has no field numbers[18446744073709551615] (offset exceeds 64 bits)"},
		{"task", "numbers[2305843009213693951].level", "isf: struct task has no field numbers[2305843009213693951].level (offset exceeds 64 bits)"},
		{"unnamed_a", "nr", "isf: union unnamed_a has no field nr"},
	} {
		got, err := f.Field(c.typ, c.path)
		if !errors.Is(err, ErrNotFound) || err.Error() != c.want || f.HasField(c.typ, c.path) {
			t.Errorf("%s.%s: %v, want %s", c.typ, c.path, err, c.want)
		}
		equal(t, Field{}, got)
	}
}

// Types that contain one another, or more than there is room for, must come to an end.
func TestFieldHostile(t *testing.T) {
	member := func(name, typ string, offset uint64) string {
		return fmt.Sprintf(`%q:{"offset":%d,"anonymous":true,"type":{"kind":"struct","name":%q}}`, name, offset, typ)
	}
	var types []string
	add := func(name string, fields ...string) {
		types = append(types, fmt.Sprintf(`%q:{"kind":"struct","size":8,"fields":{%s}}`, name, strings.Join(fields, ",")))
	}
	add("self", member("m", "self", 0))
	add("ping", member("m", "pong", 1))
	add("pong", member("m", "ping", 2), `"x":{"offset":4,"type":{"kind":"function"}}`)
	add("far", member("m", "far2", 1<<63))
	add("far2", member("m", "pong", 1<<63))
	add("lost", member("m", "absent", 0), `"v":{"offset":0,"type":{"kind":"array","count":2,"subtype":{"kind":"struct","name":"absent"}}}`)
	for i := range 5000 {
		add(fmt.Sprint("deep", i), member("m", fmt.Sprint("deep", i+1), 0))
	}
	f := file(t, `"user_types":{`+strings.Join(types, ",")+`}`)
	for _, typ := range []string{"self", "deep0", "lost"} {
		if _, err := f.Field(typ, "x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", typ, err)
		}
	}
	got, err := f.Field("ping", "x")
	equal(t, Field{Name: "x", Offset: 5, Type: &Type{Kind: KindFunction}}, got)
	if err != nil {
		t.Error(err)
	}
	_, err = f.Field("far", "x")
	equal(t, "isf: struct far has no field x (offset exceeds 64 bits)", fmt.Sprint(err))
	_, err = f.Field("lost", "v[1]")
	equal(t, "isf: struct lost has no field v[1] (isf: no user type absent)", fmt.Sprint(err))
	_, err = f.Field("lost", "m.x")
	equal(t, "isf: struct lost has no field m.x (m is struct absent)", fmt.Sprint(err))
}

func TestSizeOf(t *testing.T) {
	f := file62(t)
	near := mustDecode(t, testdata(t, "6.1.0.json"))
	for _, c := range []struct {
		file *File
		typ  *Type
		want uint64
		text string
	}{
		{f, voidType, 0, "void"},
		{f, base("int"), 4, "int"},
		{f, pointer(structure("absent")), 8, "struct absent *"},
		{f, pointer(pointer(base("char"))), 8, "char **"},
		{near, &Type{Kind: KindPointer, Name: "pointer32", Elem: voidType}, 4, "void *"},
		{f, structure("task"), 80, "struct task"},
		{f, &Type{Kind: KindUnion, Name: "unnamed_a"}, 8, "union unnamed_a"},
		{f, &Type{Kind: KindEnum, Name: "state"}, 4, "enum state"},
		{f, array(3, array(5, structure("upid"))), 120, "struct upid[5][3]"},
		{f, array(0, structure("upid")), 0, "struct upid[0]"},
		{f, bitfield(3, 2, base("unsigned int")), 4, "unsigned int:2"},
	} {
		got, err := c.file.SizeOf(c.typ)
		if got != c.want || err != nil || c.typ.String() != c.text {
			t.Errorf("%v: %d, %v, want %d", c.typ, got, err, c.want)
		}
	}
	endless := &Type{Kind: KindArray, Count: 1}
	endless.Elem = endless
	for want, typ := range map[string]*Type{
		"isf: no base type absent":  base("absent"),
		"isf: no user type absent":  structure("absent"),
		"isf: no enum absent":       {Kind: KindEnum, Name: "absent"},
		"isf: function has no size": {Kind: KindFunction},
		"isf: char[4611686018427387904][4] has no size (it exceeds 64 bits)": array(4, array(1<<62, base("char"))),
		"isf: ? has no size (it nests without end)":                          nil,
		"isf: ?[1] has no size (it nests without end)":                       array(1, nil),
	} {
		_, err := f.SizeOf(typ)
		if !errors.Is(err, ErrNotFound) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := f.SizeOf(endless); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := near.SizeOf(base("void")); err == nil {
		t.Error("a base type that the file does not have")
	}
}

// A type without a name must not be trouble to anyone.
func TestTypeString(t *testing.T) {
	for want, typ := range map[string]*Type{
		" *": pointer(base("")), "? *": pointer(nil), "Kind(77)": {Kind: 77}, "class c": {Kind: KindClass, Name: "c"},
	} {
		equal(t, want, typ.String())
	}
	equal(t, "float BaseKind(9)", BaseFloat.String()+" "+BaseKind(9).String())
}

func TestLookups(t *testing.T) {
	f := file62(t)
	var names []string
	for b := range f.BaseTypes() {
		got, err := f.BaseType(b.Name)
		if got != b || err != nil {
			t.Errorf("%s: %v, %v", b.Name, got, err)
		}
		names = append(names, b.Name)
	}
	for u := range f.UserTypes() {
		got, err := f.UserType(u.Name)
		if got != u || err != nil {
			t.Errorf("%s: %v, %v", u.Name, got, err)
		}
		names = append(names, u.Name)
	}
	for e := range f.Enums() {
		got, err := f.Enum(e.Name)
		if got != e || err != nil {
			t.Errorf("%s: %v, %v", e.Name, got, err)
		}
		names = append(names, e.Name)
	}
	for s := range f.Symbols() {
		got, err := f.Symbol(s.Name)
		if got != s || err != nil {
			t.Errorf("%s: %v, %v", s.Name, got, err)
		}
		names = append(names, s.Name)
	}
	equal(t, []string{
		"_Bool", "char", "int", "pointer", "unsigned int", "void", "list_head", "task", "unnamed_a", "unnamed_b", "upid", "state",
		"init_task", "linux_banner", "startup_64", "untyped",
	}, names)
	if got := slices.Collect(f.Enums()); len(got) != 1 {
		t.Error(got)
	}
	for range f.Symbols() {
		break // which must not trouble the iterator
	}
	for name, want := range map[string]int64{"NEW": -1, "RUNNING": 0, "DEAD": 64} {
		if got, err := f.Constant("state", name); got != want || err != nil {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	_, err := f.Constant("state", "ABSENT")
	equal(t, "isf: enum state has no constant ABSENT", fmt.Sprint(err))
	_, err = f.Constant("absent", "NEW")
	equal(t, "isf: no enum absent", fmt.Sprint(err))
}

package isf

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The types that databases of these tests are made of.
var (
	testInt    = &Type{Kind: KindBase, Name: "int"}
	testLong   = &Type{Kind: KindBase, Name: "long int"}
	testBases  = []BaseType{{Name: "int", Size: 4, Kind: BaseInt, Signed: true}, {Name: "long int", Size: 8, Kind: BaseInt, Signed: true}}
	testUnion  = UserType{Name: "unnamed_union_1", Kind: KindUnion, Size: 8, Fields: []Field{{Name: "a", Type: testInt}, {Name: "b", Type: testLong}}}
	testHash   = UserType{Name: "unnamed_8f00", Kind: KindUnion, Size: 8, Fields: testUnion.Fields}
	taskFields = []Field{
		{Name: "state", Type: testInt},
		{Name: "pid", Offset: 4, Type: testInt},
		{Name: "", Offset: 8, Type: &Type{Kind: KindUnion, Name: "unnamed_8f00"}, Anonymous: true},
		{Name: "next", Offset: 16, Type: &Type{Kind: KindPointer, Elem: &Type{Kind: KindStruct, Name: "task"}}},
		{Name: "cred", Offset: 24, Type: &Type{Kind: KindStruct, Name: "cred"}},
	}
)

func fields(from []Field, which ...int) []Field {
	var list []Field
	for _, i := range which {
		list = append(list, from[i])
	}
	return list
}

func newFile(t *testing.T, c Contents) *File {
	t.Helper()
	c.Bases = append([]BaseType(nil), testBases...)
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// layout returns what others are completed by.
func layout(t *testing.T) *File {
	return newFile(t, Contents{
		Types: []UserType{
			{Name: "task", Kind: KindStruct, Size: 32, Fields: fields(taskFields, 0, 1, 2, 3, 4)}, testHash,
			{Name: "cred", Kind: KindStruct, Size: 8, Fields: []Field{{Name: "uid", Type: testInt}, {Name: "gid", Offset: 4, Type: testInt}}},
		},
		Enums:   []Enum{{Name: "kinds", Size: 4, Base: "int", Constants: []Constant{{"ONE", 1}, {"TWO", 2}}}},
		Symbols: []Symbol{{Name: "init_task", Address: 0x1000, Type: &Type{Kind: KindStruct, Name: "task"}}, {Name: "init_cred", Address: 0x2000}},
	})
}

func origins(f *File) []string {
	var list []string
	for _, o := range f.Origins() {
		list = append(list, o.Object)
	}
	return list
}

func TestCompleteNothing(t *testing.T) {
	empty := newFile(t, Contents{})
	f, conflicts := empty.Complete(layout(t), &CompleteOptions{From: "there", Symbols: true})
	if len(conflicts) > 0 {
		t.Error(conflicts)
	}
	want := []string{"enum kinds", "struct cred", "struct task", "symbol init_cred", "symbol init_task"}
	if diff := cmp.Diff(want, origins(f)); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
	for path, offset := range map[string]uint64{"pid": 4, "b": 8, "next": 16, "cred.gid": 28} {
		if m, err := f.Field("task", path); err != nil || m.Offset != offset {
			t.Errorf("task.%s: %+v, %v", path, m, err)
		}
	}
	if _, err := empty.UserType("task"); err == nil || len(empty.Origins()) > 0 {
		t.Error("the database that was completed has changed")
	}
	if o := f.Origins()[0]; o.String() != "enum kinds from there" {
		t.Error(o)
	}
	if f, _ := empty.Complete(layout(t), nil); f.symbols != nil {
		t.Errorf("symbols were taken: %v", f.symbols)
	}
}

// TestCompleteMembers: a type gets what it lacks, also in what lies in it without a name.
func TestCompleteMembers(t *testing.T) {
	own := newFile(t, Contents{
		Types: []UserType{
			{Name: "task", Kind: KindStruct, Size: 32, Fields: []Field{
				taskFields[0], {Name: "", Offset: 8, Type: &Type{Kind: KindUnion, Name: "unnamed_union_1"}, Anonymous: true},
			}},
			{Name: "unnamed_union_1", Kind: KindUnion, Size: 8, Fields: testUnion.Fields[:1]},
		},
		Enums:   []Enum{{Name: "kinds", Size: 4, Base: "int", Constants: []Constant{{"ONE", 1}}}},
		Symbols: []Symbol{{Name: "init_task", Address: 0x1000}},
	})
	f, conflicts := own.Complete(layout(t), &CompleteOptions{From: "there", Symbols: true})
	if len(conflicts) > 0 {
		t.Error(conflicts)
	}
	want := []string{"enumerators of enum kinds", "struct cred", "field task.unnamed_field_0.b",
		"field task.pid", "field task.next", "field task.cred", "symbol init_cred"}
	if diff := cmp.Diff(want, origins(f)); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
	for path, offset := range map[string]uint64{"state": 0, "pid": 4, "a": 8, "b": 8, "cred.gid": 28} {
		if m, err := f.Field("task", path); err != nil || m.Offset != offset {
			t.Errorf("task.%s: %+v, %v", path, m, err)
		}
	}
	if v, err := f.Constant("kinds", "TWO"); err != nil || v != 2 {
		t.Error(v, err)
	}
	again, _ := f.Complete(layout(t), &CompleteOptions{Symbols: true})
	if diff := cmp.Diff(f.Origins(), again.Origins()); diff != "" {
		t.Errorf("once more (-want +got):\n%s", diff)
	}
}

// TestCompleteConflicts: what is otherwise in the layout of another kernel gets nothing.
func TestCompleteConflicts(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Contents)
		want   string
	}{
		"size":   {func(c *Contents) { c.Types[0].Size = 40 }, "isf: struct task: struct of 40 bytes here, struct of 32 bytes there"},
		"offset": {func(c *Contents) { c.Types[0].Fields[0].Offset = 4 }, "isf: field task.state: int state at 4 here, int state at 0 there"},
		"type":   {func(c *Contents) { c.Types[0].Fields[0].Type = testLong }, "isf: field task.state: long int state at 0 here, int state at 0 there"},
		"more":   {func(c *Contents) { c.Types[0].Fields[0].Name = "flags" }, "isf: struct task: int flags at 0 here, no such member there"},
		"enum":   {func(c *Contents) { c.Enums[0].Constants[0].Value = 3 }, "isf: enum kinds: ONE is 3 here, 1 there"},
		"symbol": {func(c *Contents) { c.Symbols[0].Address = 0x1008 }, "isf: symbol init_task: 0x1008 here, 0x1000 there"},
	} {
		c := Contents{
			Types:   []UserType{{Name: "task", Kind: KindStruct, Size: 32, Fields: fields(taskFields, 0)}},
			Enums:   []Enum{{Name: "kinds", Size: 4, Base: "int", Constants: []Constant{{"ONE", 1}}}},
			Symbols: []Symbol{{Name: "init_task", Address: 0x1000}},
		}
		test.change(&c)
		own := newFile(t, c)
		f, conflicts := own.Complete(layout(t), &CompleteOptions{Symbols: true})
		if len(conflicts) != 1 || conflicts[0].Error() != test.want {
			t.Errorf("%s: conflicts %v", name, conflicts)
		}
		if object := conflicts[0].Object; strings.Contains(object, "task") && !strings.HasPrefix(object, "symbol") && f.HasField("task", "pid") {
			t.Errorf("%s: a member was taken from another kernel's type", name)
		}
		if diff := cmp.Diff(own.symbols[0], f.symbols[1]); diff != "" {
			t.Errorf("%s: init_task (-want +got):\n%s", name, diff)
		}
	}
}

// TestCompletePrivate: a type without a name does not become one of the same name here.
func TestCompletePrivate(t *testing.T) {
	own := newFile(t, Contents{Types: []UserType{{Name: "unnamed_8f00", Kind: KindStruct, Size: 4, Fields: []Field{{Name: "other", Type: testInt}}}}})
	f, conflicts := own.Complete(layout(t), nil)
	if m, err := f.Field("task", "b"); err != nil || m.Offset != 8 || len(conflicts) > 0 {
		t.Errorf("task.b: %+v, %v, conflicts %v", m, err, conflicts)
	}
	if !f.HasField("unnamed_8f00", "other") || f.HasField("task", "other") {
		t.Error("two types without a name were taken for one")
	}
}

func TestUsage(t *testing.T) {
	var u Usage
	f := layout(t).Recorded(&u)
	if _, err := f.Field("task", "cred.gid"); err != nil {
		t.Fatal(err)
	}
	f.HasField("task", "nothing")
	_, _ = f.Constant("kinds", "ONE")
	_, _ = f.Symbol("init_cred")
	_, _ = f.Symbol("nothing")
	got := [][]string{u.Types(), u.Fields("task"), u.Fields("cred"), u.Enums(), u.Symbols()}
	want := [][]string{{"cred", "task"}, {"cred.gid"}, nil, {"kinds"}, {"init_cred"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}

package isf

import (
	"errors"
	"testing"
)

func TestResolver(t *testing.T) {
	r := NewResolver(file62(t))
	task := r.Type("task_struct", "task")
	gone := r.OptionalType("gone")
	got := []uint64{
		task.Size(), task.Offset("tasks.prev"), task.Offset("new", "high"), task.FieldSize("comm"), task.FieldSize("grid[0]"),
		r.Symbol("init_task"), r.Symbol("startup", "startup_64"), uint64(r.Constant("state", "OLD", "DEAD")),
		task.OptionalOffset("absent"), task.OptionalOffset("absent", "comm"), r.OptionalSymbol("untyped"), r.OptionalSymbol("absent"), r.OptionalSymbol("absent", "init_task"),
		gone.Size(), gone.Offset("x"), gone.OptionalOffset("x"), gone.FieldSize("x"), r.OptionalType("gone", "upid").Offset("level"),
	}
	equal(t, []uint64{
		80, 16, 28, 16, 12,
		18446744071595706368, 0xffffffff81000000, 64,
		Absent, 56, 0, Absent, 18446744071595706368,
		0, Absent, Absent, 0, 4,
	}, got)
	equal(t, Field{Name: "vip", Offset: 4, Type: bitfield(0, 1, base("unsigned int"))}, task.Field("vip"))
	equal(t, Field{Offset: Absent, Type: voidType}, gone.Field("x"))
	equal(t, []bool{true, false, true, false, false}, []bool{task.Exists(), gone.Exists(), task.Has("comm"), task.Has("absent"), gone.Has("x")})
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

// One error names all that is missing, each once.
func TestResolverMissing(t *testing.T) {
	r := NewResolver(file62(t))
	task, gone := r.Type("task"), r.Type("gone", "lost")
	got := []uint64{
		task.Offset("pid"), task.Offset("pid"), task.Offset("a", "b", "c"), task.FieldSize("exit.x"), task.Offset("comm"),
		gone.Offset("x"), gone.Size(), gone.FieldSize("y"), r.OptionalType("upid").Offset("ns"),
		r.Symbol("modules"), uint64(r.Constant("state", "OLD", "OLDER")), uint64(r.Constant("pid_type", "PIDTYPE_PID")),
	}
	equal(t, []uint64{0, 0, 0, 0, 56, 0, 0, 0, 0, 0, 0, 0}, got)
	err := r.Err()
	missing, ok := errors.AsType[*MissingError](err)
	if !ok || !errors.Is(err, ErrNotFound) {
		t.Fatalf("%T: %v", err, err)
	}
	equal(t, []*LookupError{
		{Object: "user type gone or lost"},
		{In: "struct task", Object: "field pid"},
		{In: "struct task", Object: "field a or b or c"},
		{In: "struct task", Object: "field exit.x", Note: "exit is function *"},
		{In: "struct upid", Object: "field ns"},
		{Object: "symbol modules"},
		{In: "enum state", Object: "constant OLD or OLDER"},
		{Object: "enum pid_type"},
	}, missing.Missing)
	equal(t, "isf: no user type gone or lost; struct task has no field pid; struct task has no field a or b or c; "+
		"struct task has no field exit.x (exit is function *); struct upid has no field ns; no symbol modules; "+
		"enum state has no constant OLD or OLDER; no enum pid_type", err.Error())
}

// A member of a type that the database does not have is there, but has no size.
func TestResolverSizeOfUnknown(t *testing.T) {
	r := NewResolver(file(t, `"user_types":{"a":{"kind":"struct","size":8,"fields":{"b":{"offset":0,"type":{"kind":"struct","name":"b"}}}}}`))
	equal(t, uint64(0), r.Type("a").FieldSize("b"))
	equal(t, "isf: no user type b", r.Err().Error())
}

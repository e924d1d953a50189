package kstruct

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// bindType binds a view of a type that is only known here.
func bindType(types *isf.File, t reflect.Type, typ string) (program, error) {
	b := NewBinder(types)
	u, err := b.userType(typ, nil)
	b.note(err)
	return bind(b, t, u, err == nil), b.Err()
}

// structOf returns a struct with one field of the type that v has.
func structOf(v any, tag string) reflect.Type {
	return reflect.StructOf([]reflect.StructField{{Name: "F", Type: reflect.TypeOf(v), Tag: reflect.StructTag(tag)}})
}

func TestMismatches(t *testing.T) {
	types := sampleTypes(t)
	for _, tt := range []struct {
		field any
		tag   string
		note  string // part of the error
	}{
		{uint32(0), "pid", "sample.pid: the kernel has int, struct { F uint32 \"kernel:\\\"pid\\\"\" } reads it as uint32: it does not hold all values"},
		{uint64(0), "pid", "it does not hold all values"},
		{int16(0), "pid", "it does not hold all values"},
		{int32(0), "flags", "it does not hold all values"},
		{int64(0), "start", "it does not hold all values"},
		{int32(0), "delta", "it does not hold all values"},
		{int8(0), "byte", "it does not hold all values"},
		{uint64(0), "next", "a pointer is read as vmem.VirtAddr"},
		{vmem.VirtAddr(0), "delta", "an address is a pointer, or unsigned and of 8 bytes"},
		{vmem.VirtAddr(0), "flags", "an address is a pointer, or unsigned and of 8 bytes"},
		{vmem.VirtAddr(0), "high", "an address is a pointer, or unsigned and of 8 bytes"},
		{false, "pid", "only _Bool and a bit field of one bit are read as bool"},
		{false, "low", "only _Bool and a bit field of one bit are read as bool"},
		{int8(0), "ok", "it does not hold all values"},
		{false, "comm", "it is no number"},
		{uint8(0), "high", "it does not hold all values"},
		{uint8(0), "neg", "it does not hold all values"},
		{int32(0), "high", ""},
		{uint32(0), "sign", "it does not hold all values"},
		{int16(0), "color", "it does not hold all values"},
		{int64(0), "at", "it is no number"},
		{int64(0), "rate", "it is no integer"},
		{int64(0), "wide", "it has 16 bytes"},
		{int64(0), "call", "it is no number"},
		{corner{}, "pid", "only a structure or union is read as a struct"},
		{corner{}, "next", "only a structure or union is read as a struct"},
		{struct {
			X uint32 `kernel:"x"`
		}{}, "at", "point.x: the kernel has int"},
		{corner{}, "lost", "no user type nowhere"},
		{[7]byte{}, "comm", "it has 8 bytes"},
		{[7]byte{}, "start", "it has 8 bytes"},
		{[9]byte{}, "start", "it has 8 bytes"},
		{[8]byte{}, "numbers", "it has no size; read it by &"},
		{[8]byte{}, "call", "no size"},
		{[2]uint16{}, "counts", "the Go array is shorter"},
		{[3]int16{}, "counts", "it does not hold all values"},
		{[3]corner{}, "numbers", "it does not say how long it is; read it by &"},
		{[3]corner{}, "at", "it is no array"},
		{[1]bool{}, "ok", "it is no array"},
	} {
		p, err := bindType(types, structOf(tt.field, `kernel:"`+tt.tag+`"`), "sample")
		if ok := err == nil; ok != (tt.note == "") || ok != p.ok {
			t.Errorf("%T of %s: error %v, ok %v", tt.field, tt.tag, err, p.ok)
			continue
		}
		if err != nil && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tt.note)) {
			t.Errorf("%T of %s: error %q, want %q", tt.field, tt.tag, err, tt.note)
		}
	}
}

func TestTagErrors(t *testing.T) {
	types := sampleTypes(t)
	type unexported struct {
		pid int32 `kernel:"pid"`
	}
	_ = unexported{}.pid // of the tag alone, linters don't see a use
	long := [maxOps + 1]uint16{}
	for _, tt := range []struct {
		typ  reflect.Type
		note string
	}{
		{reflect.TypeFor[unexported](), "pid: a field with a tag must be exported"},
		{structOf(int32(0), `kernel:pid`), "F: malformed tag"},
		{structOf(int32(0), `kernel:""`), "has a path that is empty"},
		{structOf(int32(0), `kernel:"pid|"`), "has a path that is empty"},
		{structOf(int32(0), `kernel:"|pid"`), "has a path that is empty"},
		{structOf(int32(0), `kernel:"pid |tgid"`), "has a malformed path"},
		{structOf(int32(0), `kernel:"pid|&tgid"`), "has a malformed path"},
		{structOf(int32(0), `kernel:"pid,opt"`), `has an unknown option "opt"`},
		{structOf(int32(0), `kernel:"pid,"`), `has an unknown option ""`},
		{structOf(int32(0), `kernel:"pid,optional,optional"`), `has option "optional" twice`},
		{structOf(vmem.VirtAddr(0), `kernel:"&pid,be"`), "has a byte order for an address"},
		{structOf(vmem.VirtAddr(0), `kernel:"next,be"`), "an address has no byte order"},
		{structOf([4]byte{}, `kernel:"flags,be"`), "has no byte order"},
		{structOf(uint64(0), `kernel:"&pid"`), "an address needs vmem.VirtAddr, not uint64"},
		{structOf(0, `kernel:"pid"`), "F: int can't be read"},
		{structOf("", `kernel:"comm"`), "string can't be read"},
		{structOf([]byte(nil), `kernel:"comm"`), "[]uint8 can't be read"},
		{structOf(new(int32), `kernel:"pid"`), "*int32 can't be read"},
		{structOf(1.5, `kernel:"rate"`), "float64 can't be read"},
		{structOf([2]any{}, `kernel:"counts"`), "[2]interface {} can't be read"},
		{structOf(struct {
			X string `kernel:"x"`
		}{}, `kernel:"at"`), "F.X: string can't be read"},
		{structOf(struct {
			X string `kernel:"x"`
		}{}, `kernel:"none,optional"`), "F.X: string can't be read"},
		{structOf(long, `kernel:"counts"`), "more than 16384 members and elements"},
		{structOf([1 << 30]struct{}{}, `kernel:"path"`), "more than 16384 members and elements"},
		{reflect.TypeFor[int32](), "int32 is no struct"},
	} {
		p, err := bindType(types, tt.typ, "sample")
		e, ok := errors.AsType[*TagError](err)
		if !ok || p.ok || errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tt.note) || !strings.Contains(err.Error(), e.Note) {
			t.Errorf("%v: %v, want a *TagError with %q", tt.typ, err, tt.note)
		}
	}
}

func TestMissing(t *testing.T) {
	type old struct {
		State int64 `kernel:"__state|state"`
		PID   int32 `kernel:"pid"`
		Opt   int32 `kernel:"opt,optional"`
	}
	b := NewBinder(sampleTypes(t))
	views := []*View[old]{
		Bind[old](b, "sample"), Bind[old](b, "sample"), Bind[old](b, "new_name", "old_name"), BindOptional[old](b, "sample"), BindOptional[old](b, "nothing"),
	}
	members := []Member{
		BindMember(b, "sample", "tail"), BindMember(b, "tail", "a"), BindOptionalMember(b, "sample", "tail"), BindOptionalMember(b, "tail", "a"),
	}
	as := newMemory(t, nil)
	for i, v := range views {
		if v.Ok() || v.Size() != 0 || v.Has("PID") {
			t.Errorf("view %d: ok %v, size %d", i, v.Ok(), v.Size())
		}
		if err := v.Read(as, base, new(old)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("view %d: Read: %v", i, err)
		}
	}
	for i, m := range members {
		if m.Ok() || m.Size() != 0 || m.Count() != 0 || m.Type() != nil || as.Canonical(m.Of(base)) || as.Canonical(m.Container(base)) {
			t.Errorf("member %d: %+v", i, m)
		}
	}
	err := b.Err()
	want := "kstruct: struct sample has no field __state or state; no user type new_name or old_name; struct sample has no field tail; no user type tail"
	if !errors.Is(err, ErrUnsupported) || err.Error() != want {
		t.Errorf("got %v\nwant %v", err, want)
	}
	m, ok := errors.AsType[*isf.MissingError](err)
	if !ok || len(m.Missing) != 4 {
		t.Errorf("got %+v, want an *isf.MissingError of 4", m)
	}
	var none *View[old]
	if none.Ok() || none.Size() != 0 || none.Has("PID") || none.Read(as, base, new(old)) == nil {
		t.Error("a view that is nil is read")
	}
}

func TestBindOptional(t *testing.T) {
	b := NewBinder(sampleTypes(t))
	absent, there := BindOptional[common](b, "nothing"), BindOptional[common](b, "nothing", "sample")
	if b.Err() != nil || absent.Ok() || !there.Ok() {
		t.Errorf("%v; ok %v and %v", b.Err(), absent.Ok(), there.Ok())
	}
}

func TestMember(t *testing.T) {
	b := NewBinder(sampleTypes(t))
	m := BindMember(b, "sample", "newer", "path[1].y")
	if b.Err() != nil || !m.Ok() || m.Offset() != 92 || m.Size() != 4 || m.Type() != i32 {
		t.Errorf("%v; %+v", b.Err(), m)
	}
	if m.Of(base) != base+92 || m.Container(base+92) != base {
		t.Errorf("Of %v, Container %v", m.Of(base), m.Container(base+92))
	}
	for path, want := range map[string][2]uint64{"path": {24, 3}, "numbers": {0, 0}, "pid": {4, 0}, "lost": {0, 0}} {
		if m := BindMember(b, "sample", path); !m.Ok() || m.Size() != want[0] || m.Count() != want[1] {
			t.Errorf("%s: %d bytes, %d elements, want %v", path, m.Size(), m.Count(), want)
		}
	}
	if b.Err() != nil {
		t.Error(b.Err())
	}
}

// TestHugeOffsets has types that no memory holds.
func TestHugeOffsets(t *testing.T) {
	huge, err := isf.New(isf.Contents{
		Bases: []isf.BaseType{{Name: "int", Size: 4, Kind: isf.BaseInt, Signed: true}, {Name: "vast", Size: 1 << 61, Kind: isf.BaseInt}},
		Types: []isf.UserType{
			{Name: "vast", Kind: isf.KindStruct, Size: 1 << 62, Fields: []isf.Field{field("x", 1<<62, i32), field("y", 1<<62, i32)}},
			{Name: "top", Kind: isf.KindStruct, Size: 1 << 63, Fields: []isf.Field{
				field("a", isf.Absent-4, i32), field("b", isf.Absent, i32), field("c", 1<<62, named(isf.KindStruct, "vast")),
				field("d", 8, array(3, named(isf.KindStruct, "vast"))), field("e", 16, array(2, array(1<<62, i32))),
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	type view struct {
		A int32           `kernel:"a"`
		B int32           `kernel:"b"`
		C corner          `kernel:"c"`
		D [3]corner       `kernel:"d"`
		E [2][1 << 4]int8 `kernel:"e"`
	}
	p, err := bindType(huge, reflect.TypeFor[view](), "top")
	if p.ok {
		t.Error("bound")
	}
	if d := cmp.Diff([]string{"b", "x", "y", "d", "e"}, mismatched(err)); d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	type small struct {
		A int32 `kernel:"a"`
	}
	v := Bind[small](NewBinder(huge), "top")
	if _, err := v.Load(newMemory(t, nil), base); !errors.Is(err, vmem.ErrNonCanonical) {
		t.Errorf("Load: %v, want %v", err, vmem.ErrNonCanonical)
	}
}

func mismatched(err error) (members []string) {
	if e, ok := errors.AsType[*BindError](err); ok {
		for _, m := range e.Mismatches {
			members = append(members, m.Member)
		}
	}
	return members
}

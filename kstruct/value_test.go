package kstruct

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

func errText(err error) string {
	for _, reason := range []error{ErrNull, ErrType, ErrRange, ErrUnsupported, ErrTooLong, ErrPerCPU, vmem.ErrNotCaptured, vmem.ErrNotPresent, vmem.ErrNonCanonical} {
		if errors.Is(err, reason) {
			return reason.Error()
		}
	}
	return fmt.Sprint(err)
}

// The values are those that testdata/drgn/make.py put there.
func TestIntegers(t *testing.T) {
	v := drgnSpace(t).Object("everything")
	tests := []struct {
		path     string
		uint     any // the value, or why not
		int      any
		bool     any
		pointer  any
		asBytes  string
		bytesErr error
	}{
		{path: "i", uint: ErrRange, int: -5, bool: true, pointer: ErrType, asBytes: "\xfb\xff\xff\xff"},
		{path: "c", uint: 65, int: 65, bool: true, pointer: ErrType, asBytes: "A"},
		{path: "flag", uint: 1, int: 1, bool: true, pointer: ErrType, asBytes: "\x01"},
		{path: "s", uint: ErrRange, int: math.MinInt16, bool: true, pointer: ErrType, asBytes: "\x00\x80"},
		{path: "ul", uint: uint64(1 << 63), int: ErrRange, bool: true, pointer: vmem.VirtAddr(1 << 63), asBytes: "\x00\x00\x00\x00\x00\x00\x00\x80"},
		{path: "e1", uint: 2, int: 2, bool: true, pointer: ErrType, asBytes: "\x02\x00\x00\x00"},
		{path: "e3", uint: ErrRange, int: -1, bool: true, pointer: ErrType, asBytes: "\xff\xff\xff\xff"},
		{path: "to_null", uint: 0, int: 0, bool: false, pointer: vmem.VirtAddr(0), asBytes: "\x00\x00\x00\x00\x00\x00\x00\x00"},
		{path: "to_nowhere", uint: 0x1234, int: 0x1234, bool: true, pointer: vmem.VirtAddr(0x1234), asBytes: "\x34\x12\x00\x00\x00\x00\x00\x00"},
		{path: "bit3", uint: ErrRange, int: -3, bool: true, pointer: ErrType, asBytes: "\x1d\x00\x00\x00"},
		{path: "bit5", uint: 3, int: 3, bool: true, pointer: ErrType, asBytes: "\x1d\x00\x00\x00"},
		{path: "bit1", uint: 0, int: 0, bool: false, pointer: ErrType, asBytes: "\x00"},
		{path: "wide", uint: ErrType, int: ErrType, bool: ErrType, pointer: ErrType, asBytes: "\x05" + strings.Repeat("\x00", 7) + "\x01" + strings.Repeat("\x00", 7)},
		{path: "real", uint: ErrType, int: ErrType, bool: ErrType, pointer: ErrType, asBytes: "\x00\x00\x00\x00\x00\x00\xf8\x3f"},
		{path: "sub", uint: ErrType, int: ErrType, bool: ErrType, pointer: ErrType, asBytes: "\x01\x00\x00\x00\x00\x00\x00\x00"},
		{path: "full", uint: ErrType, int: ErrType, bool: ErrType, pointer: ErrType, asBytes: "wxyz"},
		{path: "nosuch", uint: ErrUnsupported, int: ErrUnsupported, bool: ErrUnsupported, pointer: ErrUnsupported, bytesErr: ErrUnsupported},
	}
	check := func(t *testing.T, what string, want, got any, err error) {
		t.Helper()
		if reason, ok := want.(error); ok {
			if !errors.Is(err, reason) {
				t.Errorf("%s: %v, %v; want %v", what, got, err, reason)
			}
		} else if fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			m := v.At(tt.path)
			u, err := m.Uint()
			check(t, "Uint", tt.uint, u, err)
			i, err := m.Int()
			check(t, "Int", tt.int, i, err)
			b, err := m.Bool()
			check(t, "Bool", tt.bool, b, err)
			p, err := m.Pointer()
			check(t, "Pointer", tt.pointer, p, err)
			bytes, err := m.Bytes()
			if string(bytes) != tt.asBytes || !errors.Is(err, tt.bytesErr) || uint64(len(bytes)) != m.Size() {
				t.Errorf("Bytes: %q, %v of %d; want %q", bytes, err, m.Size(), tt.asBytes)
			}
		})
	}
}

func TestCString(t *testing.T) {
	v := drgnSpace(t).Object("everything")
	tests := []struct {
		v    Value
		want string
		err  string
	}{
		{v.At("text"), "ab\x1b\"\\\n\xffz", "<nil>"},
		{v.At("full"), "wxyz", "<nil>"},
		{v.At("none"), "", "<nil>"},
		{v.At("octets"), "abc", "<nil>"},
		{v.At("names[1]"), "cd", "<nil>"},
		{v.At("to_char"), "hello", "<nil>"},
		{v.At("to_empty"), "", "<nil>"},
		{v.At("to_pointer").Deref(), "hello", "<nil>"},
		{v.At("texts").Index(1), "hello", "<nil>"},
		{v.At("full").Cast("char []"), "wxyz", "<nil>"},
		{v.At("to_null"), "", ErrNull.Error()},
		{v.At("to_nowhere"), "", vmem.ErrNotPresent.Error()},
		{v.At("i"), "", ErrType.Error()},
		{v.At("ints"), "", ErrType.Error()},
		{v.At("to_point"), "", ErrType.Error()},
	}
	for _, tt := range tests {
		if got, err := tt.v.CString(); got != tt.want || errText(err) != tt.err {
			t.Errorf("%s: %q, %v; want %q, %s", tt.v.name(), got, err, tt.want, tt.err)
		}
	}
}

// A text without an end is cut, and one that is lost behind its beginning is given as far
// as it goes.
func TestCStringLimits(t *testing.T) {
	s := testSpace(t, hostileTypes, []byte(strings.Repeat("x", 100_000)))
	if got, err := s.Struct("char []", testBase).CString(); len(got) != maxCString || !errors.Is(err, ErrTooLong) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := s.Struct("char [65537]", testBase).CString(); len(got) != maxCString || !errors.Is(err, ErrTooLong) {
		t.Errorf("array: %d bytes, %v", len(got), err)
	}
	if got, err := s.Struct("char [65536]", testBase).CString(); len(got) != maxCString || err != nil {
		t.Errorf("array of the limit: %d bytes, %v", len(got), err)
	}
	if got, err := s.Struct("char []", testBase+99_990).CString(); got != strings.Repeat("x", 10) || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("at the end: %q, %v", got, err)
	}
	if got, err := s.Struct("char [9999999]", testBase).Bytes(); got != nil || !errors.Is(err, ErrTooLong) {
		t.Errorf("Bytes of 10 MB: %d bytes, %v", len(got), err)
	}
	if got, err := s.Struct("char [20]", testBase+99_990).Bytes(); len(got) != 10 || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("Bytes at the end: %q, %v", got, err)
	}
}

func TestPaths(t *testing.T) {
	v := drgnSpace(t).Object("everything")
	tests := map[string]any{
		"points[0].y":               2,
		"grid[1][0].y":              2,
		"rows[0][1]":                1,
		"ints[0x2]":                 3,
		"to_point->y":               -9,
		"to_point[0].x":             8,
		"to_row[0][1]":              -9,
		"halves.y":                  4,
		"inner2":                    7,
		"sub.p.x":                   1,
		"tagless.inner2":            2,
		"to_pointer[0][1]":          101,
		"last[1]":                   0,
		"points[4].x":               ErrRange,
		"to_point.y":                ErrType,
		"points->y":                 ErrType,
		"i.x":                       ErrType,
		"i[0]":                      ErrType,
		"":                          ErrType,
		".i":                        ErrType,
		"points[0]y":                ErrType,
		"points[0].":                ErrType,
		"points[x]":                 ErrType,
		"points[-1].x":              ErrType,
		"points[0":                  ErrType,
		"to_point->":                ErrType,
		"to_point->>y":              ErrUnsupported,
		"to_point-y":                ErrType,
		"to_lost->y":                vmem.ErrNotPresent,
		"to_null[0]":                ErrNull,
		"to_void->x":                ErrType,
		"points[0].z":               ErrUnsupported,
		"last[4611686018427387904]": ErrRange,
	}
	for path, want := range tests {
		got, err := v.At(path).Int()
		if reason, ok := want.(error); ok {
			if !errors.Is(err, reason) || !strings.Contains(err.Error(), "everything") {
				t.Errorf("%s: %d, %v; want %v", path, got, err, reason)
			}
		} else if fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
			t.Errorf("%s: %d, %v; want %v", path, got, err, want)
		}
	}
}

// The same step by step as by path, and the error of a step stays.
func TestSteps(t *testing.T) {
	v := drgnSpace(t).Object("everything")
	if a, b := v.At("grid").Index(1).Index(0).At("y"), v.At("grid[1][0].y"); a != b {
		t.Errorf("%+v by steps, %+v by path", a, b)
	}
	if a, b := v.At("to_point").Deref().At("y"), v.At("to_point").At("->y"); a != b || a.Err() != nil {
		t.Errorf("%+v by steps, %+v by path", a, b)
	}
	bad := v.At("points").Index(4)
	after := bad.At("x").Deref().Index(1).Cast("int").CastPointer("int").ContainerOf("point", "x").BigEndian()
	if after.Err() == nil || after.Err().Error() != bad.Err().Error() {
		t.Errorf("%v, then %v", bad.Err(), after.Err())
	}
	if after.Addr() != 0 || after.Type() != nil || after.Size() != 0 || after.Len() != 0 {
		t.Error("an erroneous Value has an address or a type")
	}
	g, ok := errors.AsType[vmem.Gap](after.Err())
	if want := v.At("points").Addr(); !ok || g.Object != "everything.points[4]" || g.Place != vmem.KernelPlace(want) {
		t.Errorf("%+v, want it at %v", g, want)
	}
	if _, err := v.At("to_lost").Deref().At("y").Int(); !strings.Contains(err.Error(), "everything.to_lost->y") {
		t.Errorf("%v does not say the path", err)
	}
	var zero Value
	for _, err := range []error{zero.Err(), zero.At("x").Err(), zero.Deref().Err(), zero.Index(0).Err(), zero.ContainerOf("point", "x").Err()} {
		if !errors.Is(err, ErrType) {
			t.Errorf("zero Value: %v", err)
		}
	}
	if _, err := v.At("points").Index(-1).At("x").Int(); !errors.Is(err, ErrRange) {
		t.Errorf("negative index: %v", err)
	}
}

func TestContainerOf(t *testing.T) {
	s := drgnSpace(t)
	v := s.Object("everything")
	back := v.At("grid[1][0].y").ContainerOf("struct all", "grid[1][0].y")
	if back.Addr() != v.Addr() || back.Err() != nil || back.Type().Name != "all" {
		t.Errorf("%v at %v, %v", back.Type(), back.Addr(), back.Err())
	}
	for _, tt := range []struct {
		v      Value
		reason error
	}{
		{v.ContainerOf("int", "x"), ErrType},
		{v.ContainerOf("all", "nosuch"), ErrUnsupported},
		{v.ContainerOf("nosuch", "x"), ErrUnsupported},
		{s.Struct("int", 4).ContainerOf("point", "y"), nil},
		{s.Struct("int", 3).ContainerOf("point", "y"), ErrRange},
	} {
		if !errors.Is(tt.v.Err(), tt.reason) {
			t.Errorf("%v, want %v", tt.v.Err(), tt.reason)
		}
	}
}

func TestCast(t *testing.T) {
	s := drgnSpace(t)
	v := s.Object("everything")
	if got, err := v.At("to_void").CastPointer("struct point").At("->x").Int(); got != 8 || err != nil {
		t.Errorf("void * as struct point *: %d, %v", got, err)
	}
	if got, err := v.At("ints").Cast("u64").Uint(); got != 1 || err != nil {
		t.Errorf("int[6] as u64: %d, %v", got, err)
	}
	if got, err := v.At("ints").Cast("int [2][3]").At("[0][2]").Int(); got != 3 || err != nil {
		t.Errorf("int[6] as int[2][3]: %d, %v", got, err)
	}
	for _, v := range []Value{v.At("i").CastPointer("int"), v.At("points").CastPointer("int"), v.At("i").Cast("int [3")} {
		if !errors.Is(v.Err(), ErrType) {
			t.Errorf("%v, want %v", v.Err(), ErrType)
		}
	}
}

func TestBigEndian(t *testing.T) {
	s := testSpace(t, string(testdata(t, "drgn", "types.json")), []byte("\x7a\x69\x00\x00\xff\xfe\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08"))
	tests := []struct {
		v    Value
		want int64
	}{
		{s.Struct("__be16", testBase).BigEndian(), 31337},
		{s.Struct("u16", testBase), 0x697a},
		{s.Struct("short", testBase+4).BigEndian(), -2},
		{s.Struct("be32", testBase+8).BigEndian(), 0x01020304},
		{s.Struct("u64", testBase+8).BigEndian(), 0x0102030405060708},
		{s.Struct("u8", testBase+8).BigEndian(), 1},
		{s.Struct("unsigned int [2]", testBase+8).BigEndian().Index(1), 0x05060708},
	}
	for _, tt := range tests {
		got, err := tt.v.Int()
		if got != tt.want || err != nil {
			t.Errorf("%s: %#x, %v; want %#x", tt.v.name(), got, err, tt.want)
		}
	}
}

func TestEnumAndFlags(t *testing.T) {
	s := drgnSpace(t)
	v := s.Object("everything")
	for path, want := range map[string]string{"e1": "ST_B", "states[0]": "ST_A", "e3": "NEG"} {
		if got, err := v.At(path).Enum(); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	for path, want := range map[string]string{"e2": "constant of value 5", "i": "no enumeration"} {
		if got, err := v.At(path).Enum(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want it to say %q", path, got, err, want)
		}
	}
	flags := []struct {
		got  func(string) ([]string, error)
		enum string
		want []string
	}{
		{v.At("e1").Flags, "state", []string{"ST_B"}},
		{v.At("ints[2]").Flags, "enum state", []string{"ST_B", "0x1"}},
		{v.At("i").Flags, "sign", []string{"0xfffffffb"}},
		{v.At("e3").Flags, "sign", []string{"NEG"}},
		{v.At("bit3").Flags, "state", []string{"0x5"}},
		{v.At("to_null").Flags, "state", nil},
		{v.At("e2").Bits, "state", []string{"ST_A", "ST_B"}},
		{v.At("ints[0]").Bits, "sign", []string{"NONE"}},
	}
	for i, tt := range flags {
		got, err := tt.got(tt.enum)
		if d := cmp.Diff(tt.want, got); d != "" || err != nil {
			t.Errorf("%d: %v (-want +got):\n%s", i, err, d)
		}
	}
	if _, err := v.At("i").Flags("nosuch"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("flags of an unknown enumeration: %v", err)
	}
	if _, err := v.At("points").Bits("state"); !errors.Is(err, ErrType) {
		t.Errorf("flags of an array: %v", err)
	}
}

func TestFields(t *testing.T) {
	v := drgnSpace(t).Object("everything")
	var names []string
	for name, m := range v.Fields() {
		names = append(names, name)
		if w := v.At(name); w != m {
			t.Errorf("%s: %+v, by name %+v", name, m, w)
		}
	}
	all := strings.Join(names, " ")
	if !strings.HasPrefix(all, "i c control flag ") || !strings.Contains(all, " texts halves word inner1 inner2 sub tagless bit3 bit5 bit1 last") {
		t.Errorf("fields: %s", all)
	}
	for name, m := range v.At("i").Fields() {
		if name != "" || !errors.Is(m.Err(), ErrType) {
			t.Errorf("field %q of an int: %v", name, m.Err())
		}
	}
	if n := v.At("points").Len(); n != 4 {
		t.Errorf("Len = %d", n)
	}
}

func TestTypeNames(t *testing.T) {
	s := drgnSpace(t)
	tests := map[string]string{
		"struct point":                    "struct point",
		"point":                           "struct point",
		" union  either ":                 "union either",
		"state":                           "enum state",
		"enum state":                      "enum state",
		"unsigned long":                   "unsigned long",
		"long unsigned int":               "unsigned long",
		"unsigned":                        "unsigned int",
		"signed":                          "int",
		"short int":                       "short",
		"bool":                            "_Bool",
		"signed char":                     "signed char",
		"u8":                              "unsigned char",
		"__s32":                           "int",
		"uint64_t":                        "unsigned long",
		"__be32":                          "unsigned int",
		"void *":                          "void *",
		"struct point**":                  "struct point **",
		"char *[4]":                       "char *[4]",
		"struct point [2][3]":             "struct point [2][3]",
		"int[]":                           "int []",
		"struct nosuch":                   "?",
		"enum point":                      "?",
		"":                                "?",
		"*":                               "?",
		"int [":                           "?",
		"int [x]":                         "?",
		"int * x":                         "?",
		"s24":                             "?",
		"u7":                              "?",
		"int [99999999999999999999]":      "?",
		"int " + strings.Repeat("*", 200): "?",
	}
	for text, want := range tests {
		typ, err := s.parseType(text)
		got := "?"
		if err == nil {
			got = s.cType(typ)
		}
		if got != want || err != nil && !errors.Is(err, ErrType) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

// What a Value is asked allocates nothing once its member is found, and finding one by
// name from an object does not either.
func TestValueAllocations(t *testing.T) {
	v := drgnSpace(t).Object("everything")
	i, p, b, e := v.At("i"), v.At("to_char"), v.At("bit3"), v.At("e1")
	steps := map[string]func(){
		"Int":       func() { _, _ = i.Int() },
		"Pointer":   func() { _, _ = p.Pointer() },
		"bit field": func() { _, _ = b.Int() },
		"Uint":      func() { _, _ = e.Uint() },
		"Bool":      func() { _, _ = e.Bool() },
		"Enum":      func() { _, _ = e.Enum() },
		"At":        func() { _ = v.At("grid[1][0].y") },
		"At ->":     func() { _, _ = v.At("to_point->y").Int() },
	}
	for name, step := range steps {
		if n := testing.AllocsPerRun(100, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Per-CPU variables have addresses from 0 on up to 6.14, and between two symbols of the
// kernel's image since (x86: 9d7de2aa8b41).
func TestObjectSymbols(t *testing.T) {
	types := strings.Replace(hostileTypes, `"symbols":{}`, `"symbols":{
		"__per_cpu_start":{"address":18446744071600000000},"__per_cpu_end":{"address":18446744071600001000},
		"old":{"address":4096,"type":{"kind":"base","name":"int"}},
		"first":{"address":18446744071600000000,"type":{"kind":"base","name":"int"}},
		"last":{"address":18446744071600000999,"type":{"kind":"base","name":"int"}},
		"behind":{"address":18446744071600001000,"type":{"kind":"base","name":"int"}},
		"untyped":{"address":18446744071600001000}}`, 1)
	s := testSpace(t, types, nil)
	s.shift = 0x1000
	for name, want := range map[string]error{"old": ErrPerCPU, "first": ErrPerCPU, "last": ErrPerCPU, "behind": nil, "untyped": ErrUnsupported} {
		v := s.Object(name)
		if !errors.Is(v.Err(), want) {
			t.Errorf("%s: %v, want %v", name, v.Err(), want)
		}
		if want == nil && v.Addr() != 18446744071600001000+0x1000 {
			t.Errorf("%s at %v", name, v.Addr())
		}
	}
	if err := s.Object("untyped").Err().Error(); !strings.Contains(err, "type of symbol untyped") || !strings.Contains(err, "Struct(type, 0xffffffff8242dfe8)") {
		t.Errorf("%s does not say what to do", err)
	}
}

// A variable ends with its size, a function before the next symbol, and nothing is named
// after the last symbol of all.
func TestSymbolAtBounds(t *testing.T) {
	types := strings.Replace(hostileTypes, `"symbols":{}`, `"symbols":{
		"percpu":{"address":4096,"type":{"kind":"base","name":"int"}},
		"alias_of_var":{"address":18446744071600000000},
		"var":{"address":18446744071600000000,"type":{"kind":"base","name":"int"}},
		"__pfx_f":{"address":18446744071600000100},"f":{"address":18446744071600000100},
		"far":{"address":18446744071600200000},
		"_end":{"address":18446744071600300000}}`, 1)
	s := testSpace(t, types, nil)
	s.shift = 0x1000
	const at = 18446744071600000000 + 0x1000
	for off, want := range map[uint64]string{
		0: "var+0x0", 3: "var+0x3", 4: "", 100: "f+0x0", 199: "f+0x63", 100 + maxUnsized - 1: "f+0xffff", 100 + maxUnsized: "",
		200_000: "far+0x0", 300_000: "_end+0x0", 300_001: "", 1<<64 - 1: "",
	} {
		got := ""
		if name, offset, ok := s.SymbolAt(vmem.VirtAddr(at + off)); ok {
			got = fmt.Sprintf("%s+%#x", name, offset)
		}
		if got != want {
			t.Errorf("%d: %q, want %q", off, got, want)
		}
	}
	if name, _, ok := s.SymbolAt(4096); ok {
		t.Errorf("a small address is %s", name)
	}
}

package isf

import "testing"

// versions holds what is in the files of testdata.
var versions = map[string]Contents{
	"2.0.0": {
		Metadata: Metadata{Format: "2.0.0", Producer: Producer{Name: "by hand", Version: "1.0.0", Datetime: "2016-08-05T17:58:03Z"}},
		Bases: []BaseType{
			{Name: "bool", Size: 1, Kind: BaseBool},
			{Name: "char", Size: 1, Kind: BaseChar, Signed: true},
			{Name: "double", Size: 8, Kind: BaseFloat, Signed: true},
			{Name: "long", Size: 4, Kind: BaseInt, Signed: true},
			{Name: "long unsigned int", Size: 4, Kind: BaseInt},
			{Name: "pointer", Size: 4, Kind: BaseInt},
			{Name: "unsigned char", Size: 1, Kind: BaseChar},
			{Name: "void"},
		},
		Types: []UserType{{Name: "_LIST_ENTRY", Kind: KindStruct, Size: 8, Fields: []Field{
			{Name: "Flink", Type: pointer(structure("_LIST_ENTRY"))},
			{Name: "Blink", Offset: 4, Type: pointer(structure("_LIST_ENTRY"))},
		}}},
		Enums:   []Enum{{Name: "_MODE", Size: 4, Base: "long", Constants: []Constant{{"KernelMode", 0}, {"UserMode", 1}}}},
		Symbols: []Symbol{{Name: "PsActiveProcessHead", Address: 2153086456}},
	},
	"2.1.0": {
		Metadata: Metadata{Format: "2.1.0"},
		Bases:    []BaseType{{Name: "unsigned int", Size: 4, Kind: BaseInt}},
		Types: []UserType{{Name: "flags", Kind: KindUnion, Size: 4, Fields: []Field{
			{Name: "mode", Type: bitfield(3, 5, &Type{Kind: KindEnum, Name: "mode"})},
		}}},
		Enums: []Enum{{Name: "mode", Size: 4, Base: "unsigned int", Constants: []Constant{{"A", 1}}}},
		Symbols: []Symbol{
			{Name: "mode", Address: 4096, Type: &Type{Kind: KindEnum, Name: "mode"}},
			{Name: "untyped", Address: 8192},
		},
	},
	"4.0.0": {
		Metadata: Metadata{Format: "4.0.0"},
		Bases: []BaseType{
			{Name: "be32", Size: 4, Kind: BaseInt, BigEndian: true},
			{Name: "byte", Size: 1, Kind: BaseChar, Signed: true},
			{Name: "real", Size: 8, Kind: BaseFloat, Signed: true},
			{Name: "yes", Size: 1, Kind: BaseBool},
		},
		Types:   []UserType{{Name: "Empty", Kind: KindClass}},
		Symbols: []Symbol{{Name: "start", Address: 0xffffffff81000000}},
	},
	"4.1.0": {
		Metadata: Metadata{Format: "4.1.0"},
		Bases:    []BaseType{{Name: "char", Size: 1, Kind: BaseChar, Signed: true}},
		Symbols: []Symbol{{
			Name: "linux_banner", Address: 18446744071590199712, Type: array(29, base("char")),
			ConstantData: []byte("Linux version 4.1 (hand)\n\x00XXX"),
		}},
	},
	"6.0.0": {
		Metadata: Metadata{Format: "6.0.0", Producer: Producer{Name: "by hand", Version: "0.1.0"}},
		Bases:    []BaseType{{Name: "pointer", Size: 8, Kind: BaseInt}},
		Types: []UserType{
			{Name: "ops", Kind: KindStruct, Size: 24, Fields: []Field{
				{Name: "open", Type: pointer(&Type{Kind: KindFunction})},
				{Name: "unnamed_field_0", Offset: 8, Type: &Type{Kind: KindUnion, Name: "unnamed_1"}, Anonymous: true},
				{Name: "unnamed_field_1", Offset: 8, Type: base("pointer")},
				{Name: "data", Offset: 16, Type: array(0, voidType)},
			}},
			{Name: "unnamed_1", Kind: KindUnion, Size: 8, Fields: []Field{{Name: "a", Type: base("pointer")}}},
		},
	},
	"6.1.0": {
		Metadata: Metadata{Format: "6.1.0"},
		Bases:    []BaseType{{Name: "pointer", Size: 8, Kind: BaseInt}, {Name: "pointer32", Size: 4, Kind: BaseInt}},
		Types: []UserType{{Name: "compat", Kind: KindStruct, Size: 16, Fields: []Field{
			{Name: "near", Type: &Type{Kind: KindPointer, Name: "pointer32", Elem: voidType}},
			{Name: "far", Offset: 8, Type: pointer(voidType)},
		}}},
	},
	"6.2.0": contents62,
	"6.3.0": {
		Metadata: Metadata{Format: "6.3.0", Producer: Producer{Name: "by hand", Version: "1.2.3"}},
		Bases:    []BaseType{{Name: "pointer", Size: 8, Kind: BaseInt}},
	},
	"6.9.0": {
		Metadata: Metadata{Format: "6.9.0", Producer: Producer{Name: "from the future", Version: "9.0.0"}},
		Bases:    []BaseType{{Name: "int", Size: 4, Kind: BaseInt, Signed: true}},
		Types:    []UserType{{Name: "s", Kind: KindStruct, Size: 4, Fields: []Field{{Name: "x", Type: base("int")}}}},
		Symbols:  []Symbol{{Name: "f", Address: 1}},
	},
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

var contents62 = Contents{
	Metadata: Metadata{
		Format: "6.2.0", Producer: Producer{Name: "by hand", Version: "1.0.0"},
		Symbols: []Source{{"dwarf", "vmlinux", "sha256", emptyHash}, {"symtab", "vmlinux", "sha256", emptyHash}},
		Types:   []Source{{"dwarf", "vmlinux", "sha256", emptyHash}},
	},
	Bases: []BaseType{
		{Name: "_Bool", Size: 1, Kind: BaseBool},
		{Name: "char", Size: 1, Kind: BaseChar, Signed: true},
		{Name: "int", Size: 4, Kind: BaseInt, Signed: true},
		{Name: "pointer", Size: 8, Kind: BaseInt},
		{Name: "unsigned int", Size: 4, Kind: BaseInt},
		{Name: "void"},
	},
	Types: []UserType{
		{Name: "list_head", Kind: KindStruct, Size: 16, Fields: []Field{
			{Name: "next", Type: pointer(structure("list_head"))},
			{Name: "prev", Offset: 8, Type: pointer(structure("list_head"))},
		}},
		{Name: "task", Kind: KindStruct, Size: 80, Fields: []Field{
			{Name: "state", Type: &Type{Kind: KindEnum, Name: "state"}},
			{Name: "vip", Offset: 4, Type: bitfield(0, 1, base("unsigned int"))},
			{Name: "dead", Offset: 4, Type: bitfield(1, 1, base("unsigned int"))},
			{Name: "tasks", Offset: 8, Type: structure("list_head")},
			{Name: "unnamed_field_0", Offset: 24, Type: &Type{Kind: KindUnion, Name: "unnamed_a"}, Anonymous: true},
			{Name: "grid", Offset: 32, Type: array(2, array(3, base("int")))},
			{Name: "comm", Offset: 56, Type: array(16, base("char"))},
			{Name: "exit", Offset: 72, Type: pointer(&Type{Kind: KindFunction})},
			{Name: "numbers", Offset: 80, Type: array(0, structure("upid"))},
		}},
		{Name: "unnamed_a", Kind: KindUnion, Size: 8, Fields: []Field{
			{Name: "unnamed_field_0", Type: structure("unnamed_b"), Anonymous: true},
			{Name: "whole", Type: array(2, base("int"))},
		}},
		{Name: "unnamed_b", Kind: KindStruct, Size: 8, Fields: []Field{
			{Name: "low", Type: base("int")},
			{Name: "high", Offset: 4, Type: base("int")},
		}},
		{Name: "upid", Kind: KindStruct, Size: 8, Fields: []Field{
			{Name: "nr", Type: base("int")},
			{Name: "level", Offset: 4, Type: base("int")},
		}},
	},
	Enums: []Enum{{Name: "state", Size: 4, Base: "unsigned int", Constants: []Constant{{"NEW", -1}, {"RUNNING", 0}, {"DEAD", 64}}}},
	Symbols: []Symbol{
		{Name: "init_task", Address: 18446744071595706368, Type: structure("task")},
		{
			Name: "linux_banner", Address: 18446744071590199712, Type: array(26, base("char")),
			ConstantData: []byte("Linux version 6.2 (hand)\n\x00"),
		},
		{Name: "startup_64", Address: 0xffffffff81000000, Type: voidType},
		{Name: "untyped"},
	},
}

func TestDecodeVersions(t *testing.T) {
	for version, want := range versions {
		t.Run(version, func(t *testing.T) {
			f := mustDecode(t, testdata(t, version+".json"))
			equal(t, want, contents(f))

			again := mustDecode(t, encode(t, f))
			want.Metadata.Format = "6.2.0"
			equal(t, want, contents(again))
		})
	}
}

func TestBanner(t *testing.T) {
	for version, want := range map[string]string{
		"2.1.0": "",
		"4.1.0": "Linux version 4.1 (hand)\n",
		"6.2.0": "Linux version 6.2 (hand)\n",
	} {
		if got := mustDecode(t, testdata(t, version+".json")).Banner(); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}

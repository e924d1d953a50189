package btfconv

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"

	"github.com/nodelens/nodelens/internal/testimages"
)

func readTestFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// contents returns all types of a database.
func contents(f *isf.File) isf.Contents {
	var c isf.Contents
	for b := range f.BaseTypes() {
		c.Bases = append(c.Bases, *b)
	}
	for u := range f.UserTypes() {
		c.Types = append(c.Types, *u)
	}
	for e := range f.Enums() {
		c.Enums = append(c.Enums, *e)
	}
	for s := range f.Symbols() {
		c.Symbols = append(c.Symbols, *s)
	}
	return c
}

func named(kind isf.Kind, name string) *isf.Type { return &isf.Type{Kind: kind, Name: name} }

func array(n uint64, elem *isf.Type) *isf.Type {
	return &isf.Type{Kind: isf.KindArray, Count: n, Elem: elem}
}

func bits(from, n uint8, elem *isf.Type) *isf.Type {
	return &isf.Type{Kind: isf.KindBitfield, BitPosition: from, BitLength: n, Elem: elem}
}

var (
	tInt  = baseNamed("int")
	tUint = baseNamed("unsigned int")
	tChar = baseNamed("char")
	tList = structType("list")
)

// kinds is what testdata/btf/kinds.c says, with sizes and offsets as pahole prints
// them for the same source compiled for x86-64.
var kinds = isf.Contents{
	Bases: []isf.BaseType{
		{Name: "_Bool", Size: 1, Kind: isf.BaseBool},
		{Name: "__ARRAY_SIZE_TYPE__", Size: 4, Kind: isf.BaseInt}, // clang's type of an index
		{Name: "__int128", Size: 16, Kind: isf.BaseInt, Signed: true},
		{Name: "char", Size: 1, Kind: isf.BaseChar, Signed: true},
		{Name: "double", Size: 8, Kind: isf.BaseFloat, Signed: true},
		{Name: "float", Size: 4, Kind: isf.BaseFloat, Signed: true},
		{Name: "int", Size: 4, Kind: isf.BaseInt, Signed: true},
		{Name: "long", Size: 8, Kind: isf.BaseInt, Signed: true},
		{Name: "pointer", Size: 8, Kind: isf.BaseInt},
		{Name: "short", Size: 2, Kind: isf.BaseInt, Signed: true},
		{Name: "unsigned char", Size: 1, Kind: isf.BaseChar},
		{Name: "unsigned int", Size: 4, Kind: isf.BaseInt},
		{Name: "unsigned long long", Size: 8, Kind: isf.BaseInt},
		{Name: "void", Kind: isf.BaseVoid},
	},
	Types: []isf.UserType{
		{Name: "all", Kind: isf.KindStruct, Size: 256, Fields: []isf.Field{
			{Name: "boolean", Offset: 0, Type: baseNamed("_Bool")},
			{Name: "character", Offset: 1, Type: tChar},
			{Name: "byte", Offset: 2, Type: baseNamed("unsigned char")},
			{Name: "small", Offset: 4, Type: baseNamed("short")},
			{Name: "number", Offset: 8, Type: baseNamed("long")},
			{Name: "huge", Offset: 16, Type: baseNamed("__int128")},
			{Name: "single", Offset: 32, Type: baseNamed("float")},
			{Name: "twice", Offset: 40, Type: baseNamed("double")},
			{Name: "nothing", Offset: 48, Type: pointerTo(&isf.Type{Kind: isf.KindVoid})},
			{Name: "call", Offset: 56, Type: pointerTo(&isf.Type{Kind: isf.KindFunction})},
			{Name: "there", Offset: 64, Type: pointerTo(structType("elsewhere"))},
			{Name: "too", Offset: 72, Type: pointerTo(named(isf.KindUnion, "elsewhere_too"))},
			{Name: "heads", Offset: 80, Type: array(3, array(2, structType("list_t")))},
			{Name: "again", Offset: 176, Type: structType("list_t")},
			{Name: "count", Offset: 192, Type: structType("atomic_t")},
			{Name: "order", Offset: 196, Type: named(isf.KindEnum, "order_t")},
			{Name: "sign", Offset: 200, Type: named(isf.KindEnum, "sign")},
			{Name: "size", Offset: 204, Type: named(isf.KindEnum, "size")},
			{Name: "wide", Offset: 208, Type: named(isf.KindEnum, "wide")},
			{Name: "depth", Offset: 216, Type: named(isf.KindEnum, "depth")},
			{Name: "bits", Offset: 224, Type: structType("bits")},
			{Name: "unnamed_field_0", Offset: 240, Type: named(isf.KindUnion, "unnamed_union_43"), Anonymous: true},
			{Name: "named", Offset: 244, Type: structType("unnamed_struct_45")},
			{Name: "text", Offset: 248, Type: pointerTo(tChar)},
			{Name: "empty", Offset: 256, Type: structType("empty")},
			{Name: "rest", Offset: 256, Type: arrayOf(tChar)},
		}},
		{Name: "atomic_t", Kind: isf.KindStruct, Size: 4, Fields: []isf.Field{{Name: "counter", Type: tInt}}},
		{Name: "bits", Kind: isf.KindStruct, Size: 16, Fields: []isf.Field{
			{Name: "a", Offset: 0, Type: bits(0, 3, tUint)},
			{Name: "b", Offset: 0, Type: bits(3, 13, tUint)},
			{Name: "c", Offset: 4, Type: bits(0, 17, tInt)},
			{Name: "d", Offset: 8, Type: bits(0, 40, baseNamed("unsigned long long"))},
			{Name: "e", Offset: 13, Type: bits(0, 2, named(isf.KindEnum, "sign"))},
			{Name: "f", Offset: 13, Type: bits(2, 1, baseNamed("_Bool"))},
			{Name: "g", Offset: 14, Type: tChar},
		}},
		{Name: "empty", Kind: isf.KindStruct, Fields: []isf.Field{}},
		{Name: "list", Kind: isf.KindStruct, Size: 16, Fields: listFields},
		{Name: "list_t", Kind: isf.KindStruct, Size: 16, Fields: listFields},
		{Name: "unnamed_struct_44", Kind: isf.KindStruct, Size: 4, Fields: []isf.Field{
			{Name: "low", Offset: 0, Type: baseNamed("short")}, {Name: "high", Offset: 2, Type: baseNamed("short")},
		}},
		{Name: "unnamed_struct_45", Kind: isf.KindStruct, Size: 4, Fields: []isf.Field{{Name: "inner", Type: tUint}}},
		{Name: "unnamed_union_43", Kind: isf.KindUnion, Size: 4, Fields: []isf.Field{
			{Name: "one", Type: tInt}, {Name: "unnamed_field_0", Type: structType("unnamed_struct_44"), Anonymous: true},
		}},
	},
	Enums: []isf.Enum{
		{Name: "depth", Size: 8, Base: "long", Constants: []isf.Constant{{Name: "DEEPEST", Value: -0x100000000}, {Name: "FLAT"}}},
		{Name: "order_t", Size: 4, Base: "unsigned int", Constants: []isf.Constant{{Name: "FIRST"}, {Name: "SECOND", Value: 1}}},
		{Name: "sign", Size: 4, Base: "int", Constants: []isf.Constant{{Name: "MINUS", Value: -1}, {Name: "ZERO"}, {Name: "PLUS", Value: 1}}},
		{Name: "size", Size: 4, Base: "unsigned int", Constants: []isf.Constant{{Name: "NONE"}, {Name: "LARGE", Value: 0x90000000}}},
		{Name: "wide", Size: 8, Base: "unsigned long long", Constants: []isf.Constant{
			{Name: "WIDEST", Value: -0xffffffff}, {Name: "WIDE", Value: 2},
		}},
	},
}

var listFields = []isf.Field{
	{Name: "next", Offset: 0, Type: pointerTo(tList)}, {Name: "prev", Offset: 8, Type: pointerTo(pointerTo(tList))},
}

func TestConvertKinds(t *testing.T) {
	t.Parallel()
	f, err := Convert(bytes.NewReader(readTestFile(t, "testdata/btf/kinds.btf")), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kinds, contents(f)); diff != "" {
		t.Error(diff)
	}
}

func TestConvertELF(t *testing.T) {
	t.Parallel()
	btf := readTestFile(t, "testdata/btf/kinds.btf")
	for _, c := range []struct {
		section string
		want    error
	}{{".BTF", nil}, {".BTF_ids", ErrNotFound}, {".BTF.base", errDistilled}} {
		f, err := Convert(bytes.NewReader(elfWith(c.section, btf)), nil, nil)
		if !errors.Is(err, c.want) {
			t.Fatalf("section %s: %v, want %v", c.section, err, c.want)
		}
		if err == nil {
			if diff := cmp.Diff(kinds, contents(f)); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// elfWith returns an ELF file with one section.
func elfWith(name string, data []byte) []byte {
	names := "\x00" + name + "\x00.shstrtab\x00"
	const start = 64
	header := elf.Header64{
		Ident:   [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:    uint16(elf.ET_EXEC),
		Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Ehsize: start, Shentsize: 64, Shnum: 3, Shstrndx: 2,
		Shoff: uint64(start + len(data) + len(names)),
	}
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: start, Size: uint64(len(data))},
		{Name: uint32(2 + len(name)), Type: uint32(elf.SHT_STRTAB), Off: uint64(start + len(data)), Size: uint64(len(names))},
	}
	var b bytes.Buffer
	for _, part := range []any{header, data, []byte(names), sections} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func TestConvertModule(t *testing.T) {
	t.Parallel()
	base, module := readTestFile(t, "testdata/btf/kinds.btf"), readTestFile(t, "testdata/btf/module.btf")
	f, err := Convert(bytes.NewReader(module), nil, &Options{Base: bytes.NewReader(base)})
	if err != nil {
		t.Fatal(err)
	}
	want := isf.Contents{Bases: slices.Clone(kinds.Bases), Types: slices.Clone(kinds.Types), Enums: kinds.Enums}
	want.Enums = slices.Clone(want.Enums)
	want.Enums[4].Base = "long unsigned int" // the first by name, now
	want.Bases = slices.Insert(want.Bases, 8, isf.BaseType{Name: "long unsigned int", Size: 8, Kind: isf.BaseInt})
	want.Types = slices.Insert(want.Types, 0, isf.UserType{Name: "added", Kind: isf.KindStruct, Size: 40, Fields: []isf.Field{
		{Name: "list", Offset: 0, Type: tList},
		{Name: "more", Offset: 16, Type: array(4, tInt)},
		{Name: "self", Offset: 32, Type: pointerTo(structType("added"))},
	}})
	if diff := cmp.Diff(want, contents(f)); diff != "" {
		t.Error(diff)
	}
	if _, err := Convert(bytes.NewReader(module), nil, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("module without its base: %v", err)
	}
}

// A module without types of its own has BTF that is all header.
func TestConvertModuleWithoutTypes(t *testing.T) {
	t.Parallel()
	base := bytes.NewReader(readTestFile(t, "testdata/btf/kinds.btf"))
	empty := make([]byte, btfHeaderSize)
	binary.LittleEndian.PutUint16(empty, btfMagic)
	empty[2], empty[4] = btfVersion, btfHeaderSize
	f, err := Convert(bytes.NewReader(empty), nil, &Options{Base: base})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kinds, contents(f)); diff != "" {
		t.Error(diff)
	}
}

// newer returns BTF as a later kernel may have it: with a header of 32 bytes, a
// layout section, and a type of a kind that this package doesn't know.
func newer(t *testing.T, layout bool) []byte {
	t.Helper()
	b := readTestFile(t, "testdata/btf/kinds.btf")
	le := binary.LittleEndian
	types, strs := b[btfHeaderSize:][:le.Uint32(b[12:])], b[btfHeaderSize+le.Uint32(b[16:]):]
	extra := make([]byte, btfRecordSize+4+2*8)
	le.PutUint32(extra[4:], uint32(numKinds)<<24|2)
	types = append(slices.Clone(types), extra...)
	section := make([]byte, 4*(int(numKinds)+1))
	section[4*int(numKinds)], section[4*int(numKinds)+1] = 4, 8
	out := append(slices.Clone(b[:btfHeaderSize]), make([]byte, 8)...)
	out[4] = btfHeaderSize + 8
	le.PutUint32(out[12:], uint32(len(types)))
	le.PutUint32(out[16:], uint32(len(types)))
	if layout {
		le.PutUint32(out[24:], uint32(len(types)+len(strs)))
		le.PutUint32(out[28:], uint32(len(section)))
	}
	return slices.Concat(out, types, strs, section)
}

func TestConvertNewerKinds(t *testing.T) {
	t.Parallel()
	f, err := Convert(bytes.NewReader(newer(t, true)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kinds, contents(f)); diff != "" {
		t.Error(diff)
	}
	f, err = Convert(bytes.NewReader(newer(t, false)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	lost := f.Lost()
	if diff := cmp.Diff(kinds, contents(f)); diff != "" || len(lost) != 1 || !errors.Is(lost[0], ErrUnknown) {
		t.Errorf("without a layout section: lost %v, %s", lost, diff)
	}
}

// What is cut off is refused. Whichever 16 bytes are overwritten with what is no BTF, what
// comes out is right, and what is missing is told.
func TestConvertDamaged(t *testing.T) {
	t.Parallel()
	whole := readTestFile(t, "testdata/btf/kinds.btf")
	for n := range whole {
		if _, err := Convert(bytes.NewReader(whole[:n]), nil, nil); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d bytes of %d: %v", n, len(whole), err)
		}
	}
	step := 16
	if testimages.Thorough() {
		step = 4
	}
	for _, fill := range []byte{0, 0xff} {
		converted := 0
		for at := 0; at+16 <= len(whole); at += step {
			b := slices.Clone(whole)
			copy(b[at:at+16], bytes.Repeat([]byte{fill}, 16))
			f, err := Convert(bytes.NewReader(b), nil, nil)
			if err != nil {
				continue
			}
			converted++
			got := contents(f)
			for _, wrong := range indexTypes(&kinds).compare(&got).wrong {
				t.Errorf("16 bytes %#x at %#x of %#x: %s", fill, at, len(b), wrong)
			}
			if len(f.Lost()) == 0 && !cmp.Equal(got, kinds) {
				t.Errorf("16 bytes %#x at %#x of %#x: nothing told, %s", fill, at, len(b), cmp.Diff(kinds, got))
			}
		}
		if converted < len(whole)/step/3 {
			t.Errorf("16 bytes %#x: %d of %d converted", fill, converted, len(whole)/step)
		}
	}
}

// oddBTF is BTF in which one record is odd, and what precedes it is sound.
func oddBTF(record ...uint32) []byte {
	const strs = "\x00int\x00task_struct\x00pid\x00odd\x00a\x00"
	name := func(s string) uint32 { return uint32(strings.Index(strs, s)) }
	words := []uint32{
		name("int"), 1 << 24, 4, 1<<24 | 32,
		name("task_struct"), 4<<24 | 1, 8, name("pid"), 1, 32,
	}
	words = append(words, record...)
	size := uint32(4 * len(words))
	b := []byte{0x9f, 0xeb, btfVersion, 0}
	for _, w := range append([]uint32{btfHeaderSize, 0, size, size, uint32(len(strs))}, words...) {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return append(b, strs...)
}

// One odd record costs that type, or that member.
func TestConvertOddRecords(t *testing.T) {
	t.Parallel()
	task := isf.UserType{Name: "task_struct", Kind: isf.KindStruct, Size: 8, Fields: []isf.Field{{Name: "pid", Offset: 4, Type: tInt}}}
	for name, c := range map[string]struct {
		record []uint32
		lost   int
		why    error
		more   []isf.UserType
	}{
		"sound":                     {nil, 0, nil, nil},
		"member without a type":     {[]uint32{21, 4<<24 | 1, 8, 25, 0, 0}, 1, ErrUnknown, []isf.UserType{{Name: "odd", Kind: isf.KindStruct, Size: 8, Fields: []isf.Field{}}}},
		"function without a name":   {[]uint32{0, 13 << 24, 0, 0, 12 << 24, 3}, 1, ErrUnknown, nil},
		"kind 20":                   {[]uint32{0, 20 << 24, 0}, 1, ErrUnknown, nil},
		"kind 20 with elements":     {[]uint32{0, 20<<24 | 2, 0, 1, 2, 3, 4, 5, 6, 21, 4 << 24, 0}, 1, ErrUnknown, []isf.UserType{{Name: "odd", Kind: isf.KindStruct, Fields: []isf.Field{}}}},
		"member of a kind 20":       {[]uint32{0, 20 << 24, 0, 21, 4<<24 | 1, 8, 25, 3, 0}, 2, ErrUnknown, []isf.UserType{{Name: "odd", Kind: isf.KindStruct, Size: 8, Fields: []isf.Field{}}}},
		"members in another order":  {[]uint32{21, 4<<24 | 2, 8, 25, 1, 32, 25, 1, 0}, 1, ErrDamaged, nil},
		"name inside of another":    {[]uint32{22, 4 << 24, 8}, 1, ErrDamaged, []isf.UserType{{Name: "unnamed_struct_3", Kind: isf.KindStruct, Size: 8, Fields: []isf.Field{}}}},
		"a type that there is none": {[]uint32{21, 4<<24 | 1, 8, 25, 77, 0}, 1, ErrDamaged, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Convert(bytes.NewReader(oddBTF(c.record...)), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			lost := f.Lost()
			for _, err := range lost {
				if gap, ok := errors.AsType[vmem.Gap](err); !ok || !errors.Is(gap, c.why) {
					t.Errorf("%v, want %v", err, c.why)
				}
			}
			want := append(slices.Clone(c.more), task)
			slices.SortFunc(want, func(a, b isf.UserType) int { return strings.Compare(a.Name, b.Name) })
			if diff := cmp.Diff(want, contents(f).Types); diff != "" || len(lost) != c.lost {
				t.Errorf("lost %v, want %d: %s", lost, c.lost, diff)
			}
		})
	}
}

func FuzzBTF(f *testing.F) {
	kinds := readTestFile(f, "testdata/btf/kinds.btf")
	f.Add(kinds)
	f.Add(readTestFile(f, "testdata/btf/module.btf"))
	for _, at := range []int{0x40, 0x1c8, 0x2b8, 0x3c8, 0x6f0} { // which has to be recovered from
		b := slices.Clone(kinds)
		copy(b[at:], bytes.Repeat([]byte{0xff}, 16))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, base := range []*bytes.Reader{nil, bytes.NewReader(kinds)} {
			o := &Options{}
			if base != nil {
				o.Base = base
			}
			db, err := Convert(bytes.NewReader(b), nil, o)
			if err != nil {
				continue
			}
			for u := range db.UserTypes() {
				for _, m := range u.Fields {
					if size, err := db.SizeOf(m.Type); err == nil && m.Type.Kind != isf.KindBitfield && m.Offset+size > u.Size {
						t.Fatalf("%s.%s at %d passes the end of %d bytes", u.Name, m.Name, m.Offset, u.Size)
					}
				}
			}
		}
	})
}

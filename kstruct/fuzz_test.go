package kstruct

import (
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// FuzzRead reads a structure that has any contents, anywhere, with any byte not captured,
// and compares it with what reading its members one by one gives.
func FuzzRead(f *testing.F) {
	f.Add([]byte("kthreadd"), uint16(0), uint16(0xfff))
	f.Add(pattern(256), uint16(0xf80), uint16(0x1010))
	f.Add(pattern(256), uint16(0x1fff), uint16(0))
	f.Fuzz(func(t *testing.T, contents []byte, off, lost uint16) {
		if len(contents) > 256 {
			return
		}
		at := uint64(off) % 0x2000
		if at+uint64(len(contents)) > 0x2000 {
			contents = contents[:0x2000-at]
		}
		v := bindSample[everything](t)
		as := newMemory(t, map[uint64][]byte{at: contents}, uint64(lost)%0x2000)
		s, err := v.Load(as, base+vmem.VirtAddr(at))
		if err != nil {
			checkFault(t, as, base+vmem.VirtAddr(at), err)
			return
		}
		checkWords(t, as, base+vmem.VirtAddr(at), s)
	})
}

// checkFault checks that the byte that is said to be lost is, and no other one before it.
func checkFault(t *testing.T, as *vmem.AddressSpace, at vmem.VirtAddr, err error) {
	t.Helper()
	fault, ok := errors.AsType[*vmem.Fault](err)
	if !ok || fault.Virt < at || fault.Virt >= at+256 {
		t.Fatalf("read at %v: %v", at, err)
	}
	if _, err := as.Uint8(fault.Virt); err == nil {
		t.Fatalf("read at %v: %v, but the byte can be read", at, fault)
	}
}

func checkWords(t *testing.T, as *vmem.AddressSpace, at vmem.VirtAddr, s everything) {
	t.Helper()
	word := func(off vmem.VirtAddr, size int) uint64 {
		var b [8]byte
		if _, err := as.ReadVirt(b[:size], at+off); err != nil {
			t.Fatal(err)
		}
		return binary.LittleEndian.Uint64(b[:])
	}
	unit := word(44, 4)
	got := []uint64{uint64(uint32(s.PID)), uint64(s.WidePID), uint64(s.Next), uint64(s.Low), uint64(s.High), uint64(s.Neg), s.Wides[1], uint64(s.Fifth)}
	want := []uint64{word(0, 4), uint64(int32(word(0, 4))), word(8, 8), unit & 7, unit >> 4, uint64(int8(word(48, 1)) >> 5), word(106, 2), uint64(int32(word(236, 4)))}
	if !slices.Equal(got, want) {
		t.Errorf("got %#x, want %#x", got, want)
	}
	if s.Mid != (unit>>3&1 == 1) || s.OK != (word(42, 1) != 0) {
		t.Errorf("mid %v, ok %v", s.Mid, s.OK)
	}
}

// fuzzedGo are the Go types that a tag may stand beside.
var fuzzedGo = []any{
	uint8(0), int16(0), uint32(0), int32(0), int64(0), uint64(0), false, vmem.VirtAddr(0),
	[8]byte{}, [16]byte{}, [3]uint16{}, [4]corner{}, corner{}, "", 0, new(int), [2]string{},
}

// FuzzBind binds any type of Go with any tag to a structure of any types, and reads it if
// that could be bound.
func FuzzBind(f *testing.F) {
	for i, path := range []string{"pid", "&pid", "none|next,optional", "path[1].x", "start,be", "at", "path", "comm", "a|", "&", "lost", "numbers[3]"} {
		f.Add(path, uint8(i), uint8(i), uint64(i)<<i, uint64(1)<<i)
	}
	f.Fuzz(func(t *testing.T, text string, which, kind uint8, offset, count uint64) {
		fields := []reflect.StructField{{Name: "F", Type: reflect.TypeOf(fuzzedGo[int(which)%len(fuzzedGo)]), Tag: reflect.StructTag(text)}}
		fields = append(fields, fields[0])
		fields[1].Name, fields[1].Tag = "G", reflect.StructTag(`kernel:"`+text+`"`)
		for _, types := range []*isf.File{sampleTypes(t), fuzzedTypes(t, kind, offset, count)} {
			b := NewBinder(types)
			u, _ := b.userType("sample", nil)
			p := bind(b, reflect.StructOf(fields), u, true)
			if p.ok != (b.Err() == nil) {
				t.Fatalf("ok %v: %v", p.ok, b.Err())
			}
			if p.ok {
				readAny(t, p, reflect.StructOf(fields))
			}
		}
	})
}

// fuzzedTypes has a structure whose members are at any offset, and have any size.
func fuzzedTypes(t *testing.T, kind uint8, offset, count uint64) *isf.File {
	elem := &isf.Type{Kind: isf.Kind(kind % 10), Name: "point", Elem: u32, Count: count, BitPosition: uint8(count), BitLength: kind}
	types, err := isf.New(isf.Contents{
		Bases: []isf.BaseType{{Name: "int", Size: count, Kind: isf.BaseInt, Signed: true}, {Name: "unsigned int", Size: 4, Kind: isf.BaseInt}, {Name: "point", Size: 2, Kind: isf.BaseBool}},
		Enums: []isf.Enum{{Name: "point", Size: count}},
		Types: []isf.UserType{
			{Name: "point", Kind: isf.KindStruct, Size: count, Fields: []isf.Field{field("x", offset, i32), field("y", count, u32)}},
			{Name: "sample", Kind: isf.KindUnion, Size: count, Fields: []isf.Field{
				field("pid", offset, elem), field("path", count, array(count, elem)), field("at", 8, point), field("next", offset, pointer),
			}},
		},
	})
	if err != nil { // a bit field of what has no bits
		t.Skip(err)
	}
	return types
}

// readAny reads memory by a program, and checks that no byte behind the value is written.
func readAny(t *testing.T, p program, typ reflect.Type) {
	t.Helper()
	guarded := reflect.New(reflect.StructOf([]reflect.StructField{
		{Name: "Before", Type: reflect.TypeFor[uint64]()}, {Name: "V", Type: typ}, {Name: "After", Type: reflect.TypeFor[uint64]()},
	}))
	v := guarded.Elem()
	const guard = 0xa5a5a5a5a5a5a5a5
	v.Field(0).SetUint(guard)
	v.Field(2).SetUint(guard)
	err := read(p.ops, newMemory(t, map[uint64][]byte{0: pattern(0x2000)}), base, v.Field(1).Addr().UnsafePointer())
	if _, ok := errors.AsType[*vmem.Fault](err); err != nil && !ok {
		t.Fatal(err)
	}
	if v.Field(0).Uint() != guard || v.Field(2).Uint() != guard {
		t.Fatalf("%v: wrote beyond the value", typ)
	}
}

package kstruct

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// base is where the tests keep structures: two pages that physical memory has at
// 0x200000 and 0x300000.
const base = vmem.VirtAddr(0xffff888000000000)

// newMemory returns two mapped pages, with some bytes written by offset from base and
// others not captured.
func newMemory(t testing.TB, contents map[uint64][]byte, lost ...uint64) *vmem.AddressSpace {
	t.Helper()
	m := new(pagetest.Memory)
	tables := pagetest.NewTables(m, 4, 0x10000)
	for i, frame := range []vmem.PhysAddr{0x200000, 0x300000} {
		tables.Map(base+vmem.VirtAddr(i*vmem.PageSize), frame, 1, pagetest.Present)
		m.Zero(frame, vmem.PageSize)
	}
	for off, b := range contents {
		for i, c := range b {
			m.Write(physical(off+uint64(i)), []byte{c})
		}
	}
	for _, off := range lost {
		m.Forget(physical(off), 1)
	}
	return newSpace(t, m, tables)
}

func newSpace(t testing.TB, m vmem.Memory, tables *pagetest.Tables) *vmem.AddressSpace {
	t.Helper()
	as, err := x86.NewAddressSpace(vmem.NewPhysical(m), tables.Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return as
}

// physical returns where the byte at an offset from base is.
func physical(off uint64) vmem.PhysAddr {
	return vmem.PhysAddr(0x200000 + off/vmem.PageSize*0x100000 + off%vmem.PageSize)
}

// le returns words of 8 bytes, the lowest byte first.
func le(words ...uint64) (b []byte) {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func field(name string, offset uint64, t *isf.Type) isf.Field {
	return isf.Field{Name: name, Offset: offset, Type: t}
}

func named(kind isf.Kind, name string) *isf.Type { return &isf.Type{Kind: kind, Name: name} }

func array(n uint64, elem *isf.Type) *isf.Type {
	return &isf.Type{Kind: isf.KindArray, Count: n, Elem: elem}
}

func bitfield(position, length uint8, elem *isf.Type) *isf.Type {
	return &isf.Type{Kind: isf.KindBitfield, BitPosition: position, BitLength: length, Elem: elem}
}

// Types of the sample.
var (
	char    = named(isf.KindBase, "char")
	i32     = named(isf.KindBase, "int")
	u32     = named(isf.KindBase, "unsigned int")
	u16     = named(isf.KindBase, "short unsigned int")
	i64     = named(isf.KindBase, "long int")
	u64     = named(isf.KindBase, "long unsigned int")
	boolean = named(isf.KindBase, "_Bool")
	big32   = named(isf.KindBase, "be32")
	float   = named(isf.KindBase, "double")
	pointer = &isf.Type{Kind: isf.KindPointer, Elem: named(isf.KindStruct, "sample")}
	point   = named(isf.KindStruct, "point")
	color   = named(isf.KindEnum, "color")
	signed  = named(isf.KindEnum, "signed")
)

// sampleTypes describes struct sample, which has a member of each kind.
func sampleTypes(t testing.TB) *isf.File {
	t.Helper()
	f, err := isf.New(isf.Contents{
		Bases: []isf.BaseType{
			{Name: "char", Size: 1, Kind: isf.BaseChar, Signed: true}, {Name: "unsigned char", Size: 1, Kind: isf.BaseChar},
			{Name: "int", Size: 4, Kind: isf.BaseInt, Signed: true}, {Name: "unsigned int", Size: 4, Kind: isf.BaseInt},
			{Name: "short unsigned int", Size: 2, Kind: isf.BaseInt},
			{Name: "long int", Size: 8, Kind: isf.BaseInt, Signed: true}, {Name: "long unsigned int", Size: 8, Kind: isf.BaseInt},
			{Name: "_Bool", Size: 1, Kind: isf.BaseBool}, {Name: "be32", Size: 4, Kind: isf.BaseInt, BigEndian: true},
			{Name: "double", Size: 8, Kind: isf.BaseFloat}, {Name: "__int128", Size: 16, Kind: isf.BaseInt, Signed: true},
		},
		Enums: []isf.Enum{
			{Name: "color", Size: 4, Constants: []isf.Constant{{Name: "RED", Value: 0}, {Name: "BLUE", Value: 2}}},
			{Name: "signed", Size: 4, Base: "int", Constants: []isf.Constant{{Name: "NONE", Value: -1}}},
		},
		Types: []isf.UserType{
			{Name: "point", Kind: isf.KindStruct, Size: 8, Fields: []isf.Field{field("x", 0, i32), field("y", 4, i32)}},
			{Name: "hidden", Kind: isf.KindStruct, Size: 16, Fields: []isf.Field{field("inner", 8, u32)}},
			{Name: "sample", Kind: isf.KindStruct, Size: 256, Fields: []isf.Field{
				field("pid", 0, i32), field("flags", 4, u32), field("next", 8, pointer), field("start", 16, u64),
				field("delta", 24, i64), field("comm", 32, array(8, char)), field("short", 40, u16), field("ok", 42, boolean),
				field("byte", 43, named(isf.KindBase, "unsigned char")), field("low", 44, bitfield(0, 3, u32)),
				field("mid", 44, bitfield(3, 1, u32)), field("high", 44, bitfield(4, 28, u32)), field("neg", 48, bitfield(5, 3, i32)),
				field("color", 52, color), field("sign", 56, signed), field("port", 60, u16), field("net", 64, big32),
				field("at", 72, point), field("path", 80, array(3, point)), field("counts", 104, array(3, u16)),
				{Name: "", Offset: 112, Type: named(isf.KindStruct, "hidden"), Anonymous: true},
				field("rate", 128, float), field("wide", 136, named(isf.KindBase, "__int128")), field("call", 152, &isf.Type{Kind: isf.KindFunction}),
				field("lost", 160, named(isf.KindStruct, "nowhere")), field("numbers", 192, array(0, point)),
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A corner views struct point.
type corner struct {
	X int32 `kernel:"x"`
	Y int64 `kernel:"y"`
}

// common has fields that a view shares with others.
type common struct {
	PID int32 `kernel:"pid"`
}

// everything has a field of each kind.
type everything struct {
	common
	Self    vmem.VirtAddr `kernel:"&"`
	WidePID int64         `kernel:"pid"`
	Flags   uint32        `kernel:"flags"`
	Wider   int64         `kernel:"flags"`
	Next    vmem.VirtAddr `kernel:"next"`
	Start   vmem.VirtAddr `kernel:"start"`
	Delta   int64         `kernel:"delta"`
	Comm    [12]byte      `kernel:"comm"`
	Short   uint16        `kernel:"newer.short|short"`
	OK      bool          `kernel:"ok"`
	OKByte  uint8         `kernel:"ok"`
	Byte    uint8         `kernel:"byte"`
	Low     uint8         `kernel:"low"`
	Mid     bool          `kernel:"mid"`
	High    uint32        `kernel:"high"`
	Neg     int8          `kernel:"neg"`
	Color   uint32        `kernel:"color"`
	IntLike int32         `kernel:"color"`
	Sign    int32         `kernel:"sign"`
	Port    uint16        `kernel:"port,be"`
	Net     uint32        `kernel:"net"`
	NetRaw  [4]byte       `kernel:"net"`
	At      corner        `kernel:"at"`
	Y       int32         `kernel:"at.y"`
	Path    [4]corner     `kernel:"path"`
	Second  int32         `kernel:"path[1].x"`
	Counts  [3]uint16     `kernel:"counts"`
	Wides   [4]uint64     `kernel:"counts"`
	Inner   uint32        `kernel:"inner"`
	Raw     [16]byte      `kernel:"wide"`
	Numbers vmem.VirtAddr `kernel:"&numbers"`
	Fifth   int32         `kernel:"numbers[5].y"`
	None    uint64        `kernel:"none|never,optional"`
	NoSpot  corner        `kernel:"none,optional"`
	NoArray [2]corner     `kernel:"none,optional"`
	NoAddr  vmem.VirtAddr `kernel:"&none,optional"`
	Own     string        // of the program
	Skipped []int         `kernel:"-"`
}

// sampleBytes is a struct sample, by the offset of its members.
var sampleBytes = map[uint64][]byte{
	0:   le(0xfffffffe_00000000 | 0xffffffff), // pid -1, flags 0xfffffffe
	8:   le(0xffff888000000100, 0xffffffff81000000, 0x8000000000000000),
	32:  []byte("kthreadd"),
	40:  {0x34, 0x12, 1, 0xfe},
	44:  {0xed, 0xff, 0xff, 0x8f}, // low 5, mid 1, high 0x8fffffe
	48:  {0xa0, 0, 0, 0},          // neg 0b101: -3
	52:  {2, 0, 0, 0},
	56:  {0xff, 0xff, 0xff, 0xff},
	60:  {0x01, 0xbb}, // 443
	64:  {10, 0, 0, 1},
	72:  {1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff},
	80:  {3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0},
	104: {1, 0, 0xff, 0xff, 3, 0},
	120: {9, 0, 0, 0},
	136: []byte("0123456789abcdef"),
	236: {0x2a, 0, 0, 0}, // numbers[5].y: 192 + 5*8 + 4
}

func wantSample(at vmem.VirtAddr) everything {
	return everything{
		common: common{PID: -1}, Self: at, WidePID: -1, Flags: 0xfffffffe, Wider: 0xfffffffe,
		Next: 0xffff888000000100, Start: 0xffffffff81000000, Delta: -0x8000000000000000,
		Comm: [12]byte{'k', 't', 'h', 'r', 'e', 'a', 'd', 'd'}, Short: 0x1234, OK: true, OKByte: 1, Byte: 0xfe,
		Low: 5, Mid: true, High: 0x8fffffe, Neg: -3, Color: 2, IntLike: 2, Sign: -1, Port: 443, Net: 0x0a000001, NetRaw: [4]byte{10, 0, 0, 1},
		At: corner{1, -2}, Y: -2, Path: [4]corner{{3, 4}, {5, 6}, {7, 8}}, Second: 5,
		Counts: [3]uint16{1, 0xffff, 3}, Wides: [4]uint64{1, 0xffff, 3}, Inner: 9, Raw: [16]byte([]byte("0123456789abcdef")),
		Numbers: at + 192, Fifth: 42, Own: "mine",
	}
}

func bindSample[T any](t testing.TB) *View[T] {
	t.Helper()
	b := NewBinder(sampleTypes(t))
	v := Bind[T](b, "sample")
	if err := b.Err(); err != nil || !v.Ok() {
		t.Fatalf("Bind: %v, ok %v", err, v.Ok())
	}
	return v
}

// moved returns contents by an offset further up.
func moved(contents map[uint64][]byte, by uint64) map[uint64][]byte {
	out := map[uint64][]byte{}
	for off, b := range contents {
		out[off+by] = b
	}
	return out
}

func TestRead(t *testing.T) {
	v := bindSample[everything](t)
	// Inside a page, and so that each of the structure's bytes is the first of the second
	// page once.
	for _, off := range append([]uint64{0x100}, bytesBefore(0x1000, 256)...) {
		as := newMemory(t, moved(sampleBytes, off))
		got := everything{Own: "mine", None: 1, NoSpot: corner{1, 1}, NoArray: [2]corner{{1, 1}}, NoAddr: 1, Wides: [4]uint64{3: 1}}
		copy(got.Comm[:], "leftovers___")
		if err := v.Read(as, base+vmem.VirtAddr(off), &got); err != nil {
			t.Fatalf("at %#x: %v", off, err)
		}
		if d := cmp.Diff(wantSample(base+vmem.VirtAddr(off)), got, cmp.AllowUnexported(everything{})); d != "" {
			t.Fatalf("at %#x (-want +got):\n%s", off, d)
		}
	}
}

// bytesBefore returns the n offsets below end.
func bytesBefore(end uint64, n int) (offs []uint64) {
	for i := range n {
		offs = append(offs, end-1-uint64(i))
	}
	return offs
}

func TestReadFault(t *testing.T) {
	type part struct {
		PID  int32    `kernel:"pid"`
		Comm [8]byte  `kernel:"comm"`
		Raw  [16]byte `kernel:"wide"`
	}
	v := bindSample[part](t)
	tests := []struct {
		name string
		at   vmem.VirtAddr
		lost []uint64 // bytes from base on
		want vmem.VirtAddr
		err  error
	}{
		{"a hole that no member is in", base, []uint64{4, 31, 135, 152}, 0, nil},
		{"the first member", base, []uint64{0, 40}, base, vmem.ErrNotCaptured},
		{"within a member", base, []uint64{35}, base + 35, vmem.ErrNotCaptured},
		{"the last byte", base, []uint64{151}, base + 151, vmem.ErrNotCaptured},
		{"a page that is not there", base + 0x1f80, nil, base + 0x2008, vmem.ErrNotPresent},
		{"a hole in the next page", base + 0xf80, []uint64{0x1008, 0x1016}, base + 0x1008, vmem.ErrNotCaptured},
		{"no address", 0x8000000000000000, nil, 0x8000000000000000, vmem.ErrNonCanonical},
		{"the end of memory", ^vmem.VirtAddr(0) - 31, nil, ^vmem.VirtAddr(0) - 31, vmem.ErrNotPresent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			as := newMemory(t, nil, tt.lost...)
			_, err := v.Load(as, tt.at)
			f, _ := errors.AsType[*vmem.Fault](err)
			if !errors.Is(err, tt.err) || err != nil && f.Virt != tt.want {
				t.Errorf("got %v, want %v at %v", err, tt.err, tt.want)
			}
		})
	}
}

// TestReadWraps has a structure that goes on beyond the last address: what is at address
// 0 is no part of it.
func TestReadWraps(t *testing.T) {
	type end struct {
		Inner uint32 `kernel:"inner"`
	}
	m := new(pagetest.Memory)
	tables := pagetest.NewTables(m, 4, 0x10000)
	tables.Map(0, 0x200000, 1, pagetest.Present)
	m.Zero(0x200000, vmem.PageSize)
	v := bindSample[end](t)
	if _, err := v.Load(newSpace(t, m, tables), ^vmem.VirtAddr(0)-7); !errors.Is(err, vmem.ErrNonCanonical) {
		t.Errorf("got %v, want %v", err, vmem.ErrNonCanonical)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	v := bindSample[everything](t)
	for name, at := range map[string]vmem.VirtAddr{"in a page": base, "across pages": base + 0xf80} {
		as := newMemory(t, nil)
		if n := testing.AllocsPerRun(100, func() {
			var out everything
			if err := v.Read(as, at, &out); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestViewKnowsItsMembers(t *testing.T) {
	v := bindSample[everything](t)
	if v.Size() != 256 {
		t.Errorf("Size: %d, want 256", v.Size())
	}
	for name, want := range map[string]uint64{
		"PID": 0, "Self": 0, "At": 72, "At.Y": 76, "Path": 80, "Path[2].Y": 100, "Inner": 120, "Fifth": 236, "Low": 44, "Numbers": 192,
	} {
		if off, ok := v.Offset(name); off != want || !ok || !v.Has(name) {
			t.Errorf("Offset(%q): %d, %v, want %d", name, off, ok, want)
		}
	}
	for _, name := range []string{"None", "NoSpot", "NoSpot.X", "NoArray", "NoArray[0].X", "NoAddr", "Path[3].X", "Own", "Skipped", "pid", ""} {
		if off, ok := v.Offset(name); off != 0 || ok || v.Has(name) {
			t.Errorf("Offset(%q): %d, %v, want none", name, off, ok)
		}
	}
}

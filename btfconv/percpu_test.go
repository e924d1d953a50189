package btfconv

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// perCPUBTF is BTF of three per-CPU variables, at 0, 0x40 and 0x1000 of their section, whose
// size is given as such.
func perCPUBTF(t *testing.T, size uint32) *btfTypes {
	t.Helper()
	const strs = "\x00int\x00cpu_info\x00runqueues\x00hidden\x00.data..percpu\x00"
	name := func(s string) uint32 { return uint32(strings.Index(strs, s)) }
	words := []uint32{
		name("int"), 1 << 24, 4, 1<<24 | 32,
		name("cpu_info"), 14 << 24, 1, 1,
		name("runqueues"), 14 << 24, 1, 1,
		name("hidden"), 14 << 24, 1, 0,
		name(".data"), 15<<24 | 3, size, 2, 0, 4, 3, 0x40, 8, 4, 0x1000, 4,
	}
	length := uint32(4 * len(words))
	b := []byte{0x9f, 0xeb, btfVersion, 0}
	for _, w := range append([]uint32{btfHeaderSize, 0, length, length, uint32(len(strs))}, words...) {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	btf, err := parseBTF(append(b, strs...), nil, btfPlace{})
	if err != nil {
		t.Fatal(err)
	}
	return btf
}

// Of the per-CPU variables some are exported. Those give the place of the others, and of
// the section where it is not at 0.
func TestFromPerCPU(t *testing.T) {
	const at = 0xffffffff83600000
	for _, c := range []struct {
		name  string
		size  uint32
		known []kernelSymbol
		want  map[string]uint64
	}{
		{"none is known", 0x2000, nil, map[string]uint64{}},
		{"at 0", 0x2000, []kernelSymbol{{name: "cpu_info"}, {name: "runqueues", addr: 0x40}},
			map[string]uint64{"hidden": 0x1000}},
		{"in the kernel", 0x2000, []kernelSymbol{{name: "cpu_info", addr: at}, {name: "runqueues", addr: at + 0x40}},
			map[string]uint64{"hidden": at + 0x1000, "__per_cpu_start": at, "__per_cpu_end": at + 0x2000}},
		{"in the kernel, of no size", 0, []kernelSymbol{{name: "cpu_info", addr: at}},
			map[string]uint64{"runqueues": at + 0x40, "hidden": at + 0x1000, "__per_cpu_start": at, "__per_cpu_end": at + 0x1004}},
		{"with a table that has the bounds", 0x2000, []kernelSymbol{{name: "cpu_info", addr: at}, {name: "__per_cpu_start", addr: at}, {name: "__per_cpu_end", addr: at + 0x3000}},
			map[string]uint64{"runqueues": at + 0x40, "hidden": at + 0x1000}},
		{"known ones contradict", 0x2000, []kernelSymbol{{name: "cpu_info", addr: at}, {name: "runqueues", addr: at}}, map[string]uint64{}},
	} {
		s := &search{btf: perCPUBTF(t, c.size), symbols: newSymbolTable(c.known, nil), report: &Report{}}
		f := &finder{search: s, more: map[string]uint64{}}
		f.fromPerCPU()
		if diff := cmp.Diff(c.want, f.more); diff != "" {
			t.Errorf("%s: found (-want +got):\n%s", c.name, diff)
		}
	}
}

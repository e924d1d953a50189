package btfconv

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

func BenchmarkFromMemory(b *testing.B) {
	for _, image := range testimages.All(b) {
		mem := openImage(b, image)
		b.Run(image.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := FromMemory(b.Context(), mem, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(image.Name+"/without VMCOREINFO", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := newSearch(mem, nil, MemoryOptions{}).run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// How fast memory is searched that has no kernel in it.
func BenchmarkFindKallsyms(b *testing.B) {
	const size = 1 << 30
	b.SetBytes(size)
	for b.Loop() {
		if err := findKallsyms(b.Context(), emptyMemory(size), everything, func(kallsymsPlace) bool { return false }); err != nil {
			b.Fatal(err)
		}
	}
}

// How fast memory is searched for a short string: the magic number of BTF, in the
// kernel's image, and the banner, for the message about a kernel without symbols.
func BenchmarkScan(b *testing.B) {
	image := testimages.All(b)[0]
	mem := openImage(b, image)
	size := uint64(0)
	for _, r := range mem.Ranges() {
		size += r.Size
	}
	for _, needle := range []string{"\x9f\xeb\x01\x00", "Linux version ???"} {
		b.Run(fmt.Sprintf("%q", needle), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				for range scanFor(b.Context(), mem, everything, []byte(needle)) {
				}
			}
		})
	}
}

// A whole conversion of the kernel's types, as they are in memory.
func BenchmarkConvert(b *testing.B) {
	for _, image := range testimages.All(b) {
		mem := openImage(b, image)
		_, r, err := FromMemory(b.Context(), mem, nil)
		if err != nil {
			b.Fatal(err)
		}
		btf := readUpTo(mem, r.BTF.Addr, int(r.BTF.Size)+btfHeaderSize)
		b.Run(image.Name, func(b *testing.B) {
			b.SetBytes(int64(len(btf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Convert(bytes.NewReader(btf), nil, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package vmem_test

import (
	"math/rand/v2"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// flat is physical memory as one slice from address 0 on: the fastest Memory there
// can be, so that benchmarks measure this package.
type flat []byte

func (m flat) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, vmem.ErrNotCaptured
	}
	n := copy(b, m[off:])
	if n < len(b) {
		return n, vmem.ErrNotCaptured
	}
	return n, nil
}

func (m flat) Ranges() []physRange { return []physRange{{Start: 0, Size: uint64(len(m))}} }

const (
	benchKernel = vmem.VirtAddr(0xffff_8880_0000_0000) // 2 MiB pages of all memory
	benchUser   = vmem.VirtAddr(0x7f00_0000_0000)      // 4 KiB pages of all memory, in descending order
	benchSize   = 64 << 20
)

// benchSpace returns 64 MiB of memory mapped twice, behind its page tables.
func benchSpace(b *testing.B, levels int) *vmem.AddressSpace {
	b.Helper()
	m := new(pagetest.Memory)
	tables := pagetest.NewTables(m, levels, benchSize)
	for off := vmem.VirtAddr(0); off < benchSize; off += 2 << 20 {
		tables.Map(benchKernel+off, vmem.PhysAddr(off), 2, pagetest.Present|pagetest.Write|pagetest.NX)
	}
	for off := vmem.VirtAddr(0); off < benchSize; off += vmem.PageSize {
		tables.Map(benchUser+off, vmem.PhysAddr(benchSize-vmem.PageSize-off), 1, pagetest.Present|pagetest.User)
	}
	mem := make(flat, tables.End())
	if _, err := m.ReadAt(mem[benchSize:], benchSize); err != nil {
		b.Fatal(err)
	}
	as, err := x86.NewAddressSpace(vmem.NewPhysical(mem), tables.Root(), &x86.Options{Levels: levels})
	if err != nil {
		b.Fatal(err)
	}
	return as
}

// benchRead measures reads of words at addresses chosen at random from size bytes
// at va.
func benchRead(b *testing.B, levels int, va vmem.VirtAddr, size uint64) {
	as := benchSpace(b, levels)
	rng := rand.New(rand.NewPCG(1, 1))
	at := make([]vmem.VirtAddr, 1<<16)
	for i := range at {
		at[i] = va + vmem.VirtAddr(rng.Uint64N(size/8)*8)
	}
	for _, a := range at {
		if _, err := as.Uint64(a); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(8)
	i := 0
	for b.Loop() {
		if _, err := as.Uint64(at[i%len(at)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// A hit finds its translation and its frame cached.
func BenchmarkUint64Hit(b *testing.B) { benchRead(b, 4, benchUser, 256<<10) }

// A walk finds its tables and its frame cached, but hardly ever its translation.
func BenchmarkUint64Walk4Levels(b *testing.B) { benchRead(b, 4, benchUser, 12<<20) }
func BenchmarkUint64Walk5Levels(b *testing.B) { benchRead(b, 5, benchUser, 12<<20) }
func BenchmarkUint64Walk2MiB(b *testing.B)    { benchRead(b, 4, benchKernel, 12<<20) }

// Cold reads find neither their translation nor, three times in four, their frame.
func BenchmarkUint64Cold(b *testing.B) { benchRead(b, 4, benchUser, benchSize) }

func BenchmarkUint64AcrossPages(b *testing.B) {
	as := benchSpace(b, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := as.Uint64(benchUser + 0xffc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTranslate(b *testing.B) {
	as := benchSpace(b, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := as.Translate(benchUser + 0x5123); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPhysicalUint64(b *testing.B) {
	p := vmem.NewPhysical(make(flat, 1<<20))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Uint64(0x5128); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadVirt(b *testing.B) {
	for _, bench := range []struct {
		name string
		va   vmem.VirtAddr
		size int
	}{
		{"64B", benchUser + 0x123, 64},
		{"4KiB", benchUser + 0x2000, 4 << 10},
		{"1MiB", benchUser + 0x2123, 1 << 20},
		{"1MiBOf2MiBPages", benchKernel + 0x2000, 1 << 20},
	} {
		b.Run(bench.name, func(b *testing.B) {
			as := benchSpace(b, 4)
			buf := make([]byte, bench.size)
			b.ReportAllocs()
			b.SetBytes(int64(bench.size))
			for b.Loop() {
				if _, err := as.ReadVirt(buf, bench.va); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCString(b *testing.B) {
	as := benchSpace(b, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := as.CString(benchUser+0x123, 16); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMappings walks 16,384 small pages and 32 large ones.
func BenchmarkMappings(b *testing.B) {
	as := benchSpace(b, 4)
	b.ReportAllocs()
	pages := 0
	for b.Loop() {
		for _, err := range as.Mappings(virtRange{Start: benchUser, Size: ^uint64(0) - uint64(benchUser)}) {
			if err != nil {
				b.Fatal(err)
			}
			pages++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(pages), "ns/page")
}

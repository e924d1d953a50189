package kdump

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

type physRange = vmem.Range[vmem.PhysAddr]

func mem(start, size uint64) physRange { return physRange{Start: vmem.PhysAddr(start), Size: size} }

// What the guest of testdata has.
var (
	ram      = mem(0, 2<<20)
	firmware = mem(0xffff0000, 64<<10) // QEMU's own dumps have it
)

// fixture returns a file of testdata, unpacked.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, file []byte) *File {
	t.Helper()
	f, err := NewFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// truth returns the memory of the guest, by the start of its ranges, from QEMU's ELF core.
func truth(t testing.TB) map[vmem.PhysAddr][]byte {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(fixture(t, "memory.elf")))
	if err != nil {
		t.Fatal(err)
	}
	all := map[vmem.PhysAddr][]byte{ram.Start: make([]byte, ram.Size), firmware.Start: make([]byte, firmware.Size)}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		to := all[ram.Start][min(p.Paddr, ram.Size):]
		if p.Paddr == uint64(firmware.Start) {
			to = all[firmware.Start]
		}
		if _, err := io.ReadFull(p.Open(), to[:p.Filesz]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// checkMemory compares all that f has, page by page and as a whole, with the truth.
func checkMemory(t *testing.T, f *File, all map[vmem.PhysAddr][]byte) {
	t.Helper()
	page := make([]byte, blockSize)
	for _, r := range f.Ranges() {
		want := all[ram.Start]
		if r.Start >= firmware.Start {
			want = all[firmware.Start]
			want = want[r.Start-firmware.Start:]
		} else {
			want = want[r.Start:]
		}
		want = want[:r.Size]
		got := make([]byte, r.Size)
		if n, err := f.ReadAt(got, int64(r.Start)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v as a whole: %d bytes, %v, or other bytes than were in memory", r, n, err)
		}
		for off := uint64(0); off < r.Size; off += blockSize {
			if n, err := f.ReadAt(page, int64(uint64(r.Start)+off)); err != nil || !bytes.Equal(page, want[off:off+blockSize]) {
				t.Fatalf("page at %v: %d bytes, %v, or other bytes than were in memory", r.Start+vmem.PhysAddr(off), n, err)
			}
		}
	}
}

func TestFormats(t *testing.T) {
	all := truth(t)
	for _, tt := range []struct {
		name, format string
		level        Level
		ranges       []physRange
	}{
		{"none", "kdump, uncompressed", 0, []physRange{ram}},
		{"zlib", "kdump, zlib", ExcludeZero, []physRange{ram}},
		{"lzo", "kdump, lzo", ExcludeZero, []physRange{ram}},
		{"snappy", "kdump, snappy", ExcludeZero, []physRange{ram}},
		{"zstd", "kdump, zstd", ExcludeZero, []physRange{ram}},
		{"flat", "kdump, lzo, flattened", 0, []physRange{ram}},
		{"qemu-raw", "kdump, zlib", ExcludeZero, []physRange{ram, firmware}},
		{"qemu-flat", "kdump, zlib, flattened", ExcludeZero, []physRange{ram, firmware}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, fixture(t, tt.name+".kdump"))
			h := f.Header()
			if h.Format() != tt.format || h.Level != tt.level || h.Version != 6 || h.Incomplete || h.Split {
				t.Errorf("header %+v, format %s", h, h.Format())
			}
			if d := cmp.Diff(tt.ranges, f.Ranges()); d != "" {
				t.Errorf("ranges (-want +got):\n%s", d)
			}
			checkMemory(t, f, all)
			checkGaps(t, f, nil)
			if n := len(f.Notes()); n == 0 {
				t.Error("no notes")
			}
		})
	}
}

// The notes are those of the ELF core of the same instant.
func TestNotes(t *testing.T) {
	core, err := elf.NewFile(bytes.NewReader(fixture(t, "memory.elf")))
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(core.Progs[0].Open())
	if err != nil || core.Progs[0].Type != elf.PT_NOTE {
		t.Fatal(core.Progs[0], err)
	}
	for _, name := range []string{"zlib", "flat", "qemu-raw", "qemu-flat"} {
		f := open(t, fixture(t, name+".kdump"))
		rest := want
		for _, n := range f.Notes() {
			i := bytes.Index(rest, n.Desc)
			if i < 0 {
				t.Fatalf("%s: note %s of type %d is not in the core", name, n.Name, n.Type)
			}
			rest = rest[i+len(n.Desc):]
		}
		if len(rest) > 3 || len(f.CPUs()) != 2 {
			t.Errorf("%s: %d bytes of notes are missing, %d CPUs", name, len(rest), len(f.CPUs()))
		}
	}
}

// Any read gives what was in memory, up to the end of what there is.
func TestRandomReads(t *testing.T) {
	all := truth(t)
	for _, name := range []string{"none", "lzo", "qemu-flat"} {
		f := open(t, fixture(t, name+".kdump"))
		rng := rand.New(rand.NewPCG(1, 2))
		for range 2000 {
			off, size := rng.Uint64N(ram.Size+1000), rng.Uint64N(3*blockSize)
			if rng.IntN(20) == 0 {
				size += bulk
			}
			want := all[ram.Start][min(off, ram.Size):min(off+size, ram.Size)]
			got := make([]byte, size)
			n, err := f.ReadAt(got, int64(off))
			if !bytes.Equal(got[:n], want) || (err == nil) != (n == len(got)) || err != nil && !errors.Is(err, vmem.ErrNotCaptured) {
				t.Fatalf("%s: read of %d bytes at %#x: %d, %v, want %d", name, size, off, n, err, len(want))
			}
		}
		for _, off := range []int64{-1, -1 << 63, 1<<63 - 1, 1 << 52} {
			if n, err := f.ReadAt(make([]byte, 2), off); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
				t.Errorf("%s: read at %#x: %d, %v", name, off, n, err)
			}
		}
	}
}

func TestConcurrentReads(t *testing.T) {
	all := truth(t)[ram.Start]
	f := open(t, fixture(t, "zstd.kdump"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			got := make([]byte, 100)
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for range 2000 {
				off := rng.Int64N(1<<20) + 1<<20 - 100
				if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, all[off:off+100]) {
					t.Errorf("read at %#x: %v, or other bytes", off, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Each file of a split dump has its part, and says where the rest is.
func TestSplit(t *testing.T) {
	all := truth(t)
	next := vmem.PhysAddr(0)
	for _, name := range []string{"split1", "split2"} {
		f := open(t, fixture(t, name+".kdump"))
		ranges := f.Ranges()
		if len(ranges) != 1 || ranges[0].Start != next || !f.Header().Split {
			t.Fatalf("%s: ranges %v after %v, header %+v", name, ranges, next, f.Header())
		}
		next = ranges[0].Last() + 1
		checkMemory(t, f, all)
		checkGaps(t, f, []lostPages{{physRange{}, ErrSplit}})
		other := int64(next) % int64(ram.Size) // in the other file
		if n, err := f.ReadAt(make([]byte, 1), other); n != 0 || !errors.Is(err, ErrSplit) || !errors.Is(err, vmem.ErrNotCaptured) {
			t.Errorf("%s: read at %#x: %d, %v", name, other, n, err)
		}
	}
	if next != ram.Last()+1 {
		t.Errorf("the files end at %v", next)
	}
}

// A lostPages is a gap, by its reason.
type lostPages struct {
	memory physRange
	reason error
}

func checkGaps(t *testing.T, f *File, want []lostPages) {
	t.Helper()
	gaps := f.Gaps()
	if len(gaps) != len(want) {
		t.Errorf("gaps %v, want %v", gaps, want)
		return
	}
	for i, g := range gaps {
		if g.Place.Physical() != want[i].memory || !errors.Is(g.Err, want[i].reason) {
			t.Errorf("gap %v, want %v", g.Error(), want[i])
		}
	}
}

// edit returns a copy of the file with a word changed.
func edit[T uint32 | uint64](file []byte, off int, v T) []byte {
	b := bytes.Clone(file)
	if _, err := binary.Encode(b[off:], binary.LittleEndian, v); err != nil {
		panic(err)
	}
	return b
}

package raw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/vmem"
)

// content is a file in which each word is its offset plus 1.
func content(size int) []byte {
	b := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], uint64(i)+1)
	}
	return b
}

func open(t testing.TB, file []byte, opts *Options) *File {
	t.Helper()
	f, err := NewFile(bytes.NewReader(file), int64(len(file)), opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lost is what a test says of a Gap.
type lost struct {
	offset int64
	memory physRange
	err    error
}

func check(t *testing.T, f *File, ranges []physRange, gaps []lost) {
	t.Helper()
	if diff := cmp.Diff(ranges, f.Ranges(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
	var got []lost
	for _, g := range f.Gaps() {
		got = append(got, lost{g.Place.Offset, g.Place.Physical(), g.Err})
	}
	if diff := cmp.Diff(gaps, got, cmp.AllowUnexported(lost{}), cmpopts.EquateErrors()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

func TestRegions(t *testing.T) {
	file := content(0x4000)
	tests := []struct {
		name    string
		regions []Region
		ranges  []physRange
		gaps    []lost
	}{
		{"none", nil, []physRange{span(0, 0x4000)}, nil},
		{"two", []Region{{span(0, 0x1000), 0}, {span(0x10000, 0x13000), 0x1000}}, []physRange{span(0, 0x1000), span(0x10000, 0x13000)}, nil},
		{"not in order", []Region{{span(0x10000, 0x13000), 0}, {span(0, 0x1000), 0x3000}}, []physRange{span(0, 0x1000), span(0x10000, 0x13000)}, nil},
		{"the file ends", []Region{{span(0, 0x3000), 0}, {span(0x10000, 0x13000), 0x3000}}, []physRange{span(0, 0x3000), span(0x10000, 0x11000)},
			[]lost{{0x4000, span(0x11000, 0x13000), ErrTruncated}}},
		{"behind the end", []Region{{span(0, 0x4000), 0}, {span(0x10000, 0x11000), 0x5000}}, []physRange{span(0, 0x4000)},
			[]lost{{0x5000, span(0x10000, 0x11000), ErrTruncated}}},
		{"not all of the file", []Region{{span(0, 0x1000), 0x1000}}, []physRange{span(0, 0x1000)},
			[]lost{{0, physRange{}, ErrNoAddress}, {0x2000, physRange{}, ErrNoAddress}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, file, &Options{Regions: tt.regions})
			check(t, f, tt.ranges, tt.gaps)
			for _, r := range tt.regions {
				got := make([]byte, 8)
				want := file[min(int(r.Offset), len(file)):]
				if n, err := f.ReadAt(got, int64(r.Range.Start)); !bytes.Equal(got[:n], want[:min(8, len(want))]) {
					t.Errorf("memory at %v: % x, %v", r.Range.Start, got[:n], err)
				}
			}
		})
	}
	for _, r := range []Region{{span(0, 8), -1}, {span(1<<52, 1<<52+1), 0}, {physRange{Start: 8, Size: 1 << 63}, 0}} {
		if f, err := NewFile(bytes.NewReader(file), int64(len(file)), &Options{Regions: []Region{r}}); err == nil || f != nil {
			t.Errorf("region %v: no error", r)
		}
	}
}

// Outside of RAM pages of zeros are no memory, and all others are.
func TestZerosOutsideOfRAM(t *testing.T) {
	file := make([]byte, 0x8000)
	for _, at := range []int{0x0, 0x2fff, 0x5000, 0x7fff} {
		file[at] = 1
	}
	ram := []physRange{span(0x11000, 0x11800), span(0x13000, 0x14000), span(0x20000, 0x30000)}
	f := open(t, file, &Options{Regions: []Region{{span(0x10000, 0x18000), 0}}, RAM: ram})
	check(t, f, []physRange{span(0x10000, 0x11800), span(0x12000, 0x14000), span(0x15000, 0x16000), span(0x17000, 0x18000)}, nil)
	if n, err := f.ReadAt(make([]byte, 0x1000), 0x14800); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("zeros outside of RAM: %d, %v, want %v", n, err, vmem.ErrNotCaptured)
	}
	if n, err := f.ReadAt(make([]byte, 0x2000), 0x11000); n != 0x800 || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("across the end of RAM: %d, %v, want %v", n, err, vmem.ErrNotCaptured)
	}
	whole := open(t, file, &Options{Regions: []Region{{span(0x10000, 0x18000), 0}}})
	check(t, whole, []physRange{span(0x10000, 0x18000)}, nil)
}

// TestTrimAgainstPages compares with what each page of random files is, and RAM that
// begins and ends anywhere.
func TestTrimAgainstPages(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		file := make([]byte, rng.IntN(300<<12))
		for range rng.IntN(80) {
			if len(file) > 0 {
				file[rng.IntN(len(file))] = 7
			}
		}
		start := rng.Uint64N(0x3000)
		var ram []physRange
		for range rng.IntN(4) {
			first := rng.Uint64N(300 << 12)
			ram = append(ram, span(first, first+rng.Uint64N(40<<12)))
		}
		ram = append([]physRange{}, vmem.NormalizeRanges(ram)...)
		region := span(start, start+uint64(len(file)))
		f := open(t, file, &Options{Regions: []Region{{region, 0}}, RAM: ram})
		checkTrimmed(t, f, file, region, ram)
	}
}

// checkTrimmed compares the ranges of f with all bytes one by one.
func checkTrimmed(t *testing.T, f *File, file []byte, region physRange, ram []physRange) {
	t.Helper()
	var want []physRange
	pieces := vmem.SubtractRanges(region, ram)
	for _, r := range ram {
		want = append(want, r.Intersect(region))
	}
	for _, r := range pieces {
		for a := r.Start; r.Contains(a); {
			page := span(uint64(a), uint64(a)&^0xfff+0x1000).Intersect(r)
			b := file[page.Start-region.Start:][:page.Size]
			if len(bytes.TrimLeft(b, "\x00")) > 0 {
				want = append(want, page)
			}
			a += vmem.PhysAddr(page.Size)
		}
	}
	if diff := cmp.Diff(vmem.NormalizeRanges(want), f.Ranges(), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("file of %d bytes, RAM %v: ranges (-want +got):\n%s", len(file), ram, diff)
	}
}

func TestOpen(t *testing.T) {
	plain := content(0x10000)
	var packed bytes.Buffer
	w := lz4.NewWriter(&packed)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{plain, packed.Bytes()} {
		name := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.Size() != int64(len(plain)) {
			t.Errorf("%d bytes, want %d", f.Size(), len(plain))
		}
		g, err := f.Arrange(t.Context(), &Options{Regions: []Region{{span(0x100000, 0x110000), 0}}})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(plain))
		if n, err := g.ReadAt(got, 0x100000); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes, %v, or others than the file has", n, err)
		}
		if _, err := f.Arrange(t.Context(), &Options{Regions: []Region{{Offset: -1}}}); err == nil {
			t.Error("a region before the file: no error")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}

// FuzzRegions checks that any regions and RAM give memory that can be read and that lies
// in them, or an error.
func FuzzRegions(f *testing.F) {
	f.Add(uint64(0), uint64(0x1800), int64(0), uint64(0x4000), uint64(0x2000), int64(0x1000), uint64(0x1000), uint64(0x800), []byte("abc"))
	f.Add(uint64(1<<52-8), uint64(8), int64(1), uint64(0), uint64(1<<63), int64(-1), uint64(0), ^uint64(0), make([]byte, 0x3000))
	f.Fuzz(func(t *testing.T, s1, n1 uint64, o1 int64, s2, n2 uint64, o2 int64, sr, nr uint64, file []byte) {
		regions := []Region{
			{physRange{Start: vmem.PhysAddr(s1), Size: n1}, o1}, {physRange{Start: vmem.PhysAddr(s2), Size: n2}, o2},
		}
		ram := vmem.NormalizeRanges([]physRange{{Start: vmem.PhysAddr(sr), Size: nr}})
		m := Machine{RAM: ram, Known: []Place{{o1, vmem.PhysAddr(s1)}}}
		if l, err := FindLayout(int64(len(file)), m); err == nil {
			regions = append(regions, l.Regions...)
		}
		r, err := NewFile(bytes.NewReader(file), int64(len(file)), &Options{Regions: regions, RAM: ram})
		if (r == nil) == (err == nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if err != nil {
			return
		}
		for _, m := range r.Ranges() {
			p := make([]byte, min(m.Size, 1<<16)+1)
			n, err := r.ReadAt(p, int64(m.Last())-int64(len(p))+2)
			if n != len(p)-1 && m.Start == m.Last()-vmem.PhysAddr(len(p))+2 || !errors.Is(err, vmem.ErrNotCaptured) {
				t.Fatalf("read across the end of %v: %d of %d, %v", m, n, len(p), err)
			}
		}
		for _, g := range r.Gaps() {
			if g.Err == nil || g.Error() == "" {
				t.Fatalf("gap without a reason: %+v", g)
			}
		}
	})
}

// benchImage is a file that has RAM in its halves, and zeros between.
func benchImage(b *testing.B) (string, *Options) {
	b.Helper()
	const size = 64 << 20
	name := filepath.Join(b.TempDir(), "image")
	if err := os.WriteFile(name, append(append(content(size), make([]byte, 2*size)...), content(size)...), 0o600); err != nil {
		b.Fatal(err)
	}
	return name, &Options{RAM: []physRange{span(0, size), span(3*size, 4*size)}}
}

func BenchmarkOpen(b *testing.B) {
	name, opts := benchImage(b)
	b.SetBytes(128 << 20) // of zeros outside of RAM
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(name, opts)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

func BenchmarkReadAt(b *testing.B) {
	name, opts := benchImage(b)
	f, err := Open(name, opts)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.ReadAt(p, rng.Int64N(16<<10)*4096); err != nil {
			b.Fatal(err)
		}
	}
}

package kcore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/internal/gaplist"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

type rng = vmem.Range[vmem.PhysAddr]

func open(t *testing.T, b []byte) *File {
	t.Helper()
	f, err := NewFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSegments(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 0x200) // 8 KiB
	type lost struct {
		Range  rng
		Offset int64
	}
	tests := []struct {
		name   string
		core   coretest.Core
		cut    int // bytes off the end
		ranges []rng
		at     uint64
		want   string
		gaps   []lost
	}{
		{"unsorted", coretest.Core{Segments: []coretest.Segment{coretest.Load(0x5000, 0x1010, 0x10, 0x10), coretest.Load(0x1000, 0x1000, 0x20, 0x20)}}, 0,
			[]rng{{Start: 0x1000, Size: 0x20}, {Start: 0x5000, Size: 0x10}}, 0x1008, "89abcdef", nil},
		{"overlapping: the first has the bytes", coretest.Core{Segments: []coretest.Segment{coretest.Load(0x1004, 0x1000, 4, 4), coretest.Load(0x1000, 0x1000, 0x10, 0x10)}}, 0,
			[]rng{{Start: 0x1000, Size: 0x10}}, 0x1000, "01230123", nil},
		{"p_filesz below p_memsz", coretest.Core{Segments: []coretest.Segment{coretest.Load(0x1000, 0x1000, 0x10, 0x40)}}, 0,
			[]rng{{Start: 0x1000, Size: 0x10}}, 0x1000, "01234567", nil},
		{"no physical address", coretest.Core{Segments: []coretest.Segment{coretest.Load(^uint64(0), 0x1000, 0x10, 0x10), coretest.Load(0, 0x1000, 0x10, 0x10)}}, 0,
			[]rng{{Start: 0, Size: 0x10}}, 0, "01234567", nil},
		{"empty segment", coretest.Core{Segments: []coretest.Segment{coretest.Load(0x1000, 0x1000, 0, 0), coretest.Load(0x2000, 0x1000, 8, 8)}}, 0,
			[]rng{{Start: 0x2000, Size: 8}}, 0x2000, "01234567", nil},
		{"many program headers", coretest.Core{Segments: []coretest.Segment{coretest.Load(0x1000, 0x1000, 0x10, 0x10)}, XNum: true}, 0,
			[]rng{{Start: 0x1000, Size: 0x10}}, 0x1000, "01234567", nil},
		{"cut off", coretest.Core{Segments: []coretest.Segment{coretest.Load(0, 0x1000, 0x1000, 0x1000), coretest.Load(0x1000, 0x2000, 0x1000, 0x1000)}}, 0x1800,
			[]rng{{Start: 0, Size: 0x800}}, 0, "01234567", []lost{{rng{Start: 0x800, Size: 0x800}, 0x1800}, {rng{Start: 0x1000, Size: 0x1000}, 0x2000}}},
		{"beyond physical memory", coretest.Core{Segments: []coretest.Segment{coretest.Load(1<<52-0x10, 0x1000, 0x20, 0x20), coretest.Load(0, 0x1000, 8, 8)}}, 0,
			[]rng{{Start: 0, Size: 8}}, 0, "01234567", []lost{{rng{Start: 1<<52 - 0x10, Size: 0x20}, 0x1000}}},
		{"offset beyond everything", coretest.Core{Segments: []coretest.Segment{coretest.Load(0, 1<<63, 0x20, 0x20), coretest.Load(0x100, 0x1000, 8, 8)}}, 0,
			[]rng{{Start: 0x100, Size: 8}}, 0x100, "01234567", []lost{{rng{Start: 0, Size: 0x20}, 1 << 62}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.core.Data = data
			b := tt.core.Bytes()
			f := open(t, b[:len(b)-tt.cut])
			if d := cmp.Diff(tt.ranges, f.Ranges()); d != "" {
				t.Errorf("ranges (-want +got):\n%s", d)
			}
			got := make([]byte, 8)
			if n, err := f.ReadAt(got, int64(tt.at)); string(got) != tt.want {
				t.Errorf("at %#x: %d, %v: %q, want %q", tt.at, n, err, got, tt.want)
			}
			var gaps []lost
			for _, g := range f.Gaps() {
				if !errors.Is(g, ErrNoAddress) { // most of the data is of no segment
					gaps = append(gaps, lost{g.Place.Physical(), g.Place.Offset})
				}
			}
			if d := cmp.Diff(tt.gaps, gaps); d != "" {
				t.Errorf("gaps (-want +got):\n%s", d)
			}
		})
	}
}

func TestReadAtEndsWhereMemoryDoes(t *testing.T) {
	c := coretest.Core{Segments: []coretest.Segment{coretest.Load(0x1000, 0x1000, 0x10, 0x10)}, Data: []byte("0123456789abcdef")}
	f := open(t, c.Bytes())
	b := make([]byte, 0x20)
	if n, err := f.ReadAt(b, 0x1008); n != 8 || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("across the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(b, 0xfff); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("before the start: %d, %v", n, err)
	}
}

func TestProgramHeadersCutOff(t *testing.T) {
	c := coretest.Core{Segments: []coretest.Segment{coretest.Load(0, 0x40, 8, 8), coretest.Load(0x1000, 0x40, 8, 8), coretest.Load(0x2000, 0x40, 8, 8)}}
	f := open(t, c.Bytes()[:64+2*56+20])
	if len(f.Segments()) != 2 || len(f.Gaps()) != 1 || f.Gaps()[0].Place.Offset != 64+2*56 {
		t.Errorf("segments %v, gaps %v", f.Segments(), f.Gaps())
	}
}

// A core of thousands of segments that the file does not have is listed only so far.
func TestManyGaps(t *testing.T) {
	const segments = gaplist.Limit + 7
	b := (&coretest.Core{}).Bytes()
	le := binary.LittleEndian
	le.PutUint64(b[32:], uint64(len(b))) // e_phoff
	le.PutUint16(b[56:], segments)
	for i := range uint64(segments) {
		p := make([]byte, 56)
		le.PutUint32(p, 1)
		le.PutUint64(p[8:], 1<<40)
		le.PutUint64(p[24:], i<<12)
		le.PutUint64(p[32:], 8)
		le.PutUint64(p[40:], 8)
		b = append(b, p...)
	}
	gaps := open(t, b).Gaps()
	if last := gaps[len(gaps)-1]; len(gaps) != gaplist.Limit+1 || !strings.Contains(last.Error(), "7 gaps more") {
		t.Errorf("%d gaps, the last %v", len(gaps), last)
	}
}

func TestNotACore(t *testing.T) {
	whole := (&coretest.Core{}).Bytes()
	change := func(off int, v byte) []byte {
		b := bytes.Clone(whole)
		b[off] = v
		return b
	}
	for name, b := range map[string][]byte{
		"empty":           {},
		"short":           whole[:40],
		"LiME":            append([]byte("EMiL"), whole[4:]...),
		"32 bits":         change(4, 1),
		"big-endian":      change(5, 2),
		"executable":      change(16, 2),
		"arm64":           change(18, 183),
		"headers far off": change(39, 0x7f),
		"a process":       (&coretest.Core{Segments: []coretest.Segment{coretest.Load(0, coretest.DataAt, 8, 8), coretest.Load(0, coretest.DataAt, 0, 8)}}).Bytes(),
	} {
		if f, err := NewFile(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrFormat) || f != nil {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func TestNotes(t *testing.T) {
	cpu := make([]byte, 440)
	binary.LittleEndian.PutUint32(cpu, 1)
	for i, v := range []uint64{0x80050033, 0, 0x7f00dead0000, 0x1234000, 0x1770f0} {
		binary.LittleEndian.PutUint64(cpu[392+8*i:], v)
	}
	binary.LittleEndian.PutUint64(cpu[384:], 0xfffffe0000000000)
	var data []byte
	for _, n := range [][]byte{coretest.Note("CORE", 1, []byte("prstatus")), coretest.Note("QEMU", 0, cpu), coretest.Note("VMCOREINFO", 0, []byte("OSRELEASE=6.1.0\nNUMBER(phys_base)=-12582912\n"))} {
		data = append(data, n...)
	}
	c := coretest.Core{Segments: []coretest.Segment{{Type: 4, Offset: coretest.DataAt, FileSz: uint64(len(data))}}, Data: data}
	f := open(t, c.Bytes())
	if len(f.Notes()) != 3 || f.Notes()[0].Name != "CORE" || string(f.Notes()[0].Desc) != "prstatus" || len(f.Gaps()) != 0 {
		t.Errorf("notes %v, gaps %v", f.Notes(), f.Gaps())
	}
	want := []vmcoreinfo.CPU{{CR0: 0x80050033, CR2: 0x7f00dead0000, CR3: 0x1234000, CR4: 0x1770f0, IDT: 0xfffffe0000000000}}
	if d := cmp.Diff(want, f.CPUs()); d != "" {
		t.Errorf("CPUs (-want +got):\n%s", d)
	}
	v, err := f.VMCoreInfo()
	if err != nil || v.Release() != "6.1.0" {
		t.Errorf("VMCOREINFO: %v, %v", v, err)
	}
	if n, err := v.Number("phys_base"); n != -12582912 || err != nil {
		t.Errorf("phys_base: %d, %v", n, err)
	}
	b := c.Bytes()
	f = open(t, b[:len(b)-10])
	if len(f.Notes()) != 2 || len(f.Gaps()) != 1 {
		t.Errorf("cut off: %d notes, gaps %v", len(f.Notes()), f.Gaps())
	}
	if _, err := f.VMCoreInfo(); !errors.Is(err, vmcoreinfo.ErrNoNote) {
		t.Errorf("cut off: %v", err)
	}
}

func TestOpen(t *testing.T) {
	c := coretest.Core{Segments: []coretest.Segment{coretest.Load(0x1000, 0x1000, 4, 4)}, Data: []byte("abcd")}
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, c.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := f.ReadAt(got, 0x1000); err != nil || string(got) != "abcd" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}

func FuzzELFCore(f *testing.F) {
	c := coretest.Core{Segments: []coretest.Segment{coretest.Load(0x5000, 0x1010, 0x10, 0x10), coretest.Load(0x1000, 0x1000, 0x20, 0x40),
		{Type: 4, Offset: coretest.DataAt + 0x40, FileSz: 0x40}}, Data: bytes.Repeat([]byte("0123456789abcdef"), 4)}
	c.Data = append(c.Data, coretest.Note("VMCOREINFO", 0, []byte("OSRELEASE=6.1.0\n"))...)
	f.Add(c.Bytes())
	c.XNum = true
	f.Add(c.Bytes())
	f.Add(c.Bytes()[:0x1030])
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := NewFile(bytes.NewReader(b), int64(len(b)))
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v, error %v", file, err)
		}
		if err != nil {
			return
		}
		var total uint64
		for _, r := range file.Ranges() {
			p := make([]byte, min(r.Size, 1<<16))
			if n, err := file.ReadAt(p, int64(r.Start)); n != len(p) {
				t.Fatalf("range %v reads %d bytes: %v", r, n, err)
			}
			total += r.Size
		}
		for _, g := range file.Gaps() {
			_ = g.Error()
		}
		file.CPUs()
		if v, err := file.VMCoreInfo(); err == nil && v.Text() == "" {
			t.Fatal("VMCOREINFO without text")
		}
	})
}

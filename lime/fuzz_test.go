package lime

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

// FuzzLiME checks that any file is opened or refused with ErrFormat, that all memory it
// has can be read, and none but that, that gaps lie outside, and that each byte of the file
// is of a record or in a gap.
func FuzzLiME(f *testing.F) {
	low, high := mem(0x1000, 0x40), mem(0x8000, 0x30)
	f.Add(image(record(low), record(high)))
	f.Add(image(record(high), record(low), record(mem(0x8010, 0x100))))
	f.Add(image(record(low)[:50], record(high)))
	f.Add(image(record(low)[:50], record(high), record(mem(0x10000, 1)))[:110])
	f.Add(image(head(mem(0, 1<<40)), record(mem(1<<41, 0x10)), []byte("and more")))
	f.Fuzz(fuzzImage)
}

// FuzzAVML is FuzzLiME for compressed images.
func FuzzAVML(f *testing.F) {
	file := fixture(f, "v0.20.0.avml")
	small := file[block3:]
	f.Add(small)
	f.Add(image(avmlHead(zeros1), small))
	f.Add(image(record(mem(0x1000, 0x40)), small))
	f.Add(image(avmlHead(mem(0x1000, 0x40)), contents(mem(0x1000, 0x40)), small))
	f.Add(image(small[:len(small)-0x20], record(mem(0x100000, 0x40))))
	f.Add(edit(small, 42))
	f.Fuzz(fuzzImage)
}

func fuzzImage(t *testing.T, file []byte) {
	r, err := NewFile(bytes.NewReader(file), int64(len(file)))
	if (r == nil) != (err != nil) {
		t.Fatalf("%v, %v", r, err)
	}
	if err != nil {
		return
	}
	if r.source.Compressed() == "" && !r.avml {
		if off, lost := unaccounted(t, file); lost {
			t.Fatalf("nothing tells of what is at %#x: %v, gaps %v", off, r.Ranges(), r.Gaps())
		}
	}
	total := uint64(0)
	for _, m := range r.Ranges() {
		if total += m.Size; total > uint64(len(file)) && r.source.Compressed() == "" && len(r.payload.chunks) == 1 {
			t.Fatalf("more memory than the file has bytes: %v", r.Ranges())
		}
		readRange(t, r, m)
	}
	checkElided(t, r)
	for _, g := range r.Gaps() {
		if g.Err == nil || g.Error() == "" {
			t.Fatalf("gap without a reason: %+v", g)
		}
	}
}

// readRange reads the ends of a range, and one byte more on either side.
func readRange(t *testing.T, f *File, m physRange) {
	p := make([]byte, min(m.Size, 1<<16)+1)
	n, err := f.ReadAt(p[1:], int64(m.Start))
	damaged := len(f.source.Gaps(f.table)) > 0 || len(f.payload.gaps(f.table)) > 0
	if n != len(p)-1 && !damaged {
		t.Fatalf("range %v: read of %d bytes gives %d, %v", m, len(p)-1, n, err)
	}
	n, err = f.ReadAt(p, int64(m.Last())-int64(len(p))+2)
	damaged = damaged || len(f.payload.gaps(f.table)) > 0
	if n != len(p)-1 && !damaged || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Fatalf("read across the end of %v: %d of %d, %v", m, n, len(p), err)
	}
	if m.Start > 0 {
		if n, err := f.ReadAt(p[:1], int64(m.Start)-1); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
			t.Fatalf("read before %v: %d, %v", m, n, err)
		}
	}
}

// checkElided asks for what AVML left out, where RAM is all from the image's first record
// to its last, and where each record is all of a range.
func checkElided(t *testing.T, f *File) {
	ranges := f.Ranges()
	if len(ranges) == 0 {
		return
	}
	first, last := ranges[0], ranges[len(ranges)-1]
	for _, ram := range [][]physRange{{mem(uint64(first.Start), uint64(last.Last()-first.Start)+1)}, ranges} {
		for _, z := range f.Elided(ram) {
			if z.Size == 0 || !slices.ContainsFunc(ram, func(r physRange) bool { return r.ContainsRange(z) }) {
				t.Fatalf("zeros %v outside of RAM %v", z, ram)
			}
			if slices.ContainsFunc(ranges, func(r physRange) bool { return r.Intersect(z).Size > 0 }) {
				t.Fatalf("zeros %v where the image has memory %v", z, ranges)
			}
		}
	}
}

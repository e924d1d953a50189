package kdump

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

// small returns a dump of few pages: an image of which the bitmaps are cut down to the
// first n pages, and the pages behind to what is left of the file then.
func small(file []byte, n uint32) []byte {
	file = edit(file, blockSize+atMax64, uint64(n))
	return file[:min(len(file), 6*blockSize)]
}

// FuzzKdump checks that any file is opened or refused with ErrFormat, that memory is read
// alike in pages and at once, that what can't be read is a gap, and that ranges and
// gaps do not overlap.
func FuzzKdump(f *testing.F) {
	for _, name := range []string{"none", "zlib", "lzo", "snappy", "zstd", "split1"} {
		f.Add(small(fixture(f, name+".kdump"), 40))
		f.Add(small(fixture(f, name+".kdump"), 300))
	}
	flat := fixture(f, "flat.kdump")
	f.Add(flat[:40<<10])
	f.Add(fixture(f, "qemu-flat.kdump")[:32<<10])
	f.Add(fixture(f, "incomplete.kdump"))
	f.Add(edit(flat[:32<<10], flatHeader+10, uint32(0x100)))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewFile(bytes.NewReader(file), int64(len(file)))
		if (r == nil) != (err != nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if err != nil {
			return
		}
		total := uint64(0)
		for i, m := range r.Ranges() {
			if m.Size == 0 || i > 0 && m.Start <= r.Ranges()[i-1].Last()+1 {
				t.Fatalf("ranges %v", r.Ranges())
			}
			if total += m.Size; total < 8<<20 {
				checkRange(t, r, m)
			}
		}
		if r.source.Compressed() == "" && total > uint64(len(file))*8*blockSize {
			t.Fatalf("%d bytes of memory in %d bytes of bitmap", total, len(file))
		}
		for _, g := range r.Gaps() {
			if g.Err == nil || g.Error() == "" {
				t.Fatalf("gap without a reason: %+v", g)
			}
		}
		_, _ = r.VMCoreInfo()
		_, _ = r.EraseInfo(), r.CPUs()
	})
}

// checkRange reads a range of memory, in pages and at once.
func checkRange(t *testing.T, f *File, m physRange) {
	pages, page := map[vmem.PhysAddr][]byte{}, make([]byte, blockSize)
	for a := m.Start; m.Contains(a) && len(pages) < 64; a += blockSize {
		n, err := f.ReadAt(page, int64(a))
		if err != nil && (n != 0 || !errors.Is(err, vmem.ErrNotCaptured) || !hasGap(f, a)) {
			t.Fatalf("page at %v: %d, %v, gaps %v", a, n, err, f.Gaps())
		}
		if err == nil {
			pages[a] = bytes.Clone(page)
		}
	}
	all := make([]byte, min(m.Size, 64*blockSize)+bulk)
	n, err := f.ReadAt(all, int64(m.Start))
	if err == nil && uint64(len(all)) > m.Size {
		t.Fatalf("%d bytes of %v, and no error", n, m)
	}
	for a, b := range pages {
		if off := int(a - m.Start); off < n && !bytes.Equal(all[off:min(off+blockSize, n)], b) {
			t.Fatalf("page at %v differs in a read of the whole range", a)
		}
	}
}

// hasGap reports whether a page is among the gaps.
func hasGap(f *File, a vmem.PhysAddr) bool {
	for _, g := range f.Gaps() {
		if g.Place.Physical().Contains(a) {
			return true
		}
	}
	return len(f.late.pages) == maxLate
}

package lime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmem"
)

// walkImage reads an image by its format alone, from the beginning to the end, and calls
// visit with each piece of memory.
func walkImage(t *testing.T, name string, visit func(addr vmem.PhysAddr, b []byte)) []physRange {
	t.Helper()
	r, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ranges []physRange
	piece := make([]byte, 1<<20)
	for {
		var h struct {
			Magic, Version        uint32
			Start, Last, Reserved uint64
		}
		if err := binary.Read(r, binary.LittleEndian, &h); errors.Is(err, io.EOF) {
			return ranges
		} else if err != nil || h.Magic != 0x4C694D45 {
			t.Fatalf("header %+v, %v", h, err)
		}
		ranges = append(ranges, mem(h.Start, h.Last-h.Start+1))
		for at := h.Start; at <= h.Last; {
			b := piece[:min(uint64(len(piece)), h.Last-at+1)]
			if _, err := io.ReadFull(r, b); err != nil {
				t.Fatal(err)
			}
			visit(vmem.PhysAddr(at), b)
			at += uint64(len(b))
		}
	}
}

// checkImage compares all of f with the image in the named file.
func checkImage(t *testing.T, f *File, name string) {
	t.Helper()
	got := make([]byte, 1<<20)
	ranges := walkImage(t, name, func(addr vmem.PhysAddr, b []byte) {
		if n, err := f.ReadAt(got[:len(b)], int64(addr)); err != nil || !bytes.Equal(got[:n], b) {
			t.Fatalf("memory at %v: %d bytes, %v, or other bytes than the file has", addr, n, err)
		}
	})
	if d := cmp.Diff(ranges, f.Ranges()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	checkGaps(t, f, nil)
}

// The image was made by LiME's own module.
func TestRealImage(t *testing.T) {
	t.Parallel()
	image := testimages.Named(t, "s-6.1")
	f, err := Open(image.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkImage(t, f, image.Path)
}

func TestRealImageLZ4(t *testing.T) {
	t.Parallel()
	image := testimages.Named(t, "s-6.1")
	lz4, err := exec.LookPath("lz4")
	if err != nil {
		t.Skip("no lz4 command here:", err)
	}
	for i, args := range [][]string{{"-B4", "-BD"}, {"-B7", "-BX", "--content-size"}, {"-l"}} {
		if i > 0 && !testimages.Thorough() {
			break // the others are tested in synthetic files
		}
		packed := filepath.Join(t.TempDir(), "image")
		if out, err := exec.Command(lz4, append(args, image.Path, packed)...).CombinedOutput(); err != nil {
			t.Fatalf("lz4 %v: %v: %s", args, err, out)
		}
		f, err := Open(packed)
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, f, image.Path)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Wherever a real image is cut off, what precedes the cut is there and the rest is a
// gap. Its memory has copies of its own headers: see the package comment.
func TestRealImageCut(t *testing.T) {
	t.Parallel()
	image := testimages.Named(t, "s-6.1")
	r, err := os.Open(image.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		t.Fatal(err)
	}
	ranges := walkImage(t, image.Path, func(vmem.PhysAddr, []byte) {})
	rng := rand.New(rand.NewPCG(1, 2))
	cuts := 20
	if !testimages.Thorough() {
		cuts = 5
	}
	for range cuts {
		size := headerSize + rng.Int64N(info.Size()-headerSize)
		f, err := NewFile(r, size)
		if err != nil {
			t.Fatal(err)
		}
		have, gaps := cutRanges(ranges, size)
		if d := cmp.Diff(have, f.Ranges()); d != "" {
			t.Errorf("cut at %d: ranges (-want +got):\n%s", size, d)
		}
		checkGaps(t, f, gaps)
	}
}

// cutRanges returns what an image of the given ranges has, and has lost, if size bytes
// are left of it.
func cutRanges(ranges []physRange, size int64) (have []physRange, gaps []lost) {
	off := int64(0)
	for _, r := range ranges {
		if size-off < headerSize {
			return have, []lost{{off, physRange{}, ErrNoHeader}}
		}
		off += headerSize
		n := min(uint64(size-off), r.Size)
		have = append(have, mem(uint64(r.Start), n))
		off += int64(n)
		if n < r.Size {
			return have, []lost{{off, mem(uint64(r.Start)+n, r.Size-n), ErrTruncated}}
		}
	}
	return have, nil
}

// The image is one of LiME's, converted by AVML: what AVML leaves out is zeros.
func TestRealImageAVML(t *testing.T) {
	t.Parallel()
	avml, err := exec.LookPath("avml")
	if err != nil {
		t.Skip("no avml command here:", err)
	}
	image := testimages.Named(t, "s-6.1")
	packed := filepath.Join(t.TempDir(), "image")
	if out, err := exec.Command(avml, "convert", "--source-format", "lime", "--format", "lime_compressed", image.Path, packed).CombinedOutput(); err != nil {
		t.Fatalf("avml convert: %v: %s", err, out)
	}
	f, err := Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 1<<20)
	compared := 0
	walkImage(t, image.Path, func(addr vmem.PhysAddr, b []byte) {
		for len(b) > 0 {
			n, err := f.ReadAt(got[:len(b)], int64(addr))
			compared += n
			if !bytes.Equal(got[:n], b[:n]) {
				t.Fatalf("memory at %v: other bytes than the file has", addr)
			}
			if n == 0 {
				if !errors.Is(err, vmem.ErrNotCaptured) || b[0] != 0 {
					t.Fatalf("memory at %v: %v, and the file has %#x", addr, err, b[0])
				}
				n = 1
			}
			addr, b = addr+vmem.PhysAddr(n), b[n:]
		}
	})
	total := uint64(0)
	for _, r := range f.Ranges() {
		total += r.Size
	}
	if uint64(compared) != total || total == 0 {
		t.Errorf("%d bytes compared, and the image has %d", compared, total)
	}
	checkGaps(t, f, nil)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Skip("no truth:", err)
	}
	return string(b)
}

package lime

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmem"
)

// packers compress files as a whole.
var packers = map[string]func(w io.Writer) (io.WriteCloser, error){
	"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	"zlib": func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil },
	"xz":   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
}

func packWith(t testing.TB, open func(w io.Writer) (io.WriteCloser, error), content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A compressed image has the memory of the plain one, and one that ends early the
// beginning of it; what it lacks is listed.
func TestPacked(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	ranges := []physRange{mem(0x1000, 0x9e000), mem(0x100000, 0x180000)}
	plain := image(record(ranges[0]), record(ranges[1]))
	for name, open := range packers {
		file := packWith(t, open, plain)
		f, err := NewFile(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkMemory(t, f, ranges)
		if g := f.Gaps(); len(g) > 0 || f.source.Compressed() != name {
			t.Errorf("%s: taken for %q, gaps %v", name, f.source.Compressed(), g)
		}
		least := 0
		for cut := len(file) / 8; cut < len(file); cut += len(file)/8 - 1 {
			f, err := NewFile(bytes.NewReader(file[:cut]), int64(cut))
			if err != nil {
				t.Fatalf("%s, first %d of %d bytes: %v", name, cut, len(file), err)
			}
			left := checkWhatIsLeft(t, f)
			checkCut(t, f, ranges, left)
			if left < least {
				t.Errorf("%s: %d bytes of %d leave less memory than fewer do", name, cut, len(file))
			}
			least = left
		}
		if least < 0x180000 {
			t.Errorf("%s: no more than %#x bytes are left of nearly all", name, least)
		}
	}
}

// checkCut checks that the gaps of a file that ends early are the memory that its ranges
// lack, and that the end of the compressed file is one of them.
func checkCut(t *testing.T, f *File, all []physRange, left int) {
	t.Helper()
	lost, ended := 0, false
	for _, g := range f.Gaps() {
		lost += int(g.Place.Physical().Size)
		ended = ended || errors.Is(g, vmem.ErrNotCaptured) && errors.Is(g, io.ErrUnexpectedEOF)
	}
	total := 0
	for _, r := range all {
		total += int(r.Size)
	}
	begun := left < int(all[0].Size) || lost > 0 // of a record that was not reached nobody knows
	if !ended || begun && left+lost != total && left+lost != int(all[0].Size) {
		t.Errorf("%d bytes left and %d listed as lost of %d; the end is listed: %v", left, lost, total, ended)
	}
}

// The same of a compressed AVML image.
func TestPackedAVML(t *testing.T) {
	t.Parallel()
	plain := fixture(t, "v0.20.0.avml")
	want := open(t, plain)
	for name, open := range packers {
		file := packWith(t, open, plain)
		f, err := NewFile(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(want.Ranges()) == 0 || len(f.Gaps()) > 0 {
			t.Fatalf("%s: ranges %v, gaps %v", name, want.Ranges(), f.Gaps())
		}
		for _, r := range want.Ranges() {
			a, b := make([]byte, r.Size), make([]byte, r.Size)
			_, errA := want.ReadAt(a, int64(r.Start))
			_, errB := f.ReadAt(b, int64(r.Start))
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Errorf("%s: %v differs: %v, %v", name, r, errA, errB)
			}
		}
		f, err = NewFile(bytes.NewReader(file[:len(file)/2]), int64(len(file)/2))
		if err == nil && len(f.Gaps()) == 0 || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s, first half: %v; want gaps, or that there is not even one block of zstd", name, err)
		}
	}
}

// The headers of an image are all over it. Walking over them is one pass over a
// compressed file, also where its content is more than a cache holds.
func TestOnePass(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	block := fixture(t, "v0.20.0.avml")[:block2]
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	blocks := uint64(2<<cacheBits/len(block) + 1)
	for i := range blocks {
		binary.LittleEndian.PutUint64(block[8:], i<<20)
		binary.LittleEndian.PutUint64(block[16:], i<<20+pattern1.Size-1)
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	counted := &countingReader{r: bytes.NewReader(packed.Bytes())}
	f, err := NewFile(counted, int64(packed.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if n := uint64(len(f.Ranges())); n != blocks || counted.n > int64(packed.Len())+1<<20 {
		t.Errorf("%d of %d blocks, for which %d bytes were read of a file of %d", n, blocks, counted.n, packed.Len())
	}
}

// cacheBits is the size of the cache of decoded content, as a power of two.
const cacheBits = 26

type countingReader struct {
	r io.ReaderAt
	n int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

package lime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"

	"github.com/nodelens/nodelens/vmem"
)

func TestWriter(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	w := NewWriter(&got)
	ranges := []physRange{mem(0x1000, 0x9ec00), mem(0x100000, 1), mem(1<<52-0x10, 0x10)}
	var want []byte
	for _, r := range ranges {
		if err := w.WriteRange(r, io.MultiReader(bytes.NewReader(contents(r)), strings.NewReader("more"))); err != nil {
			t.Fatal(err)
		}
		want = append(want, record(r)...)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the image is not what the format says")
	}
	checkMemory(t, open(t, got.Bytes()), ranges)

	for _, r := range []physRange{{}, mem(1<<52-0x10, 0x11), mem(1<<52, 1), mem(0, ^uint64(0))} {
		if err := w.WriteRange(r, strings.NewReader("x")); err == nil {
			t.Errorf("range %v was accepted", r)
		}
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("a refused range left something in the image")
	}
}

func TestWriterErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	var got bytes.Buffer
	short := NewWriter(&got)
	if err := short.WriteRange(mem(0x1000, 5), strings.NewReader("1234")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("source that ends early: %v", err)
	}
	if err := short.WriteRange(mem(0x2000, 1), strings.NewReader("1")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after that: %v", err)
	}
	checkGaps(t, open(t, got.Bytes()), []lost{{36, mem(0x1004, 1), ErrTruncated}})

	for room := range 40 {
		w := NewWriter(&limited{room, broken})
		if err := w.WriteRange(mem(0x1000, 8), strings.NewReader("12345678")); !errors.Is(err, broken) {
			t.Errorf("room for %d bytes: %v, want %v", room, err, broken)
		}
	}
}

// limited takes that many bytes, then fails.
type limited struct {
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.room)
	l.room -= n
	if n < len(p) {
		return n, l.err
	}
	return n, nil
}

// TestAVMLWriter writes records of many lengths, of bytes that compress and of others, and
// reads them with the decoder of others, and with a File.
func TestAVMLWriter(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{7})
	var records []memoryRange
	at := vmem.PhysAddr(0x1000)
	for i, size := range []int{1, 0x1000, 0xffff, 0x10000, 0x10001, 0x3f000, MaxAVMLRecord, MaxAVMLRecord + 0x1000} {
		b := make([]byte, size)
		switch i % 3 {
		case 0:
			_, _ = random.Read(b)
		case 1:
			copy(b, bytes.Repeat([]byte("compressible"), size/12))
		}
		records = append(records, memoryRange{at, b})
		at += vmem.PhysAddr(size+0xfff) &^ 0xfff
	}
	for name, write := range map[string]func(w *Writer, r memoryRange) error{
		"bytes": func(w *Writer, r memoryRange) error { return w.WriteBytes(r.start, r.data) },
		"range": func(w *Writer, r memoryRange) error {
			return w.WriteRange(mem(uint64(r.start), uint64(len(r.data))), bytes.NewReader(r.data))
		},
	} {
		var image bytes.Buffer
		w := NewAVMLWriter(&image)
		for _, r := range records {
			if err := write(w, r); err != nil {
				t.Fatal(err)
			}
		}
		checkAVML(t, name, image.Bytes(), records)
	}
}

// A memoryRange is memory with its content.
type memoryRange struct {
	start vmem.PhysAddr
	data  []byte
}

// checkAVML reads an image by the tables of AVML's format, and with a File.
func checkAVML(t *testing.T, name string, image []byte, records []memoryRange) {
	t.Helper()
	f := open(t, image)
	for _, want := range records {
		got := make([]byte, len(want.data))
		if _, err := f.ReadAt(got, int64(want.start)); err != nil || !bytes.Equal(got, want.data) {
			t.Errorf("%s: memory at %v: other bytes, %v", name, want.start, err)
		}
		for at, left := want.start, want.data; len(left) > 0; {
			head := binary.LittleEndian.AppendUint64([]byte("AVML\x02\x00\x00\x00"), uint64(at))
			size := min(len(left), 16<<20)
			head = binary.LittleEndian.AppendUint64(head, uint64(at)+uint64(size)-1)
			if !bytes.HasPrefix(image, append(head, make([]byte, 8)...)) {
				t.Fatalf("%s: header % x, want % x", name, image[:32], head)
			}
			packed := image[32:]
			content := make([]byte, size)
			r := &counter{r: bytes.NewReader(packed)}
			if _, err := io.ReadFull(snappy.NewReader(r), content); err != nil || !bytes.Equal(content, left[:size]) {
				t.Fatalf("%s: record at %v: other bytes, %v", name, at, err)
			}
			if n := binary.LittleEndian.Uint64(packed[r.n:]); n != uint64(r.n) {
				t.Fatalf("%s: a stream of %d bytes says it has %d", name, r.n, n)
			}
			image, left, at = packed[r.n+8:], left[size:], at+vmem.PhysAddr(size)
		}
	}
	if len(image) > 0 {
		t.Errorf("%s: %d bytes behind the last record", name, len(image))
	}
}

// A counter counts what is read.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

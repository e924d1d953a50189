package seekable_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/inflate"
	"github.com/nodelens/nodelens/internal/seekable"
	"github.com/nodelens/nodelens/internal/zstddec"
	"github.com/nodelens/nodelens/vmem"

	"github.com/nodelens/nodelens/internal/testimages"
)

// zstdRun returns a frame of blocks of 128 KiB of the same byte, 4 bytes each, and of a last
// block of another.
func zstdRun(blocks int) []byte {
	file := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38}
	head := uint32(128<<10)<<3 | 1<<1
	for range blocks {
		file = append(file, byte(head), byte(head>>8), byte(head>>16), 'x')
	}
	return append(file, 1|1<<1|8, 0, 0, 'y')
}

// A file that unpacks to more than an image of its size has is read up to there, and the
// rest is one loss. The file of 32 MiB that unpacks to a terabyte is such a one.
func TestBomb(t *testing.T) {
	testimages.Long(t)
	const most = 16 << 20
	all := packedAll(t, make([]byte, 24<<20))
	all["zstd of runs"] = packed{zstddec.Format, zstdRun(1 << 20)} // 128 GiB
	for name, p := range all {
		var r *seekable.Reader
		var size int64
		alloctest.AtMost(t, 32<<20, name, func() {
			r = open(t, p.format, p.file, &seekable.Options{ContentBytes: most})
			size = r.Size()
		})
		if d := r.Damage(); size != most || len(d) != 1 || !errors.Is(d[0].Err, seekable.ErrTooLong) || d[0].Start != most || vmem.ReasonOf(&d[0]) != "too-long" {
			t.Errorf("%s: %d bytes, damage %v", name, size, d)
		}
		if n, err := r.ReadAt(make([]byte, 2), most-1); n != 1 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: ReadAt() at the end = %d, %v", name, n, err)
		}
	}
}

// An index that tells of more is believed no further.
func TestIndexedBomb(t *testing.T) {
	chunks := toyOf(make([]byte, 4*toyChunk))
	r := open(t, chunks, chunks.file, &seekable.Options{ContentBytes: 2 * toyChunk})
	if d := r.Damage(); len(d) != 1 || !errors.Is(d[0].Err, seekable.ErrTooLong) || r.Size() != 2*toyChunk {
		t.Errorf("%d bytes, damage %v", r.Size(), d)
	}
	if n, err := r.ReadAt(make([]byte, 100), 0); n != 100 || err != nil {
		t.Errorf("ReadAt() = %d, %v", n, err)
	}
}

// Hundreds of thousands of frames without content, with content behind the last, cost next to nothing.
func TestEmptyFrames(t *testing.T) {
	const n = 300_000
	zstdEmpty := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, 1, 0, 0}
	for name, p := range map[string]packed{
		"gzip":            {inflate.Gzip, append(bytes.Repeat(gzipped(t, nil), n/10), gzipped(t, []byte("content"))...)},
		"zstd":            {zstddec.Format, append(bytes.Repeat(zstdEmpty, n), 0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, 1|7<<3, 0, 0, 'c', 'o', 'n', 't', 'e', 'n', 't')},
		"zstd skippables": {zstddec.Format, append(bytes.Join([][]byte{zstdEmpty, bytes.Repeat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, n)}, nil), 0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, 1|7<<3, 0, 0, 'c', 'o', 'n', 't', 'e', 'n', 't')},
	} {
		var r *seekable.Reader
		alloctest.AtMost(t, 64<<20, name, func() {
			r = open(t, p.format, p.file, nil)
			r.Size()
		})
		got := make([]byte, 8)
		if m, err := r.ReadAt(got, 0); string(got[:m]) != "content" || !errors.Is(err, io.EOF) || len(r.Damage()) > 0 {
			t.Errorf("%s: %q, %v, damage %v", name, got[:m], err, r.Damage())
		}
	}
}

// Content that repeats itself is kept as what is repeated, and is what it was.
func TestPeriods(t *testing.T) {
	for _, unit := range [][]byte{{0}, {7}, {1, 2}, {0, 0, 0, 1}, bytes.Repeat([]byte{0, 1, 2}, 1000), append(make([]byte, 4095), 1), make([]byte, 65), append(make([]byte, 70_000), 1)} {
		content := bytes.Repeat(unit, 300_000/len(unit)+1)
		p := packedAll(t, content)["zstd"]
		r := open(t, p.format, p.file, &seekable.Options{CacheBytes: 1})
		checkContent(t, r, content)
		checkContent(t, r, content)
		var saved bytes.Buffer
		if err := r.Save(&saved); err != nil {
			t.Fatal(err)
		}
		checkContent(t, open(t, p.format, p.file, &seekable.Options{CacheBytes: 1, Saved: saved.Bytes()}), content)
	}
}

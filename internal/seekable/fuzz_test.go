package seekable_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/inflate"
	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/seekable"
	"github.com/nodelens/nodelens/vmem"
)

// FuzzReader checks that what is read of any gzip file from its end to its beginning is
// what the decoder makes of it in one go, and that a file that is damaged says so.
func FuzzReader(f *testing.F) {
	whole := gzipped(f, packtest.Memory(100_000))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(bytes.Join([][]byte{gzipped(f, []byte("nodelens\n")), whole, gzipped(f, make([]byte, 3<<20))}, nil))
	f.Fuzz(func(t *testing.T, file []byte) {
		want, sound := decodeAll(file)
		const most = 8 << 20
		if len(want) > most {
			return
		}
		r, err := seekable.New(inflate.Gzip, bytes.NewReader(file), int64(len(file)), smallest)
		if err != nil {
			if _, ok := errors.AsType[*checkpoint.FormatError](err); !ok || len(want) > 0 {
				t.Fatalf("New: %v; there are %d bytes of content", err, len(want))
			}
			return
		}
		if r.Size() != int64(len(want)) || sound != (len(r.Damage()) == 0) {
			t.Fatalf("size %d, want %d; damage %v, sound %v", r.Size(), len(want), r.Damage(), sound)
		}
		const piece = 200_000
		p := make([]byte, piece)
		for off := int64(len(want)) / piece * piece; off >= 0; off -= piece {
			n, err := r.ReadAt(p, off)
			if !bytes.Equal(p[:n], want[off:min(off+piece, r.Size())]) || errors.Is(err, vmem.ErrNotCaptured) || n < piece && !errors.Is(err, io.EOF) {
				t.Fatalf("ReadAt(%d) = %d, %v", off, n, err)
			}
		}
	})
}

// decodeAll returns the content of a gzip file and whether nothing is wrong with it.
func decodeAll(file []byte) (content []byte, sound bool) {
	d, err := inflate.Gzip.NewDecoder(bytes.NewReader(file), int64(len(file)), nil)
	for sound = true; err == nil; {
		var piece []byte
		piece, err = d.Next()
		content = append(content, piece...)
		if _, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
			sound, err = false, nil
		}
	}
	return content, sound && errors.Is(err, io.EOF)
}

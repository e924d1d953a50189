package lz4index

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// FuzzLZ4Index checks that any file is indexed and read without a fault, that all
// reads agree with one another and with Damage, and that what the stream decoder of
// pierrec/lz4 accepts as a whole is read as the same content. The seeds in testdata
// were made by the lz4 command.
func FuzzLZ4Index(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := New(bytes.NewReader(file), int64(len(file)), &Options{CacheBytes: 1 << 20})
		if err != nil {
			if _, ok := errors.AsType[*FormatError](err); !ok {
				t.Fatalf("New: %v", err)
			}
			return
		}
		const most = 4 << 20
		if r.Size() > most {
			return
		}
		got := readFuzzed(t, r)
		want, err := io.ReadAll(io.LimitReader(lz4.NewReader(bytes.NewReader(file)), most))
		if err == nil && len(r.Damage()) == 0 && !bytes.Equal(got, want) {
			t.Errorf("content of %d bytes differs from the stream decoder's %d", len(got), len(want))
		}
	})
}

// readFuzzed reads the whole content in pieces from its end to its beginning, and
// again at once as far as that goes.
func readFuzzed(t *testing.T, r *Reader) []byte {
	const piece = 10_000
	got := make([]byte, r.Size())
	whole := true
	for off := (r.Size() - 1) / piece * piece; off >= 0 && r.Size() > 0; off -= piece {
		_, err := r.ReadAt(got[off:min(off+piece, r.Size())], off)
		if _, ok := errors.AsType[*Damage](err); err != nil && !ok {
			t.Fatalf("ReadAt(%d): %v", off, err)
		}
		whole = whole && err == nil
	}
	again := make([]byte, r.Size())
	n, err := r.ReadAt(again, 0)
	if whole != (err == nil) || !bytes.Equal(got[:n], again[:n]) {
		t.Fatalf("one read of all gives %d of %d bytes, %v; pieces were whole: %v", n, len(got), err, whole)
	}
	if !whole && len(r.Damage()) == 0 {
		t.Fatal("reads fail and no damage is listed")
	}
	return got[:n]
}

package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"testing"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// FuzzInflate compares the content of any DEFLATE stream, in the framing of zlib, with
// what compress/flate makes of it up to an error; and what comes out of a decoder that is
// taken up behind each piece with what comes out of one that is not.
func FuzzInflate(f *testing.F) {
	for name := range fixtures {
		switch b := fixture(f, name); {
		case len(b) > 20000:
		case formatOf(name) == Zlib:
			f.Add(b[2:])
		default:
			f.Add(b[10:])
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		const most = 512 << 10 // more only makes fuzzing slow
		r := bytes.NewReader(stream)
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(r), most))
		if len(want) == most {
			return
		}
		file := append([]byte("\x78\x9c"), stream...)
		got, _, err := decode(Zlib, file, nil)
		if errors.Is(wantErr, io.ErrUnexpectedEOF) {
			// compress/flate leaves out symbols at the end that are shorter than others.
			padded := io.MultiReader(bytes.NewReader(stream), bytes.NewReader(make([]byte, 16)))
			if more, _ := io.ReadAll(flate.NewReader(padded)); bytes.HasPrefix(got, want) && bytes.HasPrefix(more, got) {
				want = got
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v; compress/flate has %d, %v", len(got), err, len(want), wantErr)
		}
		if _, ok := errors.AsType[*checkpoint.FormatError](err); !ok && !errors.Is(err, io.EOF) || wantErr != nil && !ok {
			t.Errorf("error %v; of compress/flate %v", err, wantErr)
		}
		again, _, againErr := decode(Zlib, file, func() bool { return true })
		if !bytes.Equal(again, got) || againErr.Error() != err.Error() {
			t.Errorf("taken up behind each piece: %d bytes, %v; not: %d, %v", len(again), againErr, len(got), err)
		}
	})
}

// FuzzGzip checks that any gzip file is decoded without a fault and that what
// decoding finds does not depend on where it is taken up.
func FuzzGzip(f *testing.F) {
	for name := range fixtures {
		if b := fixture(f, name); formatOf(name) == Gzip && len(b) < 20000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 20000 {
			return
		}
		got, doubts, err := decode(Gzip, file, nil)
		again, againDoubts, againErr := decode(Gzip, file, func() bool { return true })
		if !bytes.Equal(again, got) || againErr.Error() != err.Error() || len(doubts) != len(againDoubts) {
			t.Errorf("taken up behind each piece: %d bytes, %v, %v; not: %d, %v, %v", len(again), againDoubts, againErr, len(got), doubts, err)
		}
	})
}

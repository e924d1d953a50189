package xzdec

import (
	"errors"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// NewReader returns a reader of what the .xz file r holds. Unlike a
// [checkpoint.Decoder] it gives up where a checksum does not fit: its errors are a
// [*checkpoint.FormatError] or a [*checkpoint.Mismatch].
//
// What it returns is also an [io.WriterTo].
func NewReader(r io.Reader) io.Reader { return &reader{d: decoder{in: input{r: r}}} }

type reader struct {
	d    decoder
	left []byte
	err  error
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if len(p) == 0 || r.err != nil {
			return 0, r.err
		}
		r.left, r.err = r.d.Next()
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// WriteTo implements [io.WriterTo].
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	for total := int64(0); ; {
		n, err := w.Write(r.left)
		total += int64(n)
		if r.left = r.left[n:]; err != nil {
			return total, err
		}
		if r.err != nil {
			if errors.Is(r.err, io.EOF) {
				return total, nil
			}
			return total, r.err
		}
		r.left, r.err = r.d.Next()
	}
}

var (
	_ checkpoint.Indexed = (*decoder)(nil)
	_ io.WriterTo        = (*reader)(nil)
)

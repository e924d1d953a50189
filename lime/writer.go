package lime

import (
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

// A Writer writes a LiME image of version 1, record by record. It is not safe for
// concurrent use.
type Writer struct {
	w   io.Writer
	err error
}

// NewWriter returns a Writer that writes to w, without a buffer. There is nothing to
// close or flush: an image ends with its last record.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// WriteRange writes one record: the memory r, whose bytes come from src, which must
// have as many. Ranges are best written in ascending order and without overlaps, as
// LiME does. An empty range is refused, for the format has no record for it.
//
// After an error in writing or in src the image ends inside a record, and nothing can
// follow it: every later call returns the same error.
func (w *Writer) WriteRange(r vmem.Range[vmem.PhysAddr], src io.Reader) error {
	if w.err != nil {
		return w.err
	}
	if r.Size == 0 || r.Size > extent.Limit || uint64(r.Start) > extent.Limit-r.Size {
		return fmt.Errorf("lime: no record can hold memory %v", r)
	}
	if _, err := w.w.Write(header{memory: r}.encode()); err != nil {
		w.err = fmt.Errorf("lime: header of memory %v: %w", r, err)
		return w.err
	}
	n, err := io.CopyN(w.w, src, int64(r.Size))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		w.err = fmt.Errorf("lime: %d bytes into memory %v: %w", n, r, err)
	}
	return w.err
}

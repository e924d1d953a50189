package lime

import (
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/blockcoder"
	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

// RecordHeaderSize is the length of the header of a record, in bytes.
const RecordHeaderSize = headerSize

// MaxAVMLRecord is the memory that a record of an AVML image holds at most, in bytes
// (MAX_BLOCK_SIZE in AVML's src/image.rs).
const MaxAVMLRecord = maxZeros

// A Writer writes an image record by record. It is not safe for concurrent use.
type Writer struct {
	w      io.Writer
	chunks *blockcoder.Coder // of AVML, else nil
	err    error
}

// NewWriter returns a Writer that writes a LiME image of version 1 to w, without a buffer.
// There is nothing to close or flush: an image ends with its last record.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// NewAVMLWriter returns a Writer that writes an AVML image of version 2 to w: records as
// LiME's, each compressed by Snappy, on all cores. Blocks that hold only zeros, which AVML
// itself leaves out, are written.
func NewAVMLWriter(w io.Writer) *Writer { return &Writer{w: w, chunks: newSnappyCoder()} }

// WriteRange writes the memory r, whose bytes come from src, which must have as many: one
// record of a LiME image, and as many as it takes of an AVML image. Ranges are best written
// in ascending order and without overlaps, as LiME does. An empty range is refused, for the
// format has no record for it.
//
// After an error in writing or in src the image ends inside a record, and nothing can
// follow it: every later call returns the same error.
func (w *Writer) WriteRange(r vmem.Range[vmem.PhysAddr], src io.Reader) error {
	if err := w.check(r); err != nil {
		return err
	}
	if w.chunks != nil {
		return w.compress(r, src)
	}
	if _, err := w.w.Write(header{memory: r}.encode()); err != nil {
		return w.fail("header of memory %v: %w", r, err)
	}
	if n, err := io.CopyN(w.w, src, int64(r.Size)); err != nil {
		return w.fail("%d bytes into memory %v: %w", n, r, unexpected(err))
	}
	return nil
}

// WriteBytes writes the memory from start on, whose bytes are data, with the results of
// WriteRange and without a copy.
func (w *Writer) WriteBytes(start vmem.PhysAddr, data []byte) error {
	r := vmem.Range[vmem.PhysAddr]{Start: start, Size: uint64(len(data))}
	if err := w.check(r); err != nil {
		return err
	}
	if w.chunks != nil {
		return w.blocks(start, data)
	}
	for _, b := range [][]byte{header{memory: r}.encode(), data} {
		if _, err := w.w.Write(b); err != nil {
			return w.fail("memory %v: %w", r, err)
		}
	}
	return nil
}

// check refuses what no record can hold, and what comes after an error.
func (w *Writer) check(r vmem.Range[vmem.PhysAddr]) error {
	if w.err == nil && (r.Size == 0 || r.Size > extent.Limit || uint64(r.Start) > extent.Limit-r.Size) {
		return fmt.Errorf("lime: no record can hold memory %v", r)
	}
	return w.err
}

func (w *Writer) fail(format string, args ...any) error {
	w.err = fmt.Errorf("lime: "+format, args...)
	return w.err
}

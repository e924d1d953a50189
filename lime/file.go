package lime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/vmem"
)

// A File is a LiME or AVML image. It implements [vmem.Memory] and is safe for concurrent use.
type File struct {
	source  *source.Source
	payload *payload
	table   *extent.Table
	gaps    []vmem.Gap
	whole   []vmem.Range[vmem.PhysAddr] // of the records before any that is damaged, in the order of the file
	avml    bool                        // there are AVML headers
}

var (
	_ vmem.Lossy   = (*File)(nil)
	_ vmem.Eliding = (*File)(nil)
)

// Options are the settings of OpenContext. Nil stands for the zero Options.
type Options struct {
	// Progress, if not nil, is called now and then while a file that is compressed as a
	// whole is unpacked, with how many of its bytes were read. It must return soon.
	Progress func(done, total int64)
}

// Open opens the named image, plain or compressed as a whole. The caller must Close it.
// Errors wrap ErrFormat where the file holds something else.
func Open(name string) (*File, error) { return OpenContext(context.Background(), name, nil) }

// OpenContext opens the named image as Open does. It ends with ctx, which has no effect
// on a File that is open.
func OpenContext(ctx context.Context, name string, opts *Options) (*File, error) {
	if opts == nil {
		opts = new(Options)
	}
	s, err := source.Open(ctx, name, &source.Options{Progress: opts.Progress})
	if err != nil {
		return nil, fmt.Errorf("lime: %w", err)
	}
	f, err := newFile(s)
	if err = cmp.Or(s.Opened(), err); err != nil {
		return nil, cmp.Or(fmt.Errorf("lime: %s: %w", name, err), s.Close())
	}
	return f, nil
}

// NewFile reads an image of size bytes, plain or compressed as a whole, out of r, which
// must stay usable as long as the File is. Errors wrap ErrFormat where r holds
// something else.
func NewFile(r io.ReaderAt, size int64) (*File, error) {
	s, err := source.New(context.Background(), r, size, nil)
	if err != nil {
		return nil, fmt.Errorf("lime: %w", err)
	}
	f, err := newFile(s)
	if err != nil {
		return nil, fmt.Errorf("lime: %w", err)
	}
	return f, nil
}

func newFile(s *source.Source) (*File, error) {
	p := newParser(s)
	err := p.parse()
	switch {
	case errors.Is(err, ErrNoHeader):
		return nil, fmt.Errorf("file offset 0: %w: %s: %w", ErrFormat, describe(s), err)
	case err != nil:
		return nil, fmt.Errorf("file offset 0: %w", err)
	}
	t, err := extent.New(p.records)
	if err != nil {
		return nil, err
	}
	p.overlaps(t)
	return &File{source: s, payload: newPayload(s, p.chunks, p.content), table: t, gaps: p.gaps.Gaps(), whole: p.whole, avml: p.avml}, nil
}

// ReadAt reads physical memory, as [vmem.Memory] says. Where records overlap it reads
// the first in the file.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.table.ReadAt(f.payload, p, off) }

// Ranges returns the physical memory that the file holds, as [vmem.Memory] says. What
// lies in damaged blocks of a compressed file is part of it; reading that gives an error
// that wraps [vmem.ErrNotCaptured], and Gaps lists it.
func (f *File) Ranges() []vmem.Range[vmem.PhysAddr] { return f.table.Ranges() }

// Gaps returns what the file says it has and does not, by offset, and then which records have
// memory that others have. The errors wrap
// ErrTruncated, ErrShort, ErrAmbiguous, ErrDamaged, ErrOverlap, ErrNoHeader or ErrTooMany; a
// Gap without a Range stands for records of which nothing is known, for those whose memory
// another has, or for damage that loses no memory. The chunks of AVML images that reading found damaged come after these.
//
// Of a compressed file the offsets are those of the content; the damage of the file
// itself comes last, with offsets in that, and may grow as it is met in reading.
func (f *File) Gaps() []vmem.Gap {
	return slices.Concat(f.gaps, f.payload.gaps(f.table), f.source.Gaps(f.table))
}

// Close releases a file that Open opened. On one of NewFile it does nothing.
func (f *File) Close() error { return f.source.Close() }

// Package source opens image files: mapped into memory, and unpacked on the fly where
// they are compressed as a whole, by LZ4, gzip, zlib, xz or zstd.
//
// A file that shrinks while it is open, or that its disk does not give back, costs what
// can't be read, and nothing more: see Loss.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/gaplist"
	"github.com/nodelens/nodelens/internal/seekable"
	"github.com/nodelens/nodelens/vmem"
)

// Options change how a file is opened. Nil stands for the zero Options.
type Options struct {
	// Progress, if not nil, is called now and then while a file is decoded for the first
	// time, with how many of its bytes were read. It must return soon.
	Progress func(done, total int64)
	// IndexDir is a directory in which Open keeps, for compressed files, what makes it
	// unnecessary to decode them once before they can be read. It is made if it is not
	// there, and holds a gigabyte at most. Empty: nothing is kept.
	IndexDir string

	written time.Time // the file
}

// A content is what a compressed file holds.
type content interface {
	io.ReaderAt
	Size() int64
	Damage() []seekable.Damage
}

// A Source is the content of an image file. It is safe for concurrent use.
type Source struct {
	io.ReaderAt
	file        *file
	packed      content // nil for a plain file
	compression string
	closer      io.Closer
	index       *index // nil: none is kept
}

// New returns the content of the size bytes of r: r itself, or what it holds compressed.
// Of a Source it returns another that need not be closed, and that ends with the context
// of the first.
//
// Until Opened is called, everything that is read, and all that is decoded for the first
// time, ends with ctx.
func New(ctx context.Context, r io.ReaderAt, size int64, opts *Options) (*Source, error) {
	if s, ok := r.(*Source); ok {
		borrowed := *s
		borrowed.closer = nil
		return &borrowed, nil
	}
	if opts == nil {
		opts = new(Options)
	}
	s := &Source{file: newFile(ctx, r, size)}
	s.ReaderAt = s.file
	for _, f := range formats {
		if !f.detect(s.file, size) {
			continue
		}
		s.index = newIndex(opts.IndexDir, s.file, size, opts.written)
		c, err := f.open(s, opts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		s.ReaderAt, s.packed, s.compression = c, c, f.name
		break
	}
	return s, s.file.interrupted()
}

// Err returns the error of the context that the Source is opened with; nil after Opened.
// Who goes on where something can't be read asks for it now and then.
func (s *Source) Err() error { return s.file.interrupted() }

// Opened says that all that had to be read to open the file was read. From then on the
// context has no effect. It returns the context's error if that came first: then some of
// what was read may be missing.
func (s *Source) Opened() error {
	if err := s.Err(); err != nil {
		return err
	}
	s.file.release()
	return nil
}

// Size returns the size of the content in bytes. It may have to decode the whole file to
// know it; see Reaches.
func (s *Source) Size() int64 {
	if s.packed == nil {
		return s.file.size
	}
	return s.packed.Size()
}

// Stored returns the size of the file in bytes, as it is stored.
func (s *Source) Stored() int64 { return s.file.size }

// StoredAt reads the file as it is stored.
func (s *Source) StoredAt(p []byte, off int64) (int, error) { return s.file.ReadAt(p, off) }

// Reaches reports whether the content goes as far as end. A compressed file is decoded no
// further than that, so that one who walks over its headers need not have it decoded
// twice.
func (s *Source) Reaches(end int64) bool {
	if c, ok := s.packed.(interface{ Reaches(int64) bool }); ok {
		return c.Reaches(end)
	}
	return end <= s.Size()
}

// Compressed returns the name of the compression; it is empty for a plain file.
func (s *Source) Compressed() string { return s.compression }

// Gaps returns what could not be read of the file, or what the compressed file has lost,
// as far as that is known by now, with the physical memory that t finds there.
func (s *Source) Gaps(t *extent.Table) []vmem.Gap {
	if s.packed == nil {
		return s.file.gaps(t)
	}
	var gaps gaplist.List
	told := map[int64]bool{}
	for _, d := range s.packed.Damage() {
		if l, ok := errors.AsType[*Loss](d.Err); ok {
			told[l.Offset] = true
		}
		addGaps(&gaps, t, d.Start, d.Size, d.Offset, &d)
	}
	for _, g := range s.file.gaps(new(extent.Table)) {
		if !told[g.Place.Offset] {
			gaps.Add(g.Place, g.Err)
		}
	}
	return gaps.Gaps()
}

// addGaps adds the memory that lies in the size bytes of the content from start on, as
// lost for the reason err, which shows at offset off of the file.
func addGaps(gaps *gaplist.List, t *extent.Table, start, size, off int64, err error) {
	if gaps.Full() {
		gaps.Count(1) // and spare the search
		return
	}
	lost := t.Physical(start, size)
	if len(lost) == 0 {
		gaps.Add(vmem.ImagePlace(off), err)
	}
	for _, r := range lost {
		gaps.Add(vmem.PhysicalPlace(r, off), err)
	}
}

// Close releases the file.
func (s *Source) Close() error {
	if s.closer == nil {
		return nil
	}
	if r, ok := s.packed.(*seekable.Reader); ok && s.index != nil && !r.Fresh() {
		_ = s.index.save(r) // a cache: what can't be kept is made again
	}
	if r, ok := s.packed.(interface{ Release() }); ok {
		r.Release()
	}
	return s.closer.Close()
}

// Package source opens image files: mapped into memory, and unpacked on the fly where
// they are compressed as a whole, by LZ4, gzip, zlib, xz or zstd.
package source

import (
	"cmp"
	"fmt"
	"io"

	"golang.org/x/exp/mmap"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/seekable"
	"github.com/nodelens/nodelens/vmem"
)

// Options change how a file is opened. Nil stands for the zero Options.
type Options struct {
	// Progress, if not nil, is called now and then while a file is decoded for the first
	// time, with how many of its bytes were read. It must return soon.
	Progress func(done, total int64)
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
	size        int64   // of the file
	packed      content // nil for a plain file
	compression string
	closer      io.Closer
}

// Open opens the named file. The caller must Close it, and the file must not shrink
// before: a page behind its new end can't be read any more, and ends the program.
func Open(name string, opts *Options) (*Source, error) {
	m, err := mmap.Open(name)
	if err != nil {
		return nil, err
	}
	s, err := New(m, int64(m.Len()), opts)
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("%s: %w", name, err), m.Close())
	}
	s.closer = m
	return s, nil
}

// New returns the content of the size bytes of r: r itself, or what it holds compressed.
// Of a Source it returns another that need not be closed.
func New(r io.ReaderAt, size int64, opts *Options) (*Source, error) {
	if s, ok := r.(*Source); ok {
		borrowed := *s
		borrowed.closer = nil
		return &borrowed, nil
	}
	if opts == nil {
		opts = new(Options)
	}
	for _, f := range formats {
		if !f.detect(r, size) {
			continue
		}
		c, err := f.open(r, size, opts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		return &Source{ReaderAt: c, size: size, packed: c, compression: f.name}, nil
	}
	return &Source{ReaderAt: r, size: size}, nil
}

// Size returns the size of the content in bytes. It may have to decode the whole file to
// know it; see Reaches.
func (s *Source) Size() int64 {
	if s.packed == nil {
		return s.size
	}
	return s.packed.Size()
}

// Stored returns the size of the file in bytes, as it is stored.
func (s *Source) Stored() int64 { return s.size }

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

// Gaps returns what the compressed file has lost, as far as that is known by now, with
// the physical memory that t finds there.
func (s *Source) Gaps(t *extent.Table) []vmem.Gap {
	if s.packed == nil {
		return nil
	}
	var gaps []vmem.Gap
	for _, d := range s.packed.Damage() {
		lost := t.Physical(d.Start, d.Size)
		for _, r := range lost {
			gaps = append(gaps, vmem.Gap{Object: "image", Place: vmem.PhysicalPlace(r, d.Offset), Err: &d})
		}
		if len(lost) == 0 {
			gaps = append(gaps, vmem.Gap{Object: "image", Place: vmem.ImagePlace(d.Offset), Err: &d})
		}
	}
	return gaps
}

// Close releases the file.
func (s *Source) Close() error {
	if s.closer == nil {
		return nil
	}
	return s.closer.Close()
}

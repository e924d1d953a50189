// Package source opens image files: mapped into memory, and unpacked on the fly where
// they are LZ4 frames as a whole.
package source

import (
	"cmp"
	"fmt"
	"io"

	"golang.org/x/exp/mmap"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/lz4index"
	"github.com/nodelens/nodelens/vmem"
)

// A Source is the content of an image file. It is safe for concurrent use.
type Source struct {
	io.ReaderAt
	size   int64
	lz4    *lz4index.Reader // nil for a plain file
	closer io.Closer
}

// Open opens the named file. The caller must Close it, and the file must not shrink
// before: a page behind its new end can't be read any more, and ends the program.
func Open(name string) (*Source, error) {
	m, err := mmap.Open(name)
	if err != nil {
		return nil, err
	}
	s, err := New(m, int64(m.Len()))
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("%s: %w", name, err), m.Close())
	}
	s.closer = m
	return s, nil
}

// New returns the content of the size bytes of r: r itself, or what its LZ4 frames hold.
func New(r io.ReaderAt, size int64) (*Source, error) {
	s := &Source{ReaderAt: r, size: size}
	if !lz4index.Detect(r) {
		return s, nil
	}
	z, err := lz4index.New(r, size, nil)
	if err != nil {
		return nil, err
	}
	s.ReaderAt, s.size, s.lz4 = z, z.Size(), z
	return s, nil
}

// Size returns the size of the content in bytes.
func (s *Source) Size() int64 { return s.size }

// Compressed reports whether the file is LZ4 frames.
func (s *Source) Compressed() bool { return s.lz4 != nil }

// Gaps returns what the compressed file has lost, as far as that is known by now, with
// the physical memory that t finds there.
func (s *Source) Gaps(t *extent.Table) []vmem.Gap {
	if s.lz4 == nil {
		return nil
	}
	var gaps []vmem.Gap
	for _, d := range s.lz4.Damage() {
		lost := t.Physical(d.Start, d.Size)
		for _, r := range lost {
			gaps = append(gaps, vmem.Gap{Range: r, Offset: d.Offset, Err: &d})
		}
		if len(lost) == 0 {
			gaps = append(gaps, vmem.Gap{Offset: d.Offset, Err: &d})
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

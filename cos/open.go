package cos

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/kdump"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

// ErrImageFormat is the reason that Open gives for a file that is no image.
var ErrImageFormat = errors.New("not in a known image format")

// An ImageFile is an opened memory image.
type ImageFile struct {
	Memory vmem.Memory // a *lime.File, a *kcore.File or a *kdump.File
	Format string      // such as LiME; where the file is compressed with how, as in "LiME, gzip"
	closer io.Closer
}

// Open opens the image in the named file. It goes by the content of the file, not by
// its name: LiME and AVML images, ELF cores and kdump-compressed images are known, each
// also compressed as a whole, by LZ4, gzip, zlib, xz or zstd. The caller must Close it. A
// name on procfs, such as /proc/kcore, is the running machine ([kcore.OpenLive]).
func Open(name string) (*ImageFile, error) { return open(name, nil) }

// open is Open with a function that is told of the progress of decoding.
func open(name string, progress func(done, total int64)) (*ImageFile, error) {
	if kcore.IsLive(name) {
		f, err := kcore.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cos: %w", err)
		}
		return &ImageFile{Memory: f, Format: "running machine", closer: f}, nil
	}
	s, err := source.Open(name, &source.Options{Progress: progress})
	if err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	f, err := openSource(s)
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("cos: %s: %w", name, err), s.Close())
	}
	if c := s.Compressed(); c != "" {
		f.Format += ", " + c
	}
	return f, nil
}

// openSource opens the image that is the content of a file.
func openSource(s *source.Source) (*ImageFile, error) {
	const unknown = math.MaxInt64 // a Source knows its size, or finds it out if it must
	head := make([]byte, 64)
	n, err := s.ReadAt(head, 0)
	if n == 0 && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case kcore.IsELF(head):
		f, err := kcore.NewFile(s, unknown)
		return &ImageFile{Memory: f, Format: "ELF core", closer: s}, err
	case lime.IsLiME(head):
		f, err := lime.NewFile(s, unknown)
		return &ImageFile{Memory: f, Format: "LiME", closer: s}, err
	case lime.IsAVML(head):
		f, err := lime.NewFile(s, unknown)
		return &ImageFile{Memory: f, Format: "AVML", closer: s}, err
	case kdump.IsKdump(head):
		f, err := kdump.NewFile(s, unknown)
		if err != nil {
			return nil, err
		}
		h := f.Header()
		return &ImageFile{Memory: f, Format: h.Format(), closer: s}, nil
	}
	return nil, ErrImageFormat
}

// Close releases the file.
func (f *ImageFile) Close() error { return f.closer.Close() }

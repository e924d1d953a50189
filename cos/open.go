package cos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/kdump"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// ErrImageFormat is the reason that Open gives for a file that is no image.
var ErrImageFormat = errors.New("not in a known image format")

// An ImageFile is an opened memory image.
type ImageFile struct {
	Memory vmem.Memory // a *lime.File, a *kcore.File, a *kdump.File or a *raw.File
	Format string      // such as LiME; where the file is compressed with how, as in "LiME, gzip"
	Notes  []string    // what had to be concluded to open it
	closer io.Closer

	symbols namedSymbols // of its kernel, where they were needed to open it
}

// Open opens the image in the named file. It goes by the content of the file, not by
// its name: LiME and AVML images, ELF cores and kdump-compressed images are known, each
// also compressed as a whole, by LZ4, gzip, zlib, xz or zstd. Memory without a header is
// known by the kernel in it, which must give its own symbols; see FindLayout of package
// raw for what such a file may hold. The caller must Close it. A name on procfs, such as
// /proc/kcore, is the running machine ([kcore.OpenLive]).
func Open(name string) (*ImageFile, error) {
	return opening{kernel: noOptions}.open(context.Background(), name)
}

func noOptions() (*linux.Options, error) { return new(linux.Options), nil }

// An opening is how a file is to be opened.
type opening struct {
	format    string                         // FormatRaw, or empty: by its content
	kernel    func() (*linux.Options, error) // called where the kernel must be found to open it
	unpacking func(done, total int64)        // told of the progress of decoding; may be nil
}

func (o opening) open(ctx context.Context, name string) (*ImageFile, error) {
	if o.format != "" && o.format != FormatRaw {
		return nil, fmt.Errorf("cos: %s: %w: %q", name, ErrImageFormat, o.format)
	}
	if o.format == "" && kcore.IsLive(name) {
		f, err := kcore.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cos: %w", err)
		}
		return &ImageFile{Memory: f, Format: "running machine", closer: f}, nil
	}
	s, err := source.Open(name, &source.Options{Progress: o.unpacking})
	if err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	f, err := o.openSource(ctx, s)
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("cos: %s: %w", name, err), s.Close())
	}
	if c := s.Compressed(); c != "" {
		f.Format += ", " + c
	}
	f.closer = s
	return f, nil
}

// unknown is the size of a Source, which knows it, or finds it out if it must.
const unknown = math.MaxInt64

// openSource opens the image that is the content of a file.
func (o opening) openSource(ctx context.Context, s *source.Source) (*ImageFile, error) {
	if o.format == FormatRaw {
		return openRaw(ctx, s, o.kernel, true)
	}
	head := make([]byte, 64)
	n, err := s.ReadAt(head, 0)
	if n == 0 && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case kcore.IsELF(head):
		f, err := kcore.NewFile(s, unknown)
		return &ImageFile{Memory: f, Format: "ELF core"}, err
	case lime.IsLiME(head):
		f, err := lime.NewFile(s, unknown)
		return &ImageFile{Memory: f, Format: "LiME"}, err
	case lime.IsAVML(head):
		f, err := lime.NewFile(s, unknown)
		return &ImageFile{Memory: f, Format: "AVML"}, err
	case kdump.IsKdump(head):
		f, err := kdump.NewFile(s, unknown)
		if err != nil {
			return nil, err
		}
		h := f.Header()
		return &ImageFile{Memory: f, Format: h.Format()}, nil
	}
	return openRaw(ctx, s, o.kernel, false)
}

// Close releases the file.
func (f *ImageFile) Close() error { return f.closer.Close() }

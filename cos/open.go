package cos

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/kdump"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// ErrImageFormat is the reason that Open gives for a file that is no image, or the memory
// of no Linux machine.
var ErrImageFormat = errors.New("not in a known image format")

// An ImageFile is an opened memory image.
type ImageFile struct {
	Memory vmem.Memory // a *lime.File, a *kcore.File, a *kdump.File or a *raw.File
	Format string      // such as LiME; with LZ4 behind it where the file is compressed
	Notes  []string    // what had to be concluded to open it
	closer io.Closer

	symbols namedSymbols // of its kernel, where they were needed to open it
}

// Open opens the image in the named file. It goes by the content of the file, not by
// its name: LiME and AVML images, ELF cores and kdump-compressed images are known, each
// also as LZ4 frames. Memory
// without a header is known by the kernel in it, which must give its own symbols; see
// FindLayout of package raw for what such a file may hold. The caller must Close it. A name on
// procfs, such as /proc/kcore, is the running machine ([kcore.OpenLive]).
func Open(name string) (*ImageFile, error) {
	return openAs(context.Background(), name, "", noOptions)
}

func noOptions() (*linux.Options, error) { return new(linux.Options), nil }

// openAs is Open for a file in the given format, by its content if that is empty. Of raw
// memory it finds the kernel by opts.
func openAs(ctx context.Context, name, format string, opts func() (*linux.Options, error)) (*ImageFile, error) {
	switch format {
	case FormatRaw:
		return openRaw(ctx, name, opts, true)
	case "":
	default:
		return nil, fmt.Errorf("cos: %s: %w: %q", name, ErrImageFormat, format)
	}
	if kcore.IsLive(name) {
		f, err := kcore.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cos: %w", err)
		}
		return &ImageFile{Memory: f, Format: "running machine", closer: f}, nil
	}
	head, suffix, err := peek(name)
	if err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	switch {
	case kcore.IsELF(head):
		f, err := kcore.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cos: %w", err)
		}
		return &ImageFile{Memory: f, Format: "ELF core" + suffix, closer: f}, nil
	case lime.IsLiME(head), lime.IsAVML(head):
		f, err := lime.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cos: %w", err)
		}
		format := "LiME"
		if lime.IsAVML(head) {
			format = "AVML"
		}
		return &ImageFile{Memory: f, Format: format + suffix, closer: f}, nil
	case kdump.IsKdump(head):
		f, err := kdump.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cos: %w", err)
		}
		h := f.Header()
		return &ImageFile{Memory: f, Format: h.Format() + suffix, closer: f}, nil
	}
	return openRaw(ctx, name, opts, false)
}

// peek returns how the content of the file begins, and what to say of its compression.
func peek(name string) (head []byte, suffix string, err error) {
	s, err := source.Open(name)
	if err != nil {
		return nil, "", err
	}
	defer s.Close()
	head = make([]byte, 64)
	n, err := s.ReadAt(head, 0)
	if n == 0 && err != nil && !errors.Is(err, io.EOF) {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	if s.Compressed() {
		suffix = ", LZ4"
	}
	return head[:n], suffix, nil
}

// Close releases the file.
func (f *ImageFile) Close() error { return f.closer.Close() }

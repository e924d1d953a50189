package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/nodelens/nodelens/internal/filetype"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/kdump"
	"github.com/nodelens/nodelens/lime"
)

// Open opens the image in the named file, by its content. The caller must Close it, and
// the file must not change before. A name on procfs, such as /proc/kcore, is the running
// machine ([kcore.OpenLive]), and one that begins with http:// or https:// is opened by
// [OpenURL].
//
// Memory without a header is known by the kernel in it; see [raw.FindLayout] for what
// such a file may hold. Errors are *Error and wrap ErrFormat, ErrNotFile or ErrTruncated
// where the file is something else; others are those of the system and of ctx.
func Open(ctx context.Context, name string, opts *Options) (*File, error) {
	if opts == nil {
		opts = new(Options)
	}
	if IsURL(name) {
		return OpenURL(ctx, name, opts)
	}
	if opts.Format == "" && kcore.IsLive(name) {
		f, err := kcore.OpenContext(ctx, name, nil)
		if err != nil {
			return nil, fmt.Errorf("image: %w", err)
		}
		return &File{Memory: f, Info: Info{Name: name, Format: "running machine"}, closer: f}, nil
	}
	s, err := source.Open(ctx, name, opts.source())
	if err != nil {
		return nil, fmt.Errorf("image: %w", explain(name, nil, err))
	}
	f, err := opts.open(ctx, s)
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("image: %w", explain(name, s, err)), s.Close())
	}
	f.Info.Name, f.closer = name, s
	return f, nil
}

// NewFile opens an image of size bytes, in any format that Open knows, out of r, which
// must stay usable as long as the File is.
func NewFile(ctx context.Context, r io.ReaderAt, size int64, opts *Options) (*File, error) {
	if opts == nil {
		opts = new(Options)
	}
	s, err := source.New(ctx, r, size, opts.source())
	if err != nil {
		return nil, fmt.Errorf("image: %w", explain("", nil, err))
	}
	f, err := opts.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("image: %w", explain("", s, err))
	}
	return f, nil
}

// source returns the options of reading the file.
func (o *Options) source() *source.Options {
	s := &source.Options{IndexDir: o.IndexDir}
	if o.Progress != nil {
		s.Progress = func(done, total int64) { o.Progress("unpacking the image", done, total) }
	}
	return s
}

// open opens the image that is the content of a file.
func (o *Options) open(ctx context.Context, s *source.Source) (*File, error) {
	var f *File
	var err error
	switch o.Format {
	case "":
		f, err = o.detect(ctx, s)
	case FormatRaw:
		f, err = o.openRaw(ctx, s, true)
	default:
		err = fmt.Errorf("%w: %q", ErrFormat, o.Format)
	}
	if err = cmp.Or(s.Opened(), err); err != nil {
		return nil, err
	}
	f.Info.Size, f.Info.Compression, f.stored = s.Stored(), s.Compressed(), s
	return f, nil
}

// unknown is the size of a Source, which knows it, or finds it out if it must.
const unknown = math.MaxInt64

// detect opens an image by its first bytes.
func (o *Options) detect(ctx context.Context, s *source.Source) (*File, error) {
	head := make([]byte, filetype.HeadSize)
	n, err := s.ReadAt(head, 0)
	if n == 0 && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case kcore.IsELF(head):
		f, err := kcore.NewFile(s, unknown)
		return &File{Memory: f, Info: Info{Format: "ELF core"}}, err
	case lime.IsLiME(head):
		f, err := lime.NewFile(s, unknown)
		return &File{Memory: f, Info: Info{Format: "LiME"}}, err
	case lime.IsAVML(head):
		f, err := lime.NewFile(s, unknown)
		return &File{Memory: f, Info: Info{Format: "AVML"}}, err
	case kdump.IsKdump(head):
		f, err := kdump.NewFile(s, unknown)
		if err != nil {
			return nil, err
		}
		h := f.Header()
		return &File{Memory: f, Info: Info{Format: h.Format()}}, nil
	}
	if t, ok := filetype.OfHead(head); ok {
		return nil, fmt.Errorf("%w: it is %s", ErrFormat, t.Is)
	}
	return o.openRaw(ctx, s, false)
}

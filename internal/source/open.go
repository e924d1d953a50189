package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// What can't be read at any offset. Errors of Open wrap one of them where a name is of
// such a thing.
var (
	ErrDirectory = errors.New("is a directory")
	ErrPipe      = errors.New("is a pipe")
	ErrDevice    = errors.New("is a device that has no end")
)

// Open opens the named file or block device, as New does. The caller must Close it. If the
// file shrinks before, what was behind its new end is a Loss, but for the rest of the page
// in which it ends: that may read as zeros.
func Open(ctx context.Context, name string, opts *Options) (*Source, error) {
	// A pipe is not opened: that waits for somebody to write into it.
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := refuse(info.Mode()); err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	r, size, err := openFile(name, info)
	if err != nil {
		return nil, err
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	o.written = info.ModTime()
	s, err := New(ctx, r, size, &o)
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("%s: %w", name, err), r.Close())
	}
	s.closer = r
	return s, nil
}

// refuse returns the reason for which a file of that mode can't be an image.
func refuse(mode fs.FileMode) error {
	switch {
	case mode.IsDir():
		return ErrDirectory
	case mode&(fs.ModeNamedPipe|fs.ModeSocket) != 0:
		return ErrPipe
	case mode&fs.ModeCharDevice != 0:
		return ErrDevice
	}
	return nil
}

// A fileReader reads a file and closes it.
type fileReader interface {
	io.ReaderAt
	io.Closer
}

// openFile opens a file for reading, and returns its size in bytes.
func openFile(name string, info fs.FileInfo) (fileReader, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	if info.Mode().IsRegular() && info.Size() > 0 {
		if m, err := mapFile(f); err == nil {
			return m, int64(m.m.Len()), nil
		}
	}
	// The size of a block device is where its end is. A file of a file system such as
	// procfs may say that it has none.
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, cmp.Or(err, f.Close())
	}
	return f, size, nil
}

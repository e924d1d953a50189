package source

import (
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/inflate"
	"github.com/nodelens/nodelens/internal/lz4index"
	"github.com/nodelens/nodelens/internal/seekable"
	"github.com/nodelens/nodelens/internal/xzdec"
	"github.com/nodelens/nodelens/internal/zstddec"
)

// A format is a way in which files are compressed as a whole.
type format struct {
	name   string
	detect func(r io.ReaderAt, size int64) bool
	open   func(s *Source, opts *Options) (content, error)
}

// formats are asked in this order. That of zlib is told by two bytes that others may begin
// with, so it is the last.
var formats = []format{
	{"LZ4", func(r io.ReaderAt, _ int64) bool { return lz4index.Detect(r) }, openLZ4},
	{"gzip", begins("\x1f\x8b\x08"), streamed(inflate.Gzip)},
	{"xz", begins("\xfd7zXZ\x00"), streamed(xzdec.Format)},
	{"zstd", func(r io.ReaderAt, _ int64) bool { return lz4index.Magic(r) == 0xfd2fb528 }, streamed(zstddec.Format)},
	{"zlib", inflate.IsZlib, streamed(inflate.Zlib)},
}

// begins returns a function that reports whether a file begins with a magic number.
func begins(magic string) func(io.ReaderAt, int64) bool {
	return func(r io.ReaderAt, _ int64) bool {
		b := make([]byte, len(magic))
		n, _ := r.ReadAt(b, 0)
		return string(b[:n]) == magic
	}
}

func openLZ4(s *Source, _ *Options) (content, error) { return lz4index.New(s.file, s.file.size, nil) }

// streamed returns a function that opens files that can only be decoded forwards.
func streamed(format checkpoint.Format) func(*Source, *Options) (content, error) {
	return func(s *Source, opts *Options) (content, error) {
		o := &seekable.Options{Progress: opts.Progress, Interrupted: s.file.interrupted}
		if s.index != nil {
			o.Saved = s.index.load()
		}
		return seekable.New(format, s.file, s.file.size, o)
	}
}

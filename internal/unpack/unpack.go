// Package unpack reads files that are compressed as a whole.
package unpack

import (
	"bytes"
	"compress/bzip2"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/xzdec"
)

// HeadSize is how many bytes of a file Format looks at.
const HeadSize = 6

// Format returns the name of the format that a file is compressed in, by its first
// bytes: xz, gzip, bzip2 or zstd. It returns "" for all others.
func Format(head []byte) string {
	switch {
	case xzdec.Detect(head):
		return "xz"
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "gzip"
	case bytes.HasPrefix(head, []byte("BZh")):
		return "bzip2"
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return "zstd"
	}
	return ""
}

// NewReader returns a reader of what r holds, which is compressed in the given
// format; in none if that is "". Closing it does not close r.
func NewReader(r io.Reader, format string) (io.ReadCloser, error) {
	switch format {
	case "xz":
		return io.NopCloser(xzdec.NewReader(r)), nil
	case "gzip":
		return gzip.NewReader(r)
	case "bzip2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// maxWindow bounds the memory that unpacking zstd takes, in bytes: that of level 22
// with --ultra, and of --long=27.
const maxWindow = 128 << 20

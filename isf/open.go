package isf

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxSize is the most that a file may unpack to, in bytes: some fifty times what the
// largest kernels need.
const maxSize = 2 << 30

// Open reads the named ISF file. See [Decode].
func Open(name string) (*File, error) {
	r, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("isf: %w", err)
	}
	defer r.Close()
	f, err := Decode(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// Decode reads an ISF file, plain or compressed by xz, gzip, bzip2 or zstd, which is
// found out by its content. More than 2 GiB of JSON is refused with ErrTooLarge.
// Errors are a [*DecodeError], or wrap ErrFormat.
func Decode(r io.Reader) (*File, error) {
	src, err := unpack(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("isf: %w", err)
	}
	defer src.Close()
	return newDecoder(&limited{src: src, left: maxSize}).decode()
}

// unpack looks at the first bytes and returns a reader of the JSON.
func unpack(r *bufio.Reader) (io.ReadCloser, error) {
	head, err := r.Peek(6)
	switch {
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		x, err := xz.NewReader(r)
		return io.NopCloser(x), err
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzip.NewReader(r)
	case bytes.HasPrefix(head, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(r)), nil
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(maxSize))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case len(bytes.TrimLeft(head, " \t\r\n")) == 0 && len(head) == 6, bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")):
		return io.NopCloser(r), nil
	case len(head) == 0:
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil, fmt.Errorf("%w: it begins with % x", ErrFormat, head)
}

// limited gives up after a number of bytes.
type limited struct {
	src  io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.src.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, int64(maxSize))
	}
	return n, err
}

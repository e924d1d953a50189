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
	"github.com/ulikunitz/xz/lzma"
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
// Errors are a [*DecodeError].
func Decode(r io.Reader) (*File, error) { return decodeUpTo(r, maxSize) }

// decodeUpTo is Decode with another limit.
func decodeUpTo(r io.Reader, limit int64) (*File, error) {
	src, err := unpack(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return nil, &DecodeError{Err: err}
	}
	defer src.Close()
	return newDecoder(&limited{src: src, limit: limit}).decode()
}

// maxWindow is how far back zstd may refer, which the reader must keep: what the zstd
// program takes without being told.
const maxWindow = 128 << 20

// unpack looks at the first bytes and returns a reader of the JSON.
func unpack(r *bufio.Reader) (io.ReadCloser, error) {
	head, err := r.Peek(6)
	text := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		x, err := xz.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(r) // the file says if it needs more
		if err != nil {
			return nil, err
		}
		return io.NopCloser(x), nil
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzip.NewReader(r)
	case bytes.HasPrefix(head, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(r)), nil
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case len(head) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	case len(text) == 0, text[0] == '{':
		return io.NopCloser(r), nil
	}
	return nil, fmt.Errorf("%w: it begins with % x", ErrFormat, head)
}

// limited gives up after more than limit bytes.
type limited struct {
	src         io.Reader
	limit, read int64
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.src.Read(b)
	if l.read += int64(n); l.read > l.limit {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, l.limit)
	}
	return n, err
}

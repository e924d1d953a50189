package isf

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/nodelens/nodelens/internal/unpack"
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
	src, err := unpacked(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return nil, &DecodeError{Err: err}
	}
	defer src.Close()
	return newDecoder(&limited{src: src, limit: limit}).decode()
}

// unpacked looks at the first bytes and returns a reader of the JSON.
func unpacked(r *bufio.Reader) (io.ReadCloser, error) {
	head, err := r.Peek(unpack.HeadSize)
	if err != nil && err != io.EOF {
		return nil, err
	}
	text := bytes.TrimLeft(head, " \t\r\n")
	format := unpack.Format(head)
	switch {
	case len(head) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	case format == "" && len(text) > 0 && text[0] != '{':
		return nil, fmt.Errorf("%w: it begins with % x", ErrFormat, head)
	}
	return unpack.NewReader(r, format)
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

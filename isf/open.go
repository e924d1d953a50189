package isf

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/nodelens/nodelens/internal/filetype"
	"github.com/nodelens/nodelens/internal/unpack"
)

// maxSize is the most that a file may unpack to, in bytes: some fifty times what the
// largest kernels need.
const maxSize = 2 << 30

// Open reads the named ISF file. See [Decode].
func Open(name string) (*File, error) { return OpenContext(context.Background(), name) }

// OpenContext reads the named ISF file as Open does, which may take a second. It ends with
// ctx.
func OpenContext(ctx context.Context, name string) (*File, error) {
	r, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("isf: %w", err)
	}
	defer r.Close()
	f, err := Decode(interrupted{ctx, r})
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
	src, err := content(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return nil, &DecodeError{Err: err}
	}
	defer src.Close()
	return newDecoder(&limited{src: src, limit: limit}).decode()
}

// An interrupted reader ends with a context.
type interrupted struct {
	ctx context.Context //nolint:containedctx // lives as long as the call that it comes with
	r   io.Reader
}

func (i interrupted) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// content returns a reader of the JSON, whose first bytes it looks at.
func content(r *bufio.Reader) (io.ReadCloser, error) {
	head, err := r.Peek(unpack.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	format := unpack.Format(head)
	if format == "" {
		return io.NopCloser(r), checkHead(r)
	}
	u, err := unpack.NewReader(r, format)
	if err != nil {
		return nil, err
	}
	text := bufio.NewReader(u)
	if err := checkHead(text); err != nil {
		u.Close()
		return nil, err
	}
	return readCloser{text, u}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// checkHead says what a file is that can't be JSON, or is JSON as nobody reads it.
func checkHead(r *bufio.Reader) error {
	head, err := r.Peek(headSize)
	text := bytes.TrimLeft(head, " \t\r\n")
	switch t, known := filetype.OfHead(head); {
	case len(head) == 0 && err != nil && err != io.EOF:
		return err
	case bytes.HasPrefix(head, []byte(filetype.MarkUTF8)):
		return fmt.Errorf("%w: it begins with a byte order mark: save it as UTF-8 without one", ErrFormat)
	case len(head) > 0 && (len(text) == 0 || text[0] == '{'):
		return nil
	case known && t.Is == "a text in UTF-16":
		return fmt.Errorf("%w: it is %s: save it as UTF-8 without a byte order mark", ErrFormat, t.Is)
	case known:
		return fmt.Errorf("%w: it is %s", ErrFormat, t.Is)
	}
	return fmt.Errorf("%w: it begins with % x", ErrFormat, head[:min(len(head), unpack.HeadSize)])
}

// headSize is how much of the JSON is looked at before, in bytes.
const headSize = 512

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

package symbols

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nodelens/nodelens/internal/filetype"
	"github.com/nodelens/nodelens/internal/unpack"
	"github.com/nodelens/nodelens/isf"
)

// convert makes symbols of a file, whatever it is, and says what it is.
func (s *search) convert(ctx context.Context, c *Candidate) (f *isf.File, kind string, err error) {
	head, err := unpackedHead(c.Content, c.Size)
	if err != nil {
		return nil, "", err
	}
	if isJSON(head) || isUTF16(head) { // which package isf has a word on
		f, err = isf.Decode(whole(c.Content, c.Size))
		return f, "ISF file", err
	}
	if isBTF(head) {
		f, err = s.convertBTF(ctx, c)
		return f, "BTF", err
	}
	for _, conv := range s.opts.Converters {
		if !conv.Detect(head) {
			continue
		}
		if err := s.kernel.precheck(ctx, c); err != nil {
			return nil, "", err
		}
		f, err = conv.Convert(ctx, c.Content, c.Size, &ConvertOptions{
			Name: base(c.Name), TempDir: s.opts.TempDir, Progress: s.opts.Progress,
		})
		return f, conv.String(), err
	}
	return nil, "", s.unknown(head)
}

// unknown returns the error for a file that nothing here reads.
func (s *search) unknown(head []byte) error {
	known := []string{"ISF", "BTF"}
	for _, conv := range s.opts.Converters {
		known = append(known, conv.String())
	}
	is := fmt.Sprintf("begins with % x", head[:min(len(head), 8)])
	if t, ok := filetype.OfHead(head); ok {
		is = "is " + t.Is
	}
	return fmt.Errorf("%w: it %s; known are: %s", ErrFormat, is, strings.Join(known, ", "))
}

// unpackedHead returns the first bytes of a file; of one that is compressed as a whole,
// those that it holds.
func unpackedHead(r io.ReaderAt, size int64) ([]byte, error) {
	head, err := readHead(whole(r, size))
	if err != nil {
		return nil, err
	}
	if len(head) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	format := unpack.Format(head)
	if format == "" {
		return head, nil
	}
	z, err := unpack.NewReader(whole(r, size), format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", format, err)
	}
	defer z.Close()
	if head, err = readHead(z); err != nil {
		return nil, fmt.Errorf("%s: %w", format, err)
	}
	return head, nil
}

func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, HeadSize)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return head[:n], nil
}

// isUTF16 reports whether a file is a text in UTF-16, as PowerShell writes them.
func isUTF16(head []byte) bool {
	t, ok := filetype.OfHead(head)
	return ok && t.Is == "a text in UTF-16"
}

// isJSON reports whether a file may be ISF. A byte order mark is left to package isf.
func isJSON(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{"))
}

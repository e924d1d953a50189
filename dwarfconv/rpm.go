package dwarfconv

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/rpm"
	"github.com/nodelens/nodelens/internal/unpack"
)

// unpackRPM unpacks the vmlinux in an RPM package. Links to it, and hard links that the
// archive keeps without content, are passed over.
func (c *conversion) unpackRPM(r io.ReaderAt, size int64) (*input, error) {
	off, err := rpm.Payload(r, size)
	if err != nil {
		return nil, err
	}
	b := bufio.NewReaderSize(c.counted(r, off, size-off, size), 1<<16)
	head, _ := b.Peek(unpack.HeadSize)
	z, err := unpack.NewReader(b, unpack.Format(head))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rpm.ErrFormat, err)
	}
	defer z.Close()
	files := rpm.NewReader(io.LimitReader(z, maxUnpacked))
	for {
		h, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoVmlinux
		case err != nil:
			return nil, fmt.Errorf("RPM package: %w", err)
		case h.Regular() && h.Size > 0 && isVmlinux(h.Name):
			return c.spill(files)
		}
	}
}

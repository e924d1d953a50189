package rpm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	newc        = "070701"
	newcSum     = "070702" // with a checksum, which rpm leaves 0
	stripped    = "07070X" // rpm's own, with the sizes in the package's header
	entryHeader = 110
	trailer     = "TRAILER!!!"
	maxName     = 4096 // PATH_MAX, in bytes with the NUL
)

// Bits of Header.Mode: the type of the file, as stat(2) has it.
const (
	modeType    = 0o170000
	modeRegular = 0o100000
)

// A Header says what a file in an archive is.
type Header struct {
	Name string // as the archive has it, with ./ at its start in most packages
	Mode uint32 // as st_mode of stat(2)
	Size int64  // in bytes
}

// Regular reports whether the file is a regular one. Of several hard links one alone has
// the content; the others have no bytes.
func (h *Header) Regular() bool { return h.Mode&modeType == modeRegular }

// A Reader reads a cpio archive from its start to its end, a file at a time.
type Reader struct {
	r    io.Reader
	left int64 // of the file, in bytes
	pad  int64 // behind it
}

// NewReader returns a reader of the archive that r yields, unpacked.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next goes on to the next file, which Read then reads. The error is io.EOF behind the
// last one, wraps ErrFormat, or is that of the reader.
func (a *Reader) Next() (*Header, error) {
	if err := a.skip(a.left + a.pad); err != nil {
		return nil, err
	}
	a.left, a.pad = 0, 0
	var b [entryHeader]byte
	if err := a.full(b[:]); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b[:], []byte(stripped)) {
		return nil, fmt.Errorf("%w: a payload with files of 4 GiB and more is not supported", ErrFormat)
	}
	if !bytes.HasPrefix(b[:], []byte(newc)) && !bytes.HasPrefix(b[:], []byte(newcSum)) {
		return nil, fmt.Errorf("%w: archive entry begins with %q", ErrFormat, b[:len(newc)])
	}
	mode, size, nameSize, err := entryFields(&b)
	if err != nil {
		return nil, err
	}
	name := make([]byte, nameSize)
	if err := a.full(name); err != nil {
		return nil, err
	}
	if err := a.skip(padding(entryHeader + int64(nameSize))); err != nil {
		return nil, err
	}
	name = bytes.TrimRight(name, "\x00")
	if string(name) == trailer {
		return nil, io.EOF
	}
	a.left, a.pad = size, padding(size)
	return &Header{Name: string(name), Mode: mode, Size: size}, nil
}

// entryFields reads what counts of the numbers in a header: 8 hexadecimal digits each.
func entryFields(b *[entryHeader]byte) (mode uint32, size int64, nameSize int, err error) {
	field := func(i int) uint64 {
		at := len(newc) + 8*i
		n, e := strconv.ParseUint(string(b[at:at+8]), 16, 32)
		if e != nil {
			err = fmt.Errorf("%w: archive entry: %w", ErrFormat, e)
		}
		return n
	}
	mode, size, nameSize = uint32(field(1)), int64(field(6)), int(field(11))
	if err == nil && (nameSize == 0 || nameSize > maxName) {
		err = fmt.Errorf("%w: archive entry: a name of %d bytes", ErrFormat, nameSize)
	}
	return mode, size, nameSize, err
}

// padding returns how many bytes are behind n to make a multiple of 4.
func padding(n int64) int64 { return -n & 3 }

// Read reads from the file that Next went on to.
func (a *Reader) Read(b []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.r.Read(b[:min(int64(len(b)), a.left)])
	a.left -= int64(n)
	if errors.Is(err, io.EOF) && a.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// full fills b. The end is unexpected: an archive has a trailer.
func (a *Reader) full(b []byte) error {
	_, err := io.ReadFull(a.r, b)
	return unexpected(err)
}

func (a *Reader) skip(n int64) error {
	_, err := io.CopyN(io.Discard, a.r, n)
	return unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

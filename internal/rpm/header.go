package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrFormat is the reason for a package or an archive that is malformed.
var ErrFormat = errors.New("malformed RPM package")

const (
	magic       = "\xed\xab\xee\xdb"
	leadSize    = 96
	headerMagic = "\x8e\xad\xe8\x01" // with the version
	headerSize  = 16
	entrySize   = 16
)

// Limits on headers, as rpm itself has them (lib/header.cc).
const (
	maxEntries = 1 << 16
	maxData    = 256 << 20 // bytes
)

// Detect reports whether a file that begins with head is an RPM package. Four bytes
// suffice.
func Detect(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }

// Payload returns the offset of the payload in the package r of size bytes. It reaches
// to the end of the file. The error wraps ErrFormat, and that of r.
func Payload(r io.ReaderAt, size int64) (offset int64, err error) {
	signature, err := skipHeader(r, leadSize)
	if err != nil {
		return 0, err
	}
	if offset, err = skipHeader(r, (signature+7)&^7); err != nil { // the first is padded to 8 bytes
		return 0, err
	}
	if offset > size {
		return 0, fmt.Errorf("%w: it ends in its headers", ErrFormat)
	}
	return offset, nil
}

// skipHeader returns the offset of what follows the header at off.
func skipHeader(r io.ReaderAt, off int64) (int64, error) {
	b := make([]byte, headerSize)
	if n, err := r.ReadAt(b, off); n < len(b) {
		return 0, fmt.Errorf("%w: header at %#x: %w", ErrFormat, off, err)
	}
	entries, data := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	if !bytes.HasPrefix(b, []byte(headerMagic)) || entries > maxEntries || data > maxData {
		return 0, fmt.Errorf("%w: header at %#x begins with % x", ErrFormat, off, b)
	}
	return off + headerSize + entrySize*int64(entries) + int64(data), nil
}

package lz4index

import (
	"errors"
	"fmt"
)

// The reasons for which a block or a header can't be used.
var (
	errChecksum   = errors.New("checksum mismatch")
	errMalformed  = errors.New("malformed sequences")
	errDependent  = errors.New("depends on a damaged block")
	errUnplaced   = errors.New("place in the content unknown after damage before it")
	errUnproven   = errors.New("a single short block before the last, and no checksum to prove it whole: what follows may be out of place")
	errContent    = errors.New("content does not match its checksum")
	errSumOfSizes = errors.New("blocks do not add up to the content size")
)

// A FormatError says where a file is not an LZ4 file, or can't be read.
type FormatError struct {
	Offset int64 // in the file
	Err    error
}

func (e *FormatError) Error() string { return fmt.Sprintf("lz4: file offset %#x: %v", e.Offset, e.Err) }

func (e *FormatError) Unwrap() error { return e.Err }

package vmem

import (
	"errors"
	"io"
)

// Memory is the physical memory of one machine at one instant, as far as it was
// captured. The offset of ReadAt is the physical address; 52 bits fit an int64.
//
// ReadAt follows [io.ReaderAt] with one rule more: where the bytes asked for are
// not all captured it returns the number of bytes before the first one that is
// not, and an error that wraps ErrNotCaptured; it never makes up bytes.
// Implementations are safe for concurrent use.
type Memory interface {
	io.ReaderAt

	// Ranges returns what was captured: ascending, disjoint, adjacent ranges
	// merged. The caller must not change the slice.
	Ranges() []Range[PhysAddr]
}

// The reasons for which memory can't be read. A [Fault] wraps one of them and
// says where.
var (
	// ErrNotCaptured: the physical address is not in the image.
	ErrNotCaptured = errors.New("not captured")
	// ErrNotPresent: a page-table entry on the way is empty.
	ErrNotPresent = errors.New("not present")
	// ErrNonCanonical: the address is in the hole of the virtual address space.
	ErrNonCanonical = errors.New("non-canonical address")
	// ErrSwapped: the page was swapped out; Fault.Entry holds the swap entry.
	ErrSwapped = errors.New("swapped out")
	// ErrMigrating: the page was being migrated; Fault.Entry holds the entry.
	ErrMigrating = errors.New("under migration")
	// ErrBadEntry: a page-table entry has reserved bits set or points outside
	// physical memory.
	ErrBadEntry = errors.New("malformed page-table entry")
)

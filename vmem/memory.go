package vmem

import "io"

// Memory is the physical memory of one machine, as far as it was captured: at one
// instant, but for memory that is [Live]. The offset of ReadAt is the physical address; 52 bits fit an int64.
//
// ReadAt follows [io.ReaderAt] with one rule more: where the bytes asked for are
// not all captured it returns the number of bytes before the first one that is
// not, and an error that wraps ErrNotCaptured; it never makes up bytes. (Zeros that an
// image is known to have left out, see [WithZeros], are not made up.)
// Implementations are safe for concurrent use.
type Memory interface {
	io.ReaderAt

	// Ranges returns what was captured: ascending, disjoint, adjacent ranges
	// merged. The caller must not change the slice.
	Ranges() []Range[PhysAddr]
}

// PageSize is the size in bytes of a frame of physical memory, as caches and image formats
// divide it, and of the smallest page that there is.
const PageSize = 4096

// The reasons for which memory can't be read. A [Fault] wraps one of them, or
// the error that a Memory gave, and says where.
var (
	// ErrNotCaptured: the physical address is not in the image.
	ErrNotCaptured = NewReason("not-captured", "not captured")
	// ErrNotPresent: a page-table entry on the way is empty, or says no more than
	// that there is no page.
	ErrNotPresent = NewReason("not-present", "not present")
	// ErrNonCanonical: the address is in the hole of the virtual address space,
	// or beyond its end.
	ErrNonCanonical = NewReason("non-canonical", "non-canonical address")
	// ErrSwapped: the page was swapped out; the entry of the Fault says where to.
	ErrSwapped = NewReason("swapped", "swapped out")
	// ErrMigrating: the page was being migrated; the entry of the Fault says where from or
	// to.
	ErrMigrating = NewReason("migrating", "under migration")
	// ErrSpecialEntry: the entry stands for a page that is not in the memory of
	// the CPU or must not be touched (device memory, hardware poison), or for
	// something only the layout of the kernel's special entries would tell; see
	// SwapTypes.
	ErrSpecialEntry = NewReason("special-entry", "special page-table entry")
	// ErrBadEntry: a page-table entry has reserved bits set, points outside
	// physical memory, or leads back to its own table.
	ErrBadEntry = NewReason("bad-entry", "malformed page-table entry")
)

package kdump

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which something can't be read.
var (
	// ErrFormat: the file is not a kdump-compressed image of a machine with pages of 4 KiB.
	ErrFormat = errors.New("not a kdump-compressed image")
	// ErrExcluded: whoever wrote the image left the page out on purpose; Header.Level
	// says what kinds of pages.
	ErrExcluded = vmem.NewReason("excluded", "the page was excluded from the dump")
	// ErrSplit: the page is in another file of the same dump.
	ErrSplit = vmem.NewReason("split", "the page is in another file of a split dump")
	// ErrTruncated: the file ends before the page.
	ErrTruncated = vmem.NewReason("truncated", "the file ends before what it should hold")
	// ErrNotWritten: the page has a descriptor without data, as in dumps that makedumpfile
	// calls incomplete, because the disk was full.
	ErrNotWritten = vmem.NewReason("not-written", "the page was not written")
	// ErrDamaged: the page's descriptor or data make no sense.
	ErrDamaged = vmem.NewReason("damaged", "damaged page")
	// ErrErased: makedumpfile overwrote some of the memory before it was written.
	ErrErased = vmem.NewReason("erased", "some of the memory was erased from the dump")
	// ErrTooMany: the image falls into more pieces than this package keeps track of.
	ErrTooMany = vmem.NewReason("too-many", "more fragments than are kept track of")
)

// lost makes the reason for which a page is not there an error of [vmem.Memory].
func lost(reason error) error { return fmt.Errorf("%w: %w", vmem.ErrNotCaptured, reason) }

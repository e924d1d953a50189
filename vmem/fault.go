package vmem

import (
	"errors"
	"fmt"
)

// A Fault says where memory could not be read, and why. Every error of Physical
// and AddressSpace that concerns an address is a *Fault.
type Fault struct {
	// Virt is the first virtual address that could not be read; 0 where physical
	// memory was read.
	Virt VirtAddr
	// Phys is the first physical address that could not be read. Where an entry is
	// at fault (Level above 0) it is the address of that entry.
	Phys PhysAddr
	// Level is the level of the page-table entry at which translation ended, counted
	// from the bottom: 1 for a PTE, 2 PMD, 3 PUD, and so on. 0 means that the
	// address was translated, and what it leads to can't be read, or that there
	// was nothing to translate.
	Level int
	// Entry is that entry, as stored; 0 where it could not be read. With Level 0 it
	// is the entry that maps the page; 0 in a linear map that the tables have lost.
	Entry uint64
	// Err is the reason: one of the sentinels of this package, possibly wrapped,
	// or the error of the Memory.
	Err error
}

// Error returns the address asked for, the reason, and the place in physical
// memory.
func (f *Fault) Error() string {
	switch {
	case errors.Is(f.Err, ErrNonCanonical):
		return fmt.Sprintf("vmem: virtual %v: %v", f.Virt, f.Err)
	case f.Level > 0:
		return fmt.Sprintf("vmem: virtual %v: %v (level %d entry %#x at physical %v)",
			f.Virt, f.Err, f.Level, f.Entry, f.Phys)
	case f.Entry == 0 && (f.Virt == 0 || f.Phys == 0):
		return fmt.Sprintf("vmem: physical %v: %v", f.Phys, f.Err)
	}
	return fmt.Sprintf("vmem: virtual %v: %v (physical %v)", f.Virt, f.Err, f.Phys)
}

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

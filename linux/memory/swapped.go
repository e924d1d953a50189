package memory

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// ReadVirt reads memory of a process as [linux.MM.ReadVirt] does, with pages that were swapped out to where they can be read from: see package swap.
func (r *Reader) ReadVirt(mm *linux.MM, p []byte, addr vmem.VirtAddr) (int, error) {
	n, err := mm.ReadVirt(p, addr)
	for err != nil && n < len(p) {
		fault, ok := errors.AsType[*vmem.Fault](err)
		if !ok || !errors.Is(err, vmem.ErrSwapped) {
			return n, err
		}
		var page [vmem.PageSize]byte
		if lost := r.readSwapped(page[:], fault); lost != nil {
			said := *fault
			said.Err = lost
			return n, &said
		}
		n += copy(p[n:], page[uint64(addr+vmem.VirtAddr(n))%vmem.PageSize:])
		if n == len(p) {
			return n, nil
		}
		var more int
		more, err = mm.ReadVirt(p[n:], addr+vmem.VirtAddr(n))
		n += more
	}
	return n, err
}

// readSwapped reads the page that a fault says is swapped out.
func (r *Reader) readSwapped(page []byte, fault *vmem.Fault) error {
	areas, err := r.swap()
	if err != nil {
		return fmt.Errorf("%w: %w", vmem.ErrSwapped, err)
	}
	number, offset := x86.SwapEntry(fault)
	return areas.ReadPage(page, number, offset)
}

// swappedIn reports whether what an error says to be swapped out can be read all the same.
func (r *Reader) swappedIn(err error) bool {
	fault, ok := errors.AsType[*vmem.Fault](err)
	if !ok || !errors.Is(fault.Err, vmem.ErrSwapped) {
		return false
	}
	areas, err := r.swap()
	if err != nil {
		return false
	}
	number, offset := x86.SwapEntry(fault)
	return areas.Readable(number, offset) == nil
}

// swapUsers returns how many entries of page tables have a swapped page: see Users of package swap.
func (r *Reader) swapUsers(number uint8, offset uint64) (int, error) {
	areas, err := r.swap()
	if err != nil {
		return 1, err
	}
	return areas.Users(number, offset)
}

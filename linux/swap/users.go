package swap

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// Bits of a byte of swap_map (include/linux/swap.h).
const (
	mapContinued = 0x80
	mapHasCache  = 0x40
	mapMax       = 0x3e
)

// Users returns how many entries of page tables have a page of a swap area, at least 1 (swp_swapcount of mm/swapfile.c). Before 7.0 a page that more than 62 have
// has its count in parts, of which the first is returned with the error, a [vmem.Gap].
func (r *Reader) Users(number uint8, offset uint64) (int, error) {
	n, err := r.users(number, offset)
	if err != nil {
		return max(n, 1), vmem.NewGap(fmt.Sprintf("users of page %d of swap area %d", offset, number), vmem.Place{}, err)
	}
	return max(n, 1), nil
}

func (r *Reader) users(number uint8, offset uint64) (int, error) {
	if int(number) >= len(r.areas) || r.areas[number] == nil {
		return 1, corrupt("no swap area %d", number)
	}
	a := r.areas[number]
	if offset >= uint64(a.info.Max) {
		return 1, corrupt("the swap area has %d pages", a.info.Max)
	}
	if !r.views.info.Has("Map") {
		return r.tableUsers(a, offset)
	}
	n, err := r.mem.Uint8(a.info.Map + vmem.VirtAddr(offset))
	if err == nil && n&mapContinued != 0 {
		return mapMax, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, mapMax)
	}
	return int(n &^ mapHasCache), err
}

// tableUsers is users of kernels that have a table for each cluster of a swap area.
func (r *Reader) tableUsers(a *area, offset uint64) (int, error) {
	e, c, err := r.entry(a, offset)
	n := int(e >> tableCountShift)
	if err == nil && n == tableCountMax && x86.IsObject(c.Extend) {
		var more uint32
		more, err = r.mem.Uint32(c.Extend + vmem.VirtAddr(4*(offset%r.views.entries.Count())))
		n = int(more)
	}
	return n, err
}

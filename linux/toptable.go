package linux

import (
	"encoding/binary"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// topTableGaps returns a Gap if entries of the kernel's top page table lead to that table
// itself, which Linux never does: as page tables these are addresses without an end. What
// the table translates otherwise is not touched by that.
func (k *Kernel) topTableGaps() []vmem.Gap {
	const present, frame = 1, 1<<52 - vmem.PageSize
	table := make([]byte, vmem.PageSize)
	n, _ := k.phys.ReadAt(table, int64(k.info.Root)) // what is lost was told by who read it
	loops, first := 0, 0
	for i := range n / 8 {
		e := binary.LittleEndian.Uint64(table[8*i:]) &^ k.mask
		if e&present != 0 && vmem.PhysAddr(e&frame) == k.info.Root {
			if loops++; loops == 1 {
				first = i
			}
		}
	}
	if loops == 0 {
		return nil
	}
	return []vmem.Gap{{
		Object: "page tables of the kernel", Place: vmem.Place{Kind: vmem.InPhysical, Addr: uint64(k.info.Root) + uint64(8*first)},
		Err: fmt.Errorf("%w: %d entries of the top table lead to the table itself, the first is %d", kstruct.ErrCycle, loops, first),
	}}
}

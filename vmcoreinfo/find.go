package vmcoreinfo

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// A Found is a copy of VMCOREINFO in physical memory.
type Found struct {
	Addr vmem.PhysAddr // of its text
	Info *Info
}

const (
	pageSize = 4096
	// noteHeader is an Elf64_Nhdr with the name VMCOREINFO, padded.
	noteHeader = 12 + 12
)

// Find searches physical memory for VMCOREINFO, first where it is likely, as searchOrder
// says, and then everywhere else in ascending order: an image on a server need not come as a
// whole for it. The kernel keeps it in two pages, as text and as an ELF note
// (vmcoreinfo_data and vmcoreinfo_note of kernel/vmcore_info.c), so only the starts of pages
// are looked at, and a copy inside a file or a log is found only where it begins a page.
// Copies of earlier kernels may be among what is found: the caller must verify. Equal texts
// are yielded once. Memory that can't be read is passed over; the only error is the
// context's, which ends the search.
func Find(ctx context.Context, mem vmem.Memory) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		seen, seed := map[uint64]bool{}, maphash.MakeSeed() // whole texts would be as much as memory
		head := make([]byte, noteHeader)
		for addr := range pages(mem) {
			if addr%contextStep == 0 && ctx.Err() != nil {
				yield(Found{}, ctx.Err())
				return
			}
			f, ok := probe(mem, addr, head)
			if !ok {
				continue
			}
			text := maphash.String(seed, f.Info.text)
			if seen[text] {
				continue
			}
			seen[text] = true
			if !yield(f, nil) {
				return
			}
		}
	}
}

// contextStep is how often in memory the context is asked.
const contextStep = 1 << 20

type physRange = vmem.Range[vmem.PhysAddr]

// The page of VMCOREINFO is given out when the kernel starts (crash_save_vmcoreinfo_init is
// a subsys_initcall), among the lowest of the highest zone: Normal begins at 4 GiB, DMA32 at
// 16 MiB (arch/x86/mm/init.c, zone_sizes_init). In images of three kernels it stands 2, 3
// and 10 MiB above.
var likely = []physRange{
	{Start: 4 << 30, Size: 64 << 20},
	{Start: 16 << 20, Size: 64 << 20},
}

// searchOrder returns the parts of memory in the order in which to search them.
func searchOrder(ranges []physRange) []physRange {
	var order []physRange
	for _, l := range likely {
		for _, r := range ranges {
			if r = r.Intersect(l); r.Size > 0 {
				order = append(order, r)
			}
		}
	}
	searched := vmem.NormalizeRanges(slices.Clone(likely))
	for _, r := range ranges {
		order = append(order, vmem.SubtractRanges(r, searched)...)
	}
	return order
}

// pages yields the address of each page whose start was captured, in the order in which to
// search.
func pages(mem vmem.Memory) iter.Seq[vmem.PhysAddr] {
	return func(yield func(vmem.PhysAddr) bool) {
		for _, r := range searchOrder(mem.Ranges()) {
			first := (r.Start + pageSize - 1) &^ (pageSize - 1)
			for a := first; r.Contains(a); a += pageSize {
				if !yield(a) {
					return
				}
			}
		}
	}
}

// probe reports whether VMCOREINFO begins the page at addr, as a note or as text. It
// uses head to read the first noteHeader bytes of the page.
func probe(mem vmem.Memory, addr vmem.PhysAddr, head []byte) (Found, bool) {
	if n, _ := mem.ReadAt(head, int64(addr)); n < len(head) {
		return Found{}, false
	}
	size := uint64(pageSize)
	switch {
	case string(head[:len(firstKey)]) == firstKey:
	case string(head[12:12+len(NoteName)]) == NoteName && binary.LittleEndian.Uint32(head) == uint32(len(NoteName)+1):
		size = uint64(binary.LittleEndian.Uint32(head[4:]))
		addr += noteHeader
	default:
		return Found{}, false
	}
	b := make([]byte, min(size, maxText))
	n, _ := mem.ReadAt(b, int64(addr)) // as far as it was captured
	v, err := Parse(b[:n])
	if err != nil {
		return Found{}, false
	}
	return Found{Addr: addr, Info: v}, true
}

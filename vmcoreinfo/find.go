package vmcoreinfo

import (
	"context"
	"encoding/binary"
	"iter"

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

// Find searches physical memory for VMCOREINFO, in ascending order. The
// kernel keeps it in two pages, as text and as an ELF note (vmcoreinfo_data and
// vmcoreinfo_note of kernel/vmcore_info.c), so only the starts of pages are looked at,
// and a copy inside a file or a log is found only where it begins a page. Copies of
// earlier kernels may be among what is found: the caller must verify. Equal texts are
// yielded once. Memory that can't be read is passed over; the only error is the
// context's, which ends the search.
func Find(ctx context.Context, mem vmem.Memory) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		seen := map[string]bool{}
		head := make([]byte, noteHeader)
		for addr := range pages(mem) {
			if addr%(64<<20) == 0 && ctx.Err() != nil {
				yield(Found{}, ctx.Err())
				return
			}
			f, ok := probe(mem, addr, head)
			if !ok || seen[f.Info.text] {
				continue
			}
			seen[f.Info.text] = true
			if !yield(f, nil) {
				return
			}
		}
	}
}

// pages yields the address of each page whose start was captured.
func pages(mem vmem.Memory) iter.Seq[vmem.PhysAddr] {
	return func(yield func(vmem.PhysAddr) bool) {
		for _, r := range mem.Ranges() {
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

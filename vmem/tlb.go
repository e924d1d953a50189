package vmem

import "sync/atomic"

// tlbSlots is small because there is an address space for every process; a walk
// through cached tables costs little more than a hit.
const tlbSlots = 256

// A tlb is a direct-mapped cache of translations, 4 KiB of virtual memory each. It
// holds addresses only, not frames, so that it keeps no memory alive.
type tlb [tlbSlots]tlbSlot

// A tlbSlot is guarded by a sequence counter instead of a lock: the counter is odd
// while the slot is being written, and a reader that does not see the same even
// count before and after reads nothing.
type tlbSlot struct {
	seq  atomic.Uint32
	page atomic.Uint64 // page number of the virtual address, and tlbValid
	addr atomic.Uint64 // physical address of the frame
}

const tlbValid = 1 << 63

func (t *tlb) slot(va VirtAddr) (slot *tlbSlot, page uint64) {
	page = uint64(va)/PageSize | tlbValid
	return &t[page%tlbSlots], page
}

// lookup returns the frame of the page that va is in.
func (t *tlb) lookup(va VirtAddr) (PhysAddr, bool) {
	s, page := t.slot(va)
	seq := s.seq.Load()
	hit := seq%2 == 0 && s.page.Load() == page
	addr := s.addr.Load()
	return PhysAddr(addr), hit && s.seq.Load() == seq
}

// store remembers the frame of the page that va is in. It does nothing if another
// goroutine is just writing the slot.
func (t *tlb) store(va VirtAddr, addr PhysAddr) {
	s, page := t.slot(va)
	seq := s.seq.Load()
	if seq%2 != 0 || !s.seq.CompareAndSwap(seq, seq+1) {
		return
	}
	s.page.Store(page)
	s.addr.Store(uint64(addr))
	s.seq.Store(seq + 2)
}

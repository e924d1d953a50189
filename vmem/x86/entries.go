package x86

import (
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// Bits of page-table entries that Linux gives a meaning to (arch/x86/include/asm/pgtable_types.h).
const (
	// EntrySpecial marks a page that has no struct page to count its users, in a leaf: the zero page, memory of a device (_PAGE_SPECIAL).
	EntrySpecial = 1 << 9
	// EntryUffdWP: userfaultfd is told when the page is written (_PAGE_UFFD_WP).
	EntryUffdWP = 1 << 10
	// EntrySoftDirty: the page was written since /proc/PID/clear_refs was (_PAGE_SOFT_DIRTY).
	EntrySoftDirty = 1 << 11

	// SwapSoftDirty, SwapUffdWP and SwapExclusive are the like in a swap entry; the last one since 5.19 (_PAGE_SWP_EXCLUSIVE, 1493a1913e34).
	SwapSoftDirty = 1 << 1
	SwapUffdWP    = 1 << 2
	SwapExclusive = 1 << 3
)

// A PageEntry is an entry of page tables that is not empty and leads to no other table.
type PageEntry struct {
	vmem.Mapping        // the page; of one that has none, where it would be
	Level        int    // 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB
	Entry        uint64 // as stored
	// Reason is why there is no page, nil for one that there is: ErrSwapped, ErrMigrating, ErrSpecialEntry, or ErrNotPresent, which is
	// a marker. [SwapType] and [SwapOffset] then say more.
	Reason error
}

// Entries returns the entries that stand for pages with an address in within, in ascending order of address. It is
// [vmem.AddressSpace.Mappings] with all that the entries say. A table that can't be read is a *vmem.Fault, as there.
func (t *Tables) Entries(within vmem.Range[vmem.VirtAddr]) iter.Seq2[PageEntry, error] {
	return func(yield func(PageEntry, error) bool) {
		w := walker{t: t, within: clip(within), budget: t.tableBudget()}
		w.leaf = func(e PageEntry) bool { return yield(e, nil) }
		w.yield = func(m vmem.Mapping, err error) bool { return yield(PageEntry{Mapping: m}, err) }
		w.walk()
	}
}

// pageEntry returns what an entry says of page. err is why there is none.
func (w *walker) pageEntry(l leaf, page virtRange, err error) PageEntry {
	e := PageEntry{Level: l.level, Entry: uint64(l.entry), Reason: err}
	if err != nil {
		e.Range = page
		return e
	}
	e.Mapping = l.mapping(page.Start)
	return e
}

// SwapType returns the number of the swap file, or the special type, of an entry that has no page.
func SwapType(stored uint64) uint8 { return entry(stored).swapType() }

// SwapOffset returns the page of the swap file, or in its low bits a frame number, of an entry that has no page.
func SwapOffset(stored uint64) uint64 { return entry(stored).swapOffset() }

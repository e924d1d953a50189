package x86

import "github.com/nodelens/nodelens/vmem"

// SwapEntry decodes the entry of a fault as a swap entry: the number of the swap file or
// special type, and the offset, which is a page of the swap file, or in its low bits a
// frame number. It has a meaning with ErrSwapped, ErrMigrating and ErrSpecialEntry
// only. The layout is that of __swp_type and __swp_offset in
// arch/x86/include/asm/pgtable_64.h since 4.18, which stores the offset inverted.
func SwapEntry(f *vmem.Fault) (typ uint8, offset uint64) {
	e := entry(f.Entry)
	return e.swapType(), e.swapOffset()
}

// swapType returns the type of a swap entry, see SwapEntry.
func (e entry) swapType() uint8 { return uint8(e >> 59) }

// swapOffset returns the offset of a swap entry, see SwapEntry.
func (e entry) swapOffset() uint64 { return uint64(^e << 5 >> 14) }

// Package swap reads pages that a kernel swapped out: those that are in memory all the same, compressed by zram or in the swap cache, and
// those in swap files that are given beside the image.
//
//	r, err := swap.Open(ctx, k, nil)
//	for _, area := range r.Areas() { // as /proc/swaps
//	err = r.ReadPage(page, typ, offset)
//
// The number of a swap area and the page in it are those of a swap entry: SwapType and SwapOffset of a memory.PageState. Package memory
// reads swapped pages by this one.
//
// What is read is verified by more than what led to it: a page in the swap cache names its entry, an object of zsmalloc its handle, and what is decompressed has the
// length of a page. A page that can't be read is an error, never zeros.
//
// # Not supported
//
// Modules carry no types before 5.11: zram is read there only where a layout of the kernel's modules has its types (see package layouts). Pages in zswap, and those that zram wrote back to a disk, are not read; nor are those that zram compressed by 842. Swap files on a
// file system that is on zram are none of zram's pages here.
package swap

package btfconv

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// linkedText is where _text is linked on x86-64: __START_KERNEL_map plus
// CONFIG_PHYSICAL_START, which hardly anyone changes.
const linkedText = startKernelMap + 0x1000000

// maxPhys is the last physical address there can be: 52 bits (MAXPHYADDR).
const maxPhys = 1<<52 - 1

// A kernelImage is the kernel in physical memory, from _text to _end: one
// contiguous piece, wherever KASLR has put it, so that no page tables are needed
// to read it. (level2_kernel_pgt in arch/x86/kernel/head_64.S maps it so.)
type kernelImage struct {
	mem   vmem.Memory
	text  uint64        // the virtual address of _text, with the KASLR shift
	shift uint64        // the KASLR shift
	phys  vmem.PhysAddr // the physical address of _text
}

// physical returns where an address inside the image is in memory.
func (k *kernelImage) physical(va uint64) (vmem.PhysAddr, bool) {
	pa := k.phys + vmem.PhysAddr(va-k.text)
	return pa, va-k.text < kernelImageMax && pa <= maxPhys
}

// virtual returns the address in the image of a physical one.
func (k *kernelImage) virtual(pa vmem.PhysAddr) (uint64, bool) {
	return k.text + uint64(pa-k.phys), uint64(pa-k.phys) < kernelImageMax
}

// linked returns what an address was before KASLR moved the image. Those of the
// per-CPU section, to 6.14, are none of the image.
func (k *kernelImage) linked(va uint64) uint64 {
	if va < startKernelMap {
		return va
	}
	return va - k.shift
}

// read returns n bytes from a virtual address on.
func (k *kernelImage) read(va uint64, n int) ([]byte, error) {
	pa, ok := k.physical(va)
	if !ok {
		return nil, fmt.Errorf("address %#x is outside of the kernel's image: %w", va, ErrDamaged)
	}
	b := make([]byte, n)
	if _, err := k.mem.ReadAt(b, int64(pa)); err != nil {
		return nil, fmt.Errorf("address %#x of the kernel's image: %w", va, err)
	}
	return b, nil
}

// word returns the 8 bytes at a virtual address.
func (k *kernelImage) word(va uint64) (uint64, error) {
	b, err := k.read(va, 8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// window reads up to n bytes from a virtual address on, less where memory was
// not captured.
func (k *kernelImage) window(va uint64, n int) []byte {
	pa, ok := k.physical(va)
	if !ok {
		return nil
	}
	return readUpTo(k.mem, pa, n)
}

// chunks yields a part of the kernel's image piece by piece, each with its
// address, as far as it was captured. A piece is valid until the next. The pieces
// overlap by some bytes, so that what is not longer is whole in one.
func (k *kernelImage) chunks(from, to uint64, overlap int) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		buf := make([]byte, scanChunk+overlap)
		for va := from &^ 7; va < to; va += scanChunk {
			pa, ok := k.physical(va)
			if !ok {
				return
			}
			n, _ := k.mem.ReadAt(buf[:min(uint64(len(buf)), to-va)], int64(pa))
			if n > 0 && !yield(va, buf[:n]) {
				return
			}
		}
	}
}

// readUpTo reads n bytes, less where memory was not captured.
func readUpTo(mem vmem.Memory, pa vmem.PhysAddr, n int) []byte {
	i, ok := vmem.SearchRanges(mem.Ranges(), pa)
	if !ok {
		return nil
	}
	r := mem.Ranges()[i]
	b := make([]byte, min(uint64(n), r.Size-uint64(pa-r.Start)))
	got, _ := mem.ReadAt(b, int64(pa))
	return b[:got]
}

// capturedPages yields the pages of memory of which something was captured, as far as they are
// in within, each with some more behind it: n pages in all, less at a hole. What is yielded is
// valid until the next.
func capturedPages(mem vmem.Memory, within vmem.Range[vmem.PhysAddr], n int) iter.Seq2[vmem.PhysAddr, []byte] {
	return func(yield func(vmem.PhysAddr, []byte) bool) {
		buf := make([]byte, scanChunk+n*vmem.PageSize)
		next := vmem.PhysAddr(0)
		for _, r := range mem.Ranges() {
			r = r.Intersect(within)
			for at := max(next, r.Start&^(vmem.PageSize-1)); r.Size > 0 && at <= r.Last(); {
				from := max(at, r.Start)
				got, err := mem.ReadAt(buf[:min(uint64(len(buf)), r.Size-uint64(from-r.Start))], int64(from))
				end := at + scanChunk
				if err != nil && got < scanChunk { // the rest of this page is damaged
					end = (from+vmem.PhysAddr(got))&^(vmem.PageSize-1) + vmem.PageSize
				}
				for ; at < end && at <= r.Last(); at += vmem.PageSize {
					off := uint64(max(at, from) - from)
					b := buf[min(off, uint64(got)):min(uint64(got), off+uint64(n)*vmem.PageSize)]
					if !yield(at, b) {
						return
					}
				}
				next = at
			}
		}
	}
}

// readHoles reads n bytes, with zeros for what was not captured, and says where that is.
func readHoles(mem vmem.Memory, pa vmem.PhysAddr, n int) (b []byte, holes []span) {
	b = make([]byte, n)
	return b, readHolesInto(mem, pa, b)
}

// readHolesInto is readHoles into b.
func readHolesInto(mem vmem.Memory, pa vmem.PhysAddr, b []byte) (holes []span) {
	n := len(b)
	end := 0 // of what was read or found missing
	hole := func(to int) {
		clear(b[end:max(end, to)])
		if k := len(holes); k > 0 && to > end && int(holes[k-1].end) == end {
			holes[k-1].end = uint32(to)
		} else if to > end {
			holes = append(holes, span{uint32(end), uint32(to)})
		}
		end = to
	}
	for _, r := range mem.Ranges() {
		r = r.Intersect(vmem.Range[vmem.PhysAddr]{Start: pa, Size: uint64(n)})
		if r.Size == 0 {
			continue
		}
		at, last := int(r.Start-pa), int(r.Start-pa)+int(r.Size)
		for hole(at); at < last; {
			got, err := mem.ReadAt(b[at:last], int64(pa)+int64(at))
			at += got
			if end = at; err != nil && at < last { // the rest of this page is damaged
				at = min(last, at+int(vmem.PageSize-(pa+vmem.PhysAddr(at))%vmem.PageSize))
				hole(at)
			}
		}
	}
	hole(n)
	return holes
}

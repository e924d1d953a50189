package kcore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/vmem"
)

// unnamed lists the parts of the file that no header names: what a header that is damaged,
// or that is missing, was of. Zeros of less than a page are there to align what follows. The
// program headers are between two offsets of the file.
func (f *File) unnamed(r io.ReaderAt, size int64, from, to uint64) {
	whole := vmem.Range[vmem.PhysAddr]{Size: uint64(size)}
	named := append(headers(r), vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(from), Size: to - from})
	for _, s := range f.segments {
		named = append(named, vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(s.Offset), Size: s.FileSz})
	}
	for i, n := range named {
		if uint64(n.Start) >= uint64(size) {
			n = vmem.Range[vmem.PhysAddr]{}
		}
		n.Size = min(n.Size, uint64(size)-uint64(n.Start))
		named[i] = n
	}
	for _, lost := range vmem.SubtractRanges(whole, vmem.NormalizeRanges(named)) {
		if lost.Size < vmem.PageSize && isZero(r, int64(lost.Start), lost.Size) {
			continue
		}
		f.gaps.Add(vmem.ImagePlace(int64(lost.Start)), fmt.Errorf("%d bytes: %w", lost.Size, ErrNoAddress))
	}
}

// maxSections bounds the section headers that are read. QEMU writes two: one that counts the
// program headers, and the table of the names of both.
const maxSections = 64

// headers returns where the ELF header says that it and the section headers with what is in
// the sections are.
func headers(r io.ReaderAt) []vmem.Range[vmem.PhysAddr] {
	var h [ehdrSize]byte
	if n, _ := r.ReadAt(h[:], 0); n < len(h) {
		return nil
	}
	le := binary.LittleEndian
	shoff, sections := le.Uint64(h[40:]), uint64(le.Uint16(h[60:]))
	if le.Uint16(h[56:]) == pnXnum {
		sections = max(sections, 1)
	}
	all := []vmem.Range[vmem.PhysAddr]{{Size: ehdrSize}}
	if shoff == 0 || shoff > 1<<62 {
		return all
	}
	all = append(all, vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(shoff), Size: sections * shdrSize})
	var s [shdrSize]byte
	for i := range min(sections, maxSections) {
		if n, _ := r.ReadAt(s[:], int64(shoff+i*shdrSize)); n == len(s) && le.Uint32(s[4:]) == shtStrtab {
			all = append(all, vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(le.Uint64(s[24:])), Size: le.Uint64(s[32:])})
		}
	}
	return all
}

// isZero reports whether less than a page of the file holds only zeros.
func isZero(r io.ReaderAt, off int64, size uint64) bool {
	var page, zeros [vmem.PageSize]byte
	n, _ := r.ReadAt(page[:size], off)
	return uint64(n) == size && bytes.Equal(page[:n], zeros[:n])
}

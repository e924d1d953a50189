package kcore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

var (
	// ErrFormat says that the file is not an ELF core of x86-64 physical memory.
	ErrFormat = errors.New("not an ELF core of x86-64 memory")
	// ErrTruncated says that the file ends before what its headers say that it has.
	ErrTruncated = vmem.NewReason("truncated", "the file ends early")
	// ErrNoAddress says that there are bytes in the file that no program header names.
	ErrNoAddress = vmem.NewReason("no-address", "no program header says what memory follows")
)

// ELF constants (elf(5)).
const (
	elfMagic   = "\x7fELF"
	ehdrSize   = 64
	phdrSize   = 56
	shdrSize   = 64
	class64    = 2
	dataLSB    = 1
	typeCore   = 4
	machineX86 = 62
	pnXnum     = 0xffff // the true number of program headers is in sh_info of section 0
	ptLoad     = 1
	ptNote     = 4
	shtStrtab  = 3
)

// maxSegments bounds the program headers that are read. /proc/kcore has a few for each
// range of RAM.
const maxSegments = 1 << 20

// A Segment is a program header.
type Segment struct {
	Type   uint32        `json:"type"` // 1 is PT_LOAD, 4 is PT_NOTE
	Flags  uint32        `json:"flags"`
	Offset uint64        `json:"offset"` // in the file, in bytes
	Virt   vmem.VirtAddr `json:"vaddr"`  // p_vaddr
	Phys   vmem.PhysAddr `json:"paddr"`  // p_paddr; all ones where the memory has no one place
	FileSz uint64        `json:"filesz"` // bytes in the file
	MemSz  uint64        `json:"memsz"`  // bytes in memory
}

// InKernelImage reports whether the segment is where the kernel's image is mapped, and says
// which physical memory that is.
func (s Segment) InKernelImage() bool {
	return s.Type == ptLoad && s.Virt >= x86.StartKernelMap && s.Phys != noPhys
}

// IsELF reports whether a file that begins with b is an ELF file. Four bytes suffice.
func IsELF(b []byte) bool { return len(b) >= len(elfMagic) && string(b[:len(elfMagic)]) == elfMagic }

// readSegments reads the ELF header and all program headers that the file has. What is wrong
// with them comes as Gaps.
func readSegments(r io.ReaderAt, size int64) (table, error) {
	var h [ehdrSize]byte
	if n, err := r.ReadAt(h[:], 0); n < len(h) {
		return table{}, fmt.Errorf("%w: ELF header: %d of %d bytes: %w", ErrFormat, n, len(h), unexpected(err))
	}
	if err := checkHeader(h[:]); err != nil {
		return table{}, err
	}
	t, err := findTable(r, size, h[:])
	if err == nil && !physical(t.segments) {
		err = fmt.Errorf("%w: %w", ErrFormat, errNotPhysical)
	}
	return t, err
}

// physical reports whether the segments say where in physical memory they belong. In
// the core of a process p_paddr is 0 throughout, and in /proc/kcore it was before commit
// 464920104bf7 (in v4.11); taken at its word, all memory would be on top of one another.
func physical(segments []Segment) bool {
	loads := 0
	for _, s := range segments {
		if s.Type != ptLoad || s.MemSz == 0 {
			continue
		}
		if loads++; s.Phys != 0 {
			return true
		}
	}
	return loads < 2
}

func checkHeader(h []byte) error {
	le := binary.LittleEndian
	switch {
	case !IsELF(h):
		return fmt.Errorf("%w: it begins with % x", ErrFormat, h[:4])
	case h[4] != class64 || h[5] != dataLSB:
		return fmt.Errorf("%w: ELF class %d, byte order %d", ErrFormat, h[4], h[5])
	case le.Uint16(h[16:]) != typeCore:
		return fmt.Errorf("%w: ELF type %d, not a core (a vmlinux names symbols, it is no image)", ErrFormat, le.Uint16(h[16:]))
	case le.Uint16(h[18:]) != machineX86:
		return fmt.Errorf("%w: ELF machine %d", ErrFormat, le.Uint16(h[18:]))
	}
	return nil
}

// extendedCount reads the number of program headers where it exceeds 16 bits.
func extendedCount(r io.ReaderAt, shoff uint64) (uint64, error) {
	var s [shdrSize]byte
	if shoff == 0 || shoff > 1<<62 {
		return 0, fmt.Errorf("%w: more than 65534 program headers, and no section header at %#x to count them", ErrFormat, shoff)
	}
	if n, err := r.ReadAt(s[:], int64(shoff)); n < len(s) {
		return 0, fmt.Errorf("%w: section header at %#x: %w", ErrFormat, shoff, unexpected(err))
	}
	return uint64(binary.LittleEndian.Uint32(s[44:])), nil
}

func readTable(r io.ReaderAt, size int64, off, count uint64) (table, error) {
	if off > uint64(size) {
		return table{}, fmt.Errorf("%w: program headers at %#x, behind the end of the file at %#x", ErrFormat, off, size)
	}
	have := min(count, (uint64(size)-off)/phdrSize, maxSegments)
	b := make([]byte, have*phdrSize)
	n, err := r.ReadAt(b, int64(off))
	t := table{off: off, end: min(off+count*phdrSize, uint64(size)), segments: make([]Segment, 0, n/phdrSize)}
	for ; n >= phdrSize; b, n = b[phdrSize:], n-phdrSize {
		t.segments = append(t.segments, newSegment(b))
	}
	if got := uint64(len(t.segments)); got < count {
		lost := fmt.Errorf("%d of %d program headers: %w", got, count, unexpected(err))
		t.gaps = append(t.gaps, vmem.Gap{Object: "image", Place: vmem.ImagePlace(int64(off + got*phdrSize)), Err: lost})
	}
	return t, nil
}

func newSegment(b []byte) Segment {
	le := binary.LittleEndian
	return Segment{
		Type: le.Uint32(b), Flags: le.Uint32(b[4:]), Offset: le.Uint64(b[8:]),
		Virt: vmem.VirtAddr(le.Uint64(b[16:])), Phys: vmem.PhysAddr(le.Uint64(b[24:])),
		FileSz: le.Uint64(b[32:]), MemSz: le.Uint64(b[40:]),
	}
}

// unexpected makes the end of a file, inside of what it should hold, an error.
func unexpected(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

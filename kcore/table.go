package kcore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

// ErrHeader says that the ELF header contradicts the program headers that there are.
var ErrHeader = vmem.NewReason("damaged", "the ELF header is damaged")

// A table is the program headers as they were found.
type table struct {
	off, end uint64 // in the file
	segments []Segment
	gaps     []vmem.Gap
}

// usualTable is where all known writers have the program headers: behind the ELF header.
const usualTable = ehdrSize

// findTable reads the program headers where the ELF header says that they are. Where that
// can't be, they are those that make sense behind the ELF header; and where more of them
// follow than it says, or fewer make sense before the data begin, that counts. size is that
// of the file.
func findTable(r io.ReaderAt, size int64, h []byte) (table, error) {
	off, count, err := claimed(r, h)
	var t table
	if err == nil {
		t, err = readTable(r, size, off, count)
	}
	found := soundRun(r, size, usualTable)
	if err != nil || count == 0 || !t.sound() {
		if !hasMemory(found) {
			return t, err
		}
		if err == nil {
			err = fmt.Errorf("%w: %d program headers at %#x", ErrHeader, count, off)
		} else {
			err = fmt.Errorf("%w: %w", ErrHeader, err)
		}
		return table{usualTable, usualTable + phdrSize*uint64(len(found)), found, []vmem.Gap{headerGap(err)}}, nil
	}
	if got := len(t.segments); off == usualTable && len(found) != got && hasMemory(found) && len(t.gaps) == 0 && t.crowded(found) {
		t.segments, t.end = found, t.off+phdrSize*uint64(len(found))
		t.gaps = append(t.gaps, headerGap(fmt.Errorf("%w: there are %d program headers, it says %d", ErrHeader, len(found), got)))
	}
	return t, nil
}

func headerGap(err error) vmem.Gap {
	return vmem.Gap{Object: "image", Place: vmem.ImagePlace(0), Err: err}
}

// claimed returns where the ELF header says that the program headers are, and how many.
func claimed(r io.ReaderAt, h []byte) (off, count uint64, err error) {
	le := binary.LittleEndian
	off, count = le.Uint64(h[32:]), uint64(le.Uint16(h[56:]))
	if n := le.Uint16(h[54:]); count > 0 && n != phdrSize {
		return off, count, fmt.Errorf("%w: program headers of %d bytes, not %d", ErrFormat, n, phdrSize)
	}
	if count == pnXnum {
		count, err = extendedCount(r, le.Uint64(h[40:]))
	}
	return off, count, err
}

// sound reports whether half of the headers that are any make sense.
func (t *table) sound() bool {
	right, wrong := 0, 0
	for i := range t.segments {
		switch s := &t.segments[i]; {
		case s.Type == 0 && s.FileSz == 0 && s.MemSz == 0:
		case s.isSound():
			right++
		default:
			wrong++
		}
	}
	return right > 0 && right >= wrong
}

// crowded reports whether the headers that make sense end right before something else than a
// header: data, or padding of zeros; or those of t go over the begin of data.
func (t *table) crowded(found []Segment) bool {
	first := ^uint64(0)
	for _, s := range found {
		if s.FileSz > 0 {
			first = min(first, s.Offset)
		}
	}
	end := t.off + phdrSize*uint64(len(t.segments))
	return len(found) > len(t.segments) && t.off+phdrSize*uint64(len(found)) <= first || len(found) < len(t.segments) && end > first
}

// soundRun returns the program headers that make sense one behind the other, from an offset
// on and before the data of any of them. size is that of the file.
func soundRun(r io.ReaderAt, size int64, off uint64) []Segment {
	var all []Segment
	b := make([]byte, phdrSize)
	for first := uint64(size); off+phdrSize <= first && len(all) < maxSegments; off += phdrSize {
		if n, _ := r.ReadAt(b, int64(off)); n < len(b) {
			break
		}
		s := newSegment(b)
		if !s.isSound() {
			break
		}
		if s.FileSz > 0 {
			first = min(first, s.Offset)
		}
		all = append(all, s)
	}
	return all
}

func hasMemory(all []Segment) bool {
	for _, s := range all {
		if s.Type == ptLoad && s.Phys != noPhys && s.FileSz > 0 {
			return true
		}
	}
	return false
}

// isSound reports whether a header can be of memory, or of notes, in a file that may have
// been cut off before them.
func (s *Segment) isSound() bool {
	switch {
	case s.Offset > 1<<62 || s.Flags > 7 || s.FileSz > s.MemSz && s.Type == ptLoad:
		return false
	case s.Type == ptLoad:
		return s.Phys == noPhys || uint64(s.Phys) < extent.Limit && s.MemSz <= extent.Limit-uint64(s.Phys)
	}
	return s.Type == ptNote && s.FileSz > 0
}

// errNotPhysical is the reason of a core that says of no memory where it is.
var errNotPhysical = errors.New("no segment has a physical address (the core of a process, or /proc/kcore before Linux 4.11)")

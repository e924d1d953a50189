package vmem

import (
	"errors"
	"io"
)

// A frame is a cached copy of one frame of physical memory. It never changes once
// it is in the cache, so that readers need no lock.
type frame struct {
	addr  PhysAddr
	epoch uint32 // of the Physical, when it was read
	holes []hole // ascending; nil if all of the frame is readable
	// Apart from the rest, so that the garbage collector need not look through it.
	data *[PageSize]byte
}

// A hole is a part of a frame that can't be read.
type hole struct {
	Range[PhysAddr]
	err error
}

// salvageStep is the granularity in bytes with which a frame is read on behind a
// read error: small enough to lose little, large enough not to make a bad block
// be decoded again for every few bytes.
const salvageStep = 512

// view returns the size bytes at offset off, or those before the first that can't
// be read and the reason. The end must lie inside the frame. The caller must not
// change the bytes.
func (f *frame) view(off, size uint64) ([]byte, error) {
	if f.holes == nil {
		return f.data[off : off+size : off+size], nil
	}
	want := Range[PhysAddr]{f.addr + PhysAddr(off), size}
	for _, g := range f.holes {
		if lost := g.Intersect(want); lost.Size > 0 {
			n := uint64(lost.Start - want.Start)
			return f.data[off : off+n : off+n], g.err
		}
	}
	return f.data[off : off+size : off+size], nil
}

// load fills the frame from mem, where captured are the ranges of mem from the
// first one on that ends inside the frame or behind it.
func (f *frame) load(mem Memory, captured []Range[PhysAddr]) {
	whole := Range[PhysAddr]{f.addr, PageSize}
	next := f.addr
	for _, r := range captured {
		r = r.Intersect(whole)
		if r.Size == 0 {
			break
		}
		f.lose(next, r.Start, ErrNotCaptured)
		f.fill(mem, r)
		next = r.Last() + 1
	}
	f.lose(next, whole.Last()+1, ErrNotCaptured)
}

// fill reads r, which lies inside the frame. Where the memory gives an error it
// goes on a little further up, so that bytes behind a bad spot are not lost.
func (f *frame) fill(mem Memory, r Range[PhysAddr]) {
	for end := r.Start + PhysAddr(r.Size); r.Start != end; {
		n, err := readFull(mem, f.data[r.Start-f.addr:end-f.addr], r.Start)
		if err == nil {
			return
		}
		bad := r.Start + PhysAddr(n)
		r.Start = bad + min(end-bad, salvageStep-bad%salvageStep)
		f.lose(bad, r.Start, err)
	}
}

// lose records that the bytes from start up to but not including end can't be
// read. A hole that goes on where the last one ended keeps its reason.
func (f *frame) lose(start, end PhysAddr, err error) {
	size := uint64(end - start)
	if size == 0 {
		return
	}
	if last := len(f.holes) - 1; last >= 0 && f.holes[last].Last() == start-1 {
		f.holes[last].Size += size
		return
	}
	f.holes = append(f.holes, hole{Range[PhysAddr]{start, size}, err})
}

// readFull reads len(b) bytes at pa. It returns an error if and only if it read
// fewer. The end of the file that backs a memory is the end of what was captured.
func readFull(mem Memory, b []byte, pa PhysAddr) (int, error) {
	n, err := mem.ReadAt(b, int64(pa))
	switch {
	case n == len(b):
		return n, nil
	case err == nil:
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		return n, ErrNotCaptured
	}
	return n, err
}

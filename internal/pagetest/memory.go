// Package pagetest builds physical memory with page tables in it, for tests.
//
// It shares no code with the reader it is made for: memory is a map of frames with
// one flag a byte, and entries are written bit by bit as the Intel SDM, volume 3,
// "Paging", has them. Misuse panics.
package pagetest

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// A Memory is sparse physical memory. It implements [vmem.Memory]. What was
// written is captured; Forget takes it back, byte by byte. The zero value is
// empty. It may be read concurrently, but not while it is being written.
type Memory struct {
	frames map[vmem.PhysAddr]*frame
}

type frame struct {
	data     [vmem.PageSize]byte
	captured [vmem.PageSize]bool
}

// whole are the flags of a frame of which everything is captured.
var whole = [vmem.PageSize]bool(slices.Repeat([]bool{true}, vmem.PageSize))

var _ vmem.Memory = (*Memory)(nil)

func (m *Memory) at(pa vmem.PhysAddr) (*frame, int) {
	return m.frames[pa/vmem.PageSize], int(pa % vmem.PageSize)
}

// Write puts b at pa.
func (m *Memory) Write(pa vmem.PhysAddr, b []byte) {
	for len(b) > 0 {
		f, off := m.at(pa)
		if f == nil {
			if m.frames == nil {
				m.frames = make(map[vmem.PhysAddr]*frame)
			}
			f = new(frame)
			m.frames[pa/vmem.PageSize] = f
		}
		n := copy(f.data[off:], b)
		copy(f.captured[off:], whole[:n])
		pa, b = pa+vmem.PhysAddr(n), b[n:]
	}
}

// Zero puts size zero bytes at pa.
func (m *Memory) Zero(pa vmem.PhysAddr, size int) { m.Write(pa, make([]byte, size)) }

// PutUint64 puts a little-endian word at pa.
func (m *Memory) PutUint64(pa vmem.PhysAddr, v uint64) {
	m.Write(pa, binary.LittleEndian.AppendUint64(nil, v))
}

// Forget makes the size bytes at pa not captured.
func (m *Memory) Forget(pa vmem.PhysAddr, size int) {
	for i := range size {
		if f, off := m.at(pa + vmem.PhysAddr(i)); f != nil {
			f.captured[off] = false
		}
	}
}

// Captured reports whether the byte at pa is captured.
func (m *Memory) Captured(pa vmem.PhysAddr) bool {
	f, off := m.at(pa)
	return f != nil && f.captured[off]
}

// ReadAt implements [vmem.Memory].
func (m *Memory) ReadAt(b []byte, off int64) (int, error) {
	for n := 0; n < len(b); {
		f, at := m.at(vmem.PhysAddr(off) + vmem.PhysAddr(n))
		if f == nil {
			return n, vmem.ErrNotCaptured
		}
		for ; n < len(b) && at < vmem.PageSize; n, at = n+1, at+1 {
			if !f.captured[at] {
				return n, vmem.ErrNotCaptured
			}
			b[n] = f.data[at]
		}
	}
	return len(b), nil
}

// Ranges implements [vmem.Memory].
func (m *Memory) Ranges() []vmem.Range[vmem.PhysAddr] {
	var out []vmem.Range[vmem.PhysAddr]
	add := func(a vmem.PhysAddr, size uint64) {
		if last := len(out) - 1; last >= 0 && out[last].Start+vmem.PhysAddr(out[last].Size) == a {
			out[last].Size += size
		} else {
			out = append(out, vmem.Range[vmem.PhysAddr]{Start: a, Size: size})
		}
	}
	for _, n := range slices.Sorted(maps.Keys(m.frames)) {
		f := m.frames[n]
		if f.captured == whole {
			add(n*vmem.PageSize, vmem.PageSize)
			continue
		}
		for off, captured := range f.captured {
			if captured {
				add(n*vmem.PageSize+vmem.PhysAddr(off), 1)
			}
		}
	}
	return out
}

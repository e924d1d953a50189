package btfconv

import (
	"errors"

	"github.com/nodelens/nodelens/vmem"
)

// A patched memory has other bytes at some place.
type patched struct {
	vmem.Memory
	at    vmem.PhysAddr
	bytes []byte
}

func (m *patched) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.Memory.ReadAt(p, off)
	r := vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(off), Size: uint64(n)}
	if c := r.Intersect(vmem.Range[vmem.PhysAddr]{Start: m.at, Size: uint64(len(m.bytes))}); c.Size > 0 {
		copy(p[c.Start-r.Start:], m.bytes[c.Start-m.at:][:c.Size])
	}
	return n, err
}

// A holed memory lacks a range.
type holed struct {
	vmem.Memory
	hole vmem.Range[vmem.PhysAddr]
}

func (m *holed) Ranges() []vmem.Range[vmem.PhysAddr] {
	var rs []vmem.Range[vmem.PhysAddr]
	for _, r := range m.Memory.Ranges() {
		rs = append(rs, vmem.SubtractRanges(r, []vmem.Range[vmem.PhysAddr]{m.hole})...)
	}
	return rs
}

func (m *holed) ReadAt(p []byte, off int64) (int, error) {
	r := vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(off), Size: uint64(len(p))}
	if c := r.Intersect(m.hole); c.Size > 0 {
		n, err := m.Memory.ReadAt(p[:c.Start-r.Start], off)
		return n, errors.Join(vmem.ErrNotCaptured, err)
	}
	return m.Memory.ReadAt(p, off)
}

// emptyMemory is so many zeros.
type emptyMemory uint64

func (m emptyMemory) Ranges() []vmem.Range[vmem.PhysAddr] {
	return []vmem.Range[vmem.PhysAddr]{{Size: uint64(m)}}
}

func (m emptyMemory) ReadAt(p []byte, off int64) (int, error) {
	n := max(0, min(int64(len(p)), int64(m)-off))
	clear(p[:n])
	if n < int64(len(p)) {
		return int(n), vmem.ErrNotCaptured
	}
	return int(n), nil
}

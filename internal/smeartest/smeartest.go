// Package smeartest damages memory images, for tests of what reads them.
package smeartest

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/nodelens/nodelens/vmem"
)

// A Memory is an image with bytes overwritten. The image below is not changed.
type Memory struct {
	vmem.Memory
	pages map[vmem.PhysAddr][]byte // by page address: the page as it reads now
}

// New returns m, undamaged as yet. Damage it before it is read concurrently.
func New(m vmem.Memory) *Memory {
	return &Memory{Memory: m, pages: map[vmem.PhysAddr][]byte{}}
}

// Write overwrites memory at pa. What was not captured stays so.
func (m *Memory) Write(pa vmem.PhysAddr, b []byte) {
	for len(b) > 0 {
		page := m.page(pa)
		n := copy(page[pa%vmem.PageSize:], b)
		pa, b = pa+vmem.PhysAddr(n), b[n:]
	}
}

// PutUint64 overwrites a little-endian word.
func (m *Memory) PutUint64(pa vmem.PhysAddr, v uint64) {
	m.Write(pa, binary.LittleEndian.AppendUint64(nil, v))
}

func (m *Memory) page(pa vmem.PhysAddr) []byte {
	pa &^= vmem.PageSize - 1
	if m.pages[pa] == nil {
		page := make([]byte, vmem.PageSize)
		_, _ = m.Memory.ReadAt(page, int64(pa)) // as far as it was captured
		m.pages[pa] = page
	}
	return m.pages[pa]
}

// ReadAt implements [vmem.Memory].
func (m *Memory) ReadAt(b []byte, off int64) (int, error) {
	n, err := m.Memory.ReadAt(b, off)
	for i := 0; i < n; {
		pa := vmem.PhysAddr(off) + vmem.PhysAddr(i)
		step := min(n-i, vmem.PageSize-int(pa%vmem.PageSize))
		if page := m.pages[pa&^(vmem.PageSize-1)]; page != nil {
			copy(b[i:i+step], page[pa%vmem.PageSize:])
		}
		i += step
	}
	return n, err
}

// Pages overwrites n pages that chance chooses, one third each with zeros, with random
// bytes, and with what another page holds.
func (m *Memory) Pages(r *rand.Rand, n int) {
	ranges := m.Ranges()
	for i := range n {
		b := make([]byte, vmem.PageSize)
		switch i % 3 {
		case 1:
			for j := 0; j < len(b); j += 8 {
				binary.LittleEndian.PutUint64(b[j:], r.Uint64())
			}
		case 2:
			_, _ = m.Memory.ReadAt(b, int64(randomPage(r, ranges)))
		}
		m.Write(randomPage(r, ranges), b)
	}
}

func randomPage(r *rand.Rand, ranges []vmem.Range[vmem.PhysAddr]) vmem.PhysAddr {
	var total uint64
	for _, s := range ranges {
		total += s.Size
	}
	at := r.Uint64N(total)
	for _, s := range ranges {
		if at < s.Size {
			return (s.Start + vmem.PhysAddr(at)) &^ (vmem.PageSize - 1)
		}
		at -= s.Size
	}
	return 0
}

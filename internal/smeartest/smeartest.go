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

// An Array is memory that goes on behind its end with many copies of one object, each of which
// leads to the next: a chain as somebody makes it who wants a walk not to end. It is made as it
// is read, and takes no memory itself.
type Array struct {
	vmem.Memory
	start  vmem.PhysAddr
	n      uint64
	object []byte
	direct uint64
	links  []Link
}

// A Link is a word of each object of an Array that holds the address of a byte of another one.
type Link struct {
	At   int    // offset of the word
	Next int    // how many objects further that one is: 1 for the next, -1 for the one before
	To   int    // offset of the byte there
	Last uint64 // what the word is where there is no such object
}

// NewArray returns m with n copies of an object behind its end, whose size is a power of 2, at
// least a page. Memory is mapped linearly, 0 at direct.
func NewArray(m vmem.Memory, direct uint64, object []byte, n int, links ...Link) *Array {
	ranges := m.Ranges()
	end := uint64(ranges[len(ranges)-1].Last()) + 1
	size := uint64(len(object))
	return &Array{Memory: m, start: vmem.PhysAddr((end + size - 1) / size * size), n: uint64(n), object: object, direct: direct, links: links}
}

// Object returns the virtual address of the i-th copy.
func (a *Array) Object(i int) vmem.VirtAddr {
	return vmem.VirtAddr(a.direct + uint64(a.start) + uint64(i)*uint64(len(a.object)))
}

// Template returns what all objects are copies of, to be changed before they are read.
func (a *Array) Template() []byte { return a.object }

// Ranges implements [vmem.Memory].
func (a *Array) Ranges() []vmem.Range[vmem.PhysAddr] {
	return append(a.Memory.Ranges(), vmem.Range[vmem.PhysAddr]{Start: a.start, Size: a.n * uint64(len(a.object))})
}

// ReadAt implements [vmem.Memory].
func (a *Array) ReadAt(b []byte, off int64) (n int, err error) {
	size := uint64(len(a.object))
	if uint64(off) < uint64(a.start) {
		k := min(uint64(len(b)), uint64(a.start)-uint64(off))
		if n, err = a.Memory.ReadAt(b[:k], off); err != nil || uint64(n) < k {
			return n, err
		}
	}
	for n < len(b) {
		at := uint64(off) + uint64(n) - uint64(a.start)
		if at/size >= a.n {
			return n, vmem.ErrNotCaptured
		}
		n += a.copyTo(b[n:], int(at/size), int(at%size))
	}
	return n, nil
}

// copyTo copies what the i-th object has from an offset on.
func (a *Array) copyTo(b []byte, i, from int) int {
	n := copy(b, a.object[from:])
	for _, l := range a.links {
		word := l.Last
		if to := i + l.Next; to >= 0 && to < int(a.n) {
			word = uint64(a.Object(to)) + uint64(l.To)
		}
		for k := range 8 {
			if at := l.At + k - from; at >= 0 && at < n {
				b[at] = byte(word >> (8 * k))
			}
		}
	}
	return n
}

package raw

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

// ErrLayout says that no way is known in which a file could hold the memory of the machine.
var ErrLayout = errors.New("unknown layout of memory")

// holeEnd is where physical memory goes on above the hole for devices, on PCs.
const holeEnd = 4 << 30

// holeAlign is what the size of the memory below the hole is a multiple of, in all that
// are known: QEMU's q35 (2 GiB or 2.75 GiB) and pc (3 GiB or 3.5 GiB), Firecracker and
// Cloud Hypervisor (3 GiB or 3.25 GiB).
const holeAlign = 1 << 20

// A Machine is what the kernel in an image says of the machine.
type Machine struct {
	// RAM are the ranges of RAM, ascending and disjoint.
	RAM []vmem.Range[vmem.PhysAddr]

	// Top are those of them that lie in no other resource, where not all do: tools that
	// write only RAM may not know of the others.
	Top []vmem.Range[vmem.PhysAddr]

	// Known are addresses in the file of which it is known where in memory they belong:
	// that of the kernel at least.
	Known []Place
}

// A Place is where in physical memory a byte of the file belongs.
type Place struct {
	Offset int64
	Addr   vmem.PhysAddr
}

// A Layout says what memory a file holds, and where.
type Layout struct {
	Name    string // such as "from address 0", to put behind "memory"
	Regions []Region
}

// FindLayout finds out how a file of size bytes holds the memory of a machine: of the
// layouts in the package's description, the first that has all Known bytes in their
// places, and the size that the RAM makes. If no size fits, the file may be cut off; then
// a layout serves that has all Known bytes in their places, as far as it is certain.
// Errors wrap ErrLayout.
func FindLayout(size int64, m Machine) (Layout, error) {
	for _, r := range slices.Concat(m.RAM, m.Top) {
		if uint64(r.Start) >= extent.Limit || r.Size > extent.Limit-uint64(r.Start) {
			return Layout{}, fmt.Errorf("raw: %w: RAM at %v", ErrLayout, r)
		}
	}
	if len(m.RAM) == 0 || len(m.Known) == 0 || size <= 0 {
		return Layout{}, fmt.Errorf("raw: %w: nothing is known of the machine", ErrLayout)
	}
	for _, l := range []Layout{
		m.fromZero(size), m.aroundHole(size), concatenated(m.RAM, size), concatenated(m.Top, size),
		m.cutConcatenated(size), m.cutFromZero(size),
	} {
		if len(l.Regions) > 0 && m.agrees(l) {
			return l, nil
		}
	}
	return Layout{}, fmt.Errorf("raw: %w: %d bytes, in which offset %#x is physical address %v; RAM is %v",
		ErrLayout, size, m.Known[0].Offset, m.Known[0].Addr, m.RAM)
}

// agrees reports whether all that is known has its place in l.
func (m *Machine) agrees(l Layout) bool {
	for _, k := range m.Known {
		ok := false
		for _, r := range l.Regions {
			ok = ok || r.Range.Contains(k.Addr) && int64(k.Addr-r.Range.Start)+r.Offset == k.Offset
		}
		if !ok {
			return false
		}
	}
	return true
}

// end returns the address behind the last byte of RAM.
func (m *Machine) end() uint64 { return uint64(m.RAM[len(m.RAM)-1].Last()) + 1 }

// fromZero is a file that has all memory up to the end of RAM, or more.
func (m *Machine) fromZero(size int64) Layout {
	if uint64(size) < m.end() {
		return Layout{}
	}
	return Layout{"from address 0", []Region{{Range: vmem.Range[vmem.PhysAddr]{Size: uint64(size)}}}}
}

// cutFromZero is fromZero of a file that is cut off. If RAM goes on above the hole, nothing
// tells whether the file has the hole, so the layout ends before.
func (m *Machine) cutFromZero(size int64) Layout {
	end := min(m.end(), uint64(size))
	if m.end() > holeEnd {
		end = min(end, m.lowEnd())
	}
	have := vmem.Range[vmem.PhysAddr]{Size: m.end()}
	if end < uint64(size) {
		have.Size = end
	}
	return Layout{"from address 0, cut off", []Region{{Range: have}}}
}

// lowEnd returns the address behind the last byte of RAM below the hole.
func (m *Machine) lowEnd() uint64 {
	end := uint64(0)
	for _, r := range m.RAM {
		if uint64(r.Start) < holeEnd {
			end = min(uint64(r.Last())+1, holeEnd)
		}
	}
	return end
}

// aroundHole is a file that lacks the hole below 4 GiB.
func (m *Machine) aroundHole(size int64) Layout {
	high := m.end() - holeEnd
	low := uint64(size) - high
	if m.end() <= holeEnd || high > uint64(size) || low%holeAlign != 0 || low < m.lowEnd() || low >= holeEnd {
		return Layout{}
	}
	return Layout{"around the hole below 4 GiB", []Region{
		{Range: vmem.Range[vmem.PhysAddr]{Size: low}},
		{Range: vmem.Range[vmem.PhysAddr]{Start: holeEnd, Size: high}, Offset: int64(low)},
	}}
}

// concatenated is a file that has the ranges of RAM one behind the other.
func concatenated(ram []vmem.Range[vmem.PhysAddr], size int64) Layout {
	l := Layout{Name: "in ranges of RAM, one behind the other"}
	off := uint64(0)
	for _, r := range ram {
		l.Regions = append(l.Regions, Region{r, int64(off)})
		off += r.Size
	}
	if off != uint64(size) {
		return Layout{}
	}
	return l
}

// cutConcatenated is concatenated of a file that is cut off.
func (m *Machine) cutConcatenated(size int64) Layout {
	total := uint64(0)
	for _, r := range m.RAM {
		total += r.Size
	}
	if uint64(size) >= total || len(m.Top) > 0 {
		return Layout{}
	}
	l := concatenated(m.RAM, int64(total))
	l.Name += ", cut off"
	return l
}

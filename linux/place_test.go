package linux

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// A piece of a file is memory of a machine.
type piece = vmem.Range[vmem.PhysAddr]

// file is memory whose addresses are offsets in a file that has pieces of it.
type file struct {
	mem    vmem.Memory
	pieces []piece
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	at := uint64(off)
	for _, r := range f.pieces {
		if at >= r.Size {
			at -= r.Size
			continue
		}
		want := p[n:min(len(p), n+int(r.Size-at))]
		if m, _ := f.mem.ReadAt(want, int64(uint64(r.Start)+at)); m < len(want) {
			clear(want[m:])
		}
		n, at = n+len(want), 0
	}
	if n < len(p) {
		return n, vmem.ErrNotCaptured
	}
	return n, nil
}

func (f *file) Ranges() []piece {
	total := uint64(0)
	for _, r := range f.pieces {
		total += r.Size
	}
	return []piece{{Size: total}}
}

// offset returns where an address is in the file.
func (f *file) offset(a vmem.PhysAddr) int64 {
	off := int64(0)
	for _, r := range f.pieces {
		if r.Contains(a) {
			return off + int64(a-r.Start)
		}
		off += int64(r.Size)
	}
	return -1
}

func checkPlacement(t *testing.T, f *file, p *Placement, resources []memmap.Resource, want int) {
	t.Helper()
	var ram []memmap.Resource
	for _, r := range resources {
		if r.Name == "System RAM" {
			ram = append(ram, r)
		}
	}
	if diff := cmp.Diff(ram, p.RAM); diff != "" {
		t.Errorf("RAM (-want +got):\n%s", diff)
	}
	for _, place := range p.Places {
		if f.offset(place.Addr) != place.Offset {
			t.Errorf("offset %#x is taken for %v, which is at %#x", place.Offset, place.Addr, f.offset(place.Addr))
		}
	}
	shifts := map[int64]bool{}
	for _, place := range p.Places {
		shifts[int64(place.Addr)-place.Offset] = true
	}
	if len(p.Places) < 2 || len(shifts) != want {
		t.Errorf("%d shifts, want %d: %v", len(shifts), want, p.Places)
	}
}

func TestPlace(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	n := openBundled(t)
	ram := memmap.SystemRAM(trueIOMem(t, img))
	end := ram[len(ram)-1].Last() + 1
	// The entries of the map are in the last pages of memory, which are behind the holes.
	middle := ram[len(ram)-1].Start + vmem.PhysAddr(ram[len(ram)-1].Size/2)&^(vmem.PageSize-1)
	for name, test := range map[string]struct {
		pieces []piece
		shifts int // how many there are
	}{
		"from address 0":                         {[]piece{{Size: uint64(end)}}, 1},
		"ranges of RAM":                          {ram, 1},
		"a hole between the kernel and the rest": {[]piece{{Size: uint64(middle - 0x100000)}, {Start: middle, Size: uint64(end - middle)}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := &file{n.mem, test.pieces}
			for _, o := range []*Options{{Symbols: n.symbols}, nil} {
				if o == nil && test.shifts == 1 && !testimages.Thorough() {
					continue // to take the symbols from each memory takes long
				}
				p, err := Place(t.Context(), f, o)
				if err != nil {
					t.Fatal(err)
				}
				checkPlacement(t, f, p, trueIOMem(t, img), test.shifts)
			}
		})
	}
}

// TestPlaceCut has files that lack the end, where the kernel's map of memory is. The boot
// loader's has the same RAM.
func TestPlaceCut(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	n := openBundled(t)
	ram := memmap.SystemRAM(trueIOMem(t, img))
	f := &file{n.mem, slices.Clone(ram)}
	f.pieces[len(ram)-1].Size -= 1 << 20
	p, err := Place(t.Context(), f, &Options{Symbols: n.symbols})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ram, memmap.SystemRAM(p.RAM)); diff != "" || p.Map != "boot_params" {
		t.Errorf("from %s: RAM (-want +got):\n%s", p.Map, diff)
	}
	for _, place := range p.Places {
		if f.offset(place.Addr) != place.Offset {
			t.Errorf("offset %#x is taken for %v, which is at %#x", place.Offset, place.Addr, f.offset(place.Addr))
		}
	}
}

func TestPlaceFindsNoKernel(t *testing.T) {
	n := openBundled(t)
	empty := &file{n.mem, []piece{{Size: 0x100000}}}
	if p, err := Place(t.Context(), empty, &Options{Symbols: n.symbols}); !errors.Is(err, ErrNoKernel) || p != nil {
		t.Errorf("%v, %v, want %v", p, err, ErrNoKernel)
	}
	copied := textMemory(n.symbols.Banner())
	if p, err := Place(t.Context(), copied, &Options{Symbols: n.symbols}); !errors.Is(err, ErrNoKernel) || p != nil {
		t.Errorf("a copy of the banner: %v, %v, want %v", p, err, ErrNoKernel)
	}
}

// textMemory is memory that holds some text.
type textMemory string

func (m textMemory) Ranges() []piece { return []piece{{Size: uint64(len(m))}} }

func (m textMemory) ReadAt(p []byte, off int64) (int, error) {
	n, err := bytes.NewReader([]byte(m)).ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = vmem.ErrNotCaptured
	}
	return n, err
}

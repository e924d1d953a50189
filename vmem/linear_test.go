package vmem_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// linearSpace returns 4 MiB of memory from physical 8 MiB on, of which the last page is not
// captured, in 2 MiB pages at kernel+8 MiB, and the table that maps it. Each word of the
// memory is its own address.
func linearSpace(t *testing.T, levels int) (*pagetest.Memory, *vmem.AddressSpace, vmem.PhysAddr) {
	t.Helper()
	m, tables := newTables(levels)
	for off := vmem.PhysAddr(0); off < 4<<20; off += 2 << 20 {
		tables.Map(kernel+8<<20+vmem.VirtAddr(off), 8<<20+off, 2, pagetest.Present|pagetest.Write|pagetest.NX)
	}
	for _, page := range []vmem.PhysAddr{8 << 20, 12<<20 - 0x2000} {
		for off := vmem.PhysAddr(0); off < vmem.PageSize; off += 8 {
			m.PutUint64(page+off, uint64(page+off))
		}
	}
	as := openSpace(t, m, tables.Root(), &x86.Options{Levels: levels})
	return m, as, tables.EntryAddr(kernel+8<<20, 2)
}

var linearMap = vmem.LinearMap{Range: virtRange{Start: kernel, Size: 1 << 30}}

// Whatever became of the tables, what is in a linear map is read.
func TestWithLinear(t *testing.T) {
	for name, damage := range map[string]func(*pagetest.Memory, vmem.PhysAddr){
		"whole":        func(*pagetest.Memory, vmem.PhysAddr) {},
		"zeros":        func(m *pagetest.Memory, at vmem.PhysAddr) { m.Zero(at&^0xfff, vmem.PageSize) },
		"not captured": func(m *pagetest.Memory, at vmem.PhysAddr) { m.Forget(at&^0xfff, vmem.PageSize) },
		"malformed":    func(m *pagetest.Memory, at vmem.PhysAddr) { m.PutUint64(at, ^uint64(0)) },
		"elsewhere": func(m *pagetest.Memory, at vmem.PhysAddr) {
			m.PutUint64(at, 0xa0_0000|pagetest.Present|pagetest.Large)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, tables, entry := linearSpace(t, 4)
			damage(m, entry)
			as := openSpace(t, m, tables.Root(), nil).WithLinear(linearMap)
			for _, pa := range []vmem.PhysAddr{8 << 20, 8<<20 + 0xff8, 12<<20 - 0x2000} {
				va := kernel + vmem.VirtAddr(pa)
				for range 2 { // the second time it is cached
					if v, err := as.Uint64(va); v != uint64(pa) || err != nil {
						t.Errorf("at %v: %#x, %v", va, v, err)
					}
				}
				page, err := as.Translate(va)
				if err != nil || page.At(va) != pa || !page.Range.Contains(va) {
					t.Errorf("page of %v: %+v, %v", va, page, err)
				}
				if (name == "whole") != (page.Range.Size == 2<<20) && pa < 10<<20 {
					t.Errorf("page of %v has %#x bytes", va, page.Range.Size)
				}
			}
		})
	}
}

// What was not captured is no less lost for being in a linear map, and what is in none is
// translated by tables.
func TestWithLinearHoles(t *testing.T) {
	m, tables, entry := linearSpace(t, 4)
	m.Zero(entry&^0xfff, vmem.PageSize)
	as := openSpace(t, m, tables.Root(), nil).WithLinear(linearMap)
	hole := kernel + 12<<20 - 0x1000
	want := &fault{Virt: hole, Phys: 12<<20 - 0x1000, Err: vmem.ErrNotCaptured}
	_, err := as.Uint64(hole)
	if diff := cmp.Diff(want, asFault(t, err), equateErrors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := "vmem: virtual 0xffff888000bff000: not captured (physical 0xbff000)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if n, err := as.ReadVirt(make([]byte, 0x2000), hole-0x1000); n != 0x1000 || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("read %#x bytes, %v", n, err)
	}
	if _, err := as.Uint8(kernel + 1<<30); !errors.Is(err, vmem.ErrNotPresent) {
		t.Errorf("behind the map: %v", err)
	}
}

// Of maps that overlap the first counts, and what had none is as it was.
func TestWithLinearOrder(t *testing.T) {
	_, tables, _ := linearSpace(t, 5)
	other := vmem.LinearMap{Range: virtRange{Start: kernel, Size: 8 << 20}, Phys: 8 << 20}
	as := tables.WithLinear(other).WithLinear(linearMap)
	if diff := cmp.Diff([]vmem.LinearMap{other, linearMap}, as.LinearMaps()); diff != "" {
		t.Errorf("maps (-want +got):\n%s", diff)
	}
	for va, want := range map[vmem.VirtAddr]uint64{kernel + 8: 8<<20 + 8, kernel + 8<<20 + 8: 8<<20 + 8} {
		if v, err := as.Uint64(va); v != want || err != nil {
			t.Errorf("at %v: %#x, %v", va, v, err)
		}
	}
	if len(tables.LinearMaps()) > 0 {
		t.Error("the space without maps has some")
	}
}

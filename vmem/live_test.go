package vmem_test

import (
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A machine is memory that runs, or not.
type machine struct {
	*pagetest.Memory
	runs bool
}

func (m machine) Live() bool { return m.runs }

// TestPhysicalRefresh changes memory under the cache: only that of a machine that runs
// is read again, and only after Refresh.
func TestPhysicalRefresh(t *testing.T) {
	for _, runs := range []bool{false, true} {
		m := machine{new(pagetest.Memory), runs}
		tables := pagetest.NewTables(m.Memory, 4, 0x1000)
		const va, pages = 0xffff888000000000, 3000 // more than the cache has sets
		tables.Map(va, 0x4000000, 2, pagetest.Present)
		for i := range pages {
			m.PutUint64(0x4000000+vmem.PhysAddr(i*vmem.PageSize), 1)
		}
		p := vmem.NewPhysical(m)
		if p.Live() != runs {
			t.Errorf("Live() = %v", p.Live())
		}
		space, err := x86.NewAddressSpace(p, tables.Root(), nil)
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string, want uint64) {
			t.Helper()
			for i := range 1024 {
				if got, err := p.Uint64(0x4000000 + vmem.PhysAddr(i*vmem.PageSize)); got != want || err != nil {
					t.Fatalf("runs %v, %s: page %d is %d, %v, want %d", runs, when, i, got, err, want)
				}
			}
			if got, err := space.Uint64(va); got != want || err != nil {
				t.Errorf("runs %v, %s: read by its virtual address %d, %v, want %d", runs, when, got, err, want)
			}
		}
		check("at first", 1)
		for i := range pages {
			m.PutUint64(0x4000000+vmem.PhysAddr(i*vmem.PageSize), 2)
		}
		check("changed", 1)
		p.Refresh()
		if runs {
			check("refreshed", 2)
		} else {
			check("refreshed", 1)
		}
	}
}

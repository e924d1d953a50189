package x86_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	pt "github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A directMap is 3 GiB of memory at 1 GiB: the first in one page, the second in 2 MiB pages of
// which one is split, the third in 2 MiB pages. mask is set in all entries.
type directMap struct {
	m      *pt.Memory
	tables *pt.Tables
	levels int
	mask   uint64
}

const (
	direct    = vmem.VirtAddr(0xffff_8880_0000_0000)
	directRAM = 3 << 30
)

func newDirectMap(levels int, mask uint64) *directMap {
	m, tables := newTables(levels)
	const bits = pt.Present | pt.Write | pt.NX | pt.Global
	tables.Map(direct+1<<30, 1<<30, 3, bits|mask)
	for off := uint64(2 << 30); off < 4<<30; off += 2 << 20 {
		if off == 2<<30 {
			for page := off; page < off+2<<20; page += vmem.PageSize {
				tables.Map(direct+vmem.VirtAddr(page), vmem.PhysAddr(page), 1, bits|mask)
			}
			continue
		}
		tables.Map(direct+vmem.VirtAddr(off), vmem.PhysAddr(off), 2, bits|mask)
	}
	return &directMap{m, tables, levels, mask}
}

func (d *directMap) compare(t *testing.T) x86.LinearDamage {
	t.Helper()
	tables, err := x86.NewTables(vmem.NewPhysical(d.m), d.tables.Root(), &x86.Options{Levels: d.levels, EncryptionMask: d.mask, LostRoot: true})
	if err != nil {
		t.Fatal(err)
	}
	m := vmem.LinearMap{Range: vmem.Range[vmem.VirtAddr]{Start: direct, Size: 4 << 30}}
	return tables.CompareLinear(m, []vmem.Range[vmem.PhysAddr]{{Start: 1 << 30, Size: directRAM}})
}

// table returns the table of a level that translates an address.
func (d *directMap) table(off vmem.VirtAddr, level int) vmem.PhysAddr {
	return d.tables.EntryAddr(direct+off, level) &^ (vmem.PageSize - 1)
}

// overwrite fills a page with one word.
func (d *directMap) overwrite(page vmem.PhysAddr, word uint64) {
	for off := vmem.PhysAddr(0); off < vmem.PageSize; off += 8 {
		d.m.PutUint64(page+off, word)
	}
}

func TestCompareLinear(t *testing.T) {
	for _, levels := range []int{4, 5} {
		for _, mask := range []uint64{0, 1 << 47} {
			d := newDirectMap(levels, mask)
			if diff := cmp.Diff(x86.LinearDamage{}, d.compare(t)); diff != "" {
				t.Errorf("%d levels, mask %#x (-want +got):\n%s", levels, mask, diff)
			}
		}
	}
}

// Each table that is lost is told, once, and how much it mapped.
func TestCompareLinearDamage(t *testing.T) {
	const small, second, third = 2 << 30, 2<<30 + 2<<20, 3 << 30
	for _, test := range []struct {
		name  string
		off   vmem.VirtAddr
		level int
		lost  uint64 // bytes
	}{
		{"top", small, 5, directRAM},
		{"P4D", small, 4, directRAM},
		{"PUD", small, 3, directRAM},
		{"PMD", third, 2, 1 << 30},
		{"PMD of a split page", second, 2, 1 << 30},
		{"PTE", small, 1, 2 << 20},
	} {
		at := newDirectMap(5, 0).table(test.off, test.level)
		for name, damage := range map[string]func(*directMap){
			"zeros":        func(d *directMap) { d.overwrite(at, 0) },
			"garbage":      func(d *directMap) { d.overwrite(at, 0xdeadbeefdeadbeef) },
			"not captured": func(d *directMap) { d.m.Forget(at, vmem.PageSize) },
			"tables":       func(d *directMap) { d.overwrite(at, uint64(d.tables.Root())|pt.Table) },
		} {
			d := newDirectMap(5, 0)
			damage(d)
			got := d.compare(t)
			if got.First == nil || got.Bytes != test.lost || len(got.Tables) != 1 {
				t.Errorf("%s, %s: %+v, want %#x bytes lost", test.name, name, got, test.lost)
				continue
			}
			// Of a table with one entry it can't be told whether it or the next is lost.
			if single := test.level > 3 && name == "tables"; !single && got.Tables[0] != at && got.Tables[0] != d.table(test.off, max(1, test.level-1)) {
				t.Errorf("%s, %s: tables %v, want %v", test.name, name, got.Tables, at)
			}
		}
	}
}

// Two wrong entries of one table are one table, and those of two are two.
func TestCompareLinearEntries(t *testing.T) {
	d := newDirectMap(4, 0)
	first := d.tables.EntryAddr(direct+2<<30+4<<20, 2)
	d.m.PutUint64(first, 0)
	d.m.PutUint64(first+8, 0x20_0000|pt.Present|pt.Large)
	d.m.PutUint64(d.tables.EntryAddr(direct+3<<30, 2), ^uint64(0))
	got := d.compare(t)
	want := []vmem.PhysAddr{d.table(2<<30, 2), d.table(3<<30, 2)}
	if !slices.Equal(got.Tables, want) || got.Bytes != 6<<20 || got.First.Phys != first || !errors.Is(got.First, vmem.ErrNotPresent) {
		t.Errorf("got %+v, want tables %v", got, want)
	}
}

// Pages that were taken out of the map are no damage.
func TestCompareLinearTakenOut(t *testing.T) {
	d := newDirectMap(4, 0)
	d.tables.Set(direct+2<<30+0x5000, 1, inverted(2<<30+0x5000)|pt.Write|pt.NX)
	d.tables.Set(direct+2<<30+0x6000, 1, 2<<30+0x6000|pt.Global|pt.NX)
	d.tables.Set(direct+3<<30, 2, inverted(3<<30)|pt.Write|pt.Large|pt.NX)
	if got := d.compare(t); got.First != nil {
		t.Errorf("got %+v", got)
	}
	d.tables.Set(direct+2<<30+0x5000, 1, inverted(2<<30+0x7000)|pt.Write|pt.NX)
	if got := d.compare(t); got.Bytes != vmem.PageSize {
		t.Errorf("another page's entry: %+v", got)
	}
}

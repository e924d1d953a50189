package x86_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	pt "github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
)

func TestMappingsInAddressOrder(t *testing.T) {
	m, tables := newTables(4)
	// Written in another order than they are to come out.
	tables.Map(0xffff_ffff_ffff_f000, 0x9000, 1, pt.Present|pt.Global)
	tables.Map(kernel, 0x1_4000_0000, 3, pt.Present|pt.Write)
	tables.Map(user+0x3000, 0x5000, 1, pt.Present|pt.User)
	tables.Map(user, 0x6000, 1, pt.Present|pt.User)
	tables.Map(user+0x20_0000, 0x40_0000, 2, pt.Present|pt.NX)
	tables.Map(0, 0x7000, 1, pt.Present)
	tables.Set(user+0x1000, 1, swapEntry(0, 1))
	as := openSpace(t, m, tables.Root(), nil)
	want := []step{
		{Mapping: vmem.Mapping{Range: page(0, 1), Phys: 0x7000}},
		{Mapping: vmem.Mapping{Range: page(user, 1), Phys: 0x6000, Flags: vmem.Flags{User: true}}},
		{Mapping: vmem.Mapping{Range: page(user+0x1000, 1)},
			Fault: &fault{user + 0x1000, tables.EntryAddr(user+0x1000, 1), 1, swapEntry(0, 1), vmem.ErrSwapped}},
		{Mapping: vmem.Mapping{Range: page(user+0x3000, 1), Phys: 0x5000, Flags: vmem.Flags{User: true}}},
		{Mapping: vmem.Mapping{Range: page(user+0x20_0000, 2), Phys: 0x40_0000, Flags: vmem.Flags{NX: true}}},
		{Mapping: vmem.Mapping{Range: page(kernel, 3), Phys: 0x1_4000_0000, Flags: vmem.Flags{Write: true}}},
		{Mapping: vmem.Mapping{Range: page(0xffff_ffff_ffff_f000, 1), Phys: 0x9000, Flags: vmem.Flags{Global: true}}},
	}
	if diff := cmp.Diff(want, collectAll(t, as), equateErrors); diff != "" {
		t.Errorf("whole address space (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		within   virtRange
		from, to int
	}{
		{virtRange{}, 0, 0},
		{virtRange{Start: 1 << 48, Size: 1 << 40}, 0, 0}, // the hole
		{virtRange{Start: 0xfff, Size: 1}, 0, 1},
		{virtRange{Start: user, Size: 0x3001}, 1, 4},
		{virtRange{Start: user + 0x23_4567, Size: 1}, 4, 5},
		{virtRange{Start: user + 0x3000, Size: uint64(kernel-user) - 0x3000}, 3, 5},
		{virtRange{Start: kernel + 1<<30 - 1, Size: ^uint64(0)}, 5, 7}, // beyond the end
		{virtRange{Start: 0xffff_ffff_ffff_ffff, Size: 1}, 6, 7},
	} {
		if diff := cmp.Diff(want[test.from:test.to], collect(t, as, test.within, 0), equateErrors, equateEmpty); diff != "" {
			t.Errorf("Mappings(%v) (-want +got):\n%s", test.within, diff)
		}
	}
}

func TestMappingsGoOnBehindADamagedTable(t *testing.T) {
	m, tables := newTables(4)
	const step2M = 0x20_0000
	for i := range vmem.VirtAddr(5) {
		tables.Map(user+i*step2M, 0x5000, 1, pt.Present)
	}
	lostTable := tables.EntryAddr(user+step2M, 1)
	m.Forget(lostTable, vmem.PageSize)                             // all of it
	m.Forget(tables.EntryAddr(user+2*step2M+0x7000, 1)+3, 1)       // one byte
	tables.Set(user+3*step2M, 2, 0x5000|pt.Present|pt.Large)       // not aligned
	tables.Set(user+3*step2M+0x4000_0000, 3, 0xdead_0000|pt.Write) // reads as a swap entry
	as := openSpace(t, m, tables.Root(), nil)
	pageAt := func(va vmem.VirtAddr) step {
		return step{Mapping: vmem.Mapping{Range: page(va, 1), Phys: 0x5000}}
	}
	want := []step{
		pageAt(user),
		{Mapping: vmem.Mapping{Range: page(user+step2M, 2)}, Fault: &fault{user + step2M, lostTable, 1, 0, vmem.ErrNotCaptured}},
		pageAt(user + 2*step2M),
		{Mapping: vmem.Mapping{Range: page(user+2*step2M+0x7000, 1)},
			Fault: &fault{user + 2*step2M + 0x7000, tables.EntryAddr(user+2*step2M+0x7000, 1) + 3, 1, 0, vmem.ErrNotCaptured}},
		{Mapping: vmem.Mapping{Range: page(user+3*step2M, 2)},
			Fault: &fault{user + 3*step2M, tables.EntryAddr(user+3*step2M, 2), 2, 0x5000 | pt.Present | pt.Large, vmem.ErrBadEntry}},
		pageAt(user + 4*step2M),
		{Mapping: vmem.Mapping{Range: page(user+0x4000_0000, 3)},
			Fault: &fault{user + 0x4000_0000, tables.EntryAddr(user+0x4000_0000, 3), 3, 0xdead_0000 | pt.Write, vmem.ErrSwapped}},
	}
	if diff := cmp.Diff(want, collectAll(t, as), equateErrors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMappingsOfATableThatLeadsBackToItself(t *testing.T) {
	m, tables := newTables(4)
	tables.Map(user, 0x5000, 1, pt.Present)
	root := uint64(tables.Root())
	tables.Set(user+512<<30, 4, root|pt.Table)             // to itself
	tables.Set(user+1<<30, 3, root|pt.Table)               // to the table above
	tables.Set(user+2<<20, 2, root|pt.Table)               // two above
	tables.Set(user+4<<20, 2, 0x60_0000|pt.Table|pt.Large) // no loop
	as := openSpace(t, m, tables.Root(), nil)
	loop := func(va vmem.VirtAddr, level int) step {
		return step{Mapping: vmem.Mapping{Range: page(va, level)},
			Fault: &fault{va, tables.EntryAddr(va, level), level, root | pt.Table, vmem.ErrBadEntry}}
	}
	leaf := vmem.Flags{Write: true, User: true, Accessed: true, Dirty: true}
	want := []step{
		{Mapping: vmem.Mapping{Range: page(user, 1), Phys: 0x5000}},
		loop(user+2<<20, 2),
		{Mapping: vmem.Mapping{Range: page(user+4<<20, 2), Phys: 0x60_0000, Flags: leaf}},
		loop(user+1<<30, 3),
		loop(user+512<<30, 4),
	}
	if diff := cmp.Diff(want, collectAll(t, as), equateErrors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Four tables whose entries all lead to the next map 2^36 pages without any loop.
func TestMappingsBudget(t *testing.T) {
	m := new(pt.Memory)
	for level := range uint64(4) {
		for i := range vmem.PhysAddr(512) {
			m.PutUint64(vmem.PhysAddr(level<<12)+8*i, (level+1)<<12|pt.Table)
		}
	}
	// The last level has one page only, so that the walk is quick.
	m.Zero(3<<12, vmem.PageSize)
	m.PutUint64(3<<12, 0x5000|pt.Present)
	as := openSpace(t, m, 0, nil)
	var pages, faults int
	var last step
	for mapping, err := range as.Mappings(userHalf) {
		last = step{Mapping: mapping}
		if err == nil {
			pages++
			continue
		}
		faults++
		last.Fault = asFault(t, err)
	}
	// 65536 + 4 tables: 1 of level 4, 1 of level 3, and as many of level 2 as have
	// 512 of level 1 each.
	const perTable = 1 + 512
	const visited = 65536 + 4 - 2
	if want := visited/perTable*512 + visited%perTable - 1; pages != want || faults != 1 {
		t.Errorf("%d pages and %d faults, want %d and 1", pages, faults, want)
	}
	if last.Fault == nil || last.Range.Last() != userHalf.Last() {
		t.Fatalf("the walk ended with %+v, want a fault for the rest", last)
	}
	if diff := cmp.Diff(vmem.ErrBadEntry, last.Fault.Err, equateErrors); diff != "" {
		t.Errorf("reason (-want +got):\n%s", diff)
	}
}

func TestMappingsStopsWhenAsked(t *testing.T) {
	m, tables := newTables(4)
	for i := range vmem.VirtAddr(8) {
		tables.Map(user+i<<12, 0x5000, 1, pt.Present)
		tables.Set(kernel+i<<30, 3, 0x9000_0000|pt.Table)
	}
	as := openSpace(t, m, tables.Root(), nil)
	for limit := 1; limit < 9; limit++ {
		if got := collect(t, as, userHalf, limit); len(got) != min(limit, 8) {
			t.Errorf("%d elements after a break at %d", len(got), limit)
		}
		if got := collect(t, as, kernelHalf, limit); len(got) != min(limit, 8) {
			t.Errorf("%d faults after a break at %d", len(got), limit)
		}
	}
}

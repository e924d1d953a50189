package x86_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	pt "github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

func TestEntries(t *testing.T) {
	m, tables := newTables(4)
	tables.Map(user, 0x6000, 1, pt.Present|pt.User|x86.EntrySoftDirty)
	tables.Map(user+0x20_0000, 0x40_0000, 2, pt.Present|pt.NX)
	tables.Set(user+0x1000, 1, swapEntry(3, 0x1234)|x86.SwapExclusive)
	tables.Set(user+0x2000, 1, swapEntry(31, 4)) // a marker
	tables.Set(user+0x3000, 1, swapEntry(29, 9)) // memory of a device
	tables.Map(user+0x4000_0000, 0x5000, 1, pt.Present)
	lost := tables.EntryAddr(user+0x4000_0000, 1)
	m.Forget(lost, vmem.PageSize)
	as := openSpace(t, m, tables.Root(), &x86.Options{SwapTypes: vmem.SwapTypes{Device: 2, Marker: 1}})
	type step struct {
		Range  virtRange
		Level  int
		Entry  uint64
		Phys   vmem.PhysAddr
		Reason error
		Type   uint8
		Offset uint64
		Lost   error
	}
	var got []step
	for e, err := range as.Tables().(*x86.Tables).Entries(virtRange{Start: 0, Size: 1 << 47}) {
		s := step{Range: e.Range, Level: e.Level, Entry: e.Entry, Phys: e.Phys, Reason: e.Reason, Lost: err}
		if e.Reason != nil {
			s.Type, s.Offset = x86.SwapType(e.Entry), x86.SwapOffset(e.Entry)
		}
		got = append(got, s)
	}
	want := []step{
		{Range: page(user, 1), Level: 1, Entry: 0x6000 | pt.Present | pt.User | 1<<11, Phys: 0x6000},
		{Range: page(user+0x1000, 1), Level: 1, Entry: swapEntry(3, 0x1234) | 8, Reason: vmem.ErrSwapped, Type: 3, Offset: 0x1234},
		{Range: page(user+0x2000, 1), Level: 1, Entry: swapEntry(31, 4), Reason: vmem.ErrNotPresent, Type: 31, Offset: 4},
		{Range: page(user+0x3000, 1), Level: 1, Entry: swapEntry(29, 9), Reason: vmem.ErrSpecialEntry, Type: 29, Offset: 9},
		{Range: page(user+0x20_0000, 2), Level: 2, Entry: 0x40_0000 | pt.Present | pt.NX | pt.Large, Phys: 0x40_0000},
		{Range: page(user+0x4000_0000, 2), Lost: vmem.ErrNotCaptured},
	}
	if diff := cmp.Diff(want, got, equateErrors); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

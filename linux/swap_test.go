package linux

import (
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A configured is what the settings of a kernel make of its types and symbols.
type configured struct {
	pageFlags, events, notifier, symbols []string
	rssStat                              bool
	maxSwapFiles                         uint64 // 0: not known
}

func (c configured) file(t *testing.T) *isf.File {
	t.Helper()
	enum := func(name string, constants []string) isf.Enum {
		e := isf.Enum{Name: name, Size: 4, Base: "unsigned int"}
		for i, c := range constants {
			e.Constants = append(e.Constants, isf.Constant{Name: c, Value: int64(i)})
		}
		return e
	}
	contents := isf.Contents{
		Bases:   []isf.BaseType{{Name: "unsigned int", Size: 4, Kind: isf.BaseInt}},
		Enums:   []isf.Enum{enum("pageflags", c.pageFlags), enum("vm_event_item", c.events), enum("mmu_notifier_event", c.notifier)},
		Symbols: []isf.Symbol{{Name: "swap_info", Address: 8, Type: &isf.Type{Kind: isf.KindArray, Count: c.maxSwapFiles, Elem: &isf.Type{Kind: isf.KindBase, Name: "unsigned int"}}}},
	}
	if c.rssStat {
		contents.Types = []isf.UserType{{Name: "mm_rss_stat", Kind: isf.KindStruct, Size: 8}}
	}
	for _, name := range c.symbols {
		contents.Symbols = append(contents.Symbols, isf.Symbol{Name: name, Address: 16})
	}
	f, err := isf.New(contents)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The kernels are those of Debian, with the settings in their /boot/config, and what
// include/linux/swap.h of their sources makes of them; and what it makes of others.
func TestSwapTypes(t *testing.T) {
	migration, poison, exclusive := []string{"PGFAULT", "PGMIGRATE_SUCCESS"}, []string{"PG_locked", "PG_hwpoison"}, []string{"PG_locked", "PG_anon_exclusive"}
	both, notify := []string{"PG_locked", "PG_hwpoison", "PG_anon_exclusive"}, []string{"MMU_NOTIFY_EXCLUSIVE"}
	for name, test := range map[string]struct {
		c    configured
		want vmem.SwapTypes
	}{
		"Debian 5.10": {configured{[]string{"PG_locked"}, migration, nil, nil, true, 30}, vmem.SwapTypes{Migration: 2}},
		"Debian 6.1":  {configured{exclusive, migration, notify, []string{"migrate_vma_setup"}, true, 27}, vmem.SwapTypes{Migration: 3, Marker: 1, SwapinError: 1}},
		"Debian 6.12": {configured{both, migration, notify, []string{"migrate_vma_setup"}, false, 27}, vmem.SwapTypes{HWPoison: 1, Migration: 3, Marker: 1}},
		"Debian 7.2":  {configured{both, migration, notify, []string{"make_device_exclusive"}, false, 24}, vmem.SwapTypes{HWPoison: 1, Migration: 3, Device: 3, Marker: 1}},

		"6.12 without the length":      {configured{both, migration, notify, []string{"do_exit"}, false, 0}, vmem.SwapTypes{HWPoison: 1, Migration: 3, Marker: 1}},
		"6.1 without the length":       {configured{exclusive, migration, notify, nil, true, 0}, vmem.SwapTypes{}},
		"6.1 without PTE_MARKER":       {configured{exclusive, migration, notify, nil, true, 28}, vmem.SwapTypes{Migration: 3, SwapinError: 1}},
		"6.1 with DEVICE_PRIVATE":      {configured{both, migration, notify, []string{"make_device_exclusive_range"}, true, 22}, vmem.SwapTypes{HWPoison: 1, Migration: 3, Device: 4, Marker: 1, SwapinError: 1}},
		"5.10 with all":                {configured{poison, migration, nil, []string{"migrate_vma_setup"}, true, 27}, vmem.SwapTypes{HWPoison: 1, Migration: 2, Device: 2}},
		"5.10 without MIGRATION":       {configured{poison, []string{"PGFAULT"}, nil, nil, true, 31}, vmem.SwapTypes{HWPoison: 1}},
		"a length that does not fit":   {configured{both, migration, notify, nil, false, 24}, vmem.SwapTypes{}},
		"no symbols, no length":        {configured{both, migration, notify, nil, false, 0}, vmem.SwapTypes{}},
		"no types":                     {configured{nil, nil, nil, nil, false, 27}, vmem.SwapTypes{}},
		"a length beyond all types":    {configured{both, migration, notify, []string{"do_exit"}, false, 33}, vmem.SwapTypes{HWPoison: 1, Migration: 3, Marker: 1}},
		"more than any kernel's types": {configured{exclusive, migration, notify, nil, true, 1}, vmem.SwapTypes{}},
	} {
		if got := swapTypes(test.c.file(t)); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// TestMigratingPage puts a migration entry in the place of a page of init, in memory of a
// kernel that numbers them from 28 on, and reads the page.
func TestMigratingPage(t *testing.T) {
	img := testimages.Named(t, "s-6.12-la57")
	f, err := kcore.Open(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	k, err := Open(t.Context(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	tasks, _ := walk(t, k)
	mm, err := tasks[1].MM()
	if err != nil {
		t.Fatal(err)
	}
	m := smeartest.New(f)
	m.PutUint64(entryOf(t, k, mm), 28<<59|(^uint64(0x1234)&(1<<50-1))<<9)
	if k, err = Open(t.Context(), m, &Options{Symbols: k.Symbols()}); err != nil {
		t.Fatal(err)
	}
	tasks, _ = walk(t, k)
	if mm, err = tasks[1].MM(); err != nil {
		t.Fatal(err)
	}
	_, err = mm.ReadVirt(make([]byte, 1), mm.ArgStart)
	if fault, ok := errors.AsType[*vmem.Fault](err); !ok || !errors.Is(err, vmem.ErrMigrating) {
		t.Errorf("the page reads as %v, want that it migrates", err)
	} else if typ, offset := x86.SwapEntry(fault); typ != 28 || offset != 0x1234 {
		t.Errorf("type %d, offset %#x", typ, offset)
	}
}

// entryOf returns where the page-table entry of the page of the arguments is, found bit by
// bit.
func entryOf(t *testing.T, k *Kernel, mm *MM) vmem.PhysAddr {
	t.Helper()
	table := mm.Space().Root()
	for shift := 12 + 9*(k.Info().PageTableLevels-1); ; shift -= 9 {
		at := table + vmem.PhysAddr(mm.ArgStart>>shift&511*8)
		if shift == 12 {
			return at
		}
		e, err := k.phys.Uint64(at)
		if err != nil || e&1 == 0 {
			t.Fatalf("entry %#x at %v, %v", e, at, err)
		}
		table = vmem.PhysAddr(e & (1<<52 - 1<<12))
	}
}

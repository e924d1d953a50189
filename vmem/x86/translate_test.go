package x86_test

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	pt "github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

const (
	user   = vmem.VirtAddr(0x7f00_0000_0000)
	kernel = vmem.VirtAddr(0xffff_8880_0000_0000)
)

// inverted returns the frame address of a PROT_NONE entry that leads to pa.
func inverted(pa uint64) uint64 { return ^pa & 0xf_ffff_ffff_f000 }

// swapEntry is __swp_entry of arch/x86/include/asm/pgtable_64.h, field by field.
func swapEntry(typ, offset uint64) uint64 {
	return typ<<59 | (^offset&(1<<50-1))<<9
}

func TestTranslatePages(t *testing.T) {
	for _, test := range []struct {
		name  string
		va    vmem.VirtAddr
		level int
		entry uint64
		opts  x86.Options
		want  vmem.Mapping
	}{
		{name: "4 KiB", va: user, level: 1, entry: 0x5000 | pt.Present | pt.Write | pt.User | pt.NX,
			want: vmem.Mapping{Phys: 0x5000, Flags: vmem.Flags{Write: true, User: true, NX: true}}},
		{name: "2 MiB", va: user, level: 2, entry: 0x4000_0000 | pt.Present | pt.Large | pt.User | pt.Accessed | pt.Dirty,
			want: vmem.Mapping{Phys: 0x4000_0000, Flags: vmem.Flags{User: true, Accessed: true, Dirty: true}}},
		{name: "1 GiB", va: kernel, level: 3, entry: 0x8_4000_0000 | pt.Present | pt.Large | pt.Write | pt.Global,
			want: vmem.Mapping{Phys: 0x8_4000_0000, Flags: vmem.Flags{Write: true, Global: true}}},
		{name: "the last page there is", va: 0xffff_ffff_ffff_f000, level: 1, entry: 0x7000 | pt.Present,
			want: vmem.Mapping{Phys: 0x7000}},
		{name: "the first page of the upper half", va: 0xffff_8000_0000_0000, level: 1, entry: 0x7000 | pt.Present,
			want: vmem.Mapping{Phys: 0x7000}},
		{name: "5 levels", va: 0x00ff_ffff_ffff_f000, level: 1, entry: 0x7000 | pt.Present, opts: x86.Options{Levels: 5},
			want: vmem.Mapping{Phys: 0x7000}},
		{name: "the caching type is no address", va: kernel, level: 2, entry: 0x20_0000 | pt.Present | pt.Large | pt.PATLarge,
			want: vmem.Mapping{Phys: 0x20_0000}},
		{name: "bits for software and keys are no address", va: user, level: 1, entry: 0x5000 | pt.Present | 0x7ff<<52 | 0xe00,
			want: vmem.Mapping{Phys: 0x5000, Flags: vmem.Flags{Dirty: true}}},
		{name: "dirty but not to look like a shadow stack", va: user, level: 1, entry: 0x5000 | pt.Present | 1<<58,
			want: vmem.Mapping{Phys: 0x5000, Flags: vmem.Flags{Dirty: true}}},
		{name: "encrypted", va: user, level: 1, entry: 0x5000 | pt.Present | 1<<51, opts: x86.Options{EncryptionMask: 1 << 51},
			want: vmem.Mapping{Phys: 0x5000}},
		{name: "PROT_NONE", va: user, level: 1, entry: inverted(0x5000) | pt.ProtNone | pt.Accessed,
			want: vmem.Mapping{Phys: 0x5000, Flags: vmem.Flags{Accessed: true, ProtNone: true}}},
		{name: "PROT_NONE with a NUMA hint's rights", va: user, level: 1, entry: inverted(0x5000) | pt.ProtNone | pt.Write | pt.User | pt.Dirty,
			want: vmem.Mapping{Phys: 0x5000, Flags: vmem.Flags{Dirty: true, ProtNone: true}}},
		{name: "PROT_NONE, encrypted", va: user, level: 1, entry: inverted(0x5000) | pt.ProtNone, // bit 47 stays as it was
			opts: x86.Options{EncryptionMask: 1 << 47}, want: vmem.Mapping{Phys: 0x5000, Flags: vmem.Flags{ProtNone: true}}},
		{name: "PROT_NONE in a huge page, low bits inverted too", va: user, level: 2, entry: inverted(0x60_0000) | pt.ProtNone | pt.Large,
			want: vmem.Mapping{Phys: 0x60_0000, Flags: vmem.Flags{ProtNone: true}}},
		{name: "PROT_NONE in a huge page, low bits not inverted", va: user, level: 2, entry: inverted(0x60_0000)&^0x1f_f000 | pt.ProtNone | pt.Large,
			want: vmem.Mapping{Phys: 0x60_0000, Flags: vmem.Flags{ProtNone: true}}},
		{name: "PROT_NONE in 1 GiB", va: user, level: 3, entry: inverted(0xc000_0000) | pt.ProtNone | pt.Large,
			want: vmem.Mapping{Phys: 0xc000_0000, Flags: vmem.Flags{ProtNone: true}}},
		{name: "a huge page being split", va: user, level: 2, entry: inverted(0x60_0000)&^0x1f_f000 | pt.Large | pt.Write | pt.User | pt.Accessed,
			want: vmem.Mapping{Phys: 0x60_0000, Flags: vmem.Flags{Accessed: true, ProtNone: true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, tables := newTables(max(test.opts.Levels, 4))
			tables.Set(test.va, test.level, test.entry)
			as := openSpace(t, m, tables.Root(), &test.opts)
			test.want.Range = page(test.va, test.level)
			if diff := cmp.Diff([]step{{Mapping: test.want}}, collectAll(t, as)); diff != "" {
				t.Errorf("Mappings (-want +got):\n%s", diff)
			}
			for _, va := range []vmem.VirtAddr{test.va, test.want.Range.Last()} {
				got, err := as.Translate(va)
				if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
					t.Errorf("Translate(%v): %v (-want +got):\n%s", va, err, diff)
				}
			}
		})
	}
}

func TestTranslateFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		va     vmem.VirtAddr
		level  int
		entry  uint64
		opts   x86.Options
		silent bool // Mappings passes over it
		want   error
	}{
		{name: "empty", va: user, level: 1, silent: true, want: vmem.ErrNotPresent},
		{name: "empty but for an erratum", va: user, level: 1, entry: pt.Accessed | pt.Dirty, silent: true, want: vmem.ErrNotPresent},
		{name: "reserved bit at level 4", va: user, level: 4, entry: 0x5000 | pt.Present | pt.Large, want: vmem.ErrBadEntry},
		{name: "reserved bit at level 5", va: 1 << 48, level: 5, entry: 0x5000 | pt.Present | pt.Large, opts: x86.Options{Levels: 5}, want: vmem.ErrBadEntry},
		{name: "2 MiB page not aligned", va: kernel, level: 2, entry: 0x2000 | pt.Present | pt.Large, want: vmem.ErrBadEntry},
		{name: "1 GiB page not aligned", va: kernel, level: 3, entry: 0x20_0000 | pt.Present | pt.Large, want: vmem.ErrBadEntry},
		{name: "page beyond physical memory", va: user, level: 1, entry: 1<<46 | pt.Present, opts: x86.Options{PhysBits: 46}, want: vmem.ErrBadEntry},
		{name: "table beyond physical memory", va: user, level: 3, entry: 1<<46 | pt.Present, opts: x86.Options{PhysBits: 46}, want: vmem.ErrBadEntry},
		{name: "PROT_NONE beyond physical memory", va: user, level: 1, entry: 0x5000 | pt.ProtNone, opts: x86.Options{PhysBits: 46}, want: vmem.ErrBadEntry},
		{name: "encryption bit not known", va: user, level: 1, entry: 0x5000 | pt.Present | 1<<51, opts: x86.Options{PhysBits: 51}, want: vmem.ErrBadEntry},
		{name: "PROT_NONE table", va: user, level: 2, entry: inverted(0x5000) | pt.ProtNone, want: vmem.ErrBadEntry},
		{name: "swap entry with a reserved bit", va: user, level: 1, entry: swapEntry(0, 7) | pt.Large, want: vmem.ErrBadEntry},
		{name: "not present at level 4", va: user, level: 4, entry: 0x5000 | pt.Write, want: vmem.ErrBadEntry},
		{name: "swapped", va: user, level: 1, entry: swapEntry(1, 0x1234), want: vmem.ErrSwapped},
		{name: "swapped, soft dirty, exclusive", va: user, level: 1, entry: swapEntry(1, 0x1234) | 1<<1 | 1<<3, want: vmem.ErrSwapped},
		{name: "swapped huge page", va: user, level: 2, entry: swapEntry(1, 0x1200), want: vmem.ErrSwapped},
		{name: "special, kind not known", va: user, level: 1, entry: swapEntry(30, 0x1234), want: vmem.ErrSpecialEntry},
		{name: "migrating", va: user, level: 1, entry: swapEntry(30, 0x1234), opts: x86.Options{SwapTypes: vmem.SwapTypes{Migration: 2}}, want: vmem.ErrMigrating},
		{name: "migrating huge page", va: user, level: 2, entry: swapEntry(31, 0x1200), opts: x86.Options{SwapTypes: vmem.SwapTypes{Migration: 2}}, want: vmem.ErrMigrating},
		{name: "marker", va: user, level: 1, entry: swapEntry(31, 1), opts: x86.Options{SwapTypes: vmem.SwapTypes{Migration: 3, Marker: 1}}, silent: true, want: vmem.ErrNotPresent},
		{name: "kernel page without its present bit, as set_memory_np leaves it", va: kernel, level: 1, entry: inverted(0x5000) | pt.Write | pt.NX, silent: true, want: vmem.ErrNotPresent},
		{name: "kernel page that KFENCE protects", va: kernel, level: 1, entry: 0x5000 | pt.Global | pt.NX, silent: true, want: vmem.ErrNotPresent},
		{name: "page not captured", va: user, level: 3, entry: 0x7f_0000_0000 | pt.Present, want: vmem.ErrNotCaptured},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, tables := newTables(max(test.opts.Levels, 4))
			tables.Set(test.va, test.level, test.entry)
			as := openSpace(t, m, tables.Root(), &test.opts)
			want := &fault{test.va, tables.EntryAddr(test.va, test.level), test.level, test.entry, test.want}
			if errors.Is(test.want, vmem.ErrNotCaptured) { // the entry leads to a table that is not there
				want.Phys, want.Level, want.Entry = vmem.PhysAddr(test.entry&^pt.Present), test.level-1, 0
			}
			_, err := as.Translate(test.va)
			if diff := cmp.Diff(want, asFault(t, err), equateErrors); diff != "" {
				t.Errorf("Translate (-want +got):\n%s", diff)
			}
			lost := []step{{Mapping: vmem.Mapping{Range: page(test.va, test.level)}, Fault: want}}
			if test.silent {
				lost = nil
			}
			if diff := cmp.Diff(lost, collectAll(t, as), equateErrors, equateEmpty); diff != "" {
				t.Errorf("Mappings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	for _, test := range []struct {
		va         vmem.VirtAddr
		four, five bool
	}{
		{0, true, true},
		{0x7fff_ffff_ffff, true, true},
		{0x8000_0000_0000, false, true},
		{0xff_ffff_ffff_ffff, false, true},
		{0x100_0000_0000_0000, false, false},
		{0xfeff_ffff_ffff_ffff, false, false},
		{0xff00_0000_0000_0000, false, true},
		{0xffff_7fff_ffff_ffff, false, true},
		{0xffff_8000_0000_0000, true, true},
		{0xffff_ffff_ffff_ffff, true, true},
	} {
		for levels, want := range map[int]bool{4: test.four, 5: test.five} {
			m, tables := newTables(levels)
			as := openSpace(t, m, tables.Root(), &x86.Options{Levels: levels})
			if got := as.Canonical(test.va); got != want {
				t.Errorf("%d levels: Canonical(%v) = %t", levels, test.va, got)
			}
			reason := vmem.ErrNotPresent
			if !want {
				reason = vmem.ErrNonCanonical
			}
			_, err := as.Uint8(test.va)
			if diff := cmp.Diff(reason, asFault(t, err).Err, equateErrors); diff != "" {
				t.Errorf("%d levels: Uint8(%v) (-want +got):\n%s", levels, test.va, diff)
			}
		}
	}
}

// Each level can take a right away.
func TestFlagsCombineAllLevels(t *testing.T) {
	const all = pt.Present | pt.Write | pt.User
	for _, test := range []struct {
		name  string
		va    vmem.VirtAddr
		level int
		entry uint64 // bits of the table entry of that level
		want  vmem.Flags
	}{
		{"nothing taken away", user, 2, all, vmem.Flags{Write: true, User: true}},
		{"not writable", user, 2, all &^ pt.Write, vmem.Flags{User: true}},
		{"not for the user", user, 3, all &^ pt.User, vmem.Flags{Write: true}},
		{"not executable", user, 3, all | pt.NX, vmem.Flags{Write: true, User: true, NX: true}},
		{"page table isolation", user, 4, all | pt.NX, vmem.Flags{Write: true, User: true}},
		{"kernel not executable", kernel, 4, all | pt.NX, vmem.Flags{Write: true, User: true, NX: true}},
		{"of tables only the page is dirty", user, 2, all | pt.Accessed | pt.Dirty, vmem.Flags{Write: true, User: true}},
	} {
		m, tables := newTables(4)
		tables.Map(test.va, 0x5000, 1, all)
		at := tables.EntryAddr(test.va, test.level-1) &^ 0xfff
		tables.Set(test.va, test.level, uint64(at)|test.entry)
		as := openSpace(t, m, tables.Root(), nil)
		got, err := as.Translate(test.va)
		if diff := cmp.Diff(vmem.Mapping{Range: page(test.va, 1), Phys: 0x5000, Flags: test.want}, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", test.name, err, diff)
		}
	}
}

// unreadable is memory that was captured and can't be read.
type unreadable struct{}

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, io.ErrNoProgress }
func (unreadable) Ranges() []physRange               { return []physRange{{Start: 0, Size: 0x3000}} }

func TestNewAddressSpaceOverAnUnreadableRoot(t *testing.T) {
	_, err := x86.NewAddressSpace(vmem.NewPhysical(unreadable{}), 0x1000, nil)
	if diff := cmp.Diff(&fault{Phys: 0x1000, Err: io.ErrNoProgress}, asFault(t, err), equateErrors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The counts are those of kernels that exist; MAX_SWAPFILES, where the types of
// swap files end, is the number of elements of swap_info in their symbol tables.
func TestSwapTypesOfKernels(t *testing.T) {
	for _, test := range []struct {
		kernel       string
		types        vmem.SwapTypes
		maxSwapFiles uint64
		above        []error // from type MAX_SWAPFILES on
	}{
		{"Debian 5.10 cloud", vmem.SwapTypes{Migration: 2}, 30,
			[]error{vmem.ErrMigrating, vmem.ErrMigrating}},
		{"Debian 6.1 cloud", vmem.SwapTypes{Migration: 3, Marker: 1, SwapinError: 1}, 27,
			[]error{vmem.ErrMigrating, vmem.ErrMigrating, vmem.ErrMigrating, vmem.ErrNotPresent, vmem.ErrSpecialEntry}},
		{"Debian 6.12 cloud", vmem.SwapTypes{HWPoison: 1, Migration: 3, Marker: 1}, 27,
			[]error{vmem.ErrSpecialEntry, vmem.ErrMigrating, vmem.ErrMigrating, vmem.ErrMigrating, vmem.ErrNotPresent}},
		{"Debian 7.2 cloud", vmem.SwapTypes{HWPoison: 1, Migration: 3, Device: 3, Marker: 1}, 24,
			[]error{vmem.ErrSpecialEntry, vmem.ErrMigrating, vmem.ErrMigrating, vmem.ErrMigrating,
				vmem.ErrSpecialEntry, vmem.ErrSpecialEntry, vmem.ErrSpecialEntry, vmem.ErrNotPresent}},
	} {
		m, tables := newTables(4)
		for typ := range uint64(32) {
			tables.Set(user+vmem.VirtAddr(typ*vmem.PageSize), 1, swapEntry(typ, typ<<8|3))
		}
		as := openSpace(t, m, tables.Root(), &x86.Options{SwapTypes: test.types})
		for typ := range uint64(32) {
			_, err := as.Translate(user + vmem.VirtAddr(typ*vmem.PageSize))
			want := vmem.ErrSwapped
			if typ >= test.maxSwapFiles {
				want = test.above[typ-test.maxSwapFiles]
			}
			f := asFault(t, err)
			if diff := cmp.Diff(want, f.Err, equateErrors); diff != "" {
				t.Errorf("%s: type %d (-want +got):\n%s", test.kernel, typ, diff)
			}
			if gotType, offset := x86.SwapEntry((*vmem.Fault)(f)); uint64(gotType) != typ || offset != typ<<8|3 {
				t.Errorf("%s: SwapEntry = %d, %#x, want %d, %#x", test.kernel, gotType, offset, typ, typ<<8|3)
			}
		}
	}
}

func TestNewAddressSpace(t *testing.T) {
	m, tables := newTables(5)
	root := tables.Root()
	m.Zero(0x8000, vmem.PageSize)
	m.Forget(0x8fff, 1)
	for _, test := range []struct {
		name   string
		root   vmem.PhysAddr
		opts   *x86.Options
		want   string // the error, or
		levels int
	}{
		{name: "defaults", root: root, levels: 4},
		{name: "zero options", root: root, opts: &x86.Options{}, levels: 4},
		{name: "5 levels", root: root, opts: &x86.Options{Levels: 5}, levels: 5},
		{name: "encrypted root", root: root | 1<<47, opts: &x86.Options{EncryptionMask: 1 << 47}, levels: 4},
		{name: "partly captured root", root: 0x8000, levels: 4},
		{name: "root with PCID", root: root | 1, want: "x86: page-table root 0x100001 is not page aligned"},
		{name: "root not captured", root: 0x9000, want: "vmem: physical 0x9000: not captured"},
		{name: "3 levels", root: root, opts: &x86.Options{Levels: 3}, want: "x86: page tables of 3 levels: only 4 and 5 exist"},
		{name: "too many bits", root: root, opts: &x86.Options{PhysBits: 53}, want: "x86: physical addresses of 53 bits: only 32 to 52 exist"},
		{name: "two encryption bits", root: root, opts: &x86.Options{EncryptionMask: 3 << 46}, want: "x86: encryption mask 0xc00000000000: not one of bits 32 to 51"},
		{name: "low encryption bit", root: root, opts: &x86.Options{EncryptionMask: 1 << 12}, want: "x86: encryption mask 0x1000: not one of bits 32 to 51"},
		{name: "too many swap types", root: root, opts: &x86.Options{SwapTypes: vmem.SwapTypes{Device: 30, Migration: 3}}, want: "x86: 33 special swap types: only 32 exist"},
	} {
		as, err := x86.NewAddressSpace(vmem.NewPhysical(m), test.root, test.opts)
		switch {
		case err != nil && err.Error() != test.want || err == nil && test.want != "":
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		case err == nil && (as.Tables().(*x86.Tables).Levels() != test.levels || as.Root() != test.root&0xffff_ffff):
			t.Errorf("%s: %d levels at %v", test.name, as.Tables().(*x86.Tables).Levels(), as.Root())
		}
	}
}

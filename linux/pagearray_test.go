package linux

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// A testPage is a struct page in the making: flags, type, mapping, private and what
// leads to its head.
type testPage struct {
	flags, mapping, head, private uint64
	typ                           uint32
}

const (
	lru, dirty, uptodate, reserved, slab, swapBacked, headFlag, private = 1, 2, 4, 8, 16, 32, 64, 128
	unmapped                                                            = ^uint32(0)
	pageArrayAt                                                         = uint64(base)
	regularAt                                                           = uint64(base) + 0x8000 // an address_space
	deviceAt                                                            = uint64(base) + 0x8100
)

// newTestPages returns Pages over an array of struct page as 6.1 has it, but for the
// count of mappings of a folio, which is in its second page, where the type is.
func newTestPages(t *testing.T, pages []testPage) *Pages {
	t.Helper()
	types := changed(t, openBundled(t).symbols, func(u *isf.UserType) {
		add(u, "_large_mapcount", 64+48, &isf.Type{Kind: isf.KindStruct, Name: "atomic_t"})
	}, "folio")
	k := newTestKernelOf(t, types)
	for i, p := range pages {
		b := make([]byte, 64)
		le := binary.LittleEndian
		le.PutUint64(b, p.flags)
		le.PutUint64(b[8:], p.head)
		le.PutUint64(b[24:], p.mapping)
		le.PutUint64(b[40:], p.private)
		le.PutUint32(b[48:], p.typ)
		k.mem.Write(vmem.PhysAddr(0x200000+64*i), b)
	}
	k.put(0x8000, at(0x9000)) // host
	k.put(0x8100, at(0x9100))
	k.put(0x9000, 0x81a4) // i_mode
	k.put(0x9100, 0x61b0)
	v, err := bindPages(types)
	if err != nil {
		t.Fatal(err)
	}
	return &Pages{
		phys: k.phys, space: k.space, base: base, views: v, size: v.page.Size(), hasIndex: v.page.Has("Index"),
		flags: pageFlags{lru: lru, unclean: dirty, uptodate: uptodate, reserved: reserved, slab: slab, swapBacked: swapBacked, head: headFlag, private: private},
		types: pageTypes{buddy: pageType{0xf0000080, 0xf0000000}, table: pageType{0xf0000200, 0xf0000000}},
	}
}

func TestClassifyPages(t *testing.T) {
	const file = 0xffff888000001000
	free := func(order uint64) testPage { return testPage{typ: 0xffffff7f, private: order} }
	clean := testPage{flags: lru | uptodate, mapping: file, typ: unmapped}
	change := func(f func(*testPage)) testPage { p := clean; f(&p); return p }
	tail := func(head uint64) testPage { return testPage{head: head | 1, typ: unmapped} }
	const (
		other, isSlab, table, anon, inFile, isClean, isFree = memmap.PageOther, memmap.PageSlab, memmap.PageTable, memmap.PageAnon, memmap.PageFile, memmap.PageCleanFile, memmap.PageFree
	)
	tests := []struct {
		name  string
		pages []testPage
		want  []memmap.PageClass
	}{
		{"free block", []testPage{free(2), {}, {}, {}, {typ: unmapped}}, []memmap.PageClass{isFree, isFree, isFree, isFree, other}},
		{"free block beyond what is asked for", []testPage{free(3), {}}, []memmap.PageClass{isFree, isFree}},
		{"free block that is not aligned", []testPage{{}, free(1), {}}, []memmap.PageClass{other, other, other}},
		{"free block of an impossible order", []testPage{free(60), {}}, []memmap.PageClass{other, other}},
		{"page cache", []testPage{
			clean, change(func(p *testPage) { p.flags |= dirty }), change(func(p *testPage) { p.flags &^= uptodate }),
			change(func(p *testPage) { p.typ = 0 }), change(func(p *testPage) { p.flags |= swapBacked }), change(func(p *testPage) { p.flags &^= lru }),
		}, []memmap.PageClass{isClean, inFile, inFile, inFile, inFile, other}},
		{"page cache with buffers: of a file, of a device, of nothing to be read", []testPage{
			change(func(p *testPage) { p.flags |= private; p.mapping = regularAt }), change(func(p *testPage) { p.flags |= private; p.mapping = deviceAt }),
			change(func(p *testPage) { p.flags |= private }),
		}, []memmap.PageClass{isClean, inFile, inFile}},
		{"others", []testPage{
			change(func(p *testPage) { p.mapping |= 1 }), change(func(p *testPage) { p.mapping |= 2 }), change(func(p *testPage) { p.mapping = 0 }),
			change(func(p *testPage) { p.flags |= reserved }), {flags: slab, typ: 5}, {typ: 0xfffffdff},
		}, []memmap.PageClass{anon, other, other, other, isSlab, table}},
		{"slab of two pages", []testPage{{}, {flags: slab | headFlag}, tail(pageArrayAt + 64)}, []memmap.PageClass{other, isSlab, isSlab}},
		{"head by a mask", []testPage{{}, {}, {flags: slab | headFlag}, tail(^uint64(127))}, []memmap.PageClass{other, other, isSlab, isSlab}},
		{"head before what is asked for", []testPage{tail(pageArrayAt - 64)}, []memmap.PageClass{other}},
		{"head inside another page", []testPage{{flags: slab}, tail(pageArrayAt + 32)}, []memmap.PageClass{isSlab, other}},
		{"large folio, unmapped and mapped", []testPage{
			change(func(p *testPage) { p.flags |= headFlag }), tail(pageArrayAt),
			change(func(p *testPage) { p.flags |= headFlag }), {head: pageArrayAt + 128 | 1, typ: 0},
		}, []memmap.PageClass{isClean, isClean, inFile, inFile}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newTestPages(t, tt.pages)
			got := make([]memmap.PageClass, len(tt.pages))
			if err := p.ClassifyPages(got, 0); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("classes (-want +got):\n%s", d)
			}
		})
	}
}

func TestClassifyPagesWithoutStructPages(t *testing.T) {
	p := newTestPages(t, []testPage{{flags: slab}})
	got := []memmap.PageClass{memmap.PageFree, memmap.PageFree}
	p.base = base + 2<<20 - 64 // the last of what is mapped
	if err := p.ClassifyPages(got, 0); !errors.Is(err, vmem.ErrNotCaptured) && !errors.Is(err, vmem.ErrNotPresent) {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff([]memmap.PageClass{memmap.PageOther, memmap.PageOther}, got); d != "" {
		t.Errorf("classes (-want +got):\n%s", d)
	}
}

func TestPageTypes(t *testing.T) {
	enum := func(name string, constants ...isf.Constant) isf.Enum {
		return isf.Enum{Name: name, Size: 4, Base: "unsigned int", Constants: constants}
	}
	tests := []struct {
		name              string
		enums             []isf.Enum
		buddy, table, slb uint32 // values of page_type
	}{
		{"6.1", []isf.Enum{enum("pageflags", isf.Constant{Name: "PG_slab", Value: 9})}, 0xffffff7f, 0xfffffdff, 0},
		{"6.10", []isf.Enum{enum("pageflags")}, 0xffffff7f, 0xfffffdff, 0xffffefff},
		{"6.11", []isf.Enum{enum("pagetype", isf.Constant{Name: "PG_table", Value: 0x10000000}, isf.Constant{Name: "PG_slab", Value: 0x02000000},
			isf.Constant{Name: "PG_buddy", Value: 0x40000000}, isf.Constant{Name: "PAGE_TYPE_BASE", Value: 0x80000000})}, 0xbfffffff, 0xefffffff, 0xfdffffff},
		{"6.12", []isf.Enum{enum("pagetype", isf.Constant{Name: "PGTY_buddy", Value: 240}, isf.Constant{Name: "PGTY_table", Value: 242},
			isf.Constant{Name: "PGTY_slab", Value: 245})}, 0xf0000003, 0xf2000000, 0xf5abcdef},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			symbols, err := isf.New(isf.Contents{Enums: tt.enums})
			if err != nil {
				t.Fatal(err)
			}
			types := newPageTypes(symbols)
			for i, v := range []uint32{tt.buddy, tt.table, tt.slb, unmapped, 0, 1} {
				got := [3]bool{types.buddy.is(v), types.table.is(v), types.slab.is(v)}
				want := [3]bool{i == 0, i == 1, i == 2 && tt.slb != 0}
				if got != want {
					t.Errorf("page_type %#x is buddy, table, slab: %v, want %v", v, got, want)
				}
			}
		})
	}
}

package memory

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A pageStruct is struct page as far as it says how a page is mapped (include/linux/mm_types.h).
type pageStruct struct {
	Flags    uint64        `kernel:"flags.f|flags"`               // in a structure since 6.18 (53fbef56e07d)
	Head     uint64        `kernel:"compound_info|compound_head"` // renamed in 7.1
	Mapping  vmem.VirtAddr `kernel:"mapping"`
	Mapcount int32         `kernel:"_mapcount.counter"` // less one
	Refs     int32         `kernel:"_refcount.counter"`
}

// pageBits are bits of page->flags (enum pageflags), as masks; 0 for what the kernel does not have.
type pageBits struct {
	head, swapBacked, dirty, referenced, young, doubleMap, exclusive uint64
}

// A pageTable reads what is kept of pages.
type pageTable struct {
	pages *linux.Pages
	mem   *vmem.AddressSpace
	view  *kstruct.View[pageStruct]
	flags pageBits
	size  uint64 // of a struct page

	entire    kstruct.Member // how often a larger page is mapped as a whole, less one: of its second struct page, or of its folio
	ofFolio   bool           // the latter: since 6.2
	maskHeads bool           // tails have a mask that leads to the head
	typed     bool           // the count of a page that has a type is negative, and no count: since 6.11
}

// newPageTable returns what is kept of the pages of a kernel.
func newPageTable(k *linux.Kernel) (*pageTable, error) {
	pages, err := k.Pages()
	if err != nil {
		return nil, err
	}
	types := k.Symbols()
	b := kstruct.NewBinder(types)
	t := &pageTable{pages: pages, mem: k.Space(), view: kstruct.Bind[pageStruct](b, "page")}
	if err := b.Err(); err != nil {
		return nil, err
	}
	t.size = t.view.Size()
	t.maskHeads = types.HasField("page", "compound_info")
	if t.entire = kstruct.BindOptionalMember(b, "page", "compound_mapcount"); !t.entire.Ok() {
		t.entire, t.ofFolio = kstruct.BindOptionalMember(b, "folio", "_entire_mapcount"), true
	}
	_, err = types.Enum("pagetype")
	t.typed = err == nil
	t.flags = pageBits{
		head: pageBit(types, "PG_head"), swapBacked: pageBit(types, "PG_swapbacked"), dirty: pageBit(types, "PG_dirty"), referenced: pageBit(types, "PG_referenced"),
		young: pageBit(types, "PG_young"), doubleMap: pageBit(types, "PG_double_map"), exclusive: pageBit(types, "PG_anon_exclusive"),
	}
	return t, nil
}

func pageBit(types *isf.File, name string) uint64 {
	bit, err := types.Constant("pageflags", name)
	if err != nil || bit < 0 || bit > 63 {
		return 0
	}
	return 1 << bit
}

// A pageInfo is what is kept of a page and the folio that it is part of.
type pageInfo struct {
	addr vmem.VirtAddr // of the struct page
	page pageStruct
	head pageStruct // the same, unless it is a tail
	at   vmem.VirtAddr

	cache [pieces]piece // of the array of struct page: neighbours are often neighbours in memory
}

// A piece is a page of the array of struct page.
type piece struct {
	at   vmem.VirtAddr
	data []byte
}

const pieces = 16

// load reads the struct page at addr.
func (t *pageTable) load(addr vmem.VirtAddr, i *pageInfo, out *pageStruct) error {
	at := addr &^ (vmem.PageSize - 1)
	p := &i.cache[at/vmem.PageSize%pieces]
	if p.at != at || p.data == nil {
		data, err := t.mem.View(at, vmem.PageSize)
		if err != nil {
			return err
		}
		p.at, p.data = at, data
	}
	if from := int(addr - at); from+int(t.view.Span()) <= len(p.data) {
		return t.view.Decode(p.data[from:], addr, out)
	}
	return t.view.Read(t.mem, addr, out) // across the end
}

// read reads what is kept of the page of memory at pa.
func (t *pageTable) read(pa vmem.PhysAddr, i *pageInfo) error {
	i.addr = t.pages.Struct(pa)
	if err := t.load(i.addr, i, &i.page); err != nil {
		return err
	}
	i.at, i.head = i.addr, i.page
	if i.page.Head&1 == 0 {
		return nil
	}
	i.at = t.headOf(i.addr, i.page.Head)
	if err := t.load(i.at, i, &i.head); err != nil {
		return err
	}
	if i.head.Flags&t.flags.head == 0 {
		return corrupt("struct page %v is a tail of %v, which is no head", i.addr, i.at)
	}
	return nil
}

// headOf returns the first struct page of a larger page by one behind it (_compound_head of include/linux/page-flags.h).
func (t *pageTable) headOf(tail vmem.VirtAddr, info uint64) vmem.VirtAddr {
	low := ^(info &^ 1)
	if t.maskHeads && low&(low+1) == 0 { // all bits above one, and none below
		return tail & vmem.VirtAddr(info)
	}
	return vmem.VirtAddr(info &^ 1)
}

// Marks in page->mapping (include/linux/page-flags.h).
const (
	mappingAnon = 1
	mappingKSM  = 3
)

func (i *pageInfo) anonymous() bool         { return i.head.Mapping&mappingAnon != 0 }
func (i *pageInfo) ksm() bool               { return i.head.Mapping&mappingKSM == mappingKSM }
func (t *pageTable) large(i *pageInfo) bool { return i.head.Flags&t.flags.head != 0 }

// mapcount returns how often a page is mapped, alone or as a part of a larger one (folio_precise_page_mapcount of fs/proc/internal.h,
// __page_mapcount of mm/util.c before).
func (t *pageTable) mapcount(i *pageInfo, hugetlb bool) (int32, error) {
	count := i.page.Mapcount + 1
	if t.typed && count < 0 {
		count = 0
	}
	if !t.large(i) || !t.ofFolio && !i.anonymous() && !hugetlb || !t.entire.Ok() {
		return count, nil
	}
	second := i.at + vmem.VirtAddr(t.size)
	at := t.entire.Of(i.at)
	if !t.ofFolio {
		at = t.entire.Of(second)
	}
	whole, err := t.mem.Uint32(at)
	count += int32(whole) + 1
	if err == nil && !t.ofFolio && t.flags.doubleMap != 0 {
		var p pageStruct
		if err = t.view.Read(t.mem, second, &p); p.Flags&t.flags.doubleMap != 0 {
			count--
		}
	}
	return count, err
}

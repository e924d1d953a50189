package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

const vmemmap4 = x86.VMemMap4

// maxOrder bounds the order of a block in the buddy allocator (MAX_ORDER, MAX_PAGE_ORDER).
const maxOrder = 11

// pageBytes is the largest struct page that is believed.
const pageBytes = 256

// A pageStruct is struct page (include/linux/mm_types.h).
type pageStruct struct {
	Flags   uint64        `kernel:"flags.f|flags"`               // in a structure since 6.18 (53fbef56e07d)
	Head    uint64        `kernel:"compound_info|compound_head"` // renamed in 7.1
	Mapping vmem.VirtAddr `kernel:"mapping"`
	Index   uint64        `kernel:"index|__folio_index,optional"` // of the page in its mapping; renamed in 6.16
	Private uint64        `kernel:"private"`
	Type    uint32        `kernel:"page_type"`
}

// A folioStruct is struct folio, which overlays the pages of a larger page.
type folioStruct struct {
	Mapcount int32 `kernel:"_large_mapcount.counter"` // since 6.10
}

type pageViews struct {
	page  *kstruct.View[pageStruct]
	folio *kstruct.View[folioStruct]
	host  *kstruct.Field[vmem.VirtAddr] // of address_space: its inode
	mode  *kstruct.Field[uint16]        // of inode
}

func bindPages(types *isf.File) (v pageViews, err error) {
	b := kstruct.NewBinder(types)
	v.page = kstruct.Bind[pageStruct](b, "page")
	v.host = kstruct.BindField[vmem.VirtAddr](b, "address_space", "host")
	v.mode = kstruct.BindField[uint16](b, "inode", "i_mode")
	if kstruct.BindOptionalMember(b, "folio", "_large_mapcount.counter").Ok() {
		v.folio = kstruct.Bind[folioStruct](b, "folio")
	}
	return v, b.Err()
}

// pageFlags are the bits of page->flags (enum pageflags, include/linux/page-flags.h), as
// masks; 0 for what the kernel does not have.
type pageFlags struct {
	reserved, slab, lru, swapBacked, uptodate, head uint64
	unclean                                         uint64 // dirty, writeback, private_2
	private                                         uint64 // the file system keeps something of the page
}

func newPageFlags(symbols *isf.File) (pageFlags, error) {
	var err error
	bits := func(names ...string) (mask uint64) {
		for _, name := range names {
			bit, lookup := symbols.Constant("pageflags", name)
			if lookup != nil || bit < 0 || bit > 63 {
				err = fmt.Errorf("%w: enum pageflags: %s", kstruct.ErrUnsupported, name)
			}
			mask |= 1 << (bit & 63)
		}
		return mask
	}
	f := pageFlags{
		reserved: bits("PG_reserved"), lru: bits("PG_lru"), swapBacked: bits("PG_swapbacked"),
		uptodate: bits("PG_uptodate"), head: bits("PG_head"),
		unclean: bits("PG_dirty", "PG_writeback"), private: bits("PG_private"),
	}
	optional := func(name string) uint64 {
		bit, lookup := symbols.Constant("pageflags", name)
		if lookup != nil || bit < 0 || bit > 63 {
			return 0
		}
		return 1 << bit
	}
	f.slab = optional("PG_slab") // a page type since 6.10
	f.unclean |= optional("PG_private_2")
	return f, err
}

// A pageType tells pages of one type by page->page_type: value under mask. The zero
// pageType has no pages.
type pageType struct{ mask, value uint32 }

func (t pageType) is(v uint32) bool { return t.mask != 0 && v&t.mask == t.value }

// pageTypes are those of include/linux/page-flags.h that matter.
type pageTypes struct{ buddy, table, slab, kmalloc pageType }

// newPageTypes goes by the enum: its values are the top byte of page_type since 6.12, and
// single bits below a base in 6.11. Before it there were macros, which symbols don't have.
func newPageTypes(symbols *isf.File) pageTypes {
	if _, err := symbols.Constant("pagetype", "PGTY_buddy"); err == nil {
		top := func(name string) pageType {
			v, err := symbols.Constant("pagetype", name)
			if err != nil {
				return pageType{}
			}
			return pageType{0xff << 24, uint32(v) << 24}
		}
		return pageTypes{top("PGTY_buddy"), top("PGTY_table"), top("PGTY_slab"), top("PGTY_large_kmalloc")}
	}
	// A type clears its bit of a value that has all bits set.
	bit := func(base, flag uint32) pageType { return pageType{base | flag, base} }
	if base, err := symbols.Constant("pagetype", "PAGE_TYPE_BASE"); err == nil {
		named := func(name string) pageType {
			v, err := symbols.Constant("pagetype", name)
			if err != nil {
				return pageType{}
			}
			return bit(uint32(base), uint32(v))
		}
		return pageTypes{buddy: named("PG_buddy"), table: named("PG_table"), slab: named("PG_slab")}
	}
	const base = 0xf0000000
	types := pageTypes{buddy: bit(base, 0x80), table: bit(base, 0x200)}
	if _, err := symbols.Constant("pageflags", "PG_slab"); err != nil { // 6.10
		types.slab = bit(base, 0x1000)
	}
	return types
}

// Pages tells what the pages of RAM are used for, by the array of struct page that the
// kernel keeps of them. It is a [memmap.PageClassifier]. It is immutable and safe for
// concurrent use; of a running machine it reads the array anew each time.
type Pages struct {
	phys     *vmem.Physical // of space
	space    *vmem.AddressSpace
	views    pageViews
	folios   folioViews
	size     uint64 // of a struct page
	hasIndex bool
	flags    pageFlags
	types    pageTypes
	base     vmem.VirtAddr // vmemmap
}

var _ memmap.PageClassifier = (*Pages)(nil)

// Pages finds the array of struct page (vmemmap). It fails with kstruct.ErrUnsupported where the
// symbols lack what it needs, and with kstruct.ErrCorrupt where what is there is no such array.
func (k *Kernel) Pages() (*Pages, error) {
	v, err := bindPages(k.symbols)
	if err != nil {
		return nil, fmt.Errorf("linux: %w", err)
	}
	p := &Pages{phys: k.phys, space: k.space, views: v, folios: bindFolio(k.symbols), size: v.page.Size(), hasIndex: v.page.Has("Index"), types: newPageTypes(k.symbols), base: vmemmap4}
	if p.flags, err = newPageFlags(k.symbols); err != nil {
		return nil, fmt.Errorf("linux: %w", err)
	}
	if p.size > pageBytes || v.page.Span() > p.size {
		return nil, fmt.Errorf("linux: %w: struct page of %d bytes", kstruct.ErrUnsupported, p.size)
	}
	if sym, err := k.Symbol("vmemmap_base"); err == nil {
		base, err := k.space.Uint64(sym)
		if err != nil {
			return nil, newGap("vmemmap_base", sym, err)
		}
		p.base = vmem.VirtAddr(base)
	}
	return p, p.verify(k)
}

// verify looks at the page of init_task, which is part of the kernel's image and so is
// reserved (reserve_bootmem_region of mm/mm_init.c).
func (p *Pages) verify(k *Kernel) error {
	m, err := k.space.Translate(k.initTask)
	if err != nil {
		return newGap("struct page of init_task", k.initTask, err)
	}
	addr := p.pageOf(m.Phys)
	page, err := p.views.page.Load(p.space, addr)
	if err != nil {
		return newGap("struct page of init_task", addr, err)
	}
	if page.Flags&p.flags.reserved == 0 {
		return gapf("struct page of init_task", addr, kstruct.ErrCorrupt, "flags %#x: the page is not reserved", page.Flags)
	}
	return nil
}

// pageOf returns the address of the struct page of the memory at pa.
func (p *Pages) pageOf(pa vmem.PhysAddr) vmem.VirtAddr {
	return p.base + vmem.VirtAddr(uint64(pa)/pageSize*p.size)
}

// Struct returns the address of the struct page of the memory at pa, whether there is any.
func (p *Pages) Struct(pa vmem.PhysAddr) vmem.VirtAddr { return p.pageOf(pa) }

// Memory returns the physical address of the memory that the struct page at addr is of. The error is
// [kstruct.ErrCorrupt] where there can be no struct page.
func (p *Pages) Memory(addr vmem.VirtAddr) (vmem.PhysAddr, error) {
	if addr < p.base || uint64(addr-p.base)%p.size != 0 || uint64(addr-p.base)/p.size >= 1<<40 {
		return 0, fmt.Errorf("%w: %v is no struct page", kstruct.ErrCorrupt, addr)
	}
	return vmem.PhysAddr(uint64(addr-p.base) / p.size * pageSize), nil
}

// ClassifyPages implements [memmap.PageClassifier]. A page that is part of a larger one
// whose head lies outside of what is asked for is PageOther, and so is a free page that no
// block of the buddy allocator in it has: those on the lists of a CPU.
func (p *Pages) ClassifyPages(classes []memmap.PageClass, start vmem.PhysAddr) error {
	p.phys.Refresh()
	buf := make([]byte, uint64(len(classes))*p.size)
	n, err := p.space.ReadVirt(buf, p.pageOf(start))
	s := pageArray{Pages: p, first: start, data: buf[:uint64(n)/p.size*p.size]}
	clear(classes)
	for i := 0; i < s.len(); i++ {
		page := s.page(i)
		if free := s.freeBlock(i, &page); free > 0 {
			end := min(i+free, s.len())
			for ; i < end; i++ {
				classes[i] = memmap.PageFree
			}
			i--
			continue
		}
		classes[i] = s.class(i, &page)
	}
	if err != nil {
		return newGap("struct page", p.pageOf(start)+vmem.VirtAddr(n), err)
	}
	return nil
}

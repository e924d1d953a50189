package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// folioViews tell the size of a folio, which is in its second struct page.
type folioViews struct {
	order     kstruct.Member // one byte: of page (compound_order), or of folio (_folio_order) since 5.18
	orderBits kstruct.Member // of folio: the lowest byte of _flags_1, since 6.6 (ebc1baf5c9b4)
	inPage    bool           // order is a member of the second page
}

func bindFolio(types *isf.File) (v folioViews) {
	b := kstruct.NewBinder(types)
	if v.order = kstruct.BindOptionalMember(b, "folio", "_folio_order"); v.order.Ok() {
		return v
	}
	if v.order = kstruct.BindOptionalMember(b, "page", "compound_order"); v.order.Ok() {
		v.inPage = true
		return v
	}
	v.orderBits = kstruct.BindOptionalMember(b, "folio", "_flags_1")
	return v
}

// A Folio is one page of memory, or several that are one: struct folio (include/linux/mm_types.h),
// before 5.16 a page and those that are compound with it.
type Folio struct {
	Addr     vmem.VirtAddr // of its first struct page
	Phys     vmem.PhysAddr // of its memory
	Pages    uint64        // how many it has
	Mapping  vmem.VirtAddr // address_space, with marks in its lowest bits; 0 if it is of none
	Index    uint64        // of its first page in the mapping
	UpToDate bool          // it holds what the file does
	Dirty    bool          // it is newer than the disk, or being written to it
}

// Span returns which pages of its file an entry of the file's array stands for, from one to another, and which of them is the folio's first. The
// entry has the indices first to last, and leads to the folio; hugetlb tells that the file is of huge pages: those had one entry for each, and
// indices that count huge pages, until 6.7 (a08c7193e4f1).
func (f *Folio) Span(first, last uint64, hugetlb bool) (from, to, start uint64) {
	if hugetlb && first == last && f.Pages > 1 {
		return first * f.Pages, first*f.Pages + f.Pages - 1, f.Index * f.Pages
	}
	return first, last, f.Index
}

// maxFolioOrder bounds the order of a folio: that of a page of 1 GiB.
const maxFolioOrder = 18

// Folio reads the folio whose first struct page is at addr. The error is [kstruct.ErrCorrupt] where there is
// none, or where reading it failed.
func (p *Pages) Folio(addr vmem.VirtAddr) (Folio, error) {
	phys, err := p.Memory(addr)
	if err != nil {
		return Folio{}, err
	}
	s, err := p.views.page.Load(p.space, addr)
	if err != nil {
		return Folio{}, err
	}
	f := Folio{
		Addr: addr, Phys: phys, Pages: 1, Mapping: s.Mapping, Index: s.Index,
		UpToDate: s.Flags&p.flags.uptodate != 0, Dirty: s.Flags&p.flags.unclean != 0,
	}
	if s.Flags&p.flags.head == 0 {
		if s.Head&1 != 0 {
			return Folio{}, fmt.Errorf("%w: struct page %v is a tail of another", kstruct.ErrCorrupt, addr)
		}
		return f, nil
	}
	order, err := p.order(addr)
	if err != nil {
		return Folio{}, err
	}
	if order == 0 || order > maxFolioOrder || uint64(f.Phys)/pageSize&(1<<order-1) != 0 {
		return Folio{}, fmt.Errorf("%w: folio of order %d at %v", kstruct.ErrCorrupt, order, f.Phys)
	}
	f.Pages = 1 << order
	return f, nil
}

// order returns the order of a folio of several pages.
func (p *Pages) order(addr vmem.VirtAddr) (uint8, error) {
	v := &p.folios
	switch {
	case v.inPage:
		return p.space.Uint8(v.order.Of(addr + vmem.VirtAddr(p.size)))
	case v.order.Ok():
		return p.space.Uint8(v.order.Of(addr))
	case v.orderBits.Ok():
		return p.space.Uint8(v.orderBits.Of(addr))
	}
	return 0, kstruct.ErrUnsupported
}

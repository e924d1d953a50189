package swap

import (
	"context"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// Bits of an entry of a swap table (mm/swap_table.h): the count of users and the bit of zeros on top, the frame of a page in the cache below.
const (
	tableFlags      = 0x1f << 59
	tableZero       = 1 << 59
	tablePage       = 0b10
	tableMark       = 0b11
	tableBad        = 1<<64 - 8
	tableCountShift = 60
	tableCountMax   = 0xf
)

// Places of pages in the swap cache before there were tables (include/linux/swap.h).
const (
	cacheShift = 14 // each so many pages of an area have an address space of their own
	typeShift  = 58 // of a swp_entry_t
)

// findCache returns where the address spaces are that are the swap cache of an area, where the kernel has these.
func (r *Reader) findCache(a *area) (vmem.VirtAddr, error) {
	if r.tables() {
		return 0, nil
	}
	array, err := r.k.Symbol("swapper_spaces")
	if err != nil {
		return 0, err
	}
	at, err := r.mem.Uint64(array + vmem.VirtAddr(8*uint64(a.Number)))
	if err == nil && !x86.IsObject(vmem.VirtAddr(at)) {
		err = corrupt("address spaces of a swap cache at %#x", at)
	}
	return vmem.VirtAddr(at), err
}

// findInMemory finds a page that is in memory as it is, or known to be zeros.
func (r *Reader) findInMemory(a *area, offset uint64, p *place) (bool, error) {
	if r.tables() {
		return r.findInTable(a, offset, p)
	}
	if a.cacheErr != nil { // the area may have an older page than the cache
		return false, a.cacheErr
	}
	if ok, err := r.findInSpaces(a, offset, p); ok || err != nil {
		return ok, err
	}
	return r.zero(a.info.Zeros, offset, p)
}

// zero looks a page up in a bitmap of pages of zeros.
func (r *Reader) zero(bitmap vmem.VirtAddr, offset uint64, p *place) (bool, error) {
	if bitmap == 0 {
		return false, nil
	}
	b, err := r.mem.Uint8(bitmap + vmem.VirtAddr(offset/8))
	if err != nil || b>>(offset%8)&1 == 0 {
		return false, err
	}
	p.kind, p.word = filled, 0
	return true, nil
}

// tables reports whether the kernel has a table for each cluster of a swap area: since 6.18.
func (r *Reader) tables() bool { return r.views.cluster.Has("Table") && r.views.entries.Count() > 0 }

// entry returns the entry of a page in the table of its cluster, and the cluster.
func (r *Reader) entry(a *area, offset uint64) (uint64, clusterStruct, error) {
	count := r.views.entries.Count()
	if !r.tables() {
		return 0, clusterStruct{}, kstruct.ErrUnsupported
	}
	c, err := r.views.cluster.Load(r.mem, a.info.Clusters+vmem.VirtAddr(offset/count*r.views.cluster.Size()))
	if err != nil {
		return 0, c, err
	}
	if c.Table == 0 {
		return 0, c, corrupt("cluster %d has no page that is in use", offset/count)
	}
	e, err := r.mem.Uint64(c.Table + vmem.VirtAddr(8*(offset%count)))
	return e, c, err
}

// findInTable is findInMemory of kernels that have a table for each cluster.
func (r *Reader) findInTable(a *area, offset uint64, p *place) (bool, error) {
	e, c, err := r.entry(a, offset)
	if err != nil {
		return false, err
	}
	switch {
	case e == 0 || e == tableBad:
		return false, corrupt("page %d of the swap area is not in use", offset)
	case e&tableMark == tablePage:
		if r.pages == nil {
			return false, kstruct.ErrUnsupported
		}
		folio := r.pages.Struct(vmem.PhysAddr((e &^ tableFlags) >> 2 * vmem.PageSize))
		return r.isCached(folio, a, offset, p)
	case e&tableMark == 0: // until 6.19 (a8d36a9be4b2 and what follows it) the cache had the folio itself here
		if x86.IsObject(vmem.VirtAddr(e)) {
			return r.isCached(vmem.VirtAddr(e), a, offset, p)
		}
		return false, corrupt("entry %#x of a swap table", e)
	}
	if a.info.Zeros != 0 {
		return r.zero(a.info.Zeros, offset, p)
	}
	if c.Zeros != 0 {
		return r.zero(c.Zeros, offset%r.views.entries.Count(), p)
	}
	p.kind, p.word = filled, 0
	return e&tableZero != 0 && !r.views.info.Has("Map"), nil
}

// findInSpaces looks a page up in the swap cache of kernels before 6.18.
func (r *Reader) findInSpaces(a *area, offset uint64, p *place) (bool, error) {
	if r.views.cacheErr != nil {
		return false, r.views.cacheErr
	}
	within := offset & (1<<cacheShift - 1)
	xa := r.views.space.Of(a.spaces + vmem.VirtAddr(offset>>cacheShift*r.views.spaceLen))
	// Since 6.11 the index is that in the address space (7aad25b4b400). Where the two differ, no space has both kinds.
	for _, index := range []uint64{within, offset} {
		w := r.k.Objects().Walk(context.Background(), &kstruct.WalkOptions{Object: "swap cache", Nodes: 16})
		for e, err := range w.XArrayRange(xa, index, index) {
			if err != nil {
				return false, err
			}
			if e.Kind == kstruct.PointerEntry {
				if ok, err := r.isCached(e.Ptr, a, offset, p); ok || err != nil {
					return ok, err
				}
			}
		}
		if within == offset {
			break
		}
	}
	return false, nil
}

// isCached finds the page of an offset in a folio of the swap cache, which names its entry.
func (r *Reader) isCached(addr vmem.VirtAddr, a *area, offset uint64, p *place) (bool, error) {
	if r.pages == nil || r.views.cacheErr != nil {
		return false, kstruct.ErrUnsupported
	}
	f, err := r.pages.Folio(addr)
	if err != nil {
		return false, err
	}
	page, err := r.views.page.Load(r.mem, f.Addr)
	if err != nil {
		return false, err
	}
	in := uint64(a.Number)<<typeShift + offset - page.Private
	if in >= f.Pages || page.Flags&r.views.cached == 0 {
		return false, corrupt("folio %v in the swap cache names the entry %#x", f.Addr, page.Private)
	}
	if !f.UpToDate {
		return false, nil // it is being read
	}
	p.kind, p.phys = cached, f.Phys+vmem.PhysAddr(in*vmem.PageSize)
	return true, nil
}

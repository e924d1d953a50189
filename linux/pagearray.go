package linux

import (
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// The low bits of page->mapping (include/linux/page-flags.h): PAGE_MAPPING_ANON, and the
// mask of both.
const (
	mappingAnon  = 1
	mappingFlags = 3
)

// A pageArray is a piece of the array of struct page.
type pageArray struct {
	*Pages
	first vmem.PhysAddr // of the memory that the first one is for
	data  []byte
}

func (s *pageArray) len() int { return len(s.data) / int(s.size) }

// page decodes the struct page of page i.
func (s *pageArray) page(i int) (p pageStruct) {
	// The data holds whole ones, and a whole one all members: see Kernel.Pages.
	_ = s.views.page.Decode(s.data[i*int(s.size):], 0, &p)
	return p
}

// freeBlock returns how many pages the free block has that begins with page i, or 0 if
// none does. Only the first page of a block says so, with the order of the block in
// page->private; blocks are aligned to their size (mm/page_alloc.c).
func (s *pageArray) freeBlock(i int, p *pageStruct) int {
	if !s.types.buddy.is(p.Type) {
		return 0
	}
	order := p.Private
	pfn := uint64(s.first)/pageSize + uint64(i)
	if order > maxOrder || pfn&(1<<order-1) != 0 {
		return 0
	}
	return 1 << order
}

// headOf returns the page that has the flags of page i: itself, or the first page of the
// larger one that it is a tail of. It reports false where that is not in the array.
func (s *pageArray) headOf(i int, p *pageStruct) (int, bool) {
	v := p.Head
	if v&1 == 0 {
		return i, true
	}
	self := uint64(s.pageOf(s.first)) + uint64(i)*s.size
	head := v - 1
	if head > self || self-head > 1<<32 {
		// With CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP, since 7.1, it is a mask.
		head &= self
	}
	back := self - head
	if back%s.size != 0 || back/s.size > uint64(i) {
		return 0, false
	}
	return i - int(back/s.size), true
}

// class returns the class of page i, which is p and is not free.
func (s *pageArray) class(i int, p *pageStruct) memmap.PageClass {
	head, ok := s.headOf(i, p)
	if !ok {
		return memmap.PageOther
	}
	if head != i {
		h := s.page(head)
		p = &h
	}
	switch flags := p.Flags; {
	case flags&s.flags.reserved != 0:
		return memmap.PageOther
	case flags&s.flags.slab != 0 || s.types.slab.is(p.Type) || s.types.kmalloc.is(p.Type):
		return memmap.PageSlab
	case s.types.table.is(p.Type):
		return memmap.PageTable
	case flags&s.flags.lru == 0 || p.Mapping == 0:
		return memmap.PageOther
	case p.Mapping&mappingFlags == mappingAnon:
		return s.anonymous(p)
	case p.Mapping&mappingAnon != 0: // of KSM
		return memmap.PageAnon
	case p.Mapping&mappingFlags != 0:
		return memmap.PageOther
	case flags&s.flags.swapBacked != 0: // shmem: in no file system
		return memmap.PageFile
	case flags&s.flags.unclean != 0 || flags&s.flags.uptodate == 0 || !s.unmapped(head, p):
		return memmap.PageFile
	case flags&s.flags.private != 0 && !s.ofRegularFile(p.Mapping):
		return memmap.PageFile
	}
	return memmap.PageCleanFile
}

// stackPages is how far below the end of user memory the kernel puts nothing but stacks,
// in pages: the least that it leaves between there and what is mapped (MIN_GAP of
// arch/x86/mm/mmap.c).
const stackPages = 128 << 20 / pageSize

// anonymous returns the class of an anonymous page. Its index is that of its address, but
// for what was moved: execve fills a stack at the very end of user memory, and moves it
// from there to its place (STACK_TOP_MAX, __bprm_mm_init and shift_arg_pages of
// fs/exec.c), which leaves the index as it was.
func (s *pageArray) anonymous(p *pageStruct) memmap.PageClass {
	if !s.hasIndex {
		return memmap.PageStack // it may be, and is not to be lost then
	}
	index := p.Index
	for _, end := range []uint64{x86.UserEnd4 / pageSize, x86.UserEnd5 / pageSize} { // with 4 levels, with 5
		if index < end && index >= end-stackPages {
			return memmap.PageStack
		}
	}
	return memmap.PageAnon
}

// ofRegularFile reports whether an address_space is that of a regular file. Pages of a
// block device hold metadata of its file system, which may wait in the journal while they
// are not marked dirty (jbd2).
func (s *pageArray) ofRegularFile(mapping vmem.VirtAddr) bool {
	const typeMask, regular = 0xf000, 0x8000 // S_IFMT, S_IFREG (include/uapi/linux/stat.h)
	host, err := s.views.host.Load(s.space, mapping)
	if err != nil {
		return false
	}
	mode, err := s.views.mode.Load(s.space, host)
	return err == nil && mode&typeMask == regular
}

// unmapped reports whether no process maps p, the page that head begins. A larger page is
// taken to be mapped where the kernel keeps no count for all of it.
func (s *pageArray) unmapped(head int, p *pageStruct) bool {
	if p.Flags&s.flags.head == 0 {
		return p.Type == ^uint32(0) // _mapcount, in the same place
	}
	var f folioStruct
	err := s.views.folio.Decode(s.data[head*int(s.size):], 0, &f)
	return err == nil && f.Mapcount == -1
}

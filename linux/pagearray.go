package linux

import (
	"encoding/binary"

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

func (s *pageArray) len() int { return len(s.data) / int(s.layout.size) }

func (s *pageArray) u64(i int, f field) uint64 {
	return binary.LittleEndian.Uint64(s.data[i*int(s.layout.size)+int(f):])
}

func (s *pageArray) u32(i int, f field) uint32 {
	return binary.LittleEndian.Uint32(s.data[i*int(s.layout.size)+int(f):])
}

// freeBlock returns how many pages the free block has that begins with page i, or 0 if
// none does. Only the first page of a block says so, with the order of the block in
// page->private; blocks are aligned to their size (mm/page_alloc.c).
func (s *pageArray) freeBlock(i int) int {
	if !s.types.buddy.is(s.u32(i, s.layout.typ)) {
		return 0
	}
	order := s.u64(i, s.layout.private)
	pfn := uint64(s.first)/pageSize + uint64(i)
	if order > maxOrder || pfn&(1<<order-1) != 0 {
		return 0
	}
	return 1 << order
}

// headOf returns the page that has the flags of page i: itself, or the first page of the
// larger one that it is a tail of. It reports false where that is not in the array.
func (s *pageArray) headOf(i int) (int, bool) {
	v := s.u64(i, s.layout.head)
	if v&1 == 0 {
		return i, true
	}
	self := uint64(s.pageOf(s.first)) + uint64(i)*s.layout.size
	head := v - 1
	if head > self || self-head > 1<<32 {
		// With CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP, since 7.1, it is a mask.
		head &= self
	}
	back := self - head
	if back%s.layout.size != 0 || back/s.layout.size > uint64(i) {
		return 0, false
	}
	return i - int(back/s.layout.size), true
}

// class returns the class of page i, which is not free.
func (s *pageArray) class(i int) memmap.PageClass {
	head, ok := s.headOf(i)
	if !ok {
		return memmap.PageOther
	}
	flags, typ := s.u64(head, s.layout.flags), s.u32(head, s.layout.typ)
	switch mapping := s.u64(head, s.layout.mapping); {
	case flags&s.flags.reserved != 0:
		return memmap.PageOther
	case flags&s.flags.slab != 0 || s.types.slab.is(typ) || s.types.kmalloc.is(typ):
		return memmap.PageSlab
	case s.types.table.is(typ):
		return memmap.PageTable
	case flags&s.flags.lru == 0 || mapping == 0:
		return memmap.PageOther
	case mapping&mappingFlags == mappingAnon:
		return s.anonymous(head)
	case mapping&mappingAnon != 0: // of KSM
		return memmap.PageAnon
	case mapping&mappingFlags != 0:
		return memmap.PageOther
	case flags&s.flags.swapBacked != 0: // shmem: in no file system
		return memmap.PageFile
	case flags&s.flags.unclean != 0 || flags&s.flags.uptodate == 0 || !s.unmapped(head, flags):
		return memmap.PageFile
	case flags&s.flags.private != 0 && !s.ofRegularFile(vmem.VirtAddr(mapping)):
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
func (s *pageArray) anonymous(head int) memmap.PageClass {
	if !s.layout.index.ok() {
		return memmap.PageStack // it may be, and is not to be lost then
	}
	index := s.u64(head, s.layout.index)
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
	r := reader{as: s.space}
	host := r.ptr(mapping, s.layout.host)
	return r.u32(host, s.layout.mode)&typeMask == regular && r.err == nil // its low 16 bits
}

// unmapped reports whether no process maps the page that head begins. A larger page is
// taken to be mapped where the kernel keeps no count for all of it.
func (s *pageArray) unmapped(head int, flags uint64) bool {
	if flags&s.flags.head == 0 {
		return s.u32(head, s.layout.typ) == ^uint32(0) // _mapcount, in the same place
	}
	f := s.layout.folioMapcount
	at := head*int(s.layout.size) + int(f)
	return f.ok() && at+4 <= len(s.data) && binary.LittleEndian.Uint32(s.data[at:]) == ^uint32(0)
}

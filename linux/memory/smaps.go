package memory

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Usage is what a mapping takes, in bytes, under the names of /proc/PID/smaps (struct mem_size_stats of fs/proc/task_mmu.c).
type Usage struct {
	Size           uint64 `json:"size"`
	KernelPageSize uint64 `json:"kernelPageSize"`
	RSS            uint64 `json:"rss"`
	PSS            uint64 `json:"pss"` // each page divided by how often it is mapped
	PSSDirty       uint64 `json:"pssDirty"`
	SharedClean    uint64 `json:"sharedClean"`
	SharedDirty    uint64 `json:"sharedDirty"`
	PrivateClean   uint64 `json:"privateClean"`
	PrivateDirty   uint64 `json:"privateDirty"`
	Referenced     uint64 `json:"referenced"`
	Anonymous      uint64 `json:"anonymous"`
	KSM            uint64 `json:"ksm"`
	LazyFree       uint64 `json:"lazyFree"`
	AnonHugePages  uint64 `json:"anonHugePages"`
	ShmemPMDMapped uint64 `json:"shmemPmdMapped"`
	FilePMDMapped  uint64 `json:"filePmdMapped"`
	SharedHugetlb  uint64 `json:"sharedHugetlb"`
	PrivateHugetlb uint64 `json:"privateHugetlb"`
	Swap           uint64 `json:"swap"`
	SwapPSS        uint64 `json:"swapPss"`
	Locked         uint64 `json:"locked"`
}

// pssShift is how many bits of a fraction the sum of parts of pages has.
const pssShift = 12

// A usageCount counts what a mapping takes.
type usageCount struct {
	Usage
	pss, pssDirty, swapPSS, locked uint64 // shifted by pssShift
	isLocked                       bool
}

// Usage counts what a mapping takes, as /proc/PID/smaps does. The error is the first of [Reader.PageStates], or of the pages that were swapped
// out of the file; what could be counted comes with it.
func (r *Reader) Usage(ctx context.Context, mm *linux.MM, v *linux.VMA) (Usage, error) {
	c := usageCount{isLocked: v.Flags&vmLocked != 0}
	c.Size, c.KernelPageSize = v.Range.Size, r.pageSizeOf(v)
	var first error
	keep := func(err error) {
		if err != nil && first == nil {
			first = err
		}
	}
	holes := r.swappedInFile(ctx, v, keep)
	t, err := r.pageTable()
	if err != nil {
		return c.Usage, vmem.NewGap("usage of memory", vmem.Place{}, err)
	}
	for s, err := range r.PageStates(ctx, mm, v) {
		keep(err)
		if err == nil {
			holes.cover(s.Range)
			keep(r.count(t, &c, &s))
		}
	}
	c.Swap += holes.bytes()
	c.PSS, c.PSSDirty, c.SwapPSS, c.Locked = c.pss>>pssShift, c.pssDirty>>pssShift, c.swapPSS>>pssShift, c.locked>>pssShift
	return c.Usage, first
}

// pageSizeOf returns of what size the pages of a mapping are (vma_kernel_pagesize of mm/hugetlb.c).
func (r *Reader) pageSizeOf(v *linux.VMA) uint64 {
	if v.Flags&vmHugetlb == 0 || !r.maps.hstate.Ok() {
		return vmem.PageSize
	}
	inode, err := r.maps.fileInode.Load(r.mem, v.File)
	if err != nil {
		return vmem.PageSize
	}
	_, s, err := r.inodeOf(inode)
	if err != nil {
		return vmem.PageSize
	}
	h, err := r.maps.hstate.Load(r.mem, s.Info)
	if err != nil {
		return vmem.PageSize
	}
	order, err := r.maps.order.Load(r.mem, h)
	if err != nil || order > 18 { // 1 GiB
		return vmem.PageSize
	}
	return vmem.PageSize << order
}

// count adds a page (smaps_pte_entry, smaps_pmd_entry, smaps_hugetlb_range).
func (r *Reader) count(t *pageTable, c *usageCount, s *PageState) error {
	switch {
	case s.Flags&Swapped != 0:
		users, err := r.swapUsers(s.SwapType, s.SwapOffset)
		c.Swap += s.Range.Size
		c.swapPSS += s.Range.Size << pssShift / uint64(max(users, 1))
		return err
	case s.Page == 0 || s.Flags&Zero != 0:
		return nil
	case s.Flags&Hugetlb != 0:
		if s.Mapcount >= 2 || t.typed && s.Flags&Present == 0 {
			c.SharedHugetlb += s.Range.Size
		} else {
			c.PrivateHugetlb += s.Range.Size
		}
		return nil
	}
	c.byKind(s)
	if s.Refs == 1 || s.Flags&Migrating != 0 {
		c.share(s.Range.Size, 1, s.Flags, s.Flags&Present != 0 || !t.typed)
		return nil
	}
	if s.Range.Size == vmem.PageSize {
		c.share(s.Range.Size, s.Mapcount, s.Flags, s.Mapcount < 2)
		return nil
	}
	return c.parts(t, s)
}

// byKind counts a page by what it is.
func (c *usageCount) byKind(s *PageState) {
	size := s.Range.Size
	c.RSS += size
	for _, is := range [...]struct {
		flags PageFlags // all of them
		to    *uint64
	}{
		{Anonymous, &c.Anonymous}, {LazyFree, &c.LazyFree}, {KSM, &c.KSM}, {Huge | Anonymous, &c.AnonHugePages}, {Huge | Shmem, &c.ShmemPMDMapped},
		{Huge | File, &c.FilePMDMapped},
	} {
		if s.Flags&is.flags == is.flags {
			*is.to += size
		}
	}
	if s.Flags&(Accessed|Referenced) != 0 {
		c.Referenced += size
	}
}

// share adds a page that is mapped so often (smaps_page_accumulate).
func (c *usageCount) share(size uint64, mapped int32, f PageFlags, private bool) {
	pss := size << pssShift
	if mapped >= 2 {
		pss /= uint64(mapped)
	}
	c.pss += pss
	if c.isLocked {
		c.locked += pss
	}
	dirty := f&(Written|Dirty) != 0
	if dirty {
		c.pssDirty += pss
	}
	switch {
	case dirty && private:
		c.PrivateDirty += size
	case dirty:
		c.SharedDirty += size
	case private:
		c.PrivateClean += size
	default:
		c.SharedClean += size
	}
}

// parts adds the parts of a larger page, each of which can be mapped so often.
func (c *usageCount) parts(t *pageTable, s *PageState) error {
	var i pageInfo
	for at := uint64(0); at < s.Range.Size; at += vmem.PageSize {
		if err := t.read(s.Phys+vmem.PhysAddr(at), &i); err != nil {
			return vmem.NewGap("struct page", vmem.KernelPlace(i.addr), err)
		}
		n, err := t.mapcount(&i, false)
		if err != nil {
			return vmem.NewGap("struct page", vmem.KernelPlace(i.addr), err)
		}
		c.share(vmem.PageSize, n, s.Flags, n < 2)
	}
	return nil
}

// smapsLines are the lines of smaps that each mapping has, in order.
var smapsLines = []struct {
	name string
	of   func(*Usage) uint64
}{
	{"Size", func(u *Usage) uint64 { return u.Size }},
	{"KernelPageSize", func(u *Usage) uint64 { return u.KernelPageSize }},
	{"MMUPageSize", func(u *Usage) uint64 { return u.KernelPageSize }},
	{"Rss", func(u *Usage) uint64 { return u.RSS }},
	{"Pss", func(u *Usage) uint64 { return u.PSS }},
	{"Pss_Dirty", func(u *Usage) uint64 { return u.PSSDirty }},
	{"Shared_Clean", func(u *Usage) uint64 { return u.SharedClean }},
	{"Shared_Dirty", func(u *Usage) uint64 { return u.SharedDirty }},
	{"Private_Clean", func(u *Usage) uint64 { return u.PrivateClean }},
	{"Private_Dirty", func(u *Usage) uint64 { return u.PrivateDirty }},
	{"Referenced", func(u *Usage) uint64 { return u.Referenced }},
	{"Anonymous", func(u *Usage) uint64 { return u.Anonymous }},
	{"KSM", func(u *Usage) uint64 { return u.KSM }},
	{"LazyFree", func(u *Usage) uint64 { return u.LazyFree }},
	{"AnonHugePages", func(u *Usage) uint64 { return u.AnonHugePages }},
	{"ShmemPmdMapped", func(u *Usage) uint64 { return u.ShmemPMDMapped }},
	{"FilePmdMapped", func(u *Usage) uint64 { return u.FilePMDMapped }},
	{"Shared_Hugetlb", func(u *Usage) uint64 { return u.SharedHugetlb }},
	{"Private_Hugetlb", func(u *Usage) uint64 { return u.PrivateHugetlb }},
	{"Swap", func(u *Usage) uint64 { return u.Swap }},
	{"SwapPss", func(u *Usage) uint64 { return u.SwapPSS }},
	{"Locked", func(u *Usage) uint64 { return u.Locked }},
}

// Smaps returns what /proc/PID/smaps shows of a mapping, with all lines that the newest kernels have, but for THPeligible, which is a question of
// settings.
func (r *Reader) Smaps(m *Mapping, u *Usage) string {
	var b strings.Builder
	fmt.Fprintln(&b, m)
	for _, l := range smapsLines {
		fmt.Fprintf(&b, "%-16s%8d kB\n", l.name+":", l.of(u)>>10)
	}
	fmt.Fprintf(&b, "ProtectionKey:  %8d\n", m.ProtectionKey())
	b.WriteString("VmFlags: ")
	for _, name := range r.FlagNames(m.Flags) {
		b.WriteString(name + " ")
	}
	b.WriteByte('\n')
	return b.String()
}

// A holeSet are pages of a mapping of shared memory that were swapped out of the file, and are in no table of the process.
type holeSet struct {
	swapped []vmem.Range[vmem.VirtAddr] // by ascending address, and disjoint
	covered uint64                      // bytes of them that the process has entries for
	whole   bool                        // entries do not matter: the process has no copies of its own
	next    int
}

// cover tells that the process has an entry for a page. Pages come by ascending address.
func (h *holeSet) cover(page vmem.Range[vmem.VirtAddr]) {
	if h.whole {
		return
	}
	for ; h.next < len(h.swapped) && h.swapped[h.next].Last() < page.Start; h.next++ {
	}
	for i := h.next; i < len(h.swapped) && h.swapped[i].Start <= page.Last(); i++ {
		h.covered += clip(h.swapped[i], page).Size
	}
}

func (h *holeSet) bytes() (n uint64) {
	for _, r := range h.swapped {
		n += r.Size
	}
	return n - h.covered
}

// tmpfsMagic is TMPFS_MAGIC of include/uapi/linux/magic.h.
const tmpfsMagic = 0x01021994

// maxSwapped bounds the pages of one file that were swapped out.
const maxSwapped = 1 << 24

// swappedInFile returns what of a mapping of tmpfs was swapped out of the file (smap_gather_stats, shmem_swap_usage of mm/shmem.c).
func (r *Reader) swappedInFile(ctx context.Context, v *linux.VMA, keep func(error)) *holeSet {
	h := &holeSet{whole: v.Flags&vmShared != 0 || v.Flags&linux.VMWrite == 0}
	if v.File == 0 || v.Flags&vmHugetlb != 0 || !r.maps.pages.Ok() {
		return h
	}
	inode, err := r.maps.fileInode.Load(r.mem, v.File)
	if err == nil {
		var s mappedSuper
		if _, s, err = r.inodeOf(inode); err == nil && s.Magic != tmpfsMagic {
			return h
		}
	}
	var mapping vmem.VirtAddr
	if err == nil {
		mapping, err = r.maps.fileMapping.Load(r.mem, v.File)
	}
	if err != nil {
		keep(vmem.NewGap("swapped pages of "+v.Path, vmem.KernelPlace(v.File), err))
		return h
	}
	w := r.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "pages of " + v.Path, Nodes: maxSwapped})
	first := v.Offset / vmem.PageSize
	for e, err := range w.XArray(r.maps.pages.Of(mapping)) {
		if err != nil {
			keep(err)
			continue
		}
		last := first + v.Range.Size/vmem.PageSize - 1
		if e.Kind != kstruct.ValueEntry || e.Last < first || e.First > last {
			continue
		}
		from, to := max(e.First, first), min(e.Last, last)
		h.swapped = append(h.swapped, vmem.Range[vmem.VirtAddr]{Start: v.Range.Start + vmem.VirtAddr((from-first)*vmem.PageSize), Size: (to - from + 1) * vmem.PageSize})
	}
	return h
}

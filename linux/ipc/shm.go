package ipc

import (
	"context"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Shm is a segment of shared memory (struct shmid_kernel of ipc/shm.c; /proc/sysvipc/shm).
type Shm struct {
	Perm
	Size     uint64        `json:"size"`
	Creator  int32         `json:"creator"` // PID
	Last     int32         `json:"last"`    // PID of who attached or detached it last
	Attached uint64        `json:"attached"`
	ATime    int64         `json:"atime"` // seconds since 1970: attached, detached, changed
	DTime    int64         `json:"dtime"`
	CTime    int64         `json:"ctime"`
	RSS      uint64        `json:"rss"` // bytes in memory, and swapped out
	Swap     uint64        `json:"swap"`
	File     vmem.VirtAddr `json:"file"`
	Inode    vmem.VirtAddr `json:"inode"`
}

// String returns the segment as a line of /proc/sysvipc/shm.
func (s *Shm) String() string {
	return fmt.Sprintf("%10d %10d  %4o %21d %5d %5d  %5d %5d %5d %5d %5d %10d %10d %10d %21d %21d", s.Key, s.ID, s.Mode, s.Size, s.Creator, s.Last, s.Attached,
		s.UID, s.GID, s.CUID, s.CGID, s.ATime, s.DTime, s.CTime, s.RSS, s.Swap)
}

type shmStruct struct {
	File    vmem.VirtAddr `kernel:"shm_file"`
	NAttach uint64        `kernel:"shm_nattch"`
	Size    uint64        `kernel:"shm_segsz"`
	ATime   int64         `kernel:"shm_atim"`
	DTime   int64         `kernel:"shm_dtim"`
	CTime   int64         `kernel:"shm_ctim"`
	Creator vmem.VirtAddr `kernel:"shm_cprid"`
	Last    vmem.VirtAddr `kernel:"shm_lprid"`
}

type shmViews struct {
	shm     *kstruct.View[shmStruct]
	perm    kstruct.Member
	inode   *kstruct.Field[vmem.VirtAddr] // of file
	mapping *kstruct.Field[vmem.VirtAddr] // of inode
	nrpages *kstruct.Field[uint64]
	pages   kstruct.Member // i_pages of address_space
	err     error

	swapped  *kstruct.Field[uint64] // of shmem_inode_info
	vfsInode kstruct.Member
}

func bindShm(types *isf.File) (v shmViews) {
	b := kstruct.NewBinder(types)
	v.shm = kstruct.Bind[shmStruct](b, "shmid_kernel")
	v.perm = kstruct.BindMember(b, "shmid_kernel", "shm_perm")
	v.inode = kstruct.BindField[vmem.VirtAddr](b, "file", "f_inode")
	v.mapping = kstruct.BindField[vmem.VirtAddr](b, "inode", "i_mapping")
	v.nrpages = kstruct.BindField[uint64](b, "address_space", "nrpages")
	v.pages = kstruct.BindMember(b, "address_space", "i_pages")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.swapped = kstruct.BindOptionalField[uint64](b, "shmem_inode_info", "swapped")
	v.vfsInode = kstruct.BindOptionalMember(b, "shmem_inode_info", "vfs_inode")
	return v
}

func (r *Reader) readShm(at vmem.VirtAddr, p Perm) (Shm, error) {
	v := &r.views.shm
	out := Shm{Perm: p}
	s, err := v.shm.Load(r.mem, v.perm.Container(at))
	if err != nil {
		return out, cause(err, v.err)
	}
	out.Size, out.Attached, out.ATime, out.DTime, out.CTime, out.File = s.Size, s.NAttach, s.ATime, s.DTime, s.CTime, s.File
	if out.Creator, err = r.pidOf(s.Creator); err != nil {
		return out, err
	}
	if out.Last, err = r.pidOf(s.Last); err != nil {
		return out, err
	}
	if out.Inode, err = v.inode.Load(r.mem, s.File); err != nil {
		return out, err
	}
	mapping, err := v.mapping.Load(r.mem, out.Inode)
	if err != nil {
		return out, err
	}
	n, err := v.nrpages.Load(r.mem, mapping)
	if err != nil {
		return out, err
	}
	out.RSS = n * vmem.PageSize
	hugetlb, err := r.hugetlb(s.File)
	if err != nil {
		return out, err
	}
	if hugetlb { // it has no shmem_inode_info, and is never swapped
		unit, err := r.unit(mapping)
		out.RSS *= unit
		return out, err
	}
	if v.swapped.Ok() {
		n, err = v.swapped.Load(r.mem, v.vfsInode.Container(out.Inode))
		out.Swap = n * vmem.PageSize
	}
	return out, err
}

// hugetlb reports whether a segment is of huge pages, by its file's flags.
func (r *Reader) hugetlb(file vmem.VirtAddr) (bool, error) {
	magic, err := r.k.Struct("file", file).At("f_inode->i_sb->s_magic").Uint()
	return magic == 0x958458f6, err // HUGETLBFS_MAGIC of include/uapi/linux/magic.h
}

// unit returns how many pages are counted as one in a segment of huge pages.
func (r *Reader) unit(mapping vmem.VirtAddr) (uint64, error) {
	pages, err := r.k.Pages()
	if err != nil {
		return 1, err
	}
	for e, err := range r.walk(context.Background(), "shared memory of huge pages").XArray(r.views.shm.pages.Of(mapping)) {
		var f linux.Folio
		if err == nil && e.Kind != kstruct.PointerEntry {
			continue
		}
		if err == nil {
			f, err = pages.Folio(e.Ptr)
		}
		if err != nil || e.First != e.Last {
			return 1, err
		}
		from, to, _ := f.Span(e.First, e.Last, true)
		return to - from + 1, nil
	}
	return 1, nil
}

// maxIndex is above the number of every page: the largest file has 2^63-1 bytes.
const maxIndex = 1 << 51

// An Extent is a piece of a segment's content.
type Extent struct {
	Offset uint64
	Data   []byte // of one page at most, and valid until the next
}

// Content yields what of a segment is in memory, by ascending offset, page by page. Errors are [vmem.Gap] and do not end it, but for the context's own.
func (r *Reader) Content(ctx context.Context, s *Shm) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		object := fmt.Sprintf("shared memory %d", s.ID)
		pages, err := r.k.Pages()
		hugetlb := false
		if err == nil {
			hugetlb, err = r.hugetlb(s.File)
		}
		var mapping vmem.VirtAddr
		if err == nil {
			mapping, err = r.views.shm.mapping.Load(r.mem, s.Inode)
		}
		if err != nil {
			yield(Extent{}, vmem.NewGap(object, vmem.KernelPlace(s.Inode), err))
			return
		}
		buf := make([]byte, vmem.PageSize)
		for e, err := range r.walk(ctx, object).XArray(r.views.shm.pages.Of(mapping)) {
			if err == nil && e.Kind != kstruct.PointerEntry {
				continue // swapped out
			}
			if err == nil && e.Last >= maxIndex {
				err = corrupt("page %d", e.Last)
			}
			var f linux.Folio
			if err == nil {
				f, err = pages.Folio(e.Ptr)
			}
			e.First, e.Last, f.Index = f.Span(e.First, e.Last, hugetlb)
			if !r.extents(&e, &f, err, s, buf, object, yield) {
				return
			}
		}
	}
}

// extents yields the pages of one entry of a file's pages.
func (r *Reader) extents(e *kstruct.Entry, f *linux.Folio, err error, s *Shm, buf []byte, object string, yield func(Extent, error) bool) bool {
	if err == nil && (e.First < f.Index || e.Last-f.Index >= f.Pages) {
		err = corrupt("folio %v of the pages %d to %d is of %d", e.Ptr, e.First, e.Last, f.Index)
	}
	if err != nil {
		return yield(Extent{}, vmem.NewGap(object, vmem.KernelPlace(e.Ptr), err))
	}
	for i := e.First; i <= e.Last && i*vmem.PageSize < s.Size; i++ {
		out := Extent{Offset: i * vmem.PageSize, Data: buf[:min(vmem.PageSize, s.Size-i*vmem.PageSize)]}
		at := f.Phys + vmem.PhysAddr((i-f.Index)*vmem.PageSize)
		if _, err := r.k.Physical().ReadAt(out.Data, int64(at)); err != nil {
			out.Data, err = nil, vmem.NewGap(object, vmem.KernelPlace(e.Ptr), err)
			if !yield(out, err) {
				return false
			}
			continue
		}
		if !yield(out, nil) {
			return false
		}
	}
	return true
}

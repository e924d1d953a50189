package memory

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Mapping is a mapping of a process with all that /proc/PID/maps shows of it.
type Mapping struct {
	linux.VMA
	Major, Minor uint32 // of the device that the file is on; 0 without a file
	Number       uint64 // of the file's inode, likewise
}

// A mappedInode is struct inode as far as maps shows it (include/linux/fs.h).
type mappedInode struct {
	Super  vmem.VirtAddr `kernel:"i_sb"`
	Number uint64        `kernel:"i_ino"`
}

// A mappedSuper is struct super_block, likewise.
type mappedSuper struct {
	Device uint32        `kernel:"s_dev"`
	Magic  uint64        `kernel:"s_magic"`
	Info   vmem.VirtAddr `kernel:"s_fs_info"`
}

type mapViews struct {
	inode *kstruct.View[mappedInode]
	super *kstruct.View[mappedSuper]
	err   error

	fileMapping *kstruct.Field[vmem.VirtAddr] // of file: its address_space
	fileInode   *kstruct.Field[vmem.VirtAddr]
	pages       kstruct.Member                // i_pages of address_space
	hstate      *kstruct.Field[vmem.VirtAddr] // of hugetlbfs_sb_info
	order       *kstruct.Field[uint32]        // of hstate
}

func bindMaps(types *isf.File) (v mapViews) {
	b := kstruct.NewBinder(types)
	v.inode = kstruct.Bind[mappedInode](b, "inode")
	v.super = kstruct.Bind[mappedSuper](b, "super_block")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.fileMapping = kstruct.BindOptionalField[vmem.VirtAddr](b, "file", "f_mapping")
	v.fileInode = kstruct.BindOptionalField[vmem.VirtAddr](b, "file", "f_inode")
	v.pages = kstruct.BindOptionalMember(b, "address_space", "i_pages")
	v.hstate = kstruct.BindOptionalField[vmem.VirtAddr](b, "hugetlbfs_sb_info", "hstate")
	v.order = kstruct.BindOptionalField[uint32](b, "hstate", "order")
	return v
}

// Mappings yields the mappings of a task's process by ascending address: linux.proc.Maps of Volatility. Errors are those of
// [linux.MM.VMAs], and a [vmem.Gap] for a mapping of whose file the device or the inode can't be read, with which it comes.
func (r *Reader) Mappings(ctx context.Context, mm *linux.MM) iter.Seq2[Mapping, error] {
	return func(yield func(Mapping, error) bool) {
		for v, err := range mm.VMAs(ctx) {
			m := Mapping{VMA: v}
			if v.File != 0 && err == nil {
				err = r.inode(&m)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// inode reads which file a mapping is of.
func (r *Reader) inode(m *Mapping) error {
	i, s, err := r.inodeOf(m.Inode)
	if err != nil {
		return vmem.NewGap("inode of "+m.Path, vmem.KernelPlace(m.Inode), cause(err, r.maps.err))
	}
	m.Major, m.Minor, m.Number = s.Device>>20, s.Device&(1<<20-1), i.Number
	return nil
}

// inodeOf reads an inode and its file system.
func (r *Reader) inodeOf(at vmem.VirtAddr) (i mappedInode, s mappedSuper, err error) {
	if !plausible(at) {
		return i, s, corrupt("inode pointer %v", at)
	}
	if i, err = r.maps.inode.Load(r.mem, at); err != nil {
		return i, s, err
	}
	if !plausible(i.Super) {
		return i, s, corrupt("super_block pointer %v", i.Super)
	}
	s, err = r.maps.super.Load(r.mem, i.Super)
	return i, s, err
}

// nameColumn is where /proc/PID/maps has the name of a mapping (show_vma_header_prefix of fs/proc/task_mmu.c).
const nameColumn = 25 + 8*6

// String returns the mapping as a line of /proc/PID/maps, without the newline.
func (m Mapping) String() string {
	line := fmt.Sprintf("%08x-%08x %v %08x %02x:%02x %d ", uint64(m.Range.Start), uint64(m.Range.Last())+1, m.Flags, m.Offset, m.Major, m.Minor, m.Number)
	if m.Path == "" {
		return line
	}
	return line + strings.Repeat(" ", max(nameColumn-len(line), 0)) + strings.ReplaceAll(m.Path, "\n", `\012`)
}

// ProtectionKey returns the protection key of a mapping (pkey_mprotect).
func (m *Mapping) ProtectionKey() int { return int(m.Flags & keyBits >> 32) }

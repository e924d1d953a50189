package pagecache

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An inodeStruct is struct inode (include/linux/fs.h). Its times were structures with other names until 6.7, and
// members of one until 6.11.
type inodeStruct struct {
	Mode     uint16        `kernel:"i_mode"`
	UID      uint32        `kernel:"i_uid.val"`
	GID      uint32        `kernel:"i_gid.val"`
	Super    vmem.VirtAddr `kernel:"i_sb"`
	Mapping  vmem.VirtAddr `kernel:"i_mapping"`
	Number   uint64        `kernel:"i_ino"`
	Links    uint32        `kernel:"i_nlink"`
	Rdev     uint32        `kernel:"i_rdev"`
	Size     int64         `kernel:"i_size"`
	Blocks   uint64        `kernel:"i_blocks"`
	Bytes    uint16        `kernel:"i_bytes"`
	Link     vmem.VirtAddr `kernel:"i_link"`
	Count    int32         `kernel:"i_count.counter"`
	AtimeSec int64         `kernel:"i_atime_sec|__i_atime.tv_sec|i_atime.tv_sec"`
	MtimeSec int64         `kernel:"i_mtime_sec|__i_mtime.tv_sec|i_mtime.tv_sec"`
	CtimeSec int64         `kernel:"i_ctime_sec|__i_ctime.tv_sec|i_ctime.tv_sec"`
	Atime    int64         `kernel:"i_atime_nsec|__i_atime.tv_nsec|i_atime.tv_nsec"`
	Mtime    int64         `kernel:"i_mtime_nsec|__i_mtime.tv_nsec|i_mtime.tv_nsec"`
	Ctime    int64         `kernel:"i_ctime_nsec|__i_ctime.tv_nsec|i_ctime.tv_nsec"`
}

// A dentryStruct is struct dentry (include/linux/dcache.h).
type dentryStruct struct {
	Flags   uint32        `kernel:"d_flags"`
	Pprev   vmem.VirtAddr `kernel:"d_hash.pprev"` // 0 for what was deleted
	Parent  vmem.VirtAddr `kernel:"d_parent"`     // itself for the root of a file system
	NameLen uint32        `kernel:"d_name.len"`
	Name    vmem.VirtAddr `kernel:"d_name.name"`
	Inode   vmem.VirtAddr `kernel:"d_inode"` // 0 for a name that is known not to be there
	Super   vmem.VirtAddr `kernel:"d_sb"`
}

// A superStruct is struct super_block.
type superStruct struct {
	Dev   uint32        `kernel:"s_dev"`
	Type  vmem.VirtAddr `kernel:"s_type"`
	Magic uint64        `kernel:"s_magic"`
	Flags uint64        `kernel:"s_flags"`
	Root  vmem.VirtAddr `kernel:"s_root"`
	ID    [32]byte      `kernel:"s_id"`
	Info  vmem.VirtAddr `kernel:"s_fs_info"`
}

// A mountStruct is struct mount (fs/mount.h).
type mountStruct struct {
	ID     int32         `kernel:"mnt_id"`
	Parent vmem.VirtAddr `kernel:"mnt_parent"` // itself for the root of a tree
	Point  vmem.VirtAddr `kernel:"mnt_mountpoint"`
	Root   vmem.VirtAddr `kernel:"mnt.mnt_root"`
	Super  vmem.VirtAddr `kernel:"mnt.mnt_sb"`
	Flags  int32         `kernel:"mnt.mnt_flags"`
}

// A mappingStruct is struct address_space.
type mappingStruct struct {
	Host  vmem.VirtAddr `kernel:"host"`
	Pages uint64        `kernel:"nrpages"`
}

// A fileStruct is struct file.
type fileStruct struct {
	Mount  vmem.VirtAddr `kernel:"f_path.mnt"`
	Dentry vmem.VirtAddr `kernel:"f_path.dentry"`
}

// views are what all file systems are read with.
type views struct {
	inode   *kstruct.View[inodeStruct]
	dentry  *kstruct.View[dentryStruct]
	super   *kstruct.View[superStruct]
	mount   *kstruct.View[mountStruct]
	mapping *kstruct.View[mappingStruct]
	file    *kstruct.View[fileStruct]
	vmaFile *kstruct.Field[vmem.VirtAddr]
	mm      *kstruct.Field[vmem.VirtAddr] // of task_struct
	exe     *kstruct.Field[vmem.VirtAddr] // of mm_struct
	name    *kstruct.Field[vmem.VirtAddr] // of file_system_type

	supers    kstruct.Member // s_list of super_block
	inodes    kstruct.Member // s_inodes of super_block
	inodeNode kstruct.Member // i_sb_list of inode
	pages     kstruct.Member // i_pages of address_space
	data      kstruct.Member // i_data of inode
	vfs       kstruct.Member // mnt of mount

	children, child     kstruct.Member // d_children of dentry, and d_sib, since 6.8 (da549bdd15c2)
	oldChildren, oldSib kstruct.Member // d_subdirs and d_child before

	err error

	shmem shmemViews
	ext4  ext4Views
}

// shmemViews are what tmpfs adds.
type shmemViews struct {
	inode  kstruct.Member         // vfs_inode of shmem_inode_info
	sec    *kstruct.Field[int64]  // i_crtime, since 5.18 (f7cd16a55837)
	nsec   *kstruct.Field[int64]  //
	xattrs xattrViews             //
	err    error                  //
	swaps  *kstruct.Field[uint64] // swapped
}

// ext4Views are what ext4 adds.
type ext4Views struct {
	inode     kstruct.Member // vfs_inode of ext4_inode_info
	sec, nsec *kstruct.Field[int64]
}

func bindViews(types *isf.File) *views {
	v := new(views)
	b := kstruct.NewBinder(types)
	v.inode = kstruct.Bind[inodeStruct](b, "inode")
	v.dentry = kstruct.Bind[dentryStruct](b, "dentry")
	v.super = kstruct.Bind[superStruct](b, "super_block")
	v.mount = kstruct.Bind[mountStruct](b, "mount")
	v.mapping = kstruct.Bind[mappingStruct](b, "address_space")
	v.file = kstruct.Bind[fileStruct](b, "file")
	v.vmaFile = kstruct.BindField[vmem.VirtAddr](b, "vm_area_struct", "vm_file")
	v.mm = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "mm")
	v.exe = kstruct.BindField[vmem.VirtAddr](b, "mm_struct", "exe_file")
	v.name = kstruct.BindField[vmem.VirtAddr](b, "file_system_type", "name")
	v.supers = kstruct.BindMember(b, "super_block", "s_list")
	v.inodes = kstruct.BindMember(b, "super_block", "s_inodes")
	v.inodeNode = kstruct.BindMember(b, "inode", "i_sb_list")
	v.pages = kstruct.BindMember(b, "address_space", "i_pages")
	v.data = kstruct.BindMember(b, "inode", "i_data")
	v.vfs = kstruct.BindMember(b, "mount", "mnt")
	if v.children = kstruct.BindOptionalMember(b, "dentry", "d_children"); v.children.Ok() {
		v.child = kstruct.BindMember(b, "dentry", "d_sib")
	} else {
		v.oldChildren = kstruct.BindMember(b, "dentry", "d_subdirs")
		v.oldSib = kstruct.BindMember(b, "dentry", "d_child")
	}
	v.err = b.Err()

	b = kstruct.NewBinder(types)
	v.shmem.inode = kstruct.BindMember(b, "shmem_inode_info", "vfs_inode")
	v.shmem.sec = kstruct.BindOptionalField[int64](b, "shmem_inode_info", "i_crtime.tv_sec")
	v.shmem.nsec = kstruct.BindOptionalField[int64](b, "shmem_inode_info", "i_crtime.tv_nsec")
	v.shmem.swaps = kstruct.BindField[uint64](b, "shmem_inode_info", "swapped")
	v.shmem.xattrs = bindXattrs(b)
	v.shmem.err = b.Err()

	b = kstruct.NewBinder(types)
	v.ext4.inode = kstruct.BindOptionalMember(b, "ext4_inode_info", "vfs_inode")
	v.ext4.sec = kstruct.BindOptionalField[int64](b, "ext4_inode_info", "i_crtime.tv_sec")
	v.ext4.nsec = kstruct.BindOptionalField[int64](b, "ext4_inode_info", "i_crtime.tv_nsec")
	return v
}

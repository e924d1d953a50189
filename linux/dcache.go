package linux

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// dcacheOpHash is DCACHE_OP_HASH of include/linux/dcache.h: the file system hashes names
// its own way, as where upper and lower case are one.
const dcacheOpHash = 1

// named reports whether name can be that of the dentry at addr: a short one is in the
// dentry itself, others are not, and the hash of the name is salted by the parent, so that
// it vouches for both.
func (k *Kernel) named(addr vmem.VirtAddr, d *dentry, name []byte) bool {
	room := k.views.paths.short
	if short := uint64(len(name)) < room.Size(); short != (d.Name == room.Of(addr)) {
		return false
	}
	switch {
	case d.Parent == addr: // what has no directory has a name without a hash
		return true
	case d.Flags&dcacheOpHash != 0:
		return !bytes.ContainsAny(name, "/\x00")
	case d.NameHash == nameHash(d.Parent, name):
		return true
	}
	// d_mark_tmpfile of fs/dcache.c names a dentry without hashing that.
	return d.NameHash == 0 && d.Pprev == 0 && bytes.HasPrefix(name, []byte("#"))
}

// nameHash follows full_name_hash of fs/namei.c as kernels for x86-64 have it
// (CONFIG_DCACHE_WORD_ACCESS), by words: the hash of a name in the directory whose dentry is
// at parent.
func nameHash(parent vmem.VirtAddr, name []byte) uint32 {
	x, y := uint64(0), uint64(parent)
	for ; len(name) >= 8; name = name[8:] {
		x ^= binary.LittleEndian.Uint64(name)
		y ^= x
		x = bits.RotateLeft64(x, 12) + y
		y = bits.RotateLeft64(y, 45) * 9
	}
	var last [8]byte
	copy(last[:], name)
	x ^= binary.LittleEndian.Uint64(last[:])
	return uint32((y ^ x*goldenRatio) * goldenRatio >> 32) // fold_hash
}

// ringed reports whether the node at addr is in a list, alone or beside others that point
// back to it, which tells that it was not copied from elsewhere, nor overwritten.
func (k *Kernel) ringed(addr vmem.VirtAddr, node listHead) bool {
	return node == listHead{addr, addr} || k.linked(addr, node)
}

// vfsMount reads the vfsmount at addr.
func (k *Kernel) vfsMount(addr vmem.VirtAddr) (m vfsMount, err error) {
	if !plausible(addr) {
		return m, errPointer("vfsmount", addr)
	}
	if m, err = k.views.paths.vfs.Load(k.space, addr); err != nil {
		return m, err
	}
	if !plausible(m.Root) || !plausible(m.Super) {
		return m, fmt.Errorf("%w: vfsmount %v of dentry %v, super_block %v", kstruct.ErrCorrupt, addr, m.Root, m.Super)
	}
	return m, nil
}

// mountedOn returns where the mount of the vfsmount at addr is mounted, and whether it is
// the root of a tree of mounts, which is its own parent.
func (k *Kernel) mountedOn(addr vmem.VirtAddr, mnt *vfsMount) (on path, isTop bool, err error) {
	v := &k.views.paths
	mount := v.mnt.Container(addr)
	up, err := v.point.Load(k.space, mount)
	switch {
	case err != nil:
		return on, false, err
	case !plausible(up.Parent) || !plausible(up.Dentry):
		return on, false, fmt.Errorf("%w: mount %v on dentry %v of mount %v", kstruct.ErrCorrupt, mount, up.Dentry, up.Parent)
	case !k.ringed(v.mounts.Of(mount), up.Mounts) && !k.ringed(v.child.Of(mount), up.Child):
		return on, false, fmt.Errorf("%w: mount %v is not in its lists", kstruct.ErrCorrupt, mount)
	case up.Parent == mount && up.Dentry != mnt.Root:
		return on, false, fmt.Errorf("%w: mount %v without a parent, on dentry %v and not on its own %v", kstruct.ErrCorrupt, mount, up.Dentry, mnt.Root)
	}
	return path{Mnt: v.mnt.Of(up.Parent), Dentry: up.Dentry}, up.Parent == mount, nil
}

// inodeOf reads the inode of a dentry.
func (k *Kernel) inodeOf(d *lastDentry) (inode, error) {
	n, err := k.views.paths.inode.Load(k.space, d.Inode)
	if err == nil && (n.Super != d.Super || n.Host != d.Inode && k.views.paths.inode.Has("Host")) {
		err = fmt.Errorf("%w: inode %v of super_block %v, mapping of %v", kstruct.ErrCorrupt, d.Inode, n.Super, n.Host)
	}
	return n, err
}

package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Superblock magics of the file systems whose files have no path
// (include/uapi/linux/magic.h). They tell d_dname functions apart without symbols.
const (
	magicAnonInode = 0x09041934
	magicPipe      = 0x50495045
	magicSock      = 0x534f434b
	magicNS        = 0x6e736673
	magicPID       = 0x50494446
	magicDMABuf    = 0x444d4142
)

const (
	nameMax    = 255  // NAME_MAX
	dmaNameMax = 32   // DMA_BUF_NAME_LEN
	maxDepth   = 4096 // components and mounts on the way to the root
)

// A path is struct path: a dentry as seen through a mount (its vfsmount).
type path struct {
	Mnt    vmem.VirtAddr `kernel:"mnt"`
	Dentry vmem.VirtAddr `kernel:"dentry"`
}

// A dentry is struct dentry (include/linux/dcache.h), as far as each path needs it.
type dentry struct {
	Parent  vmem.VirtAddr `kernel:"d_parent"` // itself for the root of a file system
	NameLen uint32        `kernel:"d_name.len"`
	Name    vmem.VirtAddr `kernel:"d_name.name"`
}

// A lastDentry is a dentry that a path ends with.
type lastDentry struct {
	dentry
	Inode vmem.VirtAddr `kernel:"d_inode"`
	Super vmem.VirtAddr `kernel:"d_sb"`
	Ops   vmem.VirtAddr `kernel:"d_op"`
	Hash  vmem.VirtAddr `kernel:"d_hash.pprev"` // 0 for what was deleted
	Data  vmem.VirtAddr `kernel:"d_fsdata"`
}

// An inode is struct inode (include/linux/fs.h).
type inode struct {
	Number  uint64        `kernel:"i_ino"`
	Private vmem.VirtAddr `kernel:"i_private"`
}

// A mountPoint is where a struct mount (fs/mount.h) is mounted.
type mountPoint struct {
	Parent vmem.VirtAddr `kernel:"mnt_parent"` // itself for the root of a tree
	Dentry vmem.VirtAddr `kernel:"mnt_mountpoint"`
}

type pathViews struct {
	dentry *kstruct.View[dentry]
	last   *kstruct.View[lastDentry]
	dname  *kstruct.Field[vmem.VirtAddr] // of dentry_operations
	inode  *kstruct.View[inode]
	magic  *kstruct.Field[uint64]        // of super_block
	root   *kstruct.Field[vmem.VirtAddr] // of vfsmount
	super  *kstruct.Field[vmem.VirtAddr] // of vfsmount
	point  *kstruct.View[mountPoint]
	mnt    kstruct.Member // of mount: its vfsmount
	err    error

	dmaName *kstruct.Field[vmem.VirtAddr]
	dmaErr  error
}

func bindPaths(types *isf.File) (v pathViews) {
	b := kstruct.NewBinder(types)
	v.dentry = kstruct.Bind[dentry](b, "dentry")
	v.last = kstruct.Bind[lastDentry](b, "dentry")
	v.dname = kstruct.BindField[vmem.VirtAddr](b, "dentry_operations", "d_dname")
	v.inode = kstruct.Bind[inode](b, "inode")
	v.magic = kstruct.BindField[uint64](b, "super_block", "s_magic")
	v.root = kstruct.BindField[vmem.VirtAddr](b, "vfsmount", "mnt_root")
	v.super = kstruct.BindField[vmem.VirtAddr](b, "vfsmount", "mnt_sb")
	v.point = kstruct.Bind[mountPoint](b, "mount")
	v.mnt = kstruct.BindMember(b, "mount", "mnt")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.dmaName = kstruct.BindField[vmem.VirtAddr](b, "dma_buf", "name")
	v.dmaErr = b.Err()
	return v
}

// dPath returns the path as d_path of fs/d_path.c shows it to a process whose root is
// the node's: over mounts up to that root, or to where the mounts end.
func (k *Kernel) dPath(p path) (string, error) {
	return k.remembered(pathKey{filePath, p.Mnt, p.Dentry}, func() (string, error) {
		s, err := k.walkPath(p)
		return s, cause(err, k.views.paths.err)
	})
}

func (k *Kernel) walkPath(p path) (string, error) {
	v := &k.views.paths
	var d lastDentry
	if err := v.last.Read(k.space, p.Dentry, &d); err != nil {
		return "", err
	}
	root, err := v.root.Load(k.space, p.Mnt)
	if err != nil {
		return "", err
	}
	isRoot := d.Parent == p.Dentry
	if d.Ops != 0 && (!isRoot || p.Dentry != root) {
		dname, err := v.dname.Load(k.space, d.Ops)
		if err != nil {
			return "", err
		}
		if dname != 0 {
			return k.dynamicName(&d)
		}
	}
	s, err := k.pathOf(p)
	if err == nil && !isRoot && d.Hash == 0 {
		s += " (deleted)"
	}
	return s, err
}

// pathOf returns the path of a dentry that is seen through a mount, deleted or not.
func (k *Kernel) pathOf(p path) (string, error) {
	var b pathBuffer
	if err := k.prependPath(&b, p); err != nil {
		return "", cause(err, k.views.paths.err)
	}
	return b.String(), nil
}

// fsPath returns the path of the dentry at addr inside its file system (dentry_path).
func (k *Kernel) fsPath(addr vmem.VirtAddr) (string, error) {
	var b pathBuffer
	a := ascent{pathBuffer: &b, k: k}
	if err := a.end(k.ascend(&a, addr)); err != nil {
		return "", cause(err, k.views.paths.err)
	}
	return b.String(), nil
}

// ascend goes from the dentry at addr to the root of its file system.
func (k *Kernel) ascend(a *ascent, addr vmem.VirtAddr) error {
	var d dentry
	for {
		if end, err := a.arrive(pathKey{dentryPath, 0, addr}); end {
			return err
		}
		if err := k.views.paths.dentry.Read(k.space, addr, &d); err != nil {
			return err
		}
		if d.Parent == addr {
			return nil
		}
		if err := k.prependName(a.pathBuffer, addr, &d); err != nil {
			return err
		}
		addr = d.Parent
	}
}

// prependPath follows the function of that name in fs/d_path.c.
func (k *Kernel) prependPath(b *pathBuffer, p path) error {
	a := ascent{pathBuffer: b, k: k}
	return a.end(k.ascendMounts(&a, p))
}

// ascendMounts goes from p to the root of its mounts.
func (k *Kernel) ascendMounts(a *ascent, p path) error {
	v := &k.views.paths
	var d dentry
	top, err := v.root.Load(k.space, p.Mnt)
	for {
		if err != nil {
			return err
		}
		if p == k.root {
			return nil
		}
		if end, err := a.arrive(pathKey{dentryPath, p.Mnt, p.Dentry}); end {
			return err
		}
		if p.Dentry == top {
			mount := v.mnt.Container(p.Mnt)
			up, err := v.point.Load(k.space, mount)
			if err != nil || up.Parent == mount || up.Parent == 0 { // the root of a mount tree
				return err
			}
			p = path{Mnt: v.mnt.Of(up.Parent), Dentry: up.Dentry}
			if top, err = v.root.Load(k.space, p.Mnt); err != nil {
				return err
			}
			continue
		}
		if err := v.dentry.Read(k.space, p.Dentry, &d); err != nil {
			return err
		}
		if d.Parent == p.Dentry { // escaped from the mount: it has no path
			a.clear()
			a.forget()
			return nil
		}
		if err := k.prependName(a.pathBuffer, p.Dentry, &d); err != nil {
			return err
		}
		p.Dentry = d.Parent
	}
}

// prependName puts a slash and the name of the dentry at addr before a path.
func (k *Kernel) prependName(b *pathBuffer, addr vmem.VirtAddr, d *dentry) error {
	if d.NameLen > nameMax {
		return fmt.Errorf("%w: dentry %v with a name of %d bytes", kstruct.ErrCorrupt, addr, d.NameLen)
	}
	var name [nameMax]byte
	if err := k.copyAt(name[:d.NameLen], d.Name); err != nil {
		return err
	}
	b.component(name[:d.NameLen])
	return nil
}

// dentryName returns the name of the dentry at addr.
func (k *Kernel) dentryName(addr vmem.VirtAddr, d *dentry) (string, error) {
	var b pathBuffer
	if err := k.prependName(&b, addr, d); err != nil {
		return "", err
	}
	return b.String()[1:], nil
}

// dynamicName gives the name of a file without a path, as the d_dname function of its
// file system does: sockfs_dname, pipefs_dname, anon_inodefs_dname, ns_dname,
// pidfs_dname, dmabuffs_dname and, for all others (memfd, SysV shared memory),
// simple_dname.
func (k *Kernel) dynamicName(d *lastDentry) (string, error) {
	v := &k.views.paths
	magic, err := v.magic.Load(k.space, d.Super)
	if err != nil {
		return "", err
	}
	n, err := v.inode.Load(k.space, d.Inode)
	if err != nil {
		return "", err
	}
	switch magic {
	case magicSock:
		return fmt.Sprintf("socket:[%d]", n.Number), nil
	case magicPipe:
		return fmt.Sprintf("pipe:[%d]", n.Number), nil
	case magicPID:
		return "anon_inode:[pidfd]", nil
	case magicNS:
		return k.nsName(n.Private) // its ns_common (fs/nsfs.c)
	}
	name, err := k.dentryName(d.Inode, &d.dentry)
	switch {
	case err != nil:
		return "", err
	case magic == magicAnonInode:
		return "anon_inode:" + name, nil
	case magic == magicDMABuf:
		own, err := k.dmaBufName(d.Data)
		return "/" + name + ":" + own, err
	}
	return "/" + name + " (deleted)", nil
}

// dmaBufName returns the name that a program gave a struct dma_buf, empty for none.
func (k *Kernel) dmaBufName(addr vmem.VirtAddr) (string, error) {
	v := &k.views.paths
	name, err := v.dmaName.Load(k.space, addr)
	if err != nil || name == 0 {
		return "", cause(err, v.dmaErr)
	}
	return k.space.CString(name, dmaNameMax)
}

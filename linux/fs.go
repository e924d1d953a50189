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

// Types of files (include/uapi/linux/stat.h).
const (
	modeType   = 0o170000 // S_IFMT
	modeFIFO   = 0o010000
	modeSocket = 0o140000
)

// dynamicTypes are the types of the files of a file system.
var dynamicTypes = map[uint64]uint16{magicPipe: modeFIFO, magicSock: modeSocket}

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
	Flags    uint32        `kernel:"d_flags"`
	Pprev    vmem.VirtAddr `kernel:"d_hash.pprev"` // 0 for what was deleted
	Parent   vmem.VirtAddr `kernel:"d_parent"`     // itself for the root of a file system
	NameHash uint32        `kernel:"d_name.hash"`
	NameLen  uint32        `kernel:"d_name.len"`
	Name     vmem.VirtAddr `kernel:"d_name.name"`
	Super    vmem.VirtAddr `kernel:"d_sb"`
}

// A lastDentry is a dentry that a path ends with.
type lastDentry struct {
	dentry
	Inode vmem.VirtAddr `kernel:"d_inode"`
	Ops   vmem.VirtAddr `kernel:"d_op"`
	Data  vmem.VirtAddr `kernel:"d_fsdata"`
}

// An inode is struct inode (include/linux/fs.h).
type inode struct {
	Mode    uint16        `kernel:"i_mode"`
	Super   vmem.VirtAddr `kernel:"i_sb"`
	Number  uint64        `kernel:"i_ino"`
	Host    vmem.VirtAddr `kernel:"i_data.host,optional"` // itself
	Private vmem.VirtAddr `kernel:"i_private"`
}

// A vfsMount is struct vfsmount (include/linux/mount.h).
type vfsMount struct {
	Root  vmem.VirtAddr `kernel:"mnt_root"`
	Super vmem.VirtAddr `kernel:"mnt_sb"`
}

// A mountPoint is where a struct mount (fs/mount.h) is mounted.
type mountPoint struct {
	Parent vmem.VirtAddr `kernel:"mnt_parent"`     // itself for the root of a tree
	Dentry vmem.VirtAddr `kernel:"mnt_mountpoint"` // its own root for that of a tree
	Mounts listHead      `kernel:"mnt_mounts"`
	Child  listHead      `kernel:"mnt_child"`
}

type pathViews struct {
	dentry *kstruct.View[dentry]
	last   *kstruct.View[lastDentry]
	dname  *kstruct.Field[vmem.VirtAddr] // of dentry_operations
	inode  *kstruct.View[inode]
	magic  *kstruct.Field[uint64] // of super_block
	vfs    *kstruct.View[vfsMount]
	short  kstruct.Member // of dentry: room for a short name
	point  *kstruct.View[mountPoint]
	mnt    kstruct.Member // of mount: its vfsmount
	mounts kstruct.Member // of mount: the list of those on it
	child  kstruct.Member // of mount: its node in that of its parent
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
	v.vfs = kstruct.Bind[vfsMount](b, "vfsmount")
	v.short = kstruct.BindMember(b, "dentry", "d_shortname", "d_iname") // renamed in 6.14
	v.point = kstruct.Bind[mountPoint](b, "mount")
	v.mnt = kstruct.BindMember(b, "mount", "mnt")
	v.mounts = kstruct.BindMember(b, "mount", "mnt_mounts")
	v.child = kstruct.BindMember(b, "mount", "mnt_child")
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
	mnt, err := k.vfsMount(p.Mnt)
	if err != nil {
		return "", err
	}
	if d.Super != mnt.Super || !plausible(d.Inode) {
		return "", fmt.Errorf("%w: dentry %v with inode %v of super_block %v, in a mount of %v", kstruct.ErrCorrupt, p.Dentry, d.Inode, d.Super, mnt.Super)
	}
	isRoot := d.Parent == p.Dentry
	if d.Ops != 0 && (!isRoot || p.Dentry != mnt.Root) {
		dname, err := v.dname.Load(k.space, d.Ops)
		if err != nil {
			return "", err
		}
		if dname != 0 {
			return k.dynamicName(p.Dentry, &d)
		}
	}
	s, err := k.pathOf(p)
	if err == nil && !isRoot && d.Pprev == 0 {
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
	mnt, err := k.vfsMount(p.Mnt)
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
		if p.Dentry == mnt.Root {
			up, isTop, err := k.mountedOn(p.Mnt, &mnt)
			if err != nil || isTop {
				return err
			}
			p = up
			if mnt, err = k.vfsMount(p.Mnt); err != nil {
				return err
			}
			continue
		}
		if err := v.dentry.Read(k.space, p.Dentry, &d); err != nil {
			return err
		}
		if d.Super != mnt.Super {
			return fmt.Errorf("%w: dentry %v of super_block %v, in a mount of %v", kstruct.ErrCorrupt, p.Dentry, d.Super, mnt.Super)
		}
		if d.Parent == p.Dentry { // escaped from the mount: it has no path
			if d.NameLen != 1 { // nor a name but a slash, unless d_dname makes one, which was lost then
				return fmt.Errorf("%w: dentry %v has no parent and a name of %d bytes, and no function that makes one", kstruct.ErrCorrupt, p.Dentry, d.NameLen)
			}
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
	if !k.named(addr, d, name[:d.NameLen]) {
		return fmt.Errorf("%w: dentry %v with the name %q at %v, which is not its own", kstruct.ErrCorrupt, addr, name[:d.NameLen], d.Name)
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
func (k *Kernel) dynamicName(addr vmem.VirtAddr, d *lastDentry) (string, error) {
	v := &k.views.paths
	magic, err := v.magic.Load(k.space, d.Super)
	if err != nil {
		return "", err
	}
	n, err := k.inodeOf(d)
	if err != nil {
		return "", err
	}
	if typ := dynamicTypes[magic]; typ != 0 && n.Mode&modeType != typ {
		return "", fmt.Errorf("%w: inode %v of mode %#o in a file system with the magic %#x", kstruct.ErrCorrupt, d.Inode, n.Mode, magic)
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
	name, err := k.dentryName(addr, &d.dentry)
	switch {
	case err != nil:
		return "", err
	case name == "": // of the kinds above alone
		return "", fmt.Errorf("%w: dentry %v without a name in a file system with the magic %#x", kstruct.ErrCorrupt, addr, magic)
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

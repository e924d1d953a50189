package linux

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// mntCursor marks what stands on the list of mounts for a reader of /proc/PID/mountinfo
// and is no mount (MNT_CURSOR): since 5.8 (9f6c61f96f2d), until 6.8 (2eea9ce4310d).
const mntCursor = 0x10000000

// A mountStruct is struct mount (fs/mount.h).
type mountStruct struct {
	ID     int32         `kernel:"mnt_id"`
	Parent vmem.VirtAddr `kernel:"mnt_parent"`
	Device vmem.VirtAddr `kernel:"mnt_devname"`
	Root   vmem.VirtAddr `kernel:"mnt.mnt_root"`
	Super  vmem.VirtAddr `kernel:"mnt.mnt_sb"`
	Flags  int32         `kernel:"mnt.mnt_flags"`
}

type mountViews struct {
	mount    *kstruct.View[mountStruct]
	id       *kstruct.Field[int32]
	fsType   *kstruct.Field[vmem.VirtAddr] // of super_block
	typeName *kstruct.Field[vmem.VirtAddr] // of file_system_type
	count    *kstruct.Field[uint32]        // of mnt_namespace: its mounts
	err      error

	tree, treeNode kstruct.Member // of mnt_namespace, since 6.8 (2eea9ce4310d), and of mount
	list, listNode kstruct.Member // before
}

func bindMount(types *isf.File) (v mountViews) {
	b := kstruct.NewBinder(types)
	v.mount = kstruct.Bind[mountStruct](b, "mount")
	v.id = kstruct.BindField[int32](b, "mount", "mnt_id")
	v.fsType = kstruct.BindField[vmem.VirtAddr](b, "super_block", "s_type")
	v.typeName = kstruct.BindField[vmem.VirtAddr](b, "file_system_type", "name")
	// Before the rb_root, mounts was a number.
	v.tree = kstruct.BindOptionalMember(b, "mnt_namespace", "mounts.rb_node")
	if v.tree.Ok() {
		v.count = kstruct.BindOptionalField[uint32](b, "mnt_namespace", "nr_mounts")
		v.treeNode = kstruct.BindMember(b, "mount", "mnt_node")
	} else {
		v.count = kstruct.BindOptionalField[uint32](b, "mnt_namespace", "mounts")
		v.list = kstruct.BindMember(b, "mnt_namespace", "list")
		v.listNode = kstruct.BindMember(b, "mount", "mnt_list")
	}
	v.err = b.Err()
	return v
}

// maxMountText bounds the paths of all mounts of a namespace, in bytes.
const maxMountText = 16 << 20

// A Mount is an entry of a mount namespace, as a line of /proc/PID/mountinfo
// (linux.mountinfo of Volatility).
type Mount struct {
	ID         int32
	ParentID   int32
	Root       string        // the mounted directory or file, as a path inside its file system; of a namespace its name
	MountPoint string        // as the node's root would show it; inside a container, as the container's
	FSType     string        // such as overlay
	Source     string        // the device name, such as /dev/vda; any text for file systems without one
	Addr       vmem.VirtAddr // of struct mount
}

// Mounts yields the mounts of the task's mount namespace by ascending ID. Errors are
// [vmem.Gap], come before the mounts, and do not end the walk, but for the context's own.
// No Mount comes with an error. A task that has exited has none.
func (t *Task) Mounts(ctx context.Context) iter.Seq2[Mount, error] {
	return func(yield func(Mount, error) bool) {
		mounts, gaps := t.mounts(ctx)
		for _, g := range gaps {
			if !yield(Mount{}, g) {
				return
			}
		}
		for _, m := range mounts {
			if !yield(m, nil) {
				return
			}
		}
	}
}

func (t *Task) mounts(ctx context.Context) (mounts []Mount, gaps []error) {
	k := t.k
	object := "mounts of " + t.String()
	k.refresh()
	p, err := k.nsproxy(t.Addr)
	switch err = cmp.Or(err, k.views.mount.err); {
	case err != nil:
		return nil, []error{newGap(object, t.Addr, err)}
	case p.Mnt == 0 && t.exiting():
		return nil, nil
	case !plausible(p.Mnt):
		return nil, []error{newGap(object, t.Addr, errPointer("mnt_namespace", p.Mnt))}
	}
	text, lost := 0, k.losses()
	for addr, err := range k.mountAddrs(ctx, object, p.Mnt) {
		if err != nil {
			gaps = append(gaps, err)
			continue
		}
		m, isMount, err := k.mount(addr)
		switch {
		case err != nil:
			if g := newGap(object, addr, err); lost.tell(g) {
				gaps = append(gaps, g)
			}
		case isMount:
			lost.found()
			mounts = append(mounts, m)
			text += len(m.Root) + len(m.MountPoint) + len(m.Source)
		}
		if text > maxMountText {
			gaps = append(gaps, newGap(object, addr, fmt.Errorf("%w: mounts with more than %d bytes of paths", kstruct.ErrTooLong, maxMountText)))
			break
		}
		if err := lost.hopeless(); err != nil {
			gaps = append(gaps, newGap(object, addr, err))
			break
		}
	}
	for _, g := range lost.rest(object) {
		gaps = append(gaps, g)
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return cmp.Compare(a.ID, b.ID) })
	return mounts, gaps
}

// mountAddrs yields the struct mounts of a mount namespace, and cursors among them.
func (k *Kernel) mountAddrs(ctx context.Context, object string, ns vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	v, w := &k.views.mount, k.walk(ctx, object, k.mountNodes(ns))
	return func(yield func(vmem.VirtAddr, error) bool) {
		if v.tree.Ok() {
			each(w.RBTree(v.tree.Of(ns)), v.treeNode, yield)
		} else {
			each(w.List(v.list.Of(ns)), v.listNode, yield)
		}
	}
}

// mount reads the struct mount at addr, and reports whether it is one.
func (k *Kernel) mount(addr vmem.VirtAddr) (m Mount, isMount bool, err error) {
	v := &k.views.mount
	s, err := v.mount.Load(k.space, addr)
	if err != nil || !v.tree.Ok() && s.Flags&mntCursor != 0 {
		return m, false, err
	}
	m = Mount{Addr: addr, ID: s.ID}
	if m.ParentID, err = v.id.Load(k.space, s.Parent); err != nil {
		return m, true, err
	}
	if m.FSType, err = k.fsTypeOf(s.Super); err != nil {
		return m, true, err
	}
	if s.Device != 0 {
		if m.Source, err = k.space.CString(s.Device, pageSize); err != nil {
			return m, true, err
		}
	}
	if m.Root, err = k.mountRoot(&s); err != nil {
		return m, true, err
	}
	m.MountPoint, err = k.pathOf(path{Mnt: k.views.paths.mnt.Of(addr), Dentry: s.Root})
	return m, true, err
}

// mountRoot returns the path of what is mounted inside its file system, and for a namespace
// its name (nsfs_show_path of fs/nsfs.c).
func (k *Kernel) mountRoot(s *mountStruct) (string, error) {
	v := &k.views.paths
	magic, err := v.magic.Load(k.space, s.Super)
	if err != nil {
		return "", cause(err, v.err)
	}
	if magic != magicNS {
		return k.fsPath(s.Root)
	}
	d, err := v.last.Load(k.space, s.Root)
	if err != nil {
		return "", cause(err, v.err)
	}
	n, err := k.inodeOf(&d)
	if err != nil {
		return "", cause(err, v.err)
	}
	return k.nsName(n.Private)
}

// fsTypeOf returns the name of the type of the file system whose super_block is at addr.
func (k *Kernel) fsTypeOf(super vmem.VirtAddr) (string, error) {
	v := &k.views.mount
	typ, err := v.fsType.Load(k.space, super)
	if err != nil {
		return "", err
	}
	name, err := v.typeName.Load(k.space, typ)
	if err != nil {
		return "", err
	}
	return k.space.CString(name, nameMax)
}

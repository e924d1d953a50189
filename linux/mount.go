package linux

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

type mountLayout struct {
	mnt, parent, mountpoint, devname, id field // mount
	root, sb                             field // vfsmount
	node, list                           field // mount
	tree, mounts                         field // mnt_namespace
	rbNode, rbLeft, rbRight              field
}

func newMountLayout(r resolver) mountLayout {
	return mountLayout{
		mnt:        r.need("mount", "mnt"),
		parent:     r.need("mount", "mnt_parent"),
		mountpoint: r.need("mount", "mnt_mountpoint"),
		devname:    r.need("mount", "mnt_devname"),
		id:         r.need("mount", "mnt_id"),
		root:       r.need("vfsmount", "mnt_root"),
		sb:         r.need("vfsmount", "mnt_sb"),
		tree:       r.opt("mnt_namespace", "mounts"), // an rb_root since 6.8 (2eea9ce4310d)
		node:       r.opt("mount", "mnt_node"),
		mounts:     r.opt("mnt_namespace", "list"), // before
		list:       r.opt("mount", "mnt_list"),
		rbNode:     r.opt("rb_root", "rb_node"),
		rbLeft:     r.opt("rb_node", "rb_left"),
		rbRight:    r.opt("rb_node", "rb_right"),
	}
}

// A Mount is an entry of a mount namespace, as a line of /proc/PID/mountinfo
// (linux.mountinfo of Volatility).
type Mount struct {
	ID         int32
	ParentID   int32
	Root       string        // the mounted directory or file, as a path inside its file system
	MountPoint string        // as the node's root would show it; inside a container, as the container's
	FSType     string        // such as overlay
	Source     string        // the device name, such as /dev/vda; any text for file systems without one
	Addr       vmem.VirtAddr // of struct mount
}

// Mounts yields the mounts of the task's mount namespace by ascending ID. Errors are
// [vmem.Gap], come before the mounts, and do not end the walk.
func (t *Task) Mounts() iter.Seq2[Mount, error] {
	return func(yield func(Mount, error) bool) {
		mounts, gaps := t.mounts()
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

func (t *Task) mounts() (mounts []Mount, gaps []vmem.Gap) {
	k := t.k
	object := "mounts of " + t.String()
	r := k.fresh()
	proxy := r.ptr(t.Addr, k.layout.task.nsproxy)
	if proxy == 0 && r.err == nil {
		return nil, nil
	}
	ns := r.ptr(proxy, k.layout.ns.mnt)
	if r.err != nil {
		return nil, []vmem.Gap{newGap(object, t.Addr, r.err)}
	}
	for addr, err := range k.mountAddrs(object, ns) {
		var m Mount
		if err == nil {
			m, err = k.mount(addr)
		}
		if err != nil {
			gaps = append(gaps, newGap(object, addr, err))
			continue
		}
		mounts = append(mounts, m)
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return cmp.Compare(a.ID, b.ID) })
	return mounts, gaps
}

// mountAddrs yields the struct mounts of a mount namespace.
func (k *Kernel) mountAddrs(object string, ns vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	l := &k.layout.mount
	return func(yield func(vmem.VirtAddr, error) bool) {
		switch {
		case max(l.tree, l.node, l.rbNode, l.rbLeft, l.rbRight).ok():
			r := k.reader()
			top := r.ptr(ns, l.tree+l.rbNode)
			if r.err != nil {
				yield(0, newGap(object, ns, r.err))
				return
			}
			k.rbTree(top, func(n vmem.VirtAddr, err error) bool { return yield(n-vmem.VirtAddr(l.node), err) })
		case l.mounts.ok() && l.list.ok():
			for n, err := range k.list(object, ns+vmem.VirtAddr(l.mounts)) {
				if !yield(n-vmem.VirtAddr(l.list), err) {
					return
				}
			}
		default:
			yield(0, newGap(object, ns, fmt.Errorf("%w: mnt_namespace.mounts", kstruct.ErrUnsupported)))
		}
	}
}

// rbTree visits all nodes of a red-black tree, in no particular order.
func (k *Kernel) rbTree(top vmem.VirtAddr, each func(vmem.VirtAddr, error) bool) {
	l := &k.layout.mount
	seen, todo := map[vmem.VirtAddr]bool{}, []vmem.VirtAddr{top}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if n == 0 {
			continue
		}
		r := k.reader()
		left, right := r.ptr(n, l.rbLeft), r.ptr(n, l.rbRight)
		err := r.err
		switch {
		case !plausible(n):
			err = errPointer("rb_node", n)
		case seen[n]:
			err = fmt.Errorf("%w: rb_node reached twice", kstruct.ErrCycle)
		case len(seen) >= maxNodes:
			err = fmt.Errorf("%w: tree of more than %d nodes", kstruct.ErrTooLong, maxNodes)
		}
		if !each(n, err) {
			return
		}
		if err == nil {
			seen[n] = true
			todo = append(todo, right, left)
		}
	}
}

func (k *Kernel) mount(addr vmem.VirtAddr) (Mount, error) {
	l, r := &k.layout.mount, k.reader()
	m := Mount{Addr: addr, ID: r.i32(addr, l.id), ParentID: r.i32(r.ptr(addr, l.parent), l.id)}
	mnt := addr + vmem.VirtAddr(l.mnt)
	root, sb := r.ptr(mnt, l.root), r.ptr(mnt, l.sb)
	m.FSType = r.cstring(r.ptr(r.ptr(sb, k.layout.fs.fsType), k.layout.fs.typeName), nameMax)
	if dev := r.ptr(addr, l.devname); dev != 0 {
		m.Source = r.cstring(dev, pageSize)
	}
	if r.err != nil {
		return m, r.err
	}
	var err error
	if m.Root, err = k.fsPath(root); err != nil {
		return m, err
	}
	m.MountPoint, err = k.prependPath(path{mnt: mnt, dentry: root})
	return m, err
}

// fsPath returns the path of a dentry inside its file system (dentry_path).
func (k *Kernel) fsPath(dentry vmem.VirtAddr) (string, error) {
	l, r := &k.layout.fs, k.reader()
	var names []string
	for range maxDepth {
		parent := r.ptr(dentry, l.parent)
		if r.err != nil {
			return "", r.err
		}
		if parent == dentry {
			return join(names), nil
		}
		name, err := k.dentryName(dentry)
		if err != nil {
			return "", err
		}
		names, dentry = append(names, name), parent
	}
	return "", fmt.Errorf("%w: path of more than %d components", kstruct.ErrTooLong, maxDepth)
}

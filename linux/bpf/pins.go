package bpf

import (
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A superBlock is struct super_block (include/linux/fs.h).
type superBlock struct {
	Type   vmem.VirtAddr `kernel:"s_type"`
	Root   vmem.VirtAddr `kernel:"s_root"`
	Mounts vmem.VirtAddr `kernel:"&s_mounts"`
	First  vmem.VirtAddr `kernel:"s_mounts.next|s_mounts"` // a mount since 6.18, before a node of one
}

// A bpfMount is struct mount (fs/mount.h).
type bpfMount struct {
	Namespace vmem.VirtAddr `kernel:"mnt_ns"`
	Mount     vmem.VirtAddr `kernel:"&mnt"`
	Root      vmem.VirtAddr `kernel:"mnt.mnt_root"`
	Next      vmem.VirtAddr `kernel:"mnt_next_for_sb,optional"` // since 6.18
}

// A pinDentry is struct dentry.
type pinDentry struct {
	Super vmem.VirtAddr `kernel:"d_sb"`
	Inode vmem.VirtAddr `kernel:"d_inode"`
}

// A pinInode is struct inode.
type pinInode struct {
	Mode    uint16        `kernel:"i_mode"`
	Ops     vmem.VirtAddr `kernel:"i_op"`
	Private vmem.VirtAddr `kernel:"i_private"`
}

type pinViews struct {
	super    *kstruct.View[superBlock]
	mount    *kstruct.View[bpfMount]
	dentry   *kstruct.View[pinDentry]
	inode    *kstruct.View[pinInode]
	list     kstruct.Member                // s_list
	typeName *kstruct.Field[vmem.VirtAddr] // of file_system_type
	nsproxy  *kstruct.Field[vmem.VirtAddr] // of task_struct
	fs       *kstruct.Field[vmem.VirtAddr]
	rootMnt  *kstruct.Field[vmem.VirtAddr] // root.mnt of fs_struct
	mntSuper *kstruct.Field[vmem.VirtAddr] // of vfsmount
	mntNS    *kstruct.Field[vmem.VirtAddr] // of nsproxy
	instance kstruct.Member                // of mount, until 6.17
	children kstruct.Member                // of dentry, since 6.8 an hlist
	sibling  kstruct.Member
	hlist    bool
	err      error
}

func bindPins(types *isf.File) (v pinViews) {
	b := kstruct.NewBinder(types)
	v.super, v.mount = kstruct.Bind[superBlock](b, "super_block"), kstruct.Bind[bpfMount](b, "mount")
	v.dentry, v.inode = kstruct.Bind[pinDentry](b, "dentry"), kstruct.Bind[pinInode](b, "inode")
	v.list = kstruct.BindMember(b, "super_block", "s_list")
	v.typeName = kstruct.BindField[vmem.VirtAddr](b, "file_system_type", "name")
	v.nsproxy = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "nsproxy")
	v.fs = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "fs")
	v.rootMnt = kstruct.BindField[vmem.VirtAddr](b, "fs_struct", "root.mnt")
	v.mntSuper = kstruct.BindField[vmem.VirtAddr](b, "vfsmount", "mnt_sb")
	v.mntNS = kstruct.BindField[vmem.VirtAddr](b, "nsproxy", "mnt_ns")
	v.instance = kstruct.BindOptionalMember(b, "mount", "mnt_instance")
	if v.hlist = types.HasField("dentry", "d_children"); v.hlist { // da549bdd15c2
		v.children, v.sibling = kstruct.BindMember(b, "dentry", "d_children"), kstruct.BindMember(b, "dentry", "d_sib")
	} else {
		v.children, v.sibling = kstruct.BindMember(b, "dentry", "d_subdirs"), kstruct.BindMember(b, "dentry", "d_child")
	}
	v.err = b.Err()
	return v
}

// readPins finds what is pinned in file systems of the type bpf: those of all super_blocks, which the
// root directory of a task leads to.
func (s *Set) readPins() {
	v := &s.views.pins
	if len(s.opts.Tasks) == 0 {
		return
	}
	if v.err != nil {
		s.lose("pins of BPF", 0, v.err)
		return
	}
	first, namespace, err := s.anySuper()
	if err != nil {
		s.lose("pins of BPF", 0, err)
		return
	}
	w := s.walk("super blocks")
	supers := []vmem.VirtAddr{first}
	for node, err := range w.List(v.list.Of(first)) {
		if err != nil {
			s.lose("super blocks", first, err)
		} else if !s.inImage(node) { // the head of the list
			supers = append(supers, v.list.Container(node))
		}
	}
	for _, at := range supers {
		b, err := v.super.Load(s.mem, at)
		var name vmem.VirtAddr
		if err == nil {
			name, err = v.typeName.Load(s.mem, b.Type)
		}
		if err != nil {
			s.lose("super block", at, err)
			continue
		}
		if text, err := s.mem.CString(name, 8); err == nil && text == "bpf" {
			s.readPinned(at, &b, namespace)
		}
	}
}

// anySuper returns the super_block of the root of a task, and its mount namespace: of PID 1 if that
// is there.
func (s *Set) anySuper() (super, namespace vmem.VirtAddr, err error) {
	v := &s.views.pins
	for _, t := range s.opts.Tasks {
		var proxy, fs, mnt vmem.VirtAddr
		if proxy, err = v.nsproxy.Load(s.mem, t.Addr); err != nil || proxy == 0 {
			continue
		}
		if fs, err = v.fs.Load(s.mem, t.Addr); err != nil || fs == 0 {
			continue
		}
		if namespace, err = v.mntNS.Load(s.mem, proxy); err == nil {
			mnt, err = v.rootMnt.Load(s.mem, fs)
		}
		if err == nil {
			super, err = v.mntSuper.Load(s.mem, mnt)
		}
		if err == nil {
			return super, namespace, nil
		}
	}
	if err == nil {
		err = unsupported("no task has a root directory")
	}
	return 0, 0, err
}

// mountsOf yields the mounts of a file system.
func (s *Set) mountsOf(b *superBlock) iter.Seq2[vmem.VirtAddr, error] {
	v := &s.views.pins
	w := s.walk("mounts of a bpf file system")
	if v.instance.Ok() {
		return w.Entries(w.List(b.Mounts), "mount", "mnt_instance")
	}
	next, _ := v.mount.Offset("Next")
	return w.Chain(b.First, next)
}

// where returns a path under which a file system is mounted, and the directory of it that is: in a
// namespace if it is there.
func (s *Set) where(b *superBlock, namespace vmem.VirtAddr) (at, root string) {
	v := &s.views.pins
	best := false
	for mount, err := range s.mountsOf(b) {
		m, err2 := v.mount.Load(s.mem, mount)
		if err != nil || err2 != nil || at != "" && (best || m.Namespace != namespace) {
			continue
		}
		path, err := s.k.Path(m.Mount, m.Root)
		if err != nil {
			continue
		}
		at, best, root = path, m.Namespace == namespace, ""
		if m.Root != b.Root {
			root, _ = s.k.DentryPath(m.Root)
		}
	}
	return at, root
}

// maxPins is how many files of a file system are looked at, and maxPinDepth how deep they can be.
const (
	maxPins     = 1 << 16
	maxPinDepth = 64
)

// readPinned reads the files of one file system.
func (s *Set) readPinned(at vmem.VirtAddr, b *superBlock, namespace vmem.VirtAddr) {
	v := &s.views.pins
	mounted, root := s.where(b, namespace)
	left := maxPins
	var visit func(dentry vmem.VirtAddr, depth int)
	visit = func(dentry vmem.VirtAddr, depth int) {
		if left--; left < 0 || depth > maxPinDepth || s.ctx.Err() != nil {
			if left == -1 {
				s.lose("pins of BPF", dentry, kstruct.ErrTooMany)
			}
			return
		}
		d, err := v.dentry.Load(s.mem, dentry)
		if err == nil && d.Super != at {
			err = corrupt("dentry %v of another file system, %v", dentry, d.Super)
		}
		var n pinInode
		if err == nil && d.Inode != 0 { // else there is no such file
			n, err = v.inode.Load(s.mem, d.Inode)
		}
		if err != nil {
			s.lose("pins of BPF", dentry, err)
			return
		}
		const modeType, modeRegular, modeDirectory = 0o170000, 0o100000, 0o040000
		switch n.Mode & modeType {
		case modeRegular:
			s.pin(dentry, &n, mounted, root)
		case modeDirectory:
			for child := range s.childrenOf(dentry) {
				visit(child, depth+1)
			}
		}
	}
	visit(b.Root, 0)
}

// childrenOf yields the dentries in a directory.
func (s *Set) childrenOf(dentry vmem.VirtAddr) iter.Seq[vmem.VirtAddr] {
	v := &s.views.pins
	return func(yield func(vmem.VirtAddr) bool) {
		w := s.walk("pins of BPF")
		nodes := w.List(v.children.Of(dentry))
		if v.hlist {
			nodes = w.HList(v.children.Of(dentry))
		}
		for node, err := range nodes {
			if err != nil {
				s.lose("pins of BPF", dentry, err)
			} else if !yield(v.sibling.Container(node)) {
				return
			}
		}
	}
}

// pin notes what a file stands for: bpf_mkobj_ops of kernel/bpf/inode.c. Its inode operations tell the
// kind, where they have symbols; else what is there does.
func (s *Set) pin(dentry vmem.VirtAddr, n *pinInode, mounted, root string) {
	inside, err := s.k.DentryPath(dentry)
	if err != nil {
		s.lose("pins of BPF", dentry, err)
	}
	name := path.Join(mounted, strings.TrimPrefix(inside, root))
	if mounted == "" {
		name = "bpf:" + inside
	}
	switch s.pinKind(n) {
	case "bpf_prog_iops":
		if p := s.addProgram(n.Private, InPins); p != nil {
			p.Pins = append(p.Pins, name)
		}
	case "bpf_map_iops":
		if m := s.addMap(n.Private, InPins); m != nil {
			m.Pins = append(m.Pins, name)
		}
	case "bpf_link_iops":
		if l := s.addLink(n.Private, InPins); l != nil {
			l.Pins = append(l.Pins, name)
		}
	}
}

// pinKind returns the name of the operations of what is pinned, empty for files of another
// kind, such as maps.debug, which the kernel makes.
func (s *Set) pinKind(n *pinInode) string {
	kinds := []string{"bpf_prog_iops", "bpf_map_iops", "bpf_link_iops"}
	known := false
	for _, kind := range kinds {
		if at, err := s.k.Symbol(kind); err == nil {
			known = true
			if at == n.Ops {
				return kind
			}
		}
	}
	if known || n.Private == 0 {
		return ""
	}
	i := slices.Index([]bool{s.isProgram(n.Private), s.isMap(n.Private), s.isLink(n.Private)}, true)
	if i < 0 {
		return ""
	}
	return kinds[i]
}

func (s *Set) isProgram(at vmem.VirtAddr) bool {
	_, err := s.readProgram(at)
	return err == nil
}

func (s *Set) isMap(at vmem.VirtAddr) bool {
	_, err := s.readMap(at)
	return err == nil
}

func (s *Set) isLink(at vmem.VirtAddr) bool {
	_, err := s.readLink(at)
	return err == nil
}

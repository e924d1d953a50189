package linux

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

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
	nameMax  = 255  // NAME_MAX
	maxDepth = 4096 // components and mounts on the way to the root
)

type fsLayout struct {
	root, pwd                            field // fs_struct
	mnt, dentry                          field // path
	parent, nameLen, name, inode, op, sb field // dentry
	unhashed, fsdata                     field
	dname                                field // dentry_operations
	ino, private                         field // inode
	magic, fsType, dev                   field // super_block
	typeName                             field // file_system_type
}

func newFSLayout(r resolver) fsLayout {
	return fsLayout{
		root:     r.need("fs_struct", "root"),
		pwd:      r.need("fs_struct", "pwd"),
		mnt:      r.need("path", "mnt"),
		dentry:   r.need("path", "dentry"),
		parent:   r.need("dentry", "d_parent"),
		nameLen:  r.need("dentry", "d_name.len"),
		name:     r.need("dentry", "d_name.name"),
		inode:    r.need("dentry", "d_inode"),
		op:       r.need("dentry", "d_op"),
		sb:       r.need("dentry", "d_sb"),
		unhashed: r.need("dentry", "d_hash.pprev"),
		fsdata:   r.opt("dentry", "d_fsdata"),
		dname:    r.need("dentry_operations", "d_dname"),
		ino:      r.need("inode", "i_ino"),
		private:  r.need("inode", "i_private"),
		magic:    r.need("super_block", "s_magic"),
		fsType:   r.need("super_block", "s_type"),
		dev:      r.opt("super_block", "s_dev"),
		typeName: r.need("file_system_type", "name"),
	}
}

// A path is struct path: a dentry as seen through a mount (its vfsmount).
type path struct{ mnt, dentry vmem.VirtAddr }

func (r *reader) path(addr vmem.VirtAddr, l *fsLayout) path {
	return path{mnt: r.ptr(addr, l.mnt), dentry: r.ptr(addr, l.dentry)}
}

// dPath returns the path as d_path of fs/d_path.c shows it to a process whose root is
// the node's: over mounts up to that root, or to where the mounts end.
func (k *Kernel) dPath(p path) (string, error) {
	l, r := &k.layout.fs, k.reader()
	parent := r.ptr(p.dentry, l.parent)
	root := r.ptr(p.mnt, k.layout.mount.root)
	isRoot := parent == p.dentry
	if op := r.ptr(p.dentry, l.op); op != 0 && (!isRoot || p.dentry != root) {
		if dname := r.ptr(op, l.dname); dname != 0 && r.err == nil {
			return k.dynamicName(p.dentry)
		}
	}
	if r.err != nil {
		return "", r.err
	}
	s, err := k.prependPath(p)
	if err == nil && !isRoot && r.ptr(p.dentry, l.unhashed) == 0 {
		s += " (deleted)"
	}
	return s, cmp.Or(err, r.err)
}

// prependPath follows the function of that name in fs/d_path.c.
func (k *Kernel) prependPath(p path) (string, error) {
	l, m, r := &k.layout.fs, &k.layout.mount, k.reader()
	var names []string
	for range maxDepth {
		if p == k.root {
			return join(names), nil
		}
		parent, top := r.ptr(p.dentry, l.parent), r.ptr(p.mnt, m.root)
		if r.err != nil {
			return "", r.err
		}
		if p.dentry == top {
			mount := p.mnt - vmem.VirtAddr(m.mnt)
			up := r.ptr(mount, m.parent)
			if up == mount || up == 0 { // the root of a mount tree
				return join(names), r.err
			}
			p = path{mnt: up + vmem.VirtAddr(m.mnt), dentry: r.ptr(mount, m.mountpoint)}
			continue
		}
		if parent == p.dentry { // escaped from the mount: it has no path
			return "/", nil
		}
		name, err := k.dentryName(p.dentry)
		if err != nil {
			return "", err
		}
		names = append(names, name)
		p.dentry = parent
	}
	return "", fmt.Errorf("%w: path of more than %d components", kstruct.ErrTooLong, maxDepth)
}

// join makes a path of its components, last first.
func join(names []string) string {
	if len(names) == 0 {
		return "/"
	}
	slices.Reverse(names)
	return "/" + strings.Join(names, "/")
}

func (k *Kernel) dentryName(dentry vmem.VirtAddr) (string, error) {
	l, r := &k.layout.fs, k.reader()
	n := r.u32(dentry, l.nameLen)
	if n > nameMax {
		return "", fmt.Errorf("%w: dentry %v with a name of %d bytes", kstruct.ErrCorrupt, dentry, n)
	}
	name, _, _ := bytes.Cut(r.bytes(r.ptr(dentry, l.name), int(n)), []byte{0})
	return string(name), r.err
}

// dynamicName gives the name of a file without a path, as the d_dname function of its
// file system does: sockfs_dname, pipefs_dname, anon_inodefs_dname, ns_dname,
// pidfs_dname and, for all others (memfd, SysV shared memory), simple_dname.
func (k *Kernel) dynamicName(dentry vmem.VirtAddr) (string, error) {
	l, r := &k.layout.fs, k.reader()
	inode, sb := r.ptr(dentry, l.inode), r.ptr(dentry, l.sb)
	magic, ino := r.u64(sb, l.magic), r.u64(inode, l.ino)
	if r.err != nil {
		return "", r.err
	}
	switch magic {
	case magicSock:
		return fmt.Sprintf("socket:[%d]", ino), nil
	case magicPipe:
		return fmt.Sprintf("pipe:[%d]", ino), nil
	case magicPID:
		return "anon_inode:[pidfd]", nil
	case magicNS:
		return k.nsName(inode)
	}
	name, err := k.dentryName(dentry)
	switch {
	case err != nil:
		return "", err
	case magic == magicAnonInode:
		return "anon_inode:" + name, nil
	case magic == magicDMABuf:
		return "/" + name + ":", nil
	}
	return "/" + name + " (deleted)", nil
}

// nsName gives the name of a namespace's file: net:[4026531840]. Its inode holds the
// ns_common in i_private (fs/nsfs.c).
func (k *Kernel) nsName(inode vmem.VirtAddr) (string, error) {
	l, r := &k.layout.ns, k.reader()
	if !l.inum.ok() || !l.ops.ok() || !l.opsName.ok() {
		return "", fmt.Errorf("%w: ns_common.ops", kstruct.ErrUnsupported)
	}
	ns := r.ptr(inode, k.layout.fs.private)
	name := r.cstring(r.ptr(r.ptr(ns, l.ops), l.opsName), nameMax)
	inum := r.u32(ns, l.inum)
	return fmt.Sprintf("%s:[%d]", name, inum), r.err
}

// Exe returns the path of the program that the process runs (mm_struct.exe_file), as
// the link /proc/PID/exe. It is empty for a task without one.
func (t *Task) Exe() (string, error) {
	r := t.k.fresh()
	mm := r.ptr(t.Addr, t.k.layout.task.mm)
	if mm == 0 || t.KernelThread {
		return "", t.lost("program", t.Addr, r.err)
	}
	file := r.ptr(mm, t.k.layout.mm.exeFile)
	if file == 0 {
		return "", t.lost("program", mm, r.err)
	}
	s, err := t.k.filePath(file)
	return s, t.lost("program", file, err)
}

// Cwd returns the working directory, as the link /proc/PID/cwd. It is empty for a
// task that has exited.
func (t *Task) Cwd() (string, error) { return t.fsPath("working directory", t.k.layout.fs.pwd) }

// Root returns the root directory, as the link /proc/PID/root. It is empty for a task
// that has exited.
func (t *Task) Root() (string, error) { return t.fsPath("root directory", t.k.layout.fs.root) }

func (t *Task) fsPath(what string, f field) (string, error) {
	r := t.k.fresh()
	fs := r.ptr(t.Addr, t.k.layout.task.fs)
	if fs == 0 || r.err != nil {
		return "", t.lost(what, t.Addr, r.err)
	}
	p := r.path(fs+vmem.VirtAddr(f), &t.k.layout.fs)
	if r.err != nil {
		return "", t.lost(what, fs, r.err)
	}
	s, err := t.k.dPath(p)
	return s, t.lost(what, p.dentry, err)
}

// lost makes a Gap of an error about what of the task; nil stays nil.
func (t *Task) lost(what string, addr vmem.VirtAddr, err error) error {
	if err == nil {
		return nil
	}
	return newGap(what+" of "+t.String(), addr, err)
}

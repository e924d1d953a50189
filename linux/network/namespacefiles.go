package network

import (
	"fmt"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// fromMounts adds the namespaces that are mounted somewhere, by one task of each mount
// namespace.
func (f *nsFinder) fromMounts(tasks []*linux.Task) {
	seen := map[uint32]bool{0: true}
	for _, t := range tasks {
		if f.ctx.Err() != nil {
			return
		}
		in, _ := t.Namespaces() // what is lost of them, the process says
		if seen[in.Mnt] {
			continue
		}
		seen[in.Mnt] = true
		for m, err := range t.Mounts(f.ctx) {
			if err != nil {
				f.lose(nsObject, 0, err)
				continue
			}
			if m.FSType == "nsfs" && isNetName(m.Root) {
				f.fromMount(m)
			}
		}
	}
}

func (f *nsFinder) fromMount(m linux.Mount) {
	v := &f.views
	dentry, err := v.root.Load(f.space, m.Addr)
	if err == nil {
		dentry, err = v.ofName.Load(f.space, dentry)
	}
	n := f.fromInode("mount "+m.MountPoint, dentry, err, InMounts)
	if n == nil {
		return
	}
	if at := (mountedAt{n, m.MountPoint}); !f.mounted[at] { // whoever may mount can do so a hundred thousand times
		f.mounted[at] = true
		n.Mounts = append(n.Mounts, m.MountPoint)
	}
}

// Magic numbers of the file systems of namespaces and sockets (include/uapi/linux/magic.h).
const (
	magicNS   = 0x6e736673
	magicSock = 0x534f434b
)

// fromFiles adds the namespaces that tasks have open, and those of their sockets: a socket
// keeps its namespace.
func (f *nsFinder) fromFiles(tasks []*linux.Task) {
	v := &f.views
	if v.fileErr != nil {
		f.lose(nsObject+" of files", 0, v.fileErr)
		return
	}
	supers, seen := map[vmem.VirtAddr]uint64{}, map[vmem.VirtAddr]bool{}
	for _, t := range tasks {
		if f.ctx.Err() != nil {
			return
		}
		if t.KernelThread {
			continue
		}
		for fd, err := range t.Descriptors(f.ctx) {
			if err != nil || seen[fd.Addr] { // the process says what is lost of its files
				continue
			}
			seen[fd.Addr] = true
			what := func() string { return fmt.Sprintf("descriptor %d of %v", fd.FD, t) }
			inode, err := v.inode.Load(f.space, fd.Addr)
			if err != nil {
				continue
			}
			switch f.magic(supers, inode) {
			case magicNS:
				f.fromNSFile(what, inode)
			case magicSock:
				f.fromSocket(what, inode)
			}
		}
	}
}

// magic returns what the file system of an inode is, 0 where that can't be read.
func (f *nsFinder) magic(supers map[vmem.VirtAddr]uint64, inode vmem.VirtAddr) uint64 {
	super, err := f.views.super.Load(f.space, inode)
	if err != nil {
		return 0
	}
	magic, known := supers[super]
	if !known {
		var err error
		if magic, err = f.views.magic.Load(f.space, super); err != nil {
			f.lose(nsObject+" of files", super, err)
		}
		supers[super] = magic
	}
	return magic
}

// fromNSFile adds the namespace of an open file, if it is a network namespace.
func (f *nsFinder) fromNSFile(what func() string, inode vmem.VirtAddr) {
	v := &f.views
	ns, err := v.private.Load(f.space, inode)
	if err != nil {
		f.lose(nsObject, inode, fmt.Errorf("%s: %w", what(), err))
		return
	}
	ops, err := v.ops.Load(f.space, ns)
	switch {
	case err != nil:
		f.lose(nsObject, ns, fmt.Errorf("%s: %w", what(), err))
	case f.isOps(ops): // others are of another type
		f.add(what(), v.common.Container(ns), InFiles)
	}
}

// fromSocket adds the namespace of a socket. One that is just being made or closed has none.
func (f *nsFinder) fromSocket(what func() string, inode vmem.VirtAddr) {
	v := &f.views
	if !v.sk.Ok() || !v.vfsInode.Ok() || !v.skNet.Ok() {
		return
	}
	sk, err := v.sk.Load(f.space, v.vfsInode.Container(inode))
	if err != nil || sk == 0 {
		return // who reads the sockets says what is lost of them
	}
	net, err := v.skNet.Load(f.space, sk)
	if err != nil || net == 0 {
		return
	}
	if n := f.byAddr[net]; n != nil { // as a rule
		n.Sources |= InSockets
		return
	}
	f.add(what(), net, InSockets)
}

// fromInode adds the namespace that a file of nsfs stands for (fs/nsfs.c).
func (f *nsFinder) fromInode(what string, inode vmem.VirtAddr, err error, from Sources) *Namespace {
	v := &f.views
	if err == nil {
		err = v.fileErr
	}
	var ns vmem.VirtAddr
	if err == nil {
		ns, err = v.private.Load(f.space, inode)
	}
	if err != nil {
		f.lose(nsObject, inode, fmt.Errorf("%s: %w", what, err))
		return nil
	}
	return f.add(what, v.common.Container(ns), from)
}

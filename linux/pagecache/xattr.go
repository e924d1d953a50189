package pagecache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// xattrViews are how a file system in memory keeps extended attributes: struct simple_xattr (include/linux/xattr.h), in
// a list until 6.2 (3b4c7bc01727), then in a tree, and in a list again since 7.2.
type xattrViews struct {
	root       kstruct.Member // of shmem_inode_info: the list's head or the tree's root
	tree       bool
	node       kstruct.Member // of simple_xattr
	name, size *kstruct.Field[vmem.VirtAddr]
	value      kstruct.Member
}

func bindXattrs(b *kstruct.Binder) (v xattrViews) {
	if v.root = kstruct.BindOptionalMember(b, "shmem_inode_info", "xattrs.rb_root"); v.root.Ok() {
		v.tree = true
		v.node = kstruct.BindMember(b, "simple_xattr", "rb_node")
	} else {
		v.root = kstruct.BindMember(b, "shmem_inode_info", "xattrs.head", "xattrs")
		v.node = kstruct.BindMember(b, "simple_xattr", "node", "list")
	}
	v.name = kstruct.BindField[vmem.VirtAddr](b, "simple_xattr", "name")
	v.size = kstruct.BindField[vmem.VirtAddr](b, "simple_xattr", "size")
	v.value = kstruct.BindMember(b, "simple_xattr", "value")
	return v
}

// Bounds of what getxattr(2) and listxattr(2) give (include/uapi/linux/limits.h).
const (
	xattrNameMax = 255
	xattrSizeMax = 64 << 10
	xattrListMax = 64 << 10
	// maxXattrBytes bounds the values of one file together. The kernel has no such bound, but for those of users 128 KiB.
	maxXattrBytes = 8 << 20
)

// Xattrs returns the extended attributes of a file, by name. Those of file systems on disks are not read: the error is
// then [errors.ErrUnsupported]. It is otherwise the first loss; what was found comes with it.
func (s *Set) Xattrs(n *Inode) (map[string][]byte, error) {
	if n.links != nil {
		n = n.links
	}
	if n.Super.FSType != "tmpfs" {
		return nil, fmt.Errorf("pagecache: extended attributes of %s: %w", n.Super.FSType, errors.ErrUnsupported)
	}
	v := &s.v.shmem
	if v.err != nil {
		return nil, v.err
	}
	var all map[string][]byte
	var first error
	total := 0
	for node, err := range s.xattrNodes(v.inode.Container(n.Addr)) {
		var name string
		var value []byte
		if err == nil {
			name, value, err = s.xattr(v.xattrs.node.Container(node))
		}
		if err != nil {
			if first == nil {
				first = gap(fmt.Sprintf("extended attributes of inode %d", n.Number), n.Addr, err)
			}
			continue
		}
		if total += len(value); total > maxXattrBytes {
			return all, cmp.Or(first, error(gap(fmt.Sprintf("extended attributes of inode %d", n.Number), n.Addr, fmt.Errorf("%w: more than %d bytes", kstruct.ErrTooMany, maxXattrBytes))))
		}
		if all == nil {
			all = map[string][]byte{}
		}
		all[name] = value
	}
	return all, first
}

func (s *Set) xattrNodes(info vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	v := &s.v.shmem.xattrs
	w := s.k.Objects().Walk(context.Background(), &kstruct.WalkOptions{Object: "extended attributes", Nodes: xattrListMax / 2, Gaps: 1})
	if v.tree {
		return w.RBTree(v.root.Of(info))
	}
	return w.List(v.root.Of(info))
}

// xattr reads the struct simple_xattr at addr.
func (s *Set) xattr(addr vmem.VirtAddr) (name string, value []byte, err error) {
	v := &s.v.shmem.xattrs
	at, err := v.name.Load(s.mem, addr)
	if err != nil {
		return "", nil, err
	}
	if name, err = s.mem.CString(at, xattrNameMax+1); err != nil {
		return "", nil, err
	}
	size, err := v.size.Load(s.mem, addr)
	if err != nil {
		return "", nil, err
	}
	if size > xattrSizeMax || name == "" {
		return "", nil, corrupt("attribute %q of %d bytes", name, uint64(size))
	}
	value = make([]byte, size)
	_, err = s.mem.ReadVirt(value, v.value.Of(addr))
	return name, value, err
}

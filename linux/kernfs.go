package linux

import (
	"fmt"
	"math"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// goldenRatio is GOLDEN_RATIO_64 of include/linux/hash.h.
const goldenRatio = 0x61c8864680b583eb

// A kernfsNode is struct kernfs_node (include/linux/kernfs.h).
type kernfsNode struct {
	Parent vmem.VirtAddr `kernel:"__parent|parent"` // renamed in 6.15 (633488947ef6)
	Name   vmem.VirtAddr `kernel:"name"`
	Hash   uint32        `kernel:"hash"` // of the name
	Owner  vmem.VirtAddr `kernel:"priv"` // of a directory of cgroups, its cgroup
}

// cgroupPath returns the path of the cgroup at addr from the root of its hierarchy. Each
// step is verified: the directory and its cgroup point to each other, and so does the next
// pair above; a name has the hash that the directory has of it; and the path ends at the
// root of the hierarchy.
func (k *Kernel) cgroupPath(addr vmem.VirtAddr, c cgroup, root *cgroupRoot) (string, error) {
	return k.remembered(pathKey{cgroupPath, c.Root, addr}, func() (string, error) {
		var b pathBuffer
		a := ascent{pathBuffer: &b, k: k}
		if err := a.end(k.ascendCgroups(&a, addr, c, root)); err != nil {
			return "", err
		}
		return b.String(), nil
	})
}

// ascendCgroups goes from the cgroup at addr to the root of its hierarchy.
func (k *Kernel) ascendCgroups(a *ascent, addr vmem.VirtAddr, c cgroup, root *cgroupRoot) error {
	v := &k.views.cgroup
	at := c.Root
	for {
		if end, err := a.arrive(pathKey{cgroupParent, at, addr}); end {
			return err
		}
		n, err := v.node.Load(k.space, c.Node)
		if err != nil {
			return err
		}
		if n.Owner != addr || c.Root != at {
			return fmt.Errorf("%w: kernfs_node %v is of cgroup %v, not %v, of hierarchy %v", kstruct.ErrCorrupt, c.Node, n.Owner, addr, c.Root)
		}
		if c.Parent == 0 || n.Parent == 0 {
			return k.cgroupTop(addr, &c, &n, root)
		}
		name, err := k.space.CString(n.Name, nameMax+1)
		if err != nil {
			return err
		}
		if !n.named(name) {
			return fmt.Errorf("%w: kernfs_node %v with the name %q, which has another hash", kstruct.ErrCorrupt, c.Node, name)
		}
		a.component([]byte(name))
		addr = v.css.Container(c.Parent)
		if c, err = v.cgroup.Load(k.space, addr); err != nil {
			return err
		}
		if c.Node != n.Parent {
			return fmt.Errorf("%w: cgroup %v has kernfs_node %v, not %v, its child's parent", kstruct.ErrCorrupt, addr, c.Node, n.Parent)
		}
	}
}

// cgroupTop returns what is wrong with the cgroup at addr as that which is the root of a
// hierarchy.
func (k *Kernel) cgroupTop(addr vmem.VirtAddr, c *cgroup, n *kernfsNode, root *cgroupRoot) error {
	top, err := k.views.cgroup.top.Load(k.space, root.Kernfs)
	switch {
	case err != nil:
		return err
	case addr != root.Top || c.Node != top || c.Parent != 0 || n.Parent != 0:
		return fmt.Errorf("%w: cgroup %v has no parent and is not the root of its hierarchy, %v", kstruct.ErrCorrupt, addr, root.Top)
	}
	return nil
}

// kernfsNamed reports whether name can be that of a kernfs_node: its hash tells.
func (n *kernfsNode) named(name string) bool {
	return n.Hash == kernfsHash(name, false) || n.Hash == kernfsHash(name, true)
}

// kernfsHash follows kernfs_name_hash of fs/kernfs/dir.c for a name without a namespace.
// The bytes of names are signed before 6.2 (3bc753c06dd0).
func kernfsHash(name string, signed bool) uint32 {
	var h uint64
	for i := range len(name) {
		c := uint64(name[i])
		if signed {
			c = uint64(int8(name[i]))
		}
		h = (h + c<<4 + c>>4) * 11 // partial_name_hash
	}
	hash := uint32(h*goldenRatio>>32) & math.MaxInt32
	switch hash { // these are of what is in each directory
	case 0, 1:
		return hash + 2
	case math.MaxInt32:
		return hash - 1
	}
	return hash
}

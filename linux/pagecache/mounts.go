package pagecache

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A place is a file as it is seen through a mount: struct path.
type place struct {
	mount  vmem.VirtAddr // of struct mount
	dentry vmem.VirtAddr
}

// A mounted is a mount, as far as paths go over it.
type mounted struct {
	mountStruct
	top bool // it is on no other
}

// A tree is the mounts of a namespace.
type tree struct {
	mounts map[vmem.VirtAddr]*mounted
	on     map[place]vmem.VirtAddr // what is mounted on a directory or file
	gaps   []vmem.Gap
}

// tree returns the mounts of the namespace that a task is in.
func (s *Set) tree(ctx context.Context, t *linux.Task) (*tree, error) {
	ns, err := t.Namespaces()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	known, ok := s.trees[ns.Mnt]
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	m := &tree{mounts: map[vmem.VirtAddr]*mounted{}, on: map[place]vmem.VirtAddr{}}
	for mnt, err := range t.Mounts(ctx) {
		if err != nil {
			m.gaps = append(m.gaps, gap("mounts", 0, err))
			continue
		}
		s.addMount(m, mnt.Addr)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trees[ns.Mnt] = m
	return m, nil
}

// addMount adds the struct mount at addr to a tree.
func (s *Set) addMount(m *tree, addr vmem.VirtAddr) *mounted {
	if known := m.mounts[addr]; known != nil {
		return known
	}
	v, err := s.v.mount.Load(s.mem, addr)
	if err == nil {
		_, err = s.addSuper(v.Super)
	}
	if err != nil {
		m.gaps = append(m.gaps, gap("mounts", addr, err))
		return nil
	}
	mnt := &mounted{mountStruct: v, top: v.Parent == addr}
	m.mounts[addr] = mnt
	if !mnt.top {
		m.on[place{v.Parent, v.Point}] = addr
	}
	return mnt
}

// down follows what is mounted on p, which may be mounted upon itself.
func (m *tree) down(p place) place {
	for range len(m.mounts) {
		addr, ok := m.on[p]
		if !ok {
			break
		}
		p = place{addr, m.mounts[addr].Root}
	}
	return p
}

// up returns the directory that p is in, as ".." does; p itself for root and for the top of all mounts.
func (s *Set) up(m *tree, p, root place) (place, error) {
	for range len(m.mounts) + 1 {
		if p == root {
			return p, nil
		}
		mnt := m.mounts[p.mount]
		if mnt == nil {
			return p, corrupt("a mount %v of no namespace", p.mount)
		}
		if p.dentry != mnt.Root {
			d, err := s.v.dentry.Load(s.mem, p.dentry)
			if err != nil {
				return p, err
			}
			return m.down(place{p.mount, d.Parent}), nil
		}
		if mnt.top {
			return p, nil
		}
		p = place{mnt.Parent, mnt.Point}
	}
	return p, fmt.Errorf("%w: mounts on each other", kstruct.ErrCycle)
}

// mountReadOnly is MNT_READONLY of include/linux/mount.h.
const mountReadOnly = 0x40

// ReadOnly reports whether a file is seen through a mount that is read-only. The file system itself may be, too.
func (f *FS) ReadOnly(file *File) bool {
	m := f.tree.mounts[file.place.mount]
	return m != nil && m.Flags&mountReadOnly != 0
}

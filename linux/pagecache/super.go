package pagecache

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A Super is a file system in use: struct super_block.
type Super struct {
	Addr   vmem.VirtAddr `json:"address"`
	FSType string        `json:"fsType"` // such as ext4
	Device Device        `json:"device"`
	Name   string        `json:"name"` // s_id: the block device, or the type again
	Magic  uint64        `json:"magic"`

	root, info vmem.VirtAddr // its root's dentry, and what the file system keeps
}

// A Device is the number of a device as the kernel keeps it: major and minor.
type Device uint32

// Major returns the part of the number that names the driver.
func (d Device) Major() uint32 { return uint32(d) >> 20 }

// Minor returns the part of the number that tells devices of one driver apart.
func (d Device) Minor() uint32 { return uint32(d) & (1<<20 - 1) }

// String returns MAJOR:MINOR.
func (d Device) String() string { return fmt.Sprintf("%d:%d", d.Major(), d.Minor()) }

// MarshalText returns what String does.
func (d Device) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (d *Device) UnmarshalText(b []byte) error {
	var major, minor uint32
	if _, err := fmt.Sscanf(string(b), "%d:%d", &major, &minor); err != nil || minor >= 1<<20 || major >= 1<<12 {
		return fmt.Errorf("pagecache: %q is no device", b)
	}
	*d = Device(major<<20 | minor)
	return nil
}

// maxSupers bounds how many file systems are believed.
const maxSupers = 1 << 16

// findSupers goes round the ring that super_blocks are in (super_blocks of fs/super.c), from the first that a task
// leads to. The head of the ring is in the kernel's image, and is passed over there.
func (s *Set) findSupers(ctx context.Context) {
	const object = "file systems"
	var first vmem.VirtAddr
	for _, t := range s.opts.Tasks {
		root, err := t.RootRef()
		if err != nil {
			continue
		}
		m, err := s.v.mount.Load(s.mem, s.v.vfs.Container(root.Mount))
		if err == nil && plausible(m.Super) {
			if _, err = s.addSuper(m.Super); err == nil {
				first = m.Super
				break
			}
		}
	}
	if first == 0 {
		s.lose(object, 0, fmt.Errorf("%w: no task leads to one", kstruct.ErrUnsupported))
		return
	}
	head, _ := s.k.Symbol("super_blocks")
	w := s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: object, Nodes: maxSupers, Gaps: maxGaps})
	for node, err := range w.List(s.v.supers.Of(first)) {
		if err != nil {
			s.lose(object, first, err)
			continue
		}
		if node == head || node >= x86.StartKernelMap {
			continue
		}
		if _, err := s.addSuper(s.v.supers.Container(node)); err != nil {
			s.lose(object, node, err)
		}
	}
}

// addSuper returns the file system at addr, which is read if it is not known.
func (s *Set) addSuper(addr vmem.VirtAddr) (*Super, error) {
	if f := s.superOf(addr); f != nil {
		return f, nil
	}
	v, err := s.v.super.Load(s.mem, addr)
	if err != nil {
		return nil, err
	}
	name, err := s.v.name.Load(s.mem, v.Type)
	if err != nil {
		return nil, err
	}
	f := &Super{Addr: addr, Device: Device(v.Dev), Magic: v.Magic, root: v.Root, info: v.Info}
	if f.FSType, err = s.mem.CString(name, 64); err != nil {
		return nil, err
	}
	id, _, _ := bytes.Cut(v.ID[:], []byte{0})
	f.Name = string(id)
	s.superMu.Lock()
	defer s.superMu.Unlock()
	if known := s.superAt[addr]; known != nil {
		return known, nil
	}
	s.superAt[addr] = f
	s.supers = append(s.supers, f)
	return f, nil
}

// superOf returns the file system at an address, nil for one that is not known.
func (s *Set) superOf(addr vmem.VirtAddr) *Super {
	s.superMu.RLock()
	defer s.superMu.RUnlock()
	return s.superAt[addr]
}

// Supers returns the file systems of the kernel, mounted or not, in the order of its list.
func (s *Set) Supers() []*Super {
	s.superMu.RLock()
	defer s.superMu.RUnlock()
	return slices.Clone(s.supers)
}

// Inodes yields the inodes of a file system that are in memory, those without a name too: what is in
// s_inodes of super_block. Sockets, pipes, namespaces and the like are in no such list. Errors are [vmem.Gap] and do not
// end the walk, but for the context's own.
func (s *Set) Inodes(ctx context.Context, f *Super) iter.Seq2[*Inode, error] {
	return func(yield func(*Inode, error) bool) {
		object := "inodes of " + f.FSType + " " + f.Name
		w := s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: object, Gaps: maxGaps})
		var lost losses
		for node, err := range w.List(s.v.inodes.Of(f.Addr)) {
			var n *Inode
			if err == nil {
				addr := s.v.inodeNode.Container(node)
				if n, err = s.inode(addr); err == nil && n.Super != f {
					err = corrupt("inode %v of super_block %v", addr, n.superAddr)
				}
				if err != nil {
					n = nil
					if lost.add(object, addr, err); lost.n > 0 {
						continue
					}
					err = gap(object, addr, err)
				}
			}
			if !yield(n, err) {
				return
			}
		}
		if g, ok := lost.rest(); ok {
			yield(nil, g)
		}
	}
}

// Tasks returns the tasks whose files are read.
func (s *Set) Tasks() []*linux.Task { return s.opts.Tasks }

package pagecache

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A name is an entry of a directory.
type name struct {
	text          string
	dentry, inode vmem.VirtAddr
}

// children are the entries of a directory that are in memory, by name.
type children struct {
	names []name
	gaps  []vmem.Gap
}

const (
	nameMax = 255 // NAME_MAX of include/uapi/linux/limits.h
	// maxKnown bounds the names that are kept, and maxChildren those of one directory.
	maxKnown, maxChildren = 2 << 20, 4 << 20
)

// list returns the entries of the directory at dentry. Those that were deleted, and names that are known not to be
// there, are not among them.
func (s *Set) list(ctx context.Context, dentry vmem.VirtAddr) *children {
	s.mu.Lock()
	c, ok := s.known[dentry]
	s.mu.Unlock()
	if ok {
		return c
	}
	c = s.readDir(ctx, dentry)
	if ctx.Err() != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count += len(c.names) + 1; s.count > maxKnown {
		s.known, s.count = map[vmem.VirtAddr]*children{}, len(c.names)+1
	}
	s.known[dentry] = c
	return c
}

func (s *Set) childNodes(ctx context.Context, dentry vmem.VirtAddr) (nodes iter.Seq2[vmem.VirtAddr, error], of kstruct.Member) {
	w := s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "directory", Nodes: maxChildren, Gaps: maxGaps})
	if s.v.children.Ok() {
		return w.HList(s.v.children.Of(dentry)), s.v.child
	}
	return w.List(s.v.oldChildren.Of(dentry)), s.v.oldSib
}

func (s *Set) readDir(ctx context.Context, dentry vmem.VirtAddr) *children {
	c := new(children)
	var lost losses
	lose := func(addr vmem.VirtAddr, err error) { lost.add("directory", addr, err) }
	defer func() { c.gaps = lost.gaps() }()
	var dir dentryStruct
	if err := s.v.dentry.Read(s.mem, dentry, &dir); err != nil {
		lose(dentry, err)
		return c
	}
	nodes, of := s.childNodes(ctx, dentry)
	var d dentryStruct
	for node, err := range nodes {
		if err != nil {
			if !ended(err) {
				lose(dentry, err)
			}
			continue
		}
		at := of.Container(node)
		if err := s.v.dentry.Read(s.mem, at, &d); err != nil {
			lose(at, err)
			continue
		}
		switch {
		case d.Inode == 0 || d.Pprev == 0: // not there, or not any more
		case d.Parent != dentry || d.Super != dir.Super:
			lose(at, corrupt("dentry of the directory %v, in that of %v", d.Parent, dentry))
		default:
			text, err := s.nameOf(&d)
			if err != nil {
				lose(at, err)
				continue
			}
			c.names = append(c.names, name{text, at, d.Inode})
		}
	}
	slices.SortFunc(c.names, func(a, b name) int { return strings.Compare(a.text, b.text) })
	c.unique(lose)
	return c
}

// unique drops names that a directory has twice, which none can.
func (c *children) unique(lose func(vmem.VirtAddr, error)) {
	out := c.names[:0]
	for i, n := range c.names {
		if i > 0 && n.text == c.names[i-1].text {
			lose(n.dentry, corrupt("a second file of the name %q", n.text))
			continue
		}
		out = append(out, n)
	}
	c.names = out
}

// nameOf reads the name of a dentry, which must be one that a file can have.
func (s *Set) nameOf(d *dentryStruct) (string, error) {
	if d.NameLen == 0 || d.NameLen > nameMax {
		return "", corrupt("name of %d bytes", d.NameLen)
	}
	var buf [nameMax]byte
	b := buf[:d.NameLen]
	if _, err := s.mem.ReadVirt(b, d.Name); err != nil {
		return "", err
	}
	text := string(b)
	if text == "." || text == ".." || strings.ContainsAny(text, "/\x00") {
		return "", fmt.Errorf("%w: no file can have the name %q", kstruct.ErrCorrupt, text)
	}
	return text, nil
}

// find returns the entry of that name.
func (c *children) find(text string) (name, bool) {
	i, ok := slices.BinarySearchFunc(c.names, text, func(n name, text string) int { return strings.Compare(n.text, text) })
	if !ok {
		return name{}, false
	}
	return c.names[i], true
}

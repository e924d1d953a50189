package consistency

import (
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// mntCursor marks what stands on the list of mounts for a reader of /proc/PID/mountinfo
// (MNT_CURSOR): from 5.8 to 6.7.
const mntCursor = 0x10000000

// checkMounts checks the mounts of each mount namespace that a task is in.
func (c *checker) checkMounts() {
	if c.views.mounts.err != nil {
		return
	}
	seen := map[vmem.VirtAddr]bool{}
	proxies := map[vmem.VirtAddr]bool{0: true}
	for _, t := range c.tasks {
		if proxies[t.NSProxy] || c.ctx.Err() != nil {
			continue
		}
		proxies[t.NSProxy] = true
		f := pointer("nsproxy", t.addr, t.NSProxy)
		var ns vmem.VirtAddr
		if f == nil {
			ns, f = load(c, c.views.mounts.of, "nsproxy", t.NSProxy)
		}
		if f == nil {
			f = pointer("mount namespace of the nsproxy", t.NSProxy, ns)
		}
		if f != nil {
			c.of(t, mountNamespaces, t.NSProxy, f)
			continue
		}
		if !seen[ns] {
			seen[ns] = true
			c.checkNamespace(t, ns)
		}
	}
}

// checkNamespace checks the mounts of one namespace.
func (c *checker) checkNamespace(t *task, ns vmem.VirtAddr) {
	v := &c.views.mounts
	all := map[vmem.VirtAddr]*mount{}
	var lost error
	if c.left.mounts <= 0 {
		c.of(t, mountCounts, ns, unread("mount namespace", ns))
		return
	}
	w := c.k.Objects().Walk(c.ctx, &kstruct.WalkOptions{Object: "mounts", Nodes: c.left.mounts})
	nodes, member := w.List(v.list.Of(ns)), v.link
	if v.tree.Ok() {
		nodes, member = w.RBTree(v.tree.Of(ns)), v.node
	}
	foreign := 0
	for node, err := range nodes {
		c.left.mounts--
		m := new(mount)
		addr := member.Container(node)
		if err == nil {
			err = v.mount.Read(c.space, addr, m)
		}
		if err != nil {
			lost = err
			continue
		}
		if v.tree.Ok() || m.Flags&mntCursor == 0 {
			all[addr] = m
			if m.NS != ns {
				foreign++
			}
		}
		if foreign == len(all) && foreign >= maxStrangers {
			break
		}
	}
	count, f := load(c, v.count, "mnt_namespace", ns)
	switch {
	case f != nil:
	case lost != nil:
		f = walked("the mounts of the namespace", ns, lost)
	case int(count) != len(all):
		f = torn("namespace at %v has %d mounts, nr_mounts says %d", ns, len(all), count)
	}
	c.of(t, mountCounts, ns, f)
	for addr, m := range all {
		f = nil
		if m.NS != ns {
			f = torn("mount at %v is of the namespace at %v, not of %v", addr, m.NS, ns)
		}
		c.of(t, mountNamespaces, ns, f)
		f = c.linked("list of mounts", v.child.Of(addr), m.Child)
		if f == nil && m.Parent != addr && all[m.Parent] == nil {
			f = torn("mount at %v is on the one at %v, which is not of its namespace", addr, m.Parent)
		}
		c.of(t, mountParents, ns, f)
	}
}

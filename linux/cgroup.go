package linux

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// cssOnline is CSS_ONLINE of include/linux/cgroup-defs.h: a cgroup without it is dead.
const cssOnline = 1 << 1

// maxCgroupDepth bounds the way to the root (CGROUP max depth is INT_MAX; paths end at
// PATH_MAX).
const maxCgroupDepth = 2048

type cgroupLayout struct {
	dfl, links            field // css_set
	linkCgroup, link      field // cgrp_cset_link
	kn, root, selfFlags   field // cgroup
	hierarchy, mask, name field // cgroup_root
	nameSize              int
	knParent, knName      field // kernfs_node
	legacyName            field // cgroup_subsys
}

func newCgroupLayout(r resolver) cgroupLayout {
	return cgroupLayout{
		dfl:        r.opt("css_set", "dfl_cgrp"),
		links:      r.opt("css_set", "cgrp_links"),
		linkCgroup: r.opt("cgrp_cset_link", "cgrp"),
		link:       r.opt("cgrp_cset_link", "cgrp_link"),
		kn:         r.opt("cgroup", "kn"),
		root:       r.opt("cgroup", "root"),
		selfFlags:  r.opt("cgroup", "self.flags"),
		hierarchy:  r.opt("cgroup_root", "hierarchy_id"),
		mask:       r.opt("cgroup_root", "subsys_mask"),
		name:       r.opt("cgroup_root", "name"),
		nameSize:   r.count("cgroup_root", "name"),
		knParent:   r.opt("kernfs_node", "__parent", "parent"), // renamed in 6.15 (633488947ef6)
		knName:     r.opt("kernfs_node", "name"),
		legacyName: r.opt("cgroup_subsys", "legacy_name"),
	}
}

func (l *cgroupLayout) ok() bool {
	return max(l.dfl, l.links, l.linkCgroup, l.link, l.kn, l.root, l.hierarchy, l.mask, l.name, l.knParent, l.knName).ok()
}

// A CgroupPath is a line of /proc/PID/cgroup.
type CgroupPath struct {
	Hierarchy   int           `json:"hierarchy"`   // 0 is cgroup v2's
	Controllers string        `json:"controllers"` // comma-separated, name=N for a named hierarchy; empty for v2
	Path        string        `json:"path"`        // from the root of the hierarchy, with " (deleted)" as /proc has it
	Addr        vmem.VirtAddr `json:"address"`     // of struct cgroup
}

// CgroupPaths returns the cgroups of the task, one for each hierarchy that is in use,
// in the order of /proc/PID/cgroup: v1 hierarchies by descending number, then v2. What
// could be read is returned together with an error.
func (t *Task) CgroupPaths() ([]CgroupPath, error) {
	k, l := t.k, &t.k.layout.cgroup
	object := "cgroup of " + t.String()
	if !l.ok() || !k.layout.task.cgroups.ok() {
		return nil, newGap(object, t.Addr, fmt.Errorf("%w: css_set", kstruct.ErrUnsupported))
	}
	r := k.fresh()
	set := r.ptr(t.Addr, k.layout.task.cgroups)
	if r.err != nil || !plausible(set) {
		return nil, newGap(object, t.Addr, cmp.Or(r.err, errPointer("css_set", set)))
	}
	var paths []CgroupPath
	var lost error
	for node, err := range k.list(object, set+vmem.VirtAddr(l.links)) {
		if err == nil {
			cgroup := r.ptr(node-vmem.VirtAddr(l.link), l.linkCgroup)
			var p CgroupPath
			if p, err = k.cgroupPath(t, cgroup); err == nil {
				paths = append(paths, p)
				continue
			}
		}
		lost = cmp.Or(lost, error(newGap(object, node, cmp.Or(r.err, err))))
	}
	slices.SortFunc(paths, func(a, b CgroupPath) int { return cmp.Compare(b.Hierarchy, a.Hierarchy) })
	if !k.cgroupV2 {
		paths = slices.DeleteFunc(paths, func(p CgroupPath) bool { return p.Hierarchy == 0 })
	}
	return paths, lost
}

// cgroupPath follows proc_cgroup_show of kernel/cgroup/cgroup.c.
func (k *Kernel) cgroupPath(t *Task, cgroup vmem.VirtAddr) (CgroupPath, error) {
	l, r := &k.layout.cgroup, k.reader()
	root := r.ptr(cgroup, l.root)
	p := CgroupPath{Addr: cgroup, Hierarchy: int(r.i32(root, l.hierarchy))}
	if p.Hierarchy != 0 {
		p.Controllers = k.controllers(r.u32(root, l.mask), r.cstring(root+vmem.VirtAddr(l.name), l.nameSize))
	}
	if r.err != nil {
		return p, r.err
	}
	if p.Hierarchy != 0 && t.Flags&pfExiting != 0 {
		p.Path = "/"
		return p, nil
	}
	var err error
	p.Path, err = k.kernfsPath(r.ptr(cgroup, l.kn))
	if p.Hierarchy == 0 && l.selfFlags.ok() && r.u32(cgroup, l.selfFlags)&cssOnline == 0 {
		p.Path += " (deleted)"
	}
	return p, cmp.Or(r.err, err)
}

// controllers names the subsystems of a v1 hierarchy. Without the symbol
// cgroup_subsys the named hierarchies still have their names.
func (k *Kernel) controllers(mask uint32, name string) string {
	var names []string
	l, r := &k.layout.cgroup, k.reader()
	for i := 0; i < 32 && k.cgroupSubsys != 0 && l.legacyName.ok(); i++ {
		if mask&(1<<i) == 0 {
			continue
		}
		subsys := r.ptr(k.cgroupSubsys, field(i*8))
		if s := r.cstring(r.ptr(subsys, l.legacyName), nameMax); r.err == nil {
			names = append(names, s)
		}
	}
	if name != "" {
		names = append(names, "name="+name)
	}
	return strings.Join(names, ",")
}

// kernfsPath returns the path of a kernfs_node from its root.
func (k *Kernel) kernfsPath(kn vmem.VirtAddr) (string, error) {
	l, r := &k.layout.cgroup, k.reader()
	var names []string
	for range maxCgroupDepth {
		parent := r.ptr(kn, l.knParent)
		if r.err != nil {
			return "", r.err
		}
		if parent == 0 {
			return join(names), nil
		}
		names = append(names, r.cstring(r.ptr(kn, l.knName), nameMax+1))
		kn = parent
	}
	return "", fmt.Errorf("%w: cgroup of more than %d levels", kstruct.ErrTooLong, maxCgroupDepth)
}

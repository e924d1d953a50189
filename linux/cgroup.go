package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// cssOnline is CSS_ONLINE of include/linux/cgroup-defs.h: a cgroup without it is dead.
const cssOnline = 1 << 1

// maxCgroupDepth bounds the way to the root (CGROUP max depth is INT_MAX; paths end at
// PATH_MAX).
const maxCgroupDepth = 2048

// maxHierarchies bounds the cgroups of a task. It has one in each hierarchy: of the sixteen
// or fewer controllers, of v2, and those that are named.
const maxHierarchies = 256

// A cgroup is struct cgroup (include/linux/cgroup-defs.h).
type cgroup struct {
	Node  vmem.VirtAddr `kernel:"kn"`
	Root  vmem.VirtAddr `kernel:"root"`
	Flags uint32        `kernel:"self.flags"`
}

// A cgroupRoot is struct cgroup_root: a hierarchy.
type cgroupRoot struct {
	Hierarchy int32    `kernel:"hierarchy_id"`
	Mask      uint32   `kernel:"subsys_mask"`
	Name      [64]byte `kernel:"name"` // MAX_CGROUP_ROOT_NAMELEN
}

// A kernfsNode is struct kernfs_node (include/linux/kernfs.h).
type kernfsNode struct {
	Parent vmem.VirtAddr `kernel:"__parent|parent"` // renamed in 6.15 (633488947ef6)
	Name   vmem.VirtAddr `kernel:"name"`
}

type cgroupViews struct {
	of     *kstruct.Field[vmem.VirtAddr] // the css_set of a task_struct
	links  kstruct.Member                // of css_set: a list of cgrp_cset_link
	link   kstruct.Member                // of cgrp_cset_link
	linked *kstruct.Field[vmem.VirtAddr] // its cgroup
	cgroup *kstruct.View[cgroup]
	root   *kstruct.View[cgroupRoot]
	node   *kstruct.View[kernfsNode]
	err    error

	legacyName *kstruct.Field[vmem.VirtAddr] // of cgroup_subsys
	subsysErr  error
}

func bindCgroup(types *isf.File) (v cgroupViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "cgroups")
	v.links = kstruct.BindMember(b, "css_set", "cgrp_links")
	v.link = kstruct.BindMember(b, "cgrp_cset_link", "cgrp_link")
	v.linked = kstruct.BindField[vmem.VirtAddr](b, "cgrp_cset_link", "cgrp")
	v.cgroup = kstruct.Bind[cgroup](b, "cgroup")
	v.root = kstruct.Bind[cgroupRoot](b, "cgroup_root")
	v.node = kstruct.Bind[kernfsNode](b, "kernfs_node")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.legacyName = kstruct.BindField[vmem.VirtAddr](b, "cgroup_subsys", "legacy_name")
	v.subsysErr = b.Err()
	return v
}

// A CgroupPath is a line of /proc/PID/cgroup.
type CgroupPath struct {
	Hierarchy   int           `json:"hierarchy"`   // 0 is cgroup v2's
	Controllers string        `json:"controllers"` // comma-separated, name=N for a named hierarchy; empty for v2
	Path        string        `json:"path"`        // from the root of the hierarchy, with " (deleted)" as /proc has it
	Addr        vmem.VirtAddr `json:"address"`     // of struct cgroup
}

// CgroupPaths yields the cgroups of the task, one for each hierarchy that is in use,
// in the order of /proc/PID/cgroup: v1 hierarchies by descending number, then v2. Errors
// are [vmem.Gap], come before all cgroups and do not end it, but for the context's own. No
// CgroupPath comes with an error; one whose controllers can't all be named is there
// besides its error.
func (t *Task) CgroupPaths(ctx context.Context) iter.Seq2[CgroupPath, error] {
	return func(yield func(CgroupPath, error) bool) {
		paths, gaps := t.cgroups(ctx)
		for _, g := range gaps {
			if !yield(CgroupPath{}, g) {
				return
			}
		}
		for _, p := range paths {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (t *Task) cgroups(ctx context.Context) (paths []CgroupPath, gaps []error) {
	k, v := t.k, &t.k.views.cgroup
	object := "cgroup of " + t.String()
	k.refresh()
	set, err := v.of.Load(k.space, t.Addr)
	if err == nil && !plausible(set) {
		err = errPointer("css_set", set)
	}
	if err = cmp.Or(v.err, err); err != nil {
		return nil, []error{newGap(object, t.Addr, err)}
	}
	lost := k.losses()
	each(k.walk(ctx, object, maxHierarchies).List(v.links.Of(set)), v.link, func(link vmem.VirtAddr, err error) bool {
		if err != nil {
			gaps = append(gaps, err)
			return true
		}
		p, err := k.linkedCgroup(t, link)
		if err != nil {
			if g := newGap(object, link, err); lost.tell(g) {
				gaps = append(gaps, g)
			}
		}
		if p.Path != "" {
			lost.found()
		}
		if p.Path != "" && (p.Hierarchy != 0 || k.cgroupV2) {
			paths = append(paths, p)
		}
		if err := lost.hopeless(); err != nil {
			gaps = append(gaps, newGap(object, link, err))
			return false
		}
		return true
	})
	for _, g := range lost.rest(object) {
		gaps = append(gaps, g)
	}
	slices.SortFunc(paths, func(a, b CgroupPath) int { return cmp.Compare(b.Hierarchy, a.Hierarchy) })
	return paths, gaps
}

// linkedCgroup follows proc_cgroup_show of kernel/cgroup/cgroup.c for the cgroup of a
// cgrp_cset_link. Without a path it could not be read; with one and an error its
// controllers are not all named.
func (k *Kernel) linkedCgroup(t *Task, link vmem.VirtAddr) (p CgroupPath, err error) {
	v := &k.views.cgroup
	if p.Addr, err = v.linked.Load(k.space, link); err != nil {
		return p, err
	}
	c, err := v.cgroup.Load(k.space, p.Addr)
	if err != nil {
		return p, err
	}
	root, err := v.root.Load(k.space, c.Root)
	if err != nil {
		return p, err
	}
	var unnamed error
	if p.Hierarchy = int(root.Hierarchy); p.Hierarchy != 0 {
		p.Controllers, unnamed = k.controllers(root.Mask, text(root.Name[:]))
	}
	if p.Hierarchy != 0 && t.Flags&pfExiting != 0 {
		p.Path = "/"
		return p, unnamed
	}
	if p.Path, err = k.kernfsPath(c.Node); err != nil {
		return p, err
	}
	if p.Hierarchy == 0 && c.Flags&cssOnline == 0 {
		p.Path += " (deleted)"
	}
	return p, unnamed
}

// controllers names the subsystems of a v1 hierarchy. Without the symbol
// cgroup_subsys the named hierarchies still have their names. What could be named is
// returned with an error.
func (k *Kernel) controllers(mask uint32, name string) (string, error) {
	var names []string
	var lost []error
	for i := 0; i < 32 && k.cgroupSubsys != 0; i++ {
		if mask&(1<<i) == 0 {
			continue
		}
		s, err := k.subsystem(i)
		if err != nil {
			lost = append(lost, fmt.Errorf("controller %d: %w", i, err))
			continue
		}
		names = append(names, s)
	}
	if name != "" {
		names = append(names, "name="+name)
	}
	return strings.Join(names, ","), errors.Join(lost...)
}

// subsystem names the controller of the given number.
func (k *Kernel) subsystem(i int) (string, error) {
	v := &k.views.cgroup
	subsys, err := k.space.Uint64(k.cgroupSubsys + vmem.VirtAddr(i*8))
	if err != nil {
		return "", err
	}
	name, err := v.legacyName.Load(k.space, vmem.VirtAddr(subsys))
	if err != nil {
		return "", cause(err, v.subsysErr)
	}
	return k.space.CString(name, nameMax)
}

// kernfsPath returns the path of a kernfs_node from its root.
func (k *Kernel) kernfsPath(kn vmem.VirtAddr) (string, error) {
	v := &k.views.cgroup
	var b pathBuffer
	for range maxCgroupDepth {
		n, err := v.node.Load(k.space, kn)
		if err != nil {
			return "", err
		}
		if n.Parent == 0 {
			return b.String(), nil
		}
		name, err := k.space.CString(n.Name, nameMax+1)
		if err != nil {
			return "", err
		}
		b.component([]byte(name))
		kn = n.Parent
	}
	return "", fmt.Errorf("%w: cgroup of more than %d levels", kstruct.ErrTooLong, maxCgroupDepth)
}

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

// maxHierarchies bounds the cgroups of a task. It has one in each hierarchy: of the sixteen
// or fewer controllers, of v2, and those that are named.
const maxHierarchies = 256

// A cssSet is struct css_set: what tasks of the same cgroups share.
type cssSet struct {
	Default vmem.VirtAddr `kernel:"dfl_cgrp"` // its cgroup of the v2 hierarchy
	Domain  vmem.VirtAddr `kernel:"dom_cset"` // itself, unless its cgroup is threaded
}

// A cgroupLink is struct cgrp_cset_link: that a css_set is of a cgroup.
type cgroupLink struct {
	Cgroup vmem.VirtAddr `kernel:"cgrp"`
	Set    vmem.VirtAddr `kernel:"cset"`
}

// A cgroup is struct cgroup (include/linux/cgroup-defs.h).
type cgroup struct {
	Node   vmem.VirtAddr `kernel:"kn"`
	Root   vmem.VirtAddr `kernel:"root"`
	Parent vmem.VirtAddr `kernel:"self.parent"` // the cgroup_subsys_state in it, 0 for the root
	Flags  uint32        `kernel:"self.flags"`
}

// A cgroupRoot is struct cgroup_root: a hierarchy.
type cgroupRoot struct {
	Hierarchy int32         `kernel:"hierarchy_id"`
	Mask      uint32        `kernel:"subsys_mask"`
	Name      [64]byte      `kernel:"name"`  // MAX_CGROUP_ROOT_NAMELEN
	Top       vmem.VirtAddr `kernel:"&cgrp"` // the cgroup that is the root
	Kernfs    vmem.VirtAddr `kernel:"kf_root"`
}

type cgroupViews struct {
	of     *kstruct.Field[vmem.VirtAddr] // the css_set of a task_struct
	set    *kstruct.View[cssSet]
	links  kstruct.Member // of css_set: a list of cgrp_cset_link
	link   kstruct.Member // of cgrp_cset_link
	linked *kstruct.View[cgroupLink]
	cgroup *kstruct.View[cgroup]
	css    kstruct.Member // of cgroup
	root   *kstruct.View[cgroupRoot]
	node   *kstruct.View[kernfsNode]
	top    *kstruct.Field[vmem.VirtAddr] // of kernfs_root
	err    error

	descendants *kstruct.Field[int32]

	legacyName *kstruct.Field[vmem.VirtAddr] // of cgroup_subsys
	subsysErr  error
}

func bindCgroup(types *isf.File) (v cgroupViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "cgroups")
	v.set = kstruct.Bind[cssSet](b, "css_set")
	v.links = kstruct.BindMember(b, "css_set", "cgrp_links")
	v.link = kstruct.BindMember(b, "cgrp_cset_link", "cgrp_link")
	v.linked = kstruct.Bind[cgroupLink](b, "cgrp_cset_link")
	v.cgroup = kstruct.Bind[cgroup](b, "cgroup")
	v.css = kstruct.BindMember(b, "cgroup", "self")
	v.root = kstruct.Bind[cgroupRoot](b, "cgroup_root")
	v.node = kstruct.Bind[kernfsNode](b, "kernfs_node")
	v.top = kstruct.BindField[vmem.VirtAddr](b, "kernfs_root", "kn")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.descendants = kstruct.BindOptionalField[int32](b, "cgroup", "nr_descendants")
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

func (t *Task) cgroups(ctx context.Context) ([]CgroupPath, []error) {
	k, v := t.k, &t.k.views.cgroup
	w := cgroupWalk{t: t, object: "cgroup of " + t.String(), losses: k.losses()}
	k.refresh()
	addr, err := v.of.Load(k.space, t.Addr)
	if err == nil && !plausible(addr) {
		err = errPointer("css_set", addr)
	}
	if err = cmp.Or(v.err, err); err != nil {
		return nil, []error{newGap(w.object, t.Addr, err)}
	}
	set, err := v.set.Load(k.space, addr)
	if err != nil {
		return nil, []error{newGap(w.object, addr, err)}
	}
	unified := false // the cgroup of the v2 hierarchy was met
	each(k.walk(ctx, w.object, maxHierarchies).List(v.links.Of(addr)), v.link, func(at vmem.VirtAddr, err error) bool {
		if err != nil {
			w.gaps = append(w.gaps, err)
			return true
		}
		link, err := k.cgroupLink(at, addr)
		if err != nil {
			w.lose(at, err)
		} else {
			w.add(at, link.Cgroup)
			unified = unified || link.Cgroup == set.Default
		}
		if err := w.losses.hopeless(); err != nil {
			w.gaps = append(w.gaps, newGap(w.object, at, err))
			return false
		}
		return true
	})
	if !unified && ctx.Err() == nil {
		w.addDefault(addr, &set)
	}
	for _, g := range w.losses.rest(w.object) {
		w.gaps = append(w.gaps, g)
	}
	slices.SortFunc(w.paths, func(a, b CgroupPath) int { return cmp.Compare(b.Hierarchy, a.Hierarchy) })
	return w.paths, w.gaps
}

// A cgroupWalk collects the cgroups of a task.
type cgroupWalk struct {
	t      *Task
	object string
	paths  []CgroupPath
	gaps   []error
	losses losses
}

func (w *cgroupWalk) lose(at vmem.VirtAddr, err error) {
	if g := newGap(w.object, at, err); w.losses.tell(g) {
		w.gaps = append(w.gaps, g)
	}
}

// add adds the cgroup that what is at an address leads to.
func (w *cgroupWalk) add(at, cgroup vmem.VirtAddr) {
	p, err := w.t.k.cgroupOf(w.t.Flags, cgroup)
	shown, hidden := w.t.k.shown(&p)
	if err = cmp.Or(err, hidden); err != nil {
		w.lose(at, err)
	}
	if p.Path != "" {
		w.losses.found()
	}
	if shown {
		w.paths = append(w.paths, p)
	}
}

// addDefault adds the cgroup of the v2 hierarchy that a css_set itself has, where its links
// do not lead there.
func (w *cgroupWalk) addDefault(addr vmem.VirtAddr, set *cssSet) {
	if len(w.gaps) == 0 {
		w.gaps = append(w.gaps, gapf(w.object, addr, ErrDisagree, "css_set.dfl_cgrp leads to cgroup %v, its links do not", set.Default))
	}
	if set.Domain == addr {
		w.add(addr, set.Default)
	}
}

// cgroupLink reads the cgrp_cset_link at addr, which must be of a css_set.
func (k *Kernel) cgroupLink(addr, set vmem.VirtAddr) (cgroupLink, error) {
	link, err := k.views.cgroup.linked.Load(k.space, addr)
	if err == nil && link.Set != set {
		err = fmt.Errorf("%w: cgrp_cset_link %v is of css_set %v", kstruct.ErrCorrupt, addr, link.Set)
	}
	return link, err
}

// Cgroup returns the cgroup whose struct cgroup is at addr, such as what a socket is counted
// for. The error is a [vmem.Gap]; without a path the cgroup could not be read, with one its
// controllers can't all be named.
func (k *Kernel) Cgroup(addr vmem.VirtAddr) (CgroupPath, error) {
	k.refresh()
	err := k.views.cgroup.err
	switch {
	case err != nil:
	case !plausible(addr):
		err = errPointer("cgroup", addr)
	default:
		var p CgroupPath
		if p, err = k.cgroupOf(0, addr); err == nil {
			return p, nil
		} else if p.Path != "" {
			return p, newGap("cgroup", addr, err)
		}
	}
	return CgroupPath{Addr: addr}, newGap("cgroup", addr, err)
}

// cgroupOf follows proc_cgroup_show of kernel/cgroup/cgroup.c for a cgroup of a task with
// such flags. Without a path it could not be read; with one and an error its controllers are
// not all named.
func (k *Kernel) cgroupOf(flags uint32, addr vmem.VirtAddr) (p CgroupPath, err error) {
	v := &k.views.cgroup
	p.Addr = addr
	c, err := v.cgroup.Load(k.space, p.Addr)
	if err != nil {
		return p, err
	}
	root, err := v.root.Load(k.space, c.Root)
	if err != nil {
		return p, err
	}
	path, err := k.cgroupPath(addr, c, &root)
	if err != nil {
		return p, err
	}
	var unnamed error
	if p.Hierarchy = int(root.Hierarchy); p.Hierarchy != 0 {
		p.Controllers, unnamed = k.controllers(root.Mask, text(root.Name[:]))
	}
	switch {
	case p.Hierarchy != 0 && flags&pfExiting != 0:
		path = "/"
	case p.Hierarchy == 0 && c.Flags&cssOnline == 0 && addr != root.Top:
		path += " (deleted)"
	}
	p.Path = path
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

package linux

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Where the tests keep cgroups.
const (
	setAt     = 0x2000
	subsysAt  = 0x2800 // the array of controllers
	linksAt   = 0x3000
	cgroupsAt = 0x4000
	rootsAt   = 0x8000 // a cgroup_root has 7 KB
	nodesAt   = 0xc000
	kernfsAt  = 0xcc00
)

// groupHashes are kernfs_name_hash of group0 and so on, as a program in another language
// gives it.
var groupHashes = [...]uint64{0x3ac0f31, 0x3d885fa9, 0x7764b022}

// addCgroup writes the nth hierarchy, and links it from the css_set.
func (k *testKernel) addCgroup(n int, hierarchy, mask uint64, name string) {
	i := uint64(n)
	link, cgroup, root, node := linksAt+i*0x80, cgroupsAt+i*0xb00, rootsAt+i*0x2000, nodesAt+i*0x200
	top := k.offset(root, "cgroup_root", "cgrp")
	k.set(link, "cgrp_cset_link", "cset", at(setAt))
	k.set(link, "cgrp_cset_link", "cgrp", at(cgroup))
	k.set(cgroup, "cgroup", "root", at(root))
	k.set(cgroup, "cgroup", "kn", at(node))
	k.set(cgroup, "cgroup", "self.flags", cssOnline)
	k.set(cgroup, "cgroup", "self.parent", at(top))
	k.set(top, "cgroup", "root", at(root))
	k.set(top, "cgroup", "kn", at(node+0x100))
	k.set(root, "cgroup_root", "kf_root", at(kernfsAt+i*0x20))
	k.set(kernfsAt+i*0x20, "kernfs_root", "kn", at(node+0x100))
	k.set(root, "cgroup_root", "hierarchy_id", hierarchy)
	k.set(root, "cgroup_root", "subsys_mask", mask)
	k.setText(root, "cgroup_root", "name", name)
	k.set(node, "kernfs_node", "parent", at(node+0x100))
	k.set(node, "kernfs_node", "name", at(node+0x90))
	k.set(node, "kernfs_node", "hash", groupHashes[n])
	k.set(node, "kernfs_node", "priv", at(cgroup))
	k.set(node+0x100, "kernfs_node", "priv", at(top))
	k.text(node+0x90, fmt.Sprintf("group%d", n))
}

// newCgroups returns a kernel with a task in a v2 cgroup and in two of v1.
func newCgroups(t *testing.T) *testKernel {
	k := newTestKernel(t)
	k.set(taskAt, "task_struct", "cgroups", at(setAt))
	k.set(setAt, "css_set", "dom_cset", at(setAt))
	k.set(setAt, "css_set", "dfl_cgrp", at(cgroupsAt))
	k.addCgroup(0, 0, 0, "")
	k.addCgroup(1, 1, 0, "systemd")
	k.linkCgroups(3)
	k.cgroupV2 = true
	return k
}

func (k *testKernel) linkCgroups(n int) {
	nodes := []uint64{k.offset(setAt, "css_set", "cgrp_links")}
	for i := range n {
		nodes = append(nodes, k.offset(linksAt+uint64(i)*0x80, "cgrp_cset_link", "cgrp_link"))
	}
	k.link(nodes...)
}

func cgroupTexts(t *testing.T, k *testKernel, task *Task, want ...error) (texts []string) {
	t.Helper()
	paths, errs := collect(task.CgroupPaths(t.Context()))
	checkGaps(t, errs, want...)
	for _, p := range paths {
		texts = append(texts, fmt.Sprintf("%d:%s:%s", p.Hierarchy, p.Controllers, p.Path))
	}
	return texts
}

// What one hierarchy has lost costs the others nothing, and each loss is told.
func TestCgroupLosses(t *testing.T) {
	k := newCgroups(t)
	k.set(linksAt, "cgrp_cset_link", "cgrp", at(1<<20))        // v2
	k.set(linksAt+2*0x80, "cgrp_cset_link", "cgrp", at(1<<20)) // the last one
	k.set(linksAt+2*0x80, "cgrp_cset_link", "cset", at(setAt))
	want := []string{"1:name=systemd:/group1", "0::/group0"} // by dfl_cgrp
	if d := cmp.Diff(want, cgroupTexts(t, k, k.task(taskAt), vmem.ErrNotCaptured, vmem.ErrNotCaptured)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A controller whose name is lost costs no other its name, and is told.
func TestControllers(t *testing.T) {
	k := newCgroups(t)
	k.linkCgroups(2)
	k.cgroupSubsys = base + subsysAt
	k.set(rootsAt+0x2000, "cgroup_root", "subsys_mask", 0b10111)
	for i, name := range []string{"cpuset", "", "cpuacct", "unused", "memory"} {
		subsys := uint64(0xd000 + i*0x200)
		k.put(subsysAt+uint64(8*i), at(subsys))
		k.set(subsys, "cgroup_subsys", "legacy_name", at(subsys+0x180))
		k.text(subsys+0x180, name)
	}
	k.put(subsysAt+8, at(1<<20)) // cpu
	want := []string{"1:cpuset,cpuacct,memory,name=systemd:/group1", "0::/group0"}
	if d := cmp.Diff(want, cgroupTexts(t, k, k.task(taskAt), vmem.ErrNotCaptured)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestCgroupPaths(t *testing.T) {
	k := newCgroups(t)
	k.linkCgroups(2)
	k.set(cgroupsAt, "cgroup", "self.flags", 0)
	exiting := k.task(taskAt)
	exiting.Flags = pfExiting
	want := []string{"1:name=systemd:/", "0::/group0 (deleted)"}
	if d := cmp.Diff(want, cgroupTexts(t, k, exiting)); d != "" {
		t.Errorf("exiting, from a removed cgroup (-want +got):\n%s", d)
	}
	k.cgroupV2 = false
	if d := cmp.Diff(want, cgroupTexts(t, k, exiting, ErrDisagree)); d != "" {
		t.Errorf("in a cgroup of v2 that is said not to show (-want +got):\n%s", d)
	}
	top := k.offset(rootsAt, "cgroup_root", "cgrp")
	k.set(linksAt, "cgrp_cset_link", "cgrp", at(top))
	k.set(setAt, "css_set", "dfl_cgrp", at(top))
	k.reopen()
	exiting.k = k.Kernel
	if d := cmp.Diff(want[:1], cgroupTexts(t, k, exiting)); d != "" {
		t.Errorf("v2 not shown (-want +got):\n%s", d)
	}
	k.set(taskAt, "task_struct", "cgroups", 0x41)
	k.reopen()
	if got, errs := collect(k.task(taskAt).CgroupPaths(t.Context())); len(got) > 0 || len(errs) != 1 || errors.Is(errs[0], ErrNone) {
		t.Errorf("no css_set: %v, %v", got, errs)
	}
}

// What is wrong with a cgroup costs its path, and is told.
func TestCgroupDamage(t *testing.T) {
	top := func(k *testKernel) uint64 { return k.offset(rootsAt, "cgroup_root", "cgrp") }
	for _, tt := range []struct {
		name   string
		change func(*testKernel)
	}{
		{"directory of another cgroup", func(k *testKernel) { k.set(nodesAt, "kernfs_node", "priv", at(cgroupsAt+0xb00)) }},
		{"name of another hash", func(k *testKernel) { k.text(nodesAt+0x90, "group9") }},
		{"empty name", func(k *testKernel) { k.text(nodesAt+0x90, "") }},
		{"directory without a parent", func(k *testKernel) { k.set(nodesAt, "kernfs_node", "parent", 0) }},
		{"cgroup without a parent", func(k *testKernel) { k.set(cgroupsAt, "cgroup", "self.parent", 0) }},
		{"parents that differ", func(k *testKernel) { k.set(cgroupsAt, "cgroup", "self.parent", at(top(k)+0x2000)) }},
		{"its own parent", func(k *testKernel) {
			k.set(nodesAt, "kernfs_node", "parent", at(nodesAt))
			k.set(cgroupsAt, "cgroup", "self.parent", at(cgroupsAt))
		}},
		{"parent of another hierarchy", func(k *testKernel) { k.set(top(k), "cgroup", "root", at(rootsAt+0x2000)) }},
		{"root with another directory", func(k *testKernel) { k.set(kernfsAt, "kernfs_root", "kn", at(nodesAt)) }},
		{"page of zeros", func(k *testKernel) { k.mem.Zero(0x200000+nodesAt, 0x100) }},
		{"link of another css_set", func(k *testKernel) {
			k.set(linksAt, "cgrp_cset_link", "cset", at(setAt+8))
			k.set(setAt, "css_set", "dom_cset", 0)
		}},
	} {
		k := newCgroups(t)
		k.linkCgroups(2)
		tt.change(k)
		paths, errs := collect(k.task(taskAt).CgroupPaths(t.Context()))
		if len(errs) != 1 || len(paths) != 1 || paths[0].Hierarchy != 1 {
			t.Errorf("%s: %v, %v", tt.name, paths, errs)
		}
	}
}

// Where the links of a css_set are lost, it still names its cgroup of the v2 hierarchy.
func TestCgroupWithoutLinks(t *testing.T) {
	k := newCgroups(t)
	k.linkCgroups(1)
	k.set(setAt, "css_set", "cgrp_links.next", 0)
	k.set(setAt, "css_set", "cgrp_links.prev", 0)
	paths, errs := collect(k.task(taskAt).CgroupPaths(t.Context()))
	if len(errs) == 0 || len(paths) != 1 || paths[0].Path != "/group0" {
		t.Errorf("%v, %v", paths, errs)
	}
}

// The hashes are those that the kernels of the two images have of these names, the second
// with bytes that are signed.
func TestKernfsHash(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signed bool
		want   uint32
	}{{"init.scope", false, 0x598abeea}, {"system.slice", true, 0x5dd3b93c}, {"edge \xff\xc3(name)", true, 0x6dc489e8}} {
		if got := kernfsHash(tt.name, tt.signed); got != tt.want {
			t.Errorf("%q: %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

// The cgroup at an address is the one that tasks are in.
func TestCgroupAt(t *testing.T) {
	k := openBundled(t).k
	n := 0
	for p, err := range k.Processes(t.Context()) {
		if err != nil {
			continue
		}
		paths, _ := collect(p.CgroupPaths(t.Context()))
		for _, want := range paths {
			if got, err := k.Cgroup(want.Addr); got != want || err != nil {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
			n++
		}
		if got, err := k.Cgroup(p.Addr); err == nil || got.Path != "" {
			t.Errorf("a task is the cgroup %+v", got)
		}
	}
	if n == 0 {
		t.Error("no task is in a cgroup")
	}
	_, err := k.Cgroup(8)
	checkGaps(t, []error{err}, kstruct.ErrCorrupt)
}

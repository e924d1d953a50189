package linux

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

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
)

// addCgroup writes the nth hierarchy, and links it from the css_set.
func (k *testKernel) addCgroup(n int, hierarchy, mask uint64, name string) {
	i := uint64(n)
	link, cgroup, root, node := linksAt+i*0x80, cgroupsAt+i*0xb00, rootsAt+i*0x2000, nodesAt+i*0x200
	k.set(link, "cgrp_cset_link", "cgrp", at(cgroup))
	k.set(cgroup, "cgroup", "root", at(root))
	k.set(cgroup, "cgroup", "kn", at(node))
	k.set(cgroup, "cgroup", "self.flags", cssOnline)
	k.set(root, "cgroup_root", "hierarchy_id", hierarchy)
	k.set(root, "cgroup_root", "subsys_mask", mask)
	k.setText(root, "cgroup_root", "name", name)
	k.set(node, "kernfs_node", "parent", at(node+0x100))
	k.set(node, "kernfs_node", "name", at(node+0x90))
	k.text(node+0x90, fmt.Sprintf("group%d", n))
}

// newCgroups returns a kernel with a task in a v2 cgroup and in two of v1.
func newCgroups(t *testing.T) *testKernel {
	k := newTestKernel(t)
	k.set(taskAt, "task_struct", "cgroups", at(setAt))
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
	want := []string{"1:name=systemd:/group1"}
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
	if d := cmp.Diff(want[:1], cgroupTexts(t, k, exiting)); d != "" {
		t.Errorf("v2 not shown (-want +got):\n%s", d)
	}
	k.set(taskAt, "task_struct", "cgroups", 0x41)
	k.set(nodesAt, "kernfs_node", "parent", at(nodesAt))
	k.reopen()
	if got, errs := collect(k.task(taskAt).CgroupPaths(t.Context())); len(got) > 0 || len(errs) != 1 || errors.Is(errs[0], ErrNone) {
		t.Errorf("no css_set: %v, %v", got, errs)
	}
	if _, err := k.kernfsPath(base + nodesAt); err == nil {
		t.Error("a cgroup that is its own parent has a path")
	}
}

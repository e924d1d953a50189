package linux

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Where the tests keep what mounts have in common.
const (
	taskAt    = 0x0
	proxyAt   = 0x3000
	nsAt      = 0x3100
	superAt   = 0x4000
	fsTypeAt  = 0x5000
	rootAt    = 0x5100 // dentry
	dirAt     = 0x5200 // dentry below it
	mountsAt  = 0x6000
	mountSize = 0x200
)

// newMounts returns a kernel with a task in a mount namespace that has no mounts yet.
func newMounts(t *testing.T, types *isf.File) *testKernel {
	k := newTestKernelOf(t, types)
	k.set(taskAt, "task_struct", "nsproxy", at(proxyAt))
	k.set(proxyAt, "nsproxy", "mnt_ns", at(nsAt))
	k.set(superAt, "super_block", "s_type", at(fsTypeAt))
	k.set(fsTypeAt, "file_system_type", "name", at(0x5800))
	k.text(0x5800, "tmpfs")
	k.dentry(rootAt, rootAt, "/")
	k.dentry(dirAt, rootAt, "mnt")
	return k
}

// dentry writes a dentry of a file whose inode is at inodeAt. A long name is behind it.
func (k *testKernel) dentry(off, parent uint64, name string) {
	at0 := k.offset(off, "dentry", "d_iname")
	if len(name) >= 32 {
		at0 = off + 0xf0
	}
	k.set(off, "dentry", "d_parent", at(parent))
	k.set(off, "dentry", "d_name.len", uint64(len(name)))
	k.set(off, "dentry", "d_name.name", at(at0))
	k.set(off, "dentry", "d_name.hash", uint64(dcacheHash(at(parent), name)))
	k.set(off, "dentry", "d_sb", at(superAt))
	k.set(off, "dentry", "d_inode", at(inodeAt))
	k.set(off, "dentry", "d_hash.pprev", at(off))
	k.text(at0, name)
}

// dcacheHash is what the kernel's full_name_hash makes of a name in a directory, written
// down from its macros bit by bit.
func dcacheHash(salt uint64, name string) uint32 {
	rol := func(v uint64, n int) uint64 { return v<<n | v>>(64-n) }
	word := func(s string) (a uint64) {
		for i := len(s) - 1; i >= 0; i-- {
			a = a<<8 + uint64(s[i])
		}
		return a
	}
	const ratio = 7046029254386353131 // GOLDEN_RATIO_64
	var x, y uint64 = 0, salt
	for len(name) >= 8 {
		x ^= word(name[:8])
		y ^= x
		x = rol(x, 12)
		x += y
		y = rol(y, 45)
		y = y*8 + y
		name = name[8:]
	}
	x ^= word(name)
	y ^= x * ratio
	y *= ratio
	return uint32(y >> 32)
}

// mountLists makes the mount at off one of no other.
func (k *testKernel) mountLists(off uint64) {
	for _, list := range k.members("mount", "mnt_mounts", off) {
		k.link(list)
	}
	for _, list := range k.members("mount", "mnt_child", off) {
		k.link(list)
	}
}

// mountAt returns where the nth mount is.
func mountAt(n int) uint64 { return mountsAt + uint64(n)*mountSize }

// addMount writes the nth mount, whose ID is 10 more, on the directory of the first.
func (k *testKernel) addMount(n int) {
	off := mountAt(n)
	k.set(off, "mount", "mnt_id", uint64(10+n))
	k.set(off, "mount", "mnt_parent", at(mountAt(0)))
	k.set(off, "mount", "mnt_mountpoint", at(dirAt))
	k.set(off, "mount", "mnt.mnt_root", at(rootAt))
	k.set(off, "mount", "mnt.mnt_sb", at(superAt))
	if n == 0 {
		k.set(off, "mount", "mnt_mountpoint", at(rootAt))
	}
	k.mountLists(off)
}

// members returns where the members of nodes are.
func (k *testKernel) members(typ, path string, offs ...uint64) (all []uint64) {
	for _, off := range offs {
		all = append(all, k.offset(off, typ, path))
	}
	return all
}

func mountText(m Mount) string {
	return fmt.Sprintf("%d %d %s %s %s %s", m.ID, m.ParentID, m.Root, m.MountPoint, m.FSType, m.Source)
}

func mountTexts(t *testing.T, k *testKernel, want ...error) (texts []string) {
	t.Helper()
	mounts, errs := collect(k.task(taskAt).Mounts(t.Context()))
	checkGaps(t, errs, want...)
	for _, m := range mounts {
		texts = append(texts, mountText(m))
	}
	return texts
}

// Readers of /proc/PID/mountinfo stand on the list, from 5.8 to 6.7, and are no mounts.
func TestMountCursors(t *testing.T) {
	k := newMounts(t, openBundled(t).symbols)
	nodes := []uint64{k.offset(nsAt, "mnt_namespace", "list")}
	for n := range 4 {
		k.addMount(n)
		nodes = append(nodes, k.offset(mountAt(n), "mount", "mnt_list"))
	}
	// A cursor has nothing but its flag and its place on the list.
	cursor := uint64(0x8000)
	k.set(cursor, "mount", "mnt.mnt_flags", mntCursor)
	nodes = append(nodes[:3], append([]uint64{k.offset(cursor, "mount", "mnt_list")}, nodes[3:]...)...)
	k.link(nodes...)
	want := []string{"10 10 / / tmpfs ", "11 10 / /mnt tmpfs ", "12 10 / /mnt tmpfs ", "13 10 / /mnt tmpfs "}
	if d := cmp.Diff(want, mountTexts(t, k)); d != "" {
		t.Errorf("mounts (-want +got):\n%s", d)
	}
}

// treeTypes are those of a kernel that keeps mounts in a red-black tree (6.8).
func treeTypes(t *testing.T) *isf.File {
	return changed(t, openBundled(t).symbols, func(u *isf.UserType) {
		if u.Name == "mount" {
			add(u, "mnt_node", u.Size-24, &isf.Type{Kind: isf.KindStruct, Name: "rb_node"})
			return
		}
		drop(u, "mounts", "list")
		add(u, "mounts", 32, &isf.Type{Kind: isf.KindStruct, Name: "rb_root"})
	}, "mnt_namespace", "mount")
}

// rbNode writes a black node of a red-black tree.
func (k *testKernel) rbNode(off, parent, left, right uint64) {
	k.set(off, "rb_node", "__rb_parent_color", parent|1)
	k.set(off, "rb_node", "rb_left", left)
	k.set(off, "rb_node", "rb_right", right)
}

func TestMountTree(t *testing.T) {
	k := newMounts(t, treeTypes(t))
	for n := range 4 {
		k.addMount(n)
	}
	// The flag means something else where there are no cursors.
	k.set(mountAt(2), "mount", "mnt.mnt_flags", mntCursor)
	// One has a device, the other is lost.
	k.set(mountAt(1), "mount", "mnt_devname", at(0x5900))
	k.text(0x5900, "/dev/vda")
	k.set(mountAt(3), "mount", "mnt.mnt_root", at(1<<20))
	n := k.members("mount", "mnt_node", mountAt(0), mountAt(1), mountAt(2), mountAt(3))
	k.set(nsAt, "mnt_namespace", "mounts.rb_node", at(n[1]))
	k.rbNode(n[1], 0, at(n[0]), at(n[2]))
	k.rbNode(n[0], at(n[1]), 0, 0)
	k.rbNode(n[2], at(n[1]), 0, at(n[3]))
	k.rbNode(n[3], at(n[2]), 0, 0)
	want := []string{"10 10 / / tmpfs ", "11 10 / /mnt tmpfs /dev/vda", "12 10 / /mnt tmpfs "}
	if d := cmp.Diff(want, mountTexts(t, k, vmem.ErrNotCaptured)); d != "" {
		t.Errorf("mounts (-want +got):\n%s", d)
	}
}

func TestMountsOfNone(t *testing.T) {
	k := newTestKernel(t) // no nsproxy
	exited := k.task(taskAt)
	exited.Flags = pfExiting
	if got, errs := collect(exited.Mounts(t.Context())); len(got) > 0 || len(errs) > 0 {
		t.Error(got, errs)
	}
	if got := mountTexts(t, k, kstruct.ErrCorrupt); len(got) > 0 {
		t.Error(got)
	}
	k.set(taskAt, "task_struct", "nsproxy", at(1<<20))
	k.reopen()
	if got := mountTexts(t, k, vmem.ErrNotCaptured); len(got) > 0 {
		t.Error(got)
	}
	lacking := newMounts(t, changed(t, openBundled(t).symbols, func(u *isf.UserType) { drop(u, "list") }, "mnt_namespace"))
	if got := mountTexts(t, lacking, kstruct.ErrUnsupported); len(got) > 0 {
		t.Error(got)
	}
}

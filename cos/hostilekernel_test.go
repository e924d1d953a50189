package cos

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// size returns the size of a type in bytes.
func (a *attack) size(typ string) int {
	u, err := a.types.UserType(typ)
	if err != nil {
		a.t.Fatal(err)
	}
	return int(u.Size)
}

// read returns n bytes of the kernel's memory as it was.
func (a *attack) read(at vmem.VirtAddr, n int) []byte {
	b := make([]byte, n)
	if _, err := a.k.Space().ReadVirt(b, at); err != nil {
		a.t.Fatal(err)
	}
	return b
}

// copies returns n copies of a structure, in memory of the attacker's own.
func (a *attack) copies(typ string, at vmem.VirtAddr, n int) (all []vmem.VirtAddr) {
	b := a.read(at, a.size(typ))
	size := (len(b) + 63) &^ 63
	first := a.own(n*size/vmem.PageSize + 1)
	for i := range n {
		all = append(all, first+vmem.VirtAddr(i*size))
		a.write(all[i], b)
	}
	return all
}

// link makes a list whose head is at an address of nodes, and of nothing else.
func (a *attack) link(head vmem.VirtAddr, nodes []vmem.VirtAddr) {
	all := append([]vmem.VirtAddr{head}, nodes...)
	for i, n := range all {
		a.put(n, uint64(all[(i+1)%len(all)]), uint64(all[(i+len(all)-1)%len(all)]))
	}
}

// inPod returns the processes of the first container in a pod.
func (a *attack) inPod() (all []*linux.Task) {
	id := ""
	for i := range a.report.Processes {
		p := &a.report.Processes[i]
		if p.ContainerID != "" && (id == "" || p.ContainerID == id) {
			id = p.ContainerID
			all = append(all, a.tasks[p.PID])
		}
	}
	return all
}

// mountNamespace returns that of a process.
func (a *attack) mountNamespace(p *linux.Task) vmem.VirtAddr {
	return a.pointer("nsproxy", "mnt_ns", a.pointer("task_struct", "nsproxy", p.Addr))
}

// A list of mounts of nodes that are nothing; of real mounts with long names, which are more
// than any namespace has; and mounts that are mounted in themselves.
func TestHostileMounts(t *testing.T) {
	t.Run("nothing", func(t *testing.T) {
		a := newAttack(t)
		p := a.inPod()[0]
		ns := a.mountNamespace(p)
		a.put32(a.member("mnt_namespace", "mounts", ns), 1<<32-1)
		a.ring(a.member("mnt_namespace", "list", ns), 100_000)
		a.told(a.run(), "mounts of "+p.String(), "too-many")
	})
	t.Run("names", func(t *testing.T) {
		a := newAttack(t)
		p := a.inPod()[0]
		ns := a.mountNamespace(p)
		list := a.member("mnt_namespace", "list", ns)
		node := a.member("mount", "mnt_list", 0)
		name := a.own(1)
		a.write(name, bytes.Repeat([]byte("\x1b"), vmem.PageSize-1))
		mounts := a.copies("mount", a.pointer("list_head", "next", list)-node, 8000)
		nodes := make([]vmem.VirtAddr, len(mounts))
		for i, m := range mounts {
			a.put(a.member("mount", "mnt_devname", m), uint64(name))
			for _, own := range []string{"mnt_mounts", "mnt_child"} {
				at := uint64(a.member("mount", own, m))
				a.put(vmem.VirtAddr(at), at, at)
			}
			nodes[i] = m + node
		}
		a.link(list, nodes)
		a.put32(a.member("mnt_namespace", "mounts", ns), uint32(len(nodes)))
		a.told(a.run(), "mounts of "+p.String(), "too-long")
	})
	t.Run("cycle", func(t *testing.T) {
		a := newAttack(t)
		p := a.inPod()[0]
		list := a.member("mnt_namespace", "list", a.mountNamespace(p))
		node := a.member("mount", "mnt_list", 0)
		first := a.pointer("list_head", "next", list) - node
		second := a.pointer("list_head", "next", first+node) - node
		for _, m := range [][2]vmem.VirtAddr{{first, second}, {second, first}} {
			a.put(a.member("mount", "mnt_parent", m[0]), uint64(m[1]))
			a.put(a.member("mount", "mnt_mountpoint", m[0]), uint64(a.pointer("mount", "mnt.mnt_root", m[1])))
		}
		a.told(a.run(slices.Collect(a.all())...), "mounts of "+p.String(), "too-long")
	})
}

// all yields all processes.
func (a *attack) all() func(func(*linux.Task) bool) {
	return func(yield func(*linux.Task) bool) {
		for _, p := range a.tasks {
			if !yield(p) {
				return
			}
		}
	}
}

// kernfsHash is kernfs_name_hash of fs/kernfs/dir.c, for names of ASCII.
func kernfsHash(name string) uint32 {
	h := uint64(0)
	for _, c := range []byte(name) {
		h = (h + uint64(c)<<4 + uint64(c)>>4) * 11
	}
	hash := uint32(h*0x61c8864680b583eb>>32) & 0x7fffffff
	return min(max(hash, 2), 0x7ffffffe)
}

// alike are the processes that share a css_set.
func (a *attack) alike(set vmem.VirtAddr) (all []*linux.Task) {
	for p := range a.all() {
		if a.pointer("task_struct", "cgroups", p.Addr) == set {
			all = append(all, p)
		}
	}
	return all
}

// below puts a cgroup below another, and gives it a name.
func (a *attack) below(cgroup, parent vmem.VirtAddr, name string) {
	node := a.pointer("cgroup", "kn", cgroup)
	text := a.own(1)
	a.write(text, append([]byte(name), 0))
	a.put(a.member("cgroup", "self.parent", cgroup), uint64(a.member("cgroup", "self", parent)))
	a.put(a.member("kernfs_node", "parent", node), uint64(a.word(a.member("cgroup", "kn", parent))))
	a.put(a.member("kernfs_node", "name", node), uint64(text))
	a.put32(a.member("kernfs_node", "hash", node), kernfsHash(name))
}

// word returns what is at an address now.
func (a *attack) word(at vmem.VirtAddr) vmem.VirtAddr {
	var b [8]byte
	if _, err := a.m.ReadAt(b[:], int64(a.phys(at))); err != nil {
		a.t.Fatal(err)
	}
	v := vmem.VirtAddr(0)
	for i := range b {
		v |= vmem.VirtAddr(b[i]) << (8 * i)
	}
	return v
}

// A cgroup that is above itself, one below a hundred others with the longest names, and one
// whose name commands a terminal.
func TestHostileCgroups(t *testing.T) {
	setOf := func(a *attack) (vmem.VirtAddr, vmem.VirtAddr) {
		set := a.pointer("task_struct", "cgroups", a.inPod()[0].Addr)
		return set, a.pointer("css_set", "dfl_cgrp", set)
	}
	t.Run("cycle", func(t *testing.T) {
		a := newAttack(t)
		set, cgroup := setOf(a)
		touched := a.alike(set)
		a.below(cgroup, cgroup, "loop")
		a.told(a.run(touched...), "cgroup of "+touched[0].String(), "too-long")
	})
	t.Run("deep", func(t *testing.T) {
		a := newAttack(t)
		set, cgroup := setOf(a)
		touched := a.alike(set)
		parent := a.pointer("cgroup", "self.parent", cgroup) - a.member("cgroup", "self", 0)
		cgroups, nodes := a.copies("cgroup", cgroup, 100), a.copies("kernfs_node", a.pointer("cgroup", "kn", cgroup), 100)
		for i, c := range append(cgroups, cgroup) {
			if i < len(nodes) {
				a.put(a.member("cgroup", "kn", c), uint64(nodes[i]))
				a.put(a.member("kernfs_node", "priv", nodes[i]), uint64(c))
			}
			node := a.word(a.member("cgroup", "kn", c))
			name := strings.Repeat("d", 255)
			text := a.own(1)
			a.write(text, append([]byte(name), 0))
			a.put(a.member("cgroup", "self.parent", c), uint64(a.member("cgroup", "self", parent)))
			a.put(a.member("kernfs_node", "parent", node), uint64(a.word(a.member("cgroup", "kn", parent))))
			a.put(a.member("kernfs_node", "name", node), uint64(text))
			a.put32(a.member("kernfs_node", "hash", node), kernfsHash(name))
			parent = c
		}
		a.told(a.run(touched...), "cgroup of "+touched[0].String(), "too-long")
	})
	t.Run("name", func(t *testing.T) {
		a := newAttack(t)
		set, cgroup := setOf(a)
		touched := a.alike(set)
		parent := a.pointer("cgroup", "self.parent", cgroup) - a.member("cgroup", "self", 0)
		const name = "\x1b]0;owned\a\r\n"
		a.below(cgroup, parent, name)
		r := a.run(touched...)
		for _, p := range r.Processes {
			if p.PID == touched[0].PID && !strings.HasSuffix(p.Cgroup, "/"+name) {
				t.Errorf("cgroup %q", p.Cgroup)
			}
		}
		isText(t, r)
	})
}

// isText checks that the JSON of a report has nothing that a terminal obeys.
func isText(t *testing.T, r *NodeReport) {
	t.Helper()
	b, err := r.MarshalJSON()
	if err != nil || !utf8.Valid(b) || bytes.ContainsAny(b, "\x1b\r\a\u202e") {
		t.Errorf("JSON with what a terminal obeys: %v", err)
	}
}

// Names of files and arguments that command a terminal.
func TestHostilePaths(t *testing.T) {
	a := newAttack(t)
	p := a.users()[1]
	const name = "\x1b[2J\x1b]0;x\a\r\n\u202e\xff"
	exe := a.pointer("file", "f_path.dentry", a.pointer("mm_struct", "exe_file", a.pointer("task_struct", "mm", p.Addr)))
	dentry := a.copies("dentry", exe, 1)[0]
	short := a.member("dentry", "d_iname", dentry)
	a.write(short, append([]byte(name), 0))
	a.put(a.member("dentry", "d_name.name", dentry), uint64(short))
	a.put32(a.member("dentry", "d_name.len", dentry), uint32(len(name)))
	a.put32(a.member("dentry", "d_flags", dentry), 1) // DCACHE_OP_HASH: the hash is the file system's own
	file := a.copies("file", a.pointer("mm_struct", "exe_file", a.pointer("task_struct", "mm", p.Addr)), 1)[0]
	a.put(a.member("file", "f_path.dentry", file), uint64(dentry))
	a.put(a.member("mm_struct", "exe_file", a.pointer("task_struct", "mm", p.Addr)), uint64(file))
	text := a.page(1)
	a.m.Write(text, []byte(strings.Repeat(name+"\x00", 10)))
	a.area(p, a.everywhere(a.pgd(p), 1, text), 100)
	r := a.run(p)
	for _, got := range r.Processes {
		if got.PID == p.PID && (!strings.HasSuffix(got.Exe, "/"+name) || len(got.Args) == 0 || got.Args[0] != name) {
			t.Errorf("exe %q, args %q", got.Exe, got.Args)
		}
	}
	isText(t, r)
}

// An IDR of a hundred thousand slots that all hold the same PID, and one whose nodes are
// their own children.
func TestHostileIDR(t *testing.T) {
	node := func(a *attack) (root, node vmem.VirtAddr) {
		ns, err := a.k.Symbol("init_pid_ns")
		if err != nil {
			t.Fatal(err)
		}
		root = a.member("pid_namespace", "idr.idr_rt.xa_head", ns)
		return root, a.word(root) &^ 3
	}
	t.Run("slots", func(t *testing.T) {
		a := newAttack(t)
		_, top := node(a)
		pid := uint64(a.pointer("task_struct", "thread_pid", a.tasks[1].Addr))
		fill := words(64, func(int) uint64 { return pid })
		nodes := a.copies("xa_node", top, 1+32+32*64)
		add := func(parent vmem.VirtAddr, slot, shift byte) vmem.VirtAddr {
			n := nodes[0]
			nodes = nodes[1:]
			a.put(a.member("xa_node", "slots", parent)+8*vmem.VirtAddr(slot), uint64(n)|2)
			a.put(a.member("xa_node", "parent", n), uint64(parent))
			a.write(a.member("xa_node", "shift", n), []byte{shift, slot})
			a.write(a.member("xa_node", "slots", n), make([]byte, 8*64))
			return n
		}
		second := add(top, 5, 12)
		for i := range byte(32) {
			third := add(second, i, 6)
			for k := range byte(64) {
				a.write(a.member("xa_node", "slots", add(third, k, 0)), fill)
			}
		}
		r := a.run()
		a.told(r, "PID IDR", "too-many")
		if len(r.Gaps) > 3000 {
			t.Errorf("%d gaps", len(r.Gaps))
		}
	})
	t.Run("cycle", func(t *testing.T) {
		a := newAttack(t)
		_, top := node(a)
		slots := a.member("xa_node", "slots", top)
		for slot := 1; slot < 64; slot++ {
			if a.word(slots+vmem.VirtAddr(8*slot)) == 0 {
				a.put(slots+vmem.VirtAddr(8*slot), uint64(top)|2)
			}
		}
		a.told(a.run(), "PID IDR", "corrupt")
	})
}

// A thread group of copies of its leader.
func TestHostileThreads(t *testing.T) {
	a := newAttack(t)
	p := a.named("systemd")
	node := a.member("task_struct", "thread_node", 0)
	own := a.pointer("task_struct", "signal", p.Addr)
	fakes := a.copies("task_struct", p.Addr, 1000)
	var nodes []vmem.VirtAddr
	for i, f := range append([]vmem.VirtAddr{p.Addr}, fakes...) {
		if i > 0 {
			a.put32(a.member("task_struct", "pid", f), uint32(1_000_000+i))
		}
		nodes = append(nodes, f+node)
	}
	a.link(a.member("signal_struct", "thread_head", own), nodes)
	r := a.run(p)
	a.told(r, "threads of "+p.String(), "disagree")
}

// Processes of which struct pid says that they are in four thousand million PID namespaces, and in as many as
// there can be, which are behind the end of it.
func TestHostileLevels(t *testing.T) {
	for _, level := range []uint32{1<<32 - 1, 33, 32} {
		a := newAttack(t)
		p := a.users()[1]
		a.put32(a.member("pid", "level", a.pointer("task_struct", "thread_pid", p.Addr)), level)
		r := a.run(p)
		if level > 32 {
			a.told(r, "PIDs of "+p.String(), "corrupt")
		}
		for i := range r.Processes {
			if len(r.Processes[i].NamespacedPIDs) > 33 {
				t.Errorf("%v", r.Processes[i].NamespacedPIDs)
			}
		}
	}
}

// Trees of mappings of which each slot of the root is the root.
func TestHostileMappings(t *testing.T) {
	a := newAttack(t)
	var touched []*linux.Task
	for _, p := range a.users()[:8] {
		mm := a.pointer("task_struct", "mm", p.Addr)
		root := a.pointer("mm_struct", "mm_mt.ma_root", mm)
		kind := "maple_range_64"
		switch root >> 3 & 0xf {
		case 0, 1:
			continue
		case 3:
			kind = "maple_arange_64"
		}
		slots := a.member(kind, "slot", root&^0xff)
		for i := range 10 {
			a.put(slots+vmem.VirtAddr(8*i), uint64(root))
		}
		a.put(a.member("mm_struct", "arg_end", mm), uint64(a.pointer("mm_struct", "arg_start", mm))+1<<30)
		touched = append(touched, p)
	}
	if len(touched) == 0 {
		t.Fatal("no tree of more than one node")
	}
	r := a.run(touched...)
	for _, p := range touched {
		a.told(r, "args of "+p.String(), "too-long")
	}
}

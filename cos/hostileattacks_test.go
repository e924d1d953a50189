package cos

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"

	"github.com/nodelens/nodelens/internal/testimages"
)

// pgd returns the top page table of a process.
func (a *attack) pgd(p *linux.Task) vmem.PhysAddr {
	return a.phys(a.pointer("mm_struct", "pgd", a.pointer("task_struct", "mm", p.Addr)))
}

// area moves the argument and environment area of a process.
func (a *attack) area(p *linux.Task, start vmem.VirtAddr, size uint64) {
	mm := a.pointer("task_struct", "mm", p.Addr)
	for _, member := range []string{"arg_", "env_"} {
		a.put(a.member("mm_struct", member+"start", mm), uint64(start))
		a.put(a.member("mm_struct", member+"end", mm), uint64(start)+size)
	}
}

// files moves the descriptor table of a process to where all descriptors are one page of
// pointers, and all their bits are set.
func (a *attack) files(p *linux.Task, n int, pointers vmem.PhysAddr) {
	files := a.pointer("task_struct", "files", p.Addr)
	ones := a.page(1)
	a.m.Write(ones, bytes.Repeat([]byte{0xff}, vmem.PageSize))
	bitmap := a.everywhere(a.k.Info().Root, 257, ones)
	table := a.own(1)
	a.put(a.member("files_struct", "fdt", files), uint64(table))
	a.put32(a.member("fdtable", "max_fds", table), uint32(n))
	a.put(a.member("fdtable", "fd", table), uint64(a.everywhere(a.k.Info().Root, 257, pointers)))
	a.put(a.member("fdtable", "open_fds", table), uint64(bitmap))
	a.put(a.member("fdtable", "close_on_exec", table), uint64(bitmap)+uint64(n/8))
}

// file returns an open file of a process.
func (a *attack) file(p *linux.Task) vmem.VirtAddr {
	for fd, err := range p.Files(a.t.Context()) {
		if err == nil && strings.HasPrefix(fd.Path, "/") {
			return fd.Addr
		}
	}
	a.t.Fatalf("no file of %v", p)
	return 0
}

// ring puts a list of n nodes of 16 bytes, which point to each other, into the list whose
// head is at an address.
func (a *attack) ring(head vmem.VirtAddr, n int) {
	first := a.own(n*16/vmem.PageSize + 1)
	node := func(i int) uint64 { return uint64(first) + uint64(16*i) }
	b := words(2*n, func(i int) uint64 {
		if i%2 == 0 {
			return node(i/2 + 1)
		}
		return node(i/2 - 1)
	})
	a.write(first, b)
	a.put(first+8, uint64(head))
	a.put(first+vmem.VirtAddr(16*(n-1)), uint64(a.pointer("list_head", "next", head)))
	a.put(a.pointer("list_head", "next", head)+8, node(n-1))
	a.put(head, uint64(first))
}

// Argument and environment areas of many processes, 32 MiB each of one page of zeros: what
// any pod can ask for (PR_SET_MM_MAP).
func TestHostileZeros(t *testing.T) {
	testimages.Long(t)
	a := newAttack(t)
	zeros := a.page(1)
	touched := a.users()[:8]
	for _, p := range touched {
		a.area(p, a.everywhere(a.pgd(p), 1, zeros), 32<<20)
	}
	r := a.run(touched...)
	a.told(r, "args of task 1 ", "too-many")
	a.told(r, "env of task 1 ", "too-long")
	for i := range r.Processes {
		if n := len(r.Processes[i].Args); n > 1<<16 {
			t.Errorf("%d arguments", n)
		}
	}
}

// The same with text, in ten processes: more than a report may be.
func TestHostileText(t *testing.T) {
	testimages.Long(t)
	a := newAttack(t)
	text := a.page(1)
	a.m.Write(text, []byte(strings.Repeat("aaaaaaa\x00", vmem.PageSize/8)))
	long := a.page(1)
	a.m.Write(long, bytes.Repeat([]byte("\x1b"), vmem.PageSize))
	touched := a.users()[:8]
	for i, p := range touched {
		a.area(p, a.everywhere(a.pgd(p), 1, []vmem.PhysAddr{text, long}[i%2]), 32<<20)
	}
	r := a.run(touched...)
	a.told(r, "args of "+touched[0].String(), "too-long")
	a.told(r, "env of "+touched[1].String(), "too-many")
}

// Arguments that are one secret over and over, of an environment with that secret under as many names as are looked for.
func TestHostileSecrets(t *testing.T) {
	a := newAttack(t)
	text := a.page(1)
	a.m.Write(text, []byte(strings.Repeat("aaaaaaa=", vmem.PageSize/8)))
	env := a.page(1)
	var b []byte
	for i := range 64 {
		b = append(b, strings.Repeat("A", i)+"_TOKEN=aaaaaaa\x00"...)
	}
	a.m.Write(env, b)
	touched := a.users()[:8]
	for _, p := range touched {
		a.area(p, a.everywhere(a.pgd(p), 1, text), 6<<20)
		mm, start := a.pointer("task_struct", "mm", p.Addr), uint64(a.everywhere(a.pgd(p), 1, env))
		a.put(a.member("mm_struct", "env_start", mm), start)
		a.put(a.member("mm_struct", "env_end", mm), start+uint64(len(b)))
	}
	for _, p := range a.run(touched...).Processes {
		if slices.ContainsFunc(touched, func(t *linux.Task) bool { return t.PID == p.PID }) && (len(p.Env) < 64 || len(p.ArgSecrets) == 0) {
			t.Errorf("%d variables, %d secrets in arguments of process %d", len(p.Env), len(p.ArgSecrets), p.PID)
		}
	}
}

// Descriptor tables of millions of entries that are one page of one file, of one process and
// of all.
func TestHostileDescriptors(t *testing.T) {
	for _, all := range []bool{false, true} {
		a := newAttack(t)
		file := a.file(a.named("systemd"))
		pointers := a.page(1)
		a.m.Write(pointers, words(512, func(int) uint64 { return uint64(file) }))
		touched, entries := a.users()[:1], 1<<22
		if all {
			touched, entries = a.users()[:8], 1<<17
		}
		for _, p := range touched {
			a.files(p, entries, pointers)
		}
		r := a.run(touched...)
		a.told(r, "open files of "+touched[0].String(), "too-many")
		sum := 0
		for i := range r.Processes {
			sum += len(r.Processes[i].FDs)
		}
		if sum > 1<<18+1000 || sum < 1<<16 {
			t.Errorf("%d descriptors", sum)
		}
	}
}

// Tables that say that they are longer than they are: what lies behind is no descriptor.
func TestHostileTableSizes(t *testing.T) {
	testimages.Long(t)
	for _, most := range []uint32{1 << 24, 1<<32 - 1} {
		a := newAttack(t)
		for _, p := range a.users() {
			table := a.pointer("files_struct", "fdt", a.pointer("task_struct", "files", p.Addr))
			a.put32(a.member("fdtable", "max_fds", table), most)
		}
		r := a.run()
		a.told(r, "open files of task 1 ", "disagree")
	}
}

// A directory 4000 levels deep that is open in thousands of descriptors.
func TestHostileDeepDirectory(t *testing.T) {
	a := newAttack(t)
	p := a.named("systemd")
	file := a.file(p)
	dentry := a.pointer("file", "f_path.dentry", file)
	size := 256
	const deep = 4000
	own := a.own(deep*size/vmem.PageSize + 2)
	name := own + vmem.VirtAddr(deep*size)
	a.write(name, bytes.Repeat([]byte("d"), 255))
	template := make([]byte, size)
	if _, err := a.k.Space().ReadVirt(template, dentry); err != nil {
		t.Fatal(err)
	}
	parent := dentry
	for i := range deep {
		at := own + vmem.VirtAddr(i*size)
		a.write(at, template)
		a.put(a.member("dentry", "d_parent", at), uint64(parent))
		a.put(a.member("dentry", "d_name.name", at), uint64(name))
		a.put32(a.member("dentry", "d_name.len", at), 255)
		a.put32(a.member("dentry", "d_flags", at), 1) // DCACHE_OP_HASH: the hash is the file system's own
		parent = at
	}
	copied := a.own(1)
	b := make([]byte, 512)
	if _, err := a.k.Space().ReadVirt(b, file); err != nil {
		t.Fatal(err)
	}
	a.write(copied, b)
	a.put(a.member("file", "f_path.dentry", copied), uint64(parent))
	pointers := a.page(1)
	a.m.Write(pointers, words(512, func(int) uint64 { return uint64(copied) }))
	a.files(p, 1<<13, pointers)
	r := a.run(p)
	a.told(r, "open file 5 of "+p.String(), "too-long")
	a.told(r, "open files of "+p.String(), "too-many")
}

// Lists of nodes that are nothing: of tasks, of threads, of cgroups.
func TestHostileLists(t *testing.T) {
	for _, tt := range []struct {
		name   string
		head   func(*attack) vmem.VirtAddr
		object string
		alike  func(*attack) []*linux.Task // those who share it
	}{
		{"tasks", func(a *attack) vmem.VirtAddr { return a.k.Object("init_task").At("tasks").Addr() }, "task list", func(*attack) []*linux.Task { return nil }},
		{"threads", func(a *attack) vmem.VirtAddr {
			return a.member("signal_struct", "thread_head", a.pointer("task_struct", "signal", a.tasks[1].Addr))
		}, "threads of task 1 ", func(a *attack) []*linux.Task { return []*linux.Task{a.tasks[1]} }},
		{"cgroups", func(a *attack) vmem.VirtAddr {
			return a.member("css_set", "cgrp_links", a.pointer("task_struct", "cgroups", a.tasks[1].Addr))
		}, "cgroup of task 1 ", func(a *attack) (all []*linux.Task) {
			set := a.pointer("task_struct", "cgroups", a.tasks[1].Addr)
			for _, p := range a.tasks {
				if a.pointer("task_struct", "cgroups", p.Addr) == set {
					all = append(all, p)
				}
			}
			return all
		}},
	} {
		a := newAttack(t)
		a.ring(tt.head(a), 100_000)
		r := a.run(tt.alike(a)...)
		a.told(r, tt.object, "too-many")
		if len(r.Gaps) > 1000 {
			t.Errorf("%s: %d gaps", tt.name, len(r.Gaps))
		}
	}
}

// A count that is untrue is named.
func TestHostileThreadCounts(t *testing.T) {
	a := newAttack(t)
	for _, p := range a.tasks {
		a.put32(a.member("signal_struct", "nr_threads", a.pointer("task_struct", "signal", p.Addr)), 1<<31-1)
	}
	a.told(a.run(), "threads of task 1 ", "disagree")
}

// A process whose page tables lead to themselves, and whose arguments are all of memory.
func TestHostilePageTables(t *testing.T) {
	a := newAttack(t)
	p := a.users()[1]
	root := a.pgd(p)
	a.m.Write(root, words(256, func(int) uint64 { return uint64(root) | tableEntry | 4 }))
	a.area(p, vmem.PageSize, 1<<47-2*vmem.PageSize)
	a.told(a.run(p), "args of "+p.String(), "too-long")
}

// Directories that are in themselves, and names of four gigabytes.
func TestHostileDentries(t *testing.T) {
	for _, tt := range []struct {
		change func(a *attack, dentry vmem.VirtAddr)
		reason vmem.Reason
	}{
		{func(a *attack, dentry vmem.VirtAddr) {
			up := a.pointer("dentry", "d_parent", dentry)
			a.put(a.member("dentry", "d_parent", up), uint64(dentry))
		}, "corrupt"},
		{func(a *attack, dentry vmem.VirtAddr) { a.put32(a.member("dentry", "d_name.len", dentry), 1<<32-1) }, "corrupt"},
	} {
		a := newAttack(t)
		for _, p := range a.users() {
			exe := a.pointer("mm_struct", "exe_file", a.pointer("task_struct", "mm", p.Addr))
			tt.change(a, a.pointer("file", "f_path.dentry", exe))
		}
		var all []*linux.Task
		for _, p := range a.tasks {
			all = append(all, p)
		}
		r := a.run(all...)
		a.told(r, "program of task 1 ", tt.reason)
	}
}

// Names that are no text, or would command a terminal, are told as they are, and the report
// is text all the same.
func TestHostileNames(t *testing.T) {
	a := newAttack(t)
	p := a.named("systemd")
	a.write(a.member("task_struct", "comm", p.Addr), []byte("\x1b[2J\r\n\u202e\xff\x00"))
	uts := a.pointer("nsproxy", "uts_ns", a.pointer("task_struct", "nsproxy", p.Addr))
	a.write(a.member("uts_namespace", "name.nodename", uts), bytes.Repeat([]byte("\x1b]0;"), 17)[:65])
	r := a.run(p)
	if len(r.Hostname) > 65 || !strings.HasPrefix(r.Hostname, "\x1b]0;") {
		t.Errorf("host name %q", r.Hostname)
	}
	b, err := r.MarshalJSON()
	if err != nil || !utf8.Valid(b) || bytes.ContainsAny(b, "\x1b\r\u202e") {
		t.Errorf("JSON with what a terminal obeys: %v", err)
	}
}

// A top table of the kernel whose unused entries lead to itself costs nothing, and is told.
func TestHostileKernelTable(t *testing.T) {
	a := newAttack(t)
	root := a.k.Info().Root
	for range 20 {
		a.enter(root, 257, root)
	}
	a.told(a.run(), "page tables of the kernel", "cycle")
}

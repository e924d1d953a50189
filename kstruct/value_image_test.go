package kstruct_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// bundled is the kernel of the bundled image, opened once for all tests.
var bundled = sync.OnceValues(func() (*linux.Kernel, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		return nil, err
	}
	symbols, err := isf.Open(img.ISF)
	if err != nil {
		return nil, err
	}
	return linux.Open(context.Background(), mem, &linux.Options{Symbols: symbols})
})

func kernel(t testing.TB) *linux.Kernel {
	t.Helper()
	k, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// processOf returns the first process with that name.
func processOf(t testing.TB, k *linux.Kernel, comm string) *linux.Task {
	t.Helper()
	for p, err := range k.Processes(context.Background()) {
		if err == nil && p.Comm == comm {
			return p
		}
	}
	t.Fatalf("no process %s", comm)
	return nil
}

func TestObject(t *testing.T) {
	k := kernel(t)
	uts := k.Object("init_uts_ns")
	hostname, err := k.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := uts.At("name.nodename").CString(); got != hostname || err != nil {
		t.Errorf("nodename %q, %v, want %q", got, err, hostname)
	}
	addr, err := k.Symbol("init_uts_ns")
	if err != nil {
		t.Fatal(err)
	}
	if uts.Addr() != addr || uts.Type().Name != "uts_namespace" || uts.Err() != nil {
		t.Errorf("init_uts_ns: %v at %v, %v; want it at %v", uts.Type(), uts.Addr(), uts.Err(), addr)
	}
}

// What the kernel says of a task through its own view is what a Value finds by name.
func TestStruct(t *testing.T) {
	k := kernel(t)
	p := processOf(t, k, "kworker/u4:2")
	task := k.Struct("task_struct", p.Addr)
	if pid, err := task.At("pid").Int(); pid != int64(p.PID) || err != nil {
		t.Errorf("pid %d, %v, want %d", pid, err, p.PID)
	}
	if comm, err := task.At("comm").CString(); comm != p.Comm || err != nil {
		t.Errorf("comm %q, %v", comm, err)
	}
	cred, err := p.Cred()
	if err != nil {
		t.Fatal(err)
	}
	if uid, err := task.At("real_cred->uid.val").Uint(); uid != uint64(cred.UID) || err != nil {
		t.Errorf("uid %d, %v", uid, err)
	}
	if back := task.At("real_parent->pid"); back.Err() != nil {
		t.Error(back.Err())
	}
	list := task.At("tasks.next").Deref().ContainerOf("task_struct", "tasks")
	if got := list.At("tasks.prev").Deref().ContainerOf("struct task_struct", "tasks").Addr(); got != p.Addr {
		t.Errorf("the task before the next one is at %v, %v, want %v", got, list.Err(), p.Addr)
	}
}

func TestObjectErrors(t *testing.T) {
	k := kernel(t)
	init := k.Object("init_task")
	tests := []struct {
		name   string
		v      kstruct.Value
		reason error
		says   []string
	}{
		{"per-CPU", k.Object("runqueues").At("nr_running"), kstruct.ErrPerCPU, []string{"runqueues"}},
		{"no symbol", k.Object("nosuch").At("x"), kstruct.ErrUnsupported, []string{"symbol nosuch"}},
		{"no type", k.Struct("nosuch", 1).At("x"), isf.ErrNotFound, []string{"nosuch"}},
		{"no member", init.At("real_cred->uidd.val"), isf.ErrNotFound, []string{"init_task.real_cred->uidd.val", "struct cred", "uidd"}},
		{"no member later", init.At("real_cred").Deref().At("uidd").At("val").Index(3), isf.ErrNotFound, []string{"init_task.real_cred->uidd ", "struct cred"}},
		{"dot over a pointer", init.At("real_cred.uid"), kstruct.ErrType, []string{"struct cred *", "->"}},
		{"arrow over a struct", init.At("tasks->next"), kstruct.ErrType, []string{"list_head", "no pointer"}},
		{"null", init.At("mm->pgd"), kstruct.ErrNull, []string{"init_task.mm->pgd", "mm_struct *"}},
		{"index", init.At("comm[16]"), kstruct.ErrRange, []string{"init_task.comm[16]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.v.Uint()
			if !errors.Is(err, tt.reason) || err == nil || err.Error() != tt.v.Err().Error() {
				t.Fatalf("%v, want %v", err, tt.reason)
			}
			missing := func(s string) bool { return !strings.Contains(err.Error(), s) }
			if slices.ContainsFunc(tt.says, missing) {
				t.Errorf("%q does not say all of %q", err, tt.says)
			}
		})
	}
}

// A list by name holds the same tasks as the kernel's own walk, and says what is wrong with
// one that is asked for wrongly.
func TestValueList(t *testing.T) {
	k := kernel(t)
	w := k.Objects().Walk(context.Background(), nil)
	var want, got []int32
	for p, err := range k.Processes(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, p.PID)
	}
	for task, err := range k.Object("init_task").At("tasks").List(w, "struct task_struct", "tasks") {
		pid, pidErr := task.At("pid").Int()
		if err != nil || pidErr != nil {
			t.Fatal(err, pidErr)
		}
		got = append(got, int32(pid))
	}
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("PIDs %v, want %v", got, want)
	}
	modules := k.Object("modules")
	for _, v := range []struct {
		head        kstruct.Value
		typ, member string
	}{{modules, "module", "nosuch"}, {modules, "nosuch", "list"}, {k.Object("nosuch"), "module", "list"}} {
		n := 0
		for _, err := range v.head.List(w, v.typ, v.member) {
			if n++; !errors.Is(err, kstruct.ErrUnsupported) {
				t.Errorf("list of %s by %s: %v", v.typ, v.member, err)
			}
		}
		if n != 1 {
			t.Errorf("list of %s by %s: %d elements", v.typ, v.member, n)
		}
	}
}

// Per-CPU variables and what __percpu pointers stand for, on each of the machine's CPUs.
func TestValuePerCPU(t *testing.T) {
	k := kernel(t)
	s := k.Objects()
	cpus, err := s.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	for _, cpu := range cpus {
		rq := s.ObjectOn("runqueues", cpu)
		if n, err := rq.At("cpu").Int(); n != int64(cpu) || err != nil {
			t.Errorf("runqueues of CPU %d says it is that of %d, %v", cpu, n, err)
		}
		current := s.ObjectOn("current_task", cpu).Deref()
		if running := rq.At("curr").Deref(); running.Addr() != current.Addr() || current.Err() != nil {
			t.Errorf("CPU %d runs %v, %v and %v, %v", cpu, current.Addr(), current.Err(), running.Addr(), running.Err())
		}
		stat := k.Object("init_task").At("cgroups->dfl_cgrp->rstat_cpu").DerefCPU(cpu)
		if stat.Err() != nil || stat.Type().Name != "cgroup_rstat_cpu" {
			t.Errorf("rstat_cpu of CPU %d: %v", cpu, stat.Err())
		}
		if _, err := stat.At("last_bstat.cputime.utime").Uint(); err != nil {
			t.Error(err)
		}
	}
	for name, v := range map[string]kstruct.Value{
		"no per-CPU variable": s.ObjectOn("init_task", 0), "no such CPU": s.ObjectOn("runqueues", 4000), "no symbol": s.ObjectOn("nosuch", 0),
		"no pointer": k.Object("init_task").DerefCPU(0), "no such CPU for a pointer": k.Object("init_task").At("cgroups->dfl_cgrp->rstat_cpu").DerefCPU(-1),
	} {
		if v.Err() == nil || v.At("x").Err() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The functions of a table are known by name, and so is the inside of a variable.
func TestSymbolAt(t *testing.T) {
	k := kernel(t)
	s := k.Objects()
	p, err := k.Object("tcp_prot").At("close").Pointer()
	if err != nil {
		t.Fatal(err)
	}
	if name, off, ok := s.SymbolAt(p); name != "tcp_close" || off != 0 || !ok {
		t.Errorf("tcp_prot.close: %s+%#x, %v", name, off, ok)
	}
	if name, off, ok := s.SymbolAt(p + 5); name != "tcp_close" || off != 5 || !ok {
		t.Errorf("inside of tcp_close: %s+%#x, %v", name, off, ok)
	}
	pid := k.Object("init_task").At("pid")
	if name, off, ok := s.SymbolAt(pid.Addr()); name != "init_task" || off != uint64(pid.Addr()-k.Object("init_task").Addr()) || !ok {
		t.Errorf("init_task.pid: %s+%#x, %v", name, off, ok)
	}
	for _, a := range []vmem.VirtAddr{0, 0x1000, 0xffff888000000000, 0xffffffffc0400000, 0xffffffffffffffff} {
		if name, off, ok := s.SymbolAt(a); ok {
			t.Errorf("%v: %s+%#x", a, name, off)
		}
	}
}

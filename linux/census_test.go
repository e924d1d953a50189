package linux

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// damage opens the bundled image with the pages that hold kernel addresses overwritten.
func (n *node) damage(t *testing.T, fill byte, addrs ...vmem.VirtAddr) (map[int32]*Task, []vmem.Gap) {
	t.Helper()
	m := smeartest.New(n.mem)
	page := make([]byte, vmem.PageSize)
	for i := range page {
		page[i] = fill
	}
	for _, a := range addrs {
		m.Write(n.phys(t, a)&^(vmem.PageSize-1), page)
	}
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	return walk(t, k)
}

// naming reports whether a gap is about a task.
func naming(gaps []vmem.Gap, pid int32) bool {
	return slices.ContainsFunc(gaps, func(g vmem.Gap) bool {
		for _, word := range []string{"task", "PID IDR entry"} {
			if about := fmt.Sprintf("%s %d", word, pid); g.Object == about || strings.Contains(g.Object+" ", about+" ") {
				return true
			}
		}
		return false
	})
}

// Pages of the task list and of the IDR cost the tasks in them and no others, and each of
// those is named.
func TestLostTaskPages(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	all := pids(whole)
	core := func(i int) vmem.VirtAddr { return n.k.views.core.list.Of(whole[all[i]].Addr) }
	slot := n.slot(t, 1)
	for _, tt := range []struct {
		name  string
		fill  byte
		pages []vmem.VirtAddr
	}{
		{"two nodes of the list, and the IDR's between them", 0, []vmem.VirtAddr{core(20), core(60), slot}},
		{"init_task's list on both sides", 0xff, []vmem.VirtAddr{core(0), core(len(all) - 1)}},
		{"four nodes of the list, and the IDR's root", 0xa5, []vmem.VirtAddr{core(10), core(30), core(70), core(110), vmem.VirtAddr(n.word(t, n.k.initPIDNS+n.idrHead(t)) - 2)}},
	} {
		tasks, gaps := n.damage(t, tt.fill, tt.pages...)
		lost := 0
		for _, pid := range all {
			got := tasks[pid]
			if got != nil && got.Addr == whole[pid].Addr {
				continue
			}
			if lost++; got != nil || !naming(gaps, pid) {
				t.Errorf("%s: PID %d: %v, and no gap names it", tt.name, pid, got)
			}
		}
		if len(tasks)+lost != len(all) || lost == 0 || lost > 8*len(tt.pages) {
			t.Errorf("%s: %d of %d processes, %d lost", tt.name, len(tasks), len(all), lost)
		}
	}
}

// Each page that has nodes of the task list costs the tasks in it alone, each page of the IDR
// none, and what is lost is named: without a search of memory.
func TestEachPage(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	in := map[vmem.PhysAddr][]int32{} // the processes by the pages of their cores
	for pid, task := range whole {
		for _, at := range []vmem.VirtAddr{n.k.views.core.list.Of(task.Addr), n.k.views.core.thread.Of(task.Addr)} {
			page := n.phys(t, at) &^ (vmem.PageSize - 1)
			in[page] = append(in[page], pid)
		}
	}
	for pid := range whole {
		if page := n.phys(t, n.slot(t, pid)) &^ (vmem.PageSize - 1); in[page] == nil {
			in[page] = []int32{}
		}
	}
	step := 1
	if testing.Short() || os.Getenv("NODELENS_IMAGES") == "" { // where tests may take longer
		step = 8
	}
	pages := slices.Sorted(maps.Keys(in))
	for i := 0; i < len(pages); i += step {
		m := smeartest.New(n.mem)
		m.Write(pages[i], make([]byte, vmem.PageSize))
		k := n.over(t, m)
		k.scanWhen = ScanNever
		tasks, gaps := walk(t, k)
		for pid, task := range whole {
			got := tasks[pid]
			switch {
			case got != nil && got.Addr != task.Addr:
				t.Errorf("page %v: PID %d at %v, not %v", pages[i], pid, got.Addr, task.Addr)
			case got == nil && (!slices.Contains(in[pages[i]], pid) || !naming(gaps, pid)):
				t.Errorf("page %v: %v is lost; processes %v are in it, gaps %v", pages[i], task, in[pages[i]], gaps)
			}
		}
		if len(tasks) > len(whole) {
			t.Errorf("page %v: %d of %d processes", pages[i], len(tasks), len(whole))
		}
	}
}

// Where memory is not searched that should be, that is told; where the lists have all tasks it
// is not, for nothing was to be searched for.
func TestNotSearched(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	page := n.phys(t, n.k.views.core.list.Of(whole[pids(whole)[20]].Addr)) &^ (vmem.PageSize - 1)
	for _, tt := range []struct {
		when    TaskScan
		damaged bool
		want    int
	}{{ScanNever, false, 0}, {ScanNever, true, 1}, {ScanIfNeeded, true, 0}, {ScanAlways, false, 0}} {
		m := smeartest.New(n.mem)
		if tt.damaged {
			m.Write(page, make([]byte, vmem.PageSize))
		}
		k := n.over(t, m)
		k.scanWhen = tt.when
		_, gaps := walk(t, k)
		told := 0
		for _, g := range gaps {
			if errors.Is(g, ErrNotSearched) && g.Reason() == "not-searched" {
				told++
			}
		}
		if told != tt.want {
			t.Errorf("scan %d, damaged %v: told %d times, want %d: %v", tt.when, tt.damaged, told, tt.want, gaps)
		}
	}
}

// idrHead returns where the head of the IDR is in a pid_namespace.
func (n *node) idrHead(t *testing.T) vmem.VirtAddr {
	t.Helper()
	f, err := n.symbols.Field("pid_namespace", "idr.idr_rt.xa_head")
	if err != nil {
		t.Fatal(err)
	}
	return vmem.VirtAddr(f.Offset)
}

// Where init_task and the IDR lead to nothing, memory has nearly all tasks all the same, and
// none that is none; the kernel's counts say how many there should be.
func TestScan(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	c := n.k.newCensus(t.Context())
	_, _ = c.take(whole[1].Addr, InTaskList) // where the direct map is
	c.scan()
	found := map[vmem.VirtAddr]bool{}
	processes := 0
	for addr, task := range c.tasks {
		found[addr] = true
		if task.isProcess() {
			processes++
		}
	}
	for _, task := range whole {
		if !found[task.Addr] {
			t.Errorf("%v was not found in memory", task)
		}
	}
	if processes != len(whole) || len(c.lostGaps()) > 0 {
		t.Errorf("%d processes, %d by the lists; lost %v", processes, len(whole), c.lostGaps())
	}
	c.run()
	if gaps := c.countGaps(); len(gaps) > 1 { // PIDs of no task are in the IDR alone
		t.Errorf("counts do not fit: %v", gaps)
	}
}

// What is left of a task that has ended is none, nor is a copy of one.
func TestNoInventedTasks(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	v := &n.k.views.core
	victim, other := whole[pids(whole)[20]], whole[pids(whole)[40]]
	span := int(v.core.Span())
	task := make([]byte, span)
	if _, err := n.k.space.ReadVirt(task, victim.Addr); err != nil {
		t.Fatal(err)
	}
	m := smeartest.New(n.mem)
	m.Write(n.phys(t, other.Addr), task) // a copy over another: it is lost
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	tasks, gaps := walk(t, k)
	if got := tasks[victim.PID]; got == nil || got.Addr != victim.Addr || tasks[other.PID] != nil || !naming(gaps, other.PID) || len(tasks) != len(whole)-1 {
		t.Errorf("with a copy over %v: %v, %v, %d of %d tasks, gaps %v", other, got, tasks[other.PID], len(tasks), len(whole), gaps)
	}

	m = smeartest.New(n.mem) // as __unhash_process leaves it
	at := v.list.Of(victim.Addr)
	n.put(t, m, vmem.VirtAddr(n.word(t, at+8)), n.word(t, at))
	n.put(t, m, vmem.VirtAddr(n.word(t, at))+8, n.word(t, at+8))
	sibling := v.sibling.Of(victim.Addr)
	n.put(t, m, vmem.VirtAddr(n.word(t, sibling+8)), n.word(t, sibling))
	n.put(t, m, vmem.VirtAddr(n.word(t, sibling))+8, n.word(t, sibling+8))
	for _, to := range []vmem.VirtAddr{at + 8, v.thread.Of(victim.Addr) + 8} {
		n.put(t, m, to, 0xdead000000000122)
	}
	n.put(t, m, sibling, uint64(sibling))
	n.put(t, m, sibling+8, uint64(sibling))
	head := n.word(t, v.thread.Of(victim.Addr))
	n.put(t, m, vmem.VirtAddr(head)+8, head)
	n.put(t, m, vmem.VirtAddr(head), head)
	n.put(t, m, n.slot(t, victim.PID), 0)
	n.put(t, m, vmem.VirtAddr(n.word(t, v.links[0].Of(victim.Addr)+8)), 0)
	pid, _ := v.core.Offset("ThreadPID")
	n.put(t, m, victim.Addr+vmem.VirtAddr(pid), 0)
	if k, err = n.open(m); err != nil {
		t.Fatal(err)
	}
	if tasks, _ := walk(t, k); tasks[victim.PID] != nil || len(tasks) != len(whole)-1 {
		t.Errorf("a reaped task: %v, %d of %d", tasks[victim.PID], len(tasks), len(whole))
	}
}

// A count that lies is told, and is all that it does.
func TestCountsLie(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	at, err := n.k.Symbol("nr_threads")
	if err != nil {
		t.Fatal(err)
	}
	m := smeartest.New(n.mem)
	n.put(t, m, at, 1<<31-1)
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	tasks, gaps := walk(t, k)
	if d := cmp.Diff(pids(whole), pids(tasks)); d != "" {
		t.Errorf("PIDs (-whole +got):\n%s", d)
	}
	if len(gaps) != 1 || !errors.Is(gaps[0], ErrDisagree) || !strings.Contains(gaps[0].Error(), "2147483647 tasks by nr_threads") {
		t.Errorf("gaps %v", gaps)
	}
}

// A struct pid that two PIDs have in the IDR is of one of them.
func TestOnePIDTwice(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	m := smeartest.New(n.mem)
	n.put(t, m, n.slot(t, 2), n.word(t, n.slot(t, 1)))
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	tasks, gaps := walk(t, k)
	if d := cmp.Diff(pids(whole), pids(tasks)); d != "" {
		t.Errorf("PIDs (-whole +got):\n%s", d)
	}
	if !naming(gaps, 2) || naming(gaps, 1) || !errors.Is(gaps[0], kstruct.ErrCorrupt) {
		t.Errorf("gaps %v", gaps)
	}
}

// BenchmarkScan searches all of memory for tasks.
func BenchmarkScan(b *testing.B) {
	n := openBundled(b)
	c := n.k.newCensus(b.Context())
	c.taskList()
	base, ok := c.directMap()
	if !ok {
		b.Fatal("no direct map")
	}
	size := int64(0)
	for _, r := range n.k.phys.Ranges() {
		size += int64(r.Size)
	}
	b.SetBytes(size)
	for b.Loop() {
		if hits, ok := n.k.scan(b.Context(), n.k.newScanner(base)); !ok || len(hits.tasks) < 200 {
			b.Fatalf("%d tasks", len(hits.tasks))
		}
	}
}

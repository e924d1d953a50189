package consistency

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// bundled is the bundled node, opened once for all tests.
var bundled = sync.OnceValues(func() (*node, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		return nil, err
	}
	k, err := linux.Open(context.Background(), mem, nil)
	if err != nil {
		return nil, err
	}
	return &node{mem: mem, symbols: k.Symbols(), k: k}, nil
})

type node struct {
	mem     vmem.Memory
	symbols *isf.File
	k       *linux.Kernel
}

func openBundled(tb testing.TB) *node {
	tb.Helper()
	n, err := bundled()
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// over returns the node's kernel in other memory.
func (n *node) over(tb testing.TB, m vmem.Memory) *linux.Kernel {
	tb.Helper()
	k, err := linux.Open(tb.Context(), m, &linux.Options{Symbols: n.symbols})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func check(tb testing.TB, k *linux.Kernel, opts *Options) *Report {
	tb.Helper()
	r, err := Check(tb.Context(), k, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// An image of a machine that stood still has every invariant, and clocks that agree.
func TestConsistent(t *testing.T) {
	t.Parallel()
	r := check(t, openBundled(t).k, &Options{Pages: true})
	if r.Verdict != Consistent || r.Broken != 0 || time.Duration(r.Window) > 10*time.Millisecond || time.Duration(r.Capture) > 100*time.Millisecond || r.Earliest.IsZero() {
		t.Errorf("%v, from %v to %v", r, r.Earliest, r.Latest)
	}
	for _, i := range r.Invariants {
		if i.Checked == 0 || i.First != "" {
			t.Errorf("%+v", i)
		}
	}
	for _, p := range r.Parts {
		if p.Objects == 0 || p.Torn != 0 {
			t.Errorf("%+v", p)
		}
	}
	if !strings.HasPrefix(r.String(), "consistent over 0.0 s: all ") {
		t.Error(r)
	}
}

// What is broken in one place breaks the invariant that is about it, and the verdict says so.
func TestBroken(t *testing.T) {
	t.Parallel()
	n := openBundled(t)
	var task, other *linux.Task // with memory and files of their own
	for p, err := range n.k.Processes(t.Context()) {
		if mm, mmErr := p.MM(); err == nil && mmErr == nil && mm != nil && p.PID != 1 {
			task, other = p, task
		}
	}
	of := n.k.Struct("task_struct", task.Addr)
	for name, change := range map[string]struct {
		invariant string
		at        string // of the task
		to        string // an address of the other
		value     uint64
		could     bool // be at some moment; not if it is of memory, for the process slept
	}{
		"task list":               {invariant: "list of tasks", at: "tasks.next", to: "tasks", could: true},
		"task list to nowhere":    {invariant: "list of tasks", at: "tasks.prev", value: 0x4141414141414141},
		"siblings":                {invariant: "children, siblings", at: "sibling.next", to: "sibling", could: true},
		"parent":                  {invariant: "parents", at: "real_parent", to: ".", could: true},
		"threads":                 {invariant: "list of threads", at: "thread_node.next", to: "thread_node", could: true},
		"thread count":            {invariant: "thread counts", at: "signal->nr_threads", value: 99, could: true},
		"leader":                  {invariant: "thread groups", at: "group_leader", to: ".", could: true},
		"struct pid":              {invariant: "PID links", at: "thread_pid", to: "->thread_pid", could: true},
		"number of a struct pid":  {invariant: "PID links", at: "thread_pid->numbers[0].nr", value: 31999, could: true},
		"number of PIDs":          {invariant: "PID count", at: "thread_pid->numbers[0].ns->pid_allocated", value: 7, could: true},
		"list of a css_set":       {invariant: "css_set members", at: "cg_list.prev", value: 0},
		"taken out of a list":     {invariant: "css_set members", at: "cg_list.prev", value: listPoison2, could: true},
		"count of a css_set":      {invariant: "css_set counts", at: "cgroups->nr_tasks", value: 1000, could: true},
		"count of mappings":       {invariant: "mapping counts", at: "mm->map_count", value: 1000},
		"negative count":          {invariant: "mapping counts", at: "mm->map_count", value: 1<<32 - 1},
		"memory of another":       {invariant: "table parents", at: "mm->pgd", to: "->mm->pgd"},
		"page table to nowhere":   {invariant: "tables", at: "mm->pgd", value: 0},
		"no table of descriptors": {invariant: "descriptors", at: "files->fdt", value: 8},
		"count of mounts":         {invariant: "mount counts", at: "nsproxy->mnt_ns->mounts", value: 3, could: true},
	} {
		t.Run(name, func(t *testing.T) {
			value := change.value
			if change.to != "" {
				value = n.address(t, other, change.to)
			}
			at := of.At(change.at)
			m := smeartest.New(n.mem)
			n.put(t, m, at.Addr(), value, int(at.Size()))
			r := check(t, n.over(t, m), nil)
			if r.Verdict == Consistent || r.Broken == 0 || (r.Impossible == 0) != change.could {
				t.Errorf("%v, %d impossible", r, r.Impossible)
			}
			for _, i := range r.Invariants {
				if i.Name == change.invariant && (i.Broken == 0 || i.First == "") {
					t.Errorf("%+v in %+v", i, r.Invariants)
				}
			}
			if tornParts(r) == 0 {
				t.Errorf("nothing is torn: %+v", r.Parts)
			}
		})
	}
}

func tornParts(r *Report) (n int) {
	for _, p := range r.Parts {
		n += p.Torn
	}
	return n
}

// address returns where a member of a task is, or where it leads to behind an arrow, or where
// the task is.
func (n *node) address(t *testing.T, task *linux.Task, path string) uint64 {
	t.Helper()
	v := n.k.Struct("task_struct", task.Addr)
	if member, ok := strings.CutPrefix(path, "->"); ok {
		p, err := v.At(member).Uint()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if path != "." {
		v = v.At(path)
	}
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	return uint64(v.Addr())
}

// put overwrites size bytes at an address of the kernel.
func (n *node) put(t *testing.T, m *smeartest.Memory, a vmem.VirtAddr, value uint64, size int) {
	t.Helper()
	p, err := n.k.Space().Translate(a)
	if err != nil || a == 0 {
		t.Fatal(a, err)
	}
	m.Write(p.At(a), binary.LittleEndian.AppendUint64(nil, value)[:size])
}

// The more pages are overwritten, the more is broken, and it is no smear.
func TestDamaged(t *testing.T) {
	t.Parallel()
	n := openBundled(t)
	pages := uint64(0)
	for _, r := range n.mem.Ranges() {
		pages += r.Size / vmem.PageSize
	}
	last := 0
	for _, share := range []uint64{200, 50} {
		m := smeartest.New(n.mem)
		m.Pages(rand.New(rand.NewPCG(1, 1)), int(pages/share))
		k, err := linux.Open(t.Context(), m, &linux.Options{Symbols: n.symbols})
		if err != nil {
			t.Fatal(err)
		}
		r := check(t, k, nil)
		if r.Verdict != Damaged || r.Broken <= last {
			t.Errorf("1 of %d pages: %v, after %d", share, r, last)
		}
		last = r.Broken
	}
}

// An image that was captured while the machine ran is smeared over the time that took.
func TestSmeared(t *testing.T) {
	t.Parallel()
	img := testimages.Named(t, "s-6.1")
	symbols, err := isf.Open(testimages.Golden(t, "6.1.0-56.dwarf2json.isf.json.xz"))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	k, err := linux.Open(t.Context(), mem, &linux.Options{Symbols: symbols})
	if err != nil {
		t.Fatal(err)
	}
	r := check(t, k, nil)
	if w := time.Duration(r.Window); r.Verdict != Smeared || w < 2*time.Second || w > time.Minute || r.Capture < r.Window || r.Broken > 20 || r.Impossible > 0 {
		t.Errorf("%v, %d impossible", r, r.Impossible)
	}
}

// A context that is done ends the check.
func TestCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := Check(ctx, openBundled(t).k, nil); r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", r, err)
	}
}

// FuzzCheck overwrites words of the tasks of a real node, with what other words are and with
// anything: a check must end, and never find what is broken whole.
func FuzzCheck(f *testing.F) {
	n := openBundled(f)
	var tasks []*linux.Task
	for p, err := range n.k.Processes(context.Background()) {
		if err == nil {
			tasks = append(tasks, p)
		}
	}
	size := n.k.Struct("task_struct", tasks[0].Addr).Size()
	f.Add([]byte{1, 0, 0, 2, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := smeartest.New(n.mem)
		for ; len(data) >= 6; data = data[6:] {
			a := n.word(t, tasks, size, data)
			b := n.word(t, tasks, size, data[3:])
			value := uint64(b)
			if data[5]&1 == 0 {
				value, _ = n.k.Space().Uint64(b)
			}
			n.put(t, m, a, value, 8)
		}
		k, err := linux.Open(t.Context(), m, &linux.Options{Symbols: n.symbols})
		if err != nil {
			return
		}
		r := check(t, k, nil)
		if (r.Verdict == Consistent) != (r.Broken == 0) || r.Broken < r.Impossible || r.Checked < r.Broken {
			t.Errorf("%+v", r)
		}
	})
}

// word returns the address of a word of a task.
func (n *node) word(t *testing.T, tasks []*linux.Task, size uint64, data []byte) vmem.VirtAddr {
	t.Helper()
	return tasks[int(data[0])%len(tasks)].Addr + vmem.VirtAddr(uint64(binary.LittleEndian.Uint16(data[1:]))*8%size)
}

func BenchmarkCheck(b *testing.B) {
	n := openBundled(b)
	opts := new(Options)
	for p, err := range n.k.Processes(b.Context()) {
		if err == nil {
			opts.Tasks = append(opts.Tasks, p)
		}
	}
	for name, pages := range map[string]bool{"tables": false, "pages": true} {
		b.Run(name, func(b *testing.B) {
			opts := &Options{Tasks: opts.Tasks, Pages: pages}
			b.ReportAllocs()
			for b.Loop() {
				check(b, n.k, opts)
			}
		})
	}
}

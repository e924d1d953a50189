package linux

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/lime"
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
	symbols, err := isf.Open(img.ISF)
	if err != nil {
		return nil, err
	}
	k, err := Open(context.Background(), mem, &Options{Symbols: symbols})
	return &node{mem, symbols, k}, err
})

type node struct {
	mem     vmem.Memory
	symbols *isf.File
	k       *Kernel
}

func openBundled(t testing.TB) *node {
	t.Helper()
	n, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// phys returns where in physical memory a kernel address is.
func (n *node) phys(t testing.TB, a vmem.VirtAddr) vmem.PhysAddr {
	t.Helper()
	m, err := n.k.space.Translate(a)
	if err != nil {
		t.Fatal(err)
	}
	return m.At(a)
}

// put writes a word at a kernel address of the damaged image.
func (n *node) put(t testing.TB, m *smeartest.Memory, a vmem.VirtAddr, v uint64) {
	t.Helper()
	m.PutUint64(n.phys(t, a), v)
}

func (n *node) word(t *testing.T, a vmem.VirtAddr) uint64 {
	t.Helper()
	v, err := n.k.space.Uint64(a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (n *node) open(m vmem.Memory) (*Kernel, error) {
	return Open(context.Background(), m, &Options{Symbols: n.symbols})
}

// walk returns all processes, by PID, and the Gaps.
func walk(t *testing.T, k *Kernel) (map[int32]*Task, []vmem.Gap) {
	t.Helper()
	tasks := map[int32]*Task{}
	var gaps []vmem.Gap
	for p, err := range k.Processes(context.Background()) {
		if err == nil {
			tasks[p.PID] = p
			continue
		}
		g, ok := errors.AsType[vmem.Gap](err)
		if !ok {
			t.Fatalf("%v is no Gap", err)
		}
		gaps = append(gaps, g)
	}
	return tasks, gaps
}

func pids(tasks map[int32]*Task) []int32 {
	var all []int32
	for pid := range tasks {
		all = append(all, pid)
	}
	slices.Sort(all)
	return all
}

// A process that was unlinked from one view, as rootkits do, is still found in the
// other, and the disagreement is told.
func TestHiddenProcess(t *testing.T) {
	n := openBundled(t)
	whole, gaps := walk(t, n.k)
	if len(gaps) > 0 {
		t.Fatalf("the bundled image has gaps: %v", gaps)
	}
	victim := whole[1]
	tests := []struct {
		name    string
		hide    func(*testing.T, *smeartest.Memory)
		sources TaskSources // at least
		lacks   TaskSources
	}{
		{"from the task list", func(t *testing.T, m *smeartest.Memory) {
			at := n.k.views.core.list.Of(victim.Addr)
			next, prev := n.word(t, at), n.word(t, at+8)
			n.put(t, m, vmem.VirtAddr(prev), next)
			n.put(t, m, vmem.VirtAddr(next)+8, prev)
		}, InPIDIDR, InTaskList},
		{"from the PID IDR", func(t *testing.T, m *smeartest.Memory) {
			n.put(t, m, n.slot(t, victim.PID), 0)
		}, InTaskList, InPIDIDR},
		{"from both", func(t *testing.T, m *smeartest.Memory) {
			at := n.k.views.core.list.Of(victim.Addr)
			next, prev := n.word(t, at), n.word(t, at+8)
			n.put(t, m, vmem.VirtAddr(prev), next)
			n.put(t, m, vmem.VirtAddr(next)+8, prev)
			n.put(t, m, n.slot(t, victim.PID), 0)
		}, InFamily | InThreads | InCgroups | InPIDLinks | InMMOwners, LeaderSources},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := smeartest.New(n.mem)
			tt.hide(t, m)
			k, err := n.open(m)
			if err != nil {
				t.Fatal(err)
			}
			tasks, gaps := walk(t, k)
			if d := cmp.Diff(pids(whole), pids(tasks)); d != "" {
				t.Errorf("PIDs (-whole +got):\n%s", d)
			}
			if got := tasks[victim.PID]; got == nil || tt.sources&^got.Sources != 0 || tt.lacks&got.Sources != 0 {
				t.Errorf("the hidden process: %v, want it from the %v", got, tt.sources)
			}
			reason := ErrDisagree
			if tt.lacks == LeaderSources {
				reason = ErrHidden
			}
			if len(gaps) != 1 || !errors.Is(gaps[0], reason) || gaps[0].Place != vmem.KernelPlace(victim.Addr) || !strings.Contains(gaps[0].Error(), "without it: "+tt.lacks.String()) {
				t.Errorf("gaps: %v", gaps)
			}
		})
	}
}

// slot returns the address of the IDR slot of a PID below 64.
func (n *node) slot(t *testing.T, pid int32) vmem.VirtAddr {
	t.Helper()
	member := func(typ, path string) vmem.VirtAddr {
		f, err := n.symbols.Field(typ, path)
		if err != nil {
			t.Fatal(err)
		}
		return vmem.VirtAddr(f.Offset)
	}
	head := n.word(t, n.k.initPIDNS+member("pid_namespace", "idr.idr_rt.xa_head"))
	for {
		at := vmem.VirtAddr(head - 2)
		shift, err := n.k.space.Uint8(at + member("xa_node", "shift"))
		if err != nil {
			t.Fatal(err)
		}
		at += member("xa_node", "slots") + vmem.VirtAddr(pid>>shift&63)*8
		if shift == 0 {
			return at
		}
		head = n.word(t, at)
	}
}

// Wherever the task list is torn, the PID IDR still has everyone.
func TestTornTaskList(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	for _, value := range []uint64{0, 0x4141414141414141, uint64(n.k.initTask), 0xffffc90000000000} {
		m := smeartest.New(n.mem)
		at := n.k.views.core.list.Of(whole[2].Addr)
		n.put(t, m, at, value)
		k, err := n.open(m)
		if err != nil {
			t.Fatal(err)
		}
		tasks, gaps := walk(t, k)
		if d := cmp.Diff(pids(whole), pids(tasks)); d != "" {
			t.Errorf("next %#x: PIDs (-whole +got):\n%s", value, d)
		}
		if len(gaps) == 0 {
			t.Errorf("next %#x: no gap", value)
		}
	}
}

// vmcoreInfoPages returns the pages of the image that VMCOREINFO begins.
func (n *node) vmcoreInfoPages(t *testing.T) []vmem.PhysAddr {
	t.Helper()
	var pages []vmem.PhysAddr
	head := make([]byte, 64)
	for _, r := range n.mem.Ranges() {
		for a := (r.Start + vmem.PageSize - 1) &^ (vmem.PageSize - 1); r.Contains(a); a += vmem.PageSize {
			if k, _ := n.mem.ReadAt(head, int64(a)); strings.Contains(string(head[:k]), "OSRELEASE=") {
				pages = append(pages, a)
			}
		}
	}
	return pages
}

// Without VMCOREINFO the banner leads to the same kernel.
func TestFoundByBanner(t *testing.T) {
	n := openBundled(t)
	m := smeartest.New(n.mem)
	for _, page := range n.vmcoreInfoPages(t) {
		m.Write(page, make([]byte, vmem.PageSize))
	}
	// Copies of the banner that begin no kernel, one just where a kernel's could be.
	banner, err := n.symbols.Symbol("linux_banner")
	if err != nil {
		t.Fatal(err)
	}
	first := n.mem.Ranges()[len(n.mem.Ranges())-1].Start&^(kernelAlign-1) + kernelAlign
	m.Write(first+0x1230, banner.ConstantData)
	m.Write(first+vmem.PhysAddr(banner.Address%kernelAlign), banner.ConstantData)
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(n.k.Info(), k.Info(), cmpopts.IgnoreFields(Info{}, "FoundBy")); d != "" {
		t.Errorf("info (-by VMCOREINFO +by banner):\n%s", d)
	}
	if !strings.HasPrefix(k.Info().FoundBy, "banner") {
		t.Errorf("found by %q", k.Info().FoundBy)
	}
}

// Copies of VMCOREINFO that an earlier kernel or a file left do not fool Open.
func TestStaleVMCoreInfo(t *testing.T) {
	n := openBundled(t)
	pages := n.vmcoreInfoPages(t)
	if len(pages) == 0 {
		t.Fatal("no VMCOREINFO in the image")
	}
	text := make([]byte, vmem.PageSize)
	if _, err := n.mem.ReadAt(text, int64(pages[0])); err != nil {
		t.Fatal(err)
	}
	stale := strings.NewReplacer("NUMBER(phys_base)=", "NUMBER(phys_base)=1", "SYMBOL(swapper_pg_dir)=ffffffff", "SYMBOL(swapper_pg_dir)=fffffffe").Replace(string(text))
	m := smeartest.New(n.mem)
	m.Write(0x10000, []byte(stale)[:vmem.PageSize]) // below the real ones
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(n.k.Info(), k.Info()); d != "" {
		t.Errorf("info (-want +got):\n%s", d)
	}
}

// eraseSigns overwrites what a kernel is noticed by, but for VMCOREINFO.
func (n *node) eraseSigns(t *testing.T) *smeartest.Memory {
	t.Helper()
	m := smeartest.New(n.mem)
	for _, name := range []string{"linux_banner", "init_task", "init_uts_ns"} {
		o := n.k.Object(name)
		size, err := n.symbols.SizeOf(o.Type())
		if err != nil {
			size = 64 // the banner's array has no length
		}
		m.Write(n.phys(t, o.Addr()), make([]byte, max(size, 64)))
	}
	return m
}

func TestNoKernel(t *testing.T) {
	n := openBundled(t)
	t.Run("no trace of it", func(t *testing.T) {
		m := n.eraseSigns(t)
		for _, page := range n.vmcoreInfoPages(t) {
			m.Write(page, make([]byte, vmem.PageSize))
		}
		if _, err := n.open(m); !errors.Is(err, ErrNoKernel) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("symbols of another kernel", func(t *testing.T) {
		c := contents(n.symbols)
		i := slices.IndexFunc(c.Symbols, func(s isf.Symbol) bool { return s.Name == "linux_banner" })
		c.Symbols[i].ConstantData = []byte("Linux version 9.9.9 (a@b) (gcc) #1\n\x00")
		other, err := isf.New(c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(context.Background(), n.mem, &Options{Symbols: other})
		if !errors.Is(err, ErrNoKernel) || !strings.Contains(err.Error(), "9.9.9") || !strings.Contains(err.Error(), n.k.Info().Release) {
			t.Errorf("got %v, want both releases named", err)
		}
	})
	t.Run("symbols without types", func(t *testing.T) {
		empty, err := isf.New(isf.Contents{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(context.Background(), n.mem, &Options{Symbols: empty})
		if !errors.Is(err, kstruct.ErrUnsupported) || !strings.Contains(err.Error(), "task_struct") {
			t.Errorf("got %v", err)
		}
	})
}

// contents copies a database, so that it can be changed.
func contents(f *isf.File) isf.Contents {
	var c isf.Contents
	for b := range f.BaseTypes() {
		c.Bases = append(c.Bases, *b)
	}
	for u := range f.UserTypes() {
		c.Types = append(c.Types, *u)
	}
	for e := range f.Enums() {
		c.Enums = append(c.Enums, *e)
	}
	for s := range f.Symbols() {
		c.Symbols = append(c.Symbols, *s)
	}
	return c
}

// The mappings of every process are as many as it says, which VMAs checks, and the VMA
// of a page that is overwritten is missed in one place only.
func TestMappings(t *testing.T) {
	n := openBundled(t)
	tasks, _ := walk(t, n.k)
	total := 0
	for _, task := range tasks {
		mm, err := task.MM()
		if errors.Is(err, ErrNone) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		last := vmem.VirtAddr(0)
		for v, err := range mm.VMAs(t.Context()) {
			if err != nil {
				t.Errorf("%v: %v", task, err)
			}
			if v.Range.Start < last {
				t.Errorf("%v: %v does not ascend", task, v.Range)
			}
			last = v.Range.Start
			total++
		}
	}
	if total == 0 {
		t.Error("no mappings at all")
	}
}

// A process that moves its argument area elsewhere (prctl PR_SET_MM) can't make Args
// read without end.
func TestHugeArgs(t *testing.T) {
	n := openBundled(t)
	tasks, _ := walk(t, n.k)
	mm, err := tasks[1].MM()
	if err != nil {
		t.Fatal(err)
	}
	m := smeartest.New(n.mem)
	end, _ := n.k.views.mm.mm.Offset("ArgEnd")
	n.put(t, m, mm.Addr+vmem.VirtAddr(end), uint64(mm.ArgStart)+1<<40)
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	tasks, _ = walk(t, k)
	if mm, err = tasks[1].MM(); err != nil {
		t.Fatal(err)
	}
	args, gaps := collect(mm.Args(t.Context()))
	size := 0
	for _, a := range args {
		size += len(a) + 1
	}
	if size > k.limits.AreaBytes+pageSize || !slices.ContainsFunc(gaps, func(g error) bool { return errors.Is(g, kstruct.ErrTooLong) }) {
		t.Errorf("%d bytes of args, gaps %v", size, gaps)
	}
}

func BenchmarkProcesses(b *testing.B) {
	n := openBundled(b)
	b.ReportAllocs()
	count := 0
	for b.Loop() {
		for _, err := range n.k.Processes(context.Background()) {
			if err != nil {
				b.Fatal(err)
			}
			count++
		}
	}
	b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "tasks/s")
}

func BenchmarkOpen(b *testing.B) {
	n := openBundled(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.open(n.mem); err != nil {
			b.Fatal(err)
		}
	}
}

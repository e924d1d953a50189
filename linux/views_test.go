package linux

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/vmem"
)

// lacking returns what keeps views from being bound: all their errors, but for that of
// dma_buf, which kernels are built without.
func lacking(v *views) (all []error) {
	for _, err := range []error{
		v.idle.err, v.task.err, v.core.err, v.links.err, v.threads.err, v.kthread.err, v.kthread.workerErr, v.pid.err, v.cred.err, v.ns.err, v.ns.utsErr, v.nsFile.err,
		v.time.err, v.mm.err, v.vma.err, v.paths.err, v.dirs.err, v.exe.err, v.files.err, v.files.fileErr, v.mount.err,
		v.cgroup.err, v.cgroup.subsysErr, v.resource.err,
	} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// alternatives are the choices among layouts that a kernel's types lead to.
type alternatives struct {
	State       int64 // size in bytes: narrowed in 5.14
	StateAt     string
	Kthread     string
	FullName    bool // kthread.full_name
	WholeWorker bool // names of workers are shown whole
	MountTree   bool
	MapleTree   bool
	AnonName    bool // vm_area_struct.anon_name
	Backing     bool // backing_file
	NodeParent  string
	Page        string // page.flags
	PageHead    string
	PageIndex   string
	Mapcount    bool // folio._large_mapcount
	Timekeeper  bool // tk_data.timekeeper
}

// chosen returns the path of those given that a field of a view is read from.
func chosen[T any](types *isf.File, v *kstruct.View[T], field, typ string, paths ...string) string {
	off, ok := v.Offset(field)
	for _, p := range paths {
		if f, err := types.Field(typ, p); err == nil && ok && f.Offset == off {
			return p
		}
	}
	return ""
}

func alternativesOf(t *testing.T, types *isf.File) alternatives {
	t.Helper()
	v := newViews(types)
	if errs := lacking(v); len(errs) > 0 {
		t.Errorf("not bound: %v", errs)
	}
	p, err := bindPages(types)
	if err != nil {
		t.Error(err)
	}
	state := chosen(types, v.task.head, "State", "task_struct", "__state", "state")
	f, err := types.Field("task_struct", state)
	if err != nil {
		t.Fatal(err)
	}
	size, err := types.SizeOf(f.Type)
	if err != nil {
		t.Fatal(err)
	}
	return alternatives{
		State: int64(size), StateAt: state,
		Kthread:     chosen(types, v.task.late, "Kthread", "task_struct", "worker_private", "set_child_tid"),
		FullName:    v.kthread.kthread.Has("FullName"),
		WholeWorker: v.kthread.whole,
		MountTree:   v.mount.tree.Ok(), MapleTree: v.vma.areas.Has("Tree"),
		AnonName: v.vma.area.Has("AnonName"), Backing: v.files.backing.Ok(),
		NodeParent: chosen(types, v.cgroup.node, "Parent", "kernfs_node", "__parent", "parent"),
		Page:       chosen(types, p.page, "Flags", "page", "flags.f", "flags"),
		PageHead:   chosen(types, p.page, "Head", "page", "compound_info", "compound_head"),
		PageIndex:  chosen(types, p.page, "Index", "page", "index", "__folio_index"),
		Mapcount:   p.folio.Ok(), Timekeeper: v.time.core.Ok(),
	}
}

var alternatives6_1 = alternatives{
	State: 4, StateAt: "__state", Kthread: "worker_private", FullName: true, MapleTree: true, AnonName: true,
	NodeParent: "parent", Page: "flags", PageHead: "compound_head", PageIndex: "index",
}

// TestKernels binds every structure to the types of each kernel there is and looks which
// of the layouts were chosen.
func TestKernels(t *testing.T) {
	t.Run("6.1", func(t *testing.T) {
		checkAlternatives(t, openBundled(t).symbols, alternatives6_1)
	})
	t.Run("6.12", func(t *testing.T) {
		types := labTypes(t, "6.12.107")
		checkAlternatives(t, types, alternatives{
			State: 4, StateAt: "__state", Kthread: "worker_private", FullName: true, WholeWorker: true, MountTree: true, MapleTree: true,
			Backing: true, NodeParent: "parent", Page: "flags", PageHead: "compound_head", PageIndex: "index", Mapcount: true,
		})
	})
	t.Run("5.10", func(t *testing.T) {
		checkAlternatives(t, labTypes(t, "5.10."), alternatives{
			State: 8, StateAt: "state", Kthread: "set_child_tid",
			NodeParent: "parent", Page: "flags", PageHead: "compound_head", PageIndex: "index",
		})
	})
	t.Run("7.2", func(t *testing.T) {
		checkAlternatives(t, labTypes(t, "7.2."), alternatives{
			State: 4, StateAt: "__state", Kthread: "worker_private", FullName: true, WholeWorker: true, MountTree: true, MapleTree: true,
			Backing: true, NodeParent: "__parent", Page: "flags.f", PageHead: "compound_info", PageIndex: "__folio_index", Mapcount: true, Timekeeper: true,
		})
	})
}

func checkAlternatives(t *testing.T, types *isf.File, want alternatives) {
	t.Helper()
	if d := cmp.Diff(want, alternativesOf(t, types)); d != "" {
		t.Errorf("alternatives (-want +got):\n%s", d)
	}
}

func openTypes(t *testing.T, name string) *isf.File {
	t.Helper()
	open, _ := openedTypes.LoadOrStore(name, sync.OnceValues(func() (*isf.File, error) { return isf.Open(name) }))
	types, err := open.(func() (*isf.File, error))()
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// openedTypes are the databases that were opened, by path.
var openedTypes sync.Map

// labTypes opens the symbols of a kernel whose release begins like that.
func labTypes(t *testing.T, release string) *isf.File {
	t.Helper()
	for name, path := range testimages.SymbolFiles(t) {
		if strings.HasPrefix(name, release) {
			return openTypes(t, path)
		}
	}
	t.Skipf("no symbols of a kernel %s here", release)
	return nil
}

// TestMissingAlone has kernels whose types lack one structure each: what is read with it
// is lost, says what is missing, and nothing else is.
func TestMissingAlone(t *testing.T) {
	n := openBundled(t)
	ctx := t.Context()
	needed, err := layouts.Extract(n.symbols, Needs(n.symbols)) // of which it is faster to make others
	if err != nil {
		t.Fatal(err)
	}
	failures := func(k *Kernel) map[string]bool {
		failed := map[string]bool{}
		note := func(what string, errs ...error) {
			for _, err := range errs {
				if err == nil || errors.Is(err, ErrNone) {
					continue
				}
				failed[what] = true
				if !errors.Is(err, kstruct.ErrUnsupported) || !strings.Contains(err.Error(), " no ") && !strings.Contains(err.Error(), "ns.inum") {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		task := &Task{Addr: taskOf(t, n, 1), k: k, PID: 1, TGID: 1, Comm: "systemd"}
		_, err := task.Cred()
		note("credentials", err)
		_, err = task.Namespaces()
		note("namespaces", err)
		_, err = task.NamespacedPIDs()
		note("PIDs", err)
		_, err = task.Cwd()
		note("directory", err)
		_, err = task.Exe()
		note("program", err)
		_, errs := collect(task.Threads(ctx))
		note("threads", errs...)
		_, errs = collect(task.Files(ctx))
		note("files", errs...)
		_, errs = collect(task.Mounts(ctx))
		note("mounts", errs...)
		_, errs = collect(task.CgroupPaths(ctx))
		note("cgroups", errs...)
		mm, err := task.MM()
		note("mm", err)
		if err == nil {
			_, errs = collect(mm.VMAs(ctx))
			note("mappings", errs...)
		}
		_, errs = collect(k.IOMem(ctx))
		note("iomem", errs...)
		_, err = k.BootTime()
		note("boot time", err)
		_, err = k.Pages()
		note("pages", err)
		return failed
	}
	for missing, want := range map[string][]string{
		"cred":           {"credentials", "namespaces"},
		"upid":           {"PIDs", "namespaces"},
		"fs_struct":      {"directory"},
		"signal_struct":  {"threads"},
		"fdtable":        {"files"},
		"mount":          {"files", "mounts"}, // and the paths of what is mounted anywhere else
		"css_set":        {"cgroups"},
		"vm_area_struct": {"mappings"},
		"resource":       {"iomem"},
		"timekeeper":     {"boot time"},
		"address_space":  {"pages"},
		"worker_pool":    nil,
		"pid_namespace":  {"namespaces"},
	} {
		k, err := Open(ctx, n.mem, &Options{Symbols: without(t, needed, missing)})
		if err != nil {
			t.Errorf("without %s: %v", missing, err)
			continue
		}
		var got []string
		for what := range failures(k) {
			got = append(got, what)
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("without %s (-want +got):\n%s", missing, d)
		}
	}
}

// taskOf returns where the task_struct of a process of the bundled node is.
func taskOf(t *testing.T, n *node, pid int32) (addr vmem.VirtAddr) {
	t.Helper()
	tasks, _ := walk(t, n.k)
	return tasks[pid].Addr
}

// Processes of a kernel whose tasks can't be read are one loss.
func TestProcessesUnsupported(t *testing.T) {
	n := openBundled(t)
	k, err := Open(t.Context(), n.mem, &Options{Symbols: changed(t, n.symbols, func(u *isf.UserType) { drop(u, "tgid") }, "task_struct")})
	if err != nil {
		t.Fatal(err)
	}
	tasks, gaps := walk(t, k)
	if len(tasks) > 0 || len(gaps) == 0 {
		t.Fatalf("%d tasks, gaps %v", len(tasks), gaps)
	}
	for _, g := range gaps {
		if !errors.Is(g, kstruct.ErrUnsupported) {
			t.Error(g)
		}
	}
}

func TestSymbolPerCPU(t *testing.T) {
	k := openBundled(t).k
	if a, err := k.Symbol("runqueues"); a != 0 || !errors.Is(err, kstruct.ErrPerCPU) {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := k.Symbol("no_such_symbol"); !errors.Is(err, isf.ErrNotFound) {
		t.Error(err)
	}
	init, err := k.Symbol("init_task")
	if err != nil || k.Object("init_task").Addr() != init || k.Struct("task_struct", init).Err() != nil || k.Objects().Memory() != k.Space() {
		t.Errorf("init_task at %v, %v; by its name at %v", init, err, k.Object("init_task").Addr())
	}
}

// BenchmarkBind binds all views of the package.
func BenchmarkBind(b *testing.B) {
	types := openBundled(b).symbols
	b.ReportAllocs()
	for b.Loop() {
		v := newViews(types)
		if _, err := bindPages(types); err != nil || v.task.err != nil {
			b.Fatal(err, v.task.err)
		}
	}
}

package linux

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/vmem"

	"github.com/nodelens/nodelens/internal/testimages"
)

// bundledOwn are the own symbols of the bundled node.
var bundledOwn = sync.OnceValues(func() (*btfconv.Report, error) {
	n, err := bundled()
	if err != nil {
		return nil, err
	}
	_, report, err := btfconv.FromMemory(context.Background(), n.mem, nil)
	return report, err
})

// wiped returns the bundled node with the types, or the names of symbols, overwritten whole.
func wiped(t *testing.T, types, names bool) *smeartest.Memory {
	t.Helper()
	report, err := bundledOwn()
	if err != nil {
		t.Fatal(err)
	}
	m := smeartest.New(openBundled(t).mem)
	for table, wipe := range map[*btfconv.Table]bool{&report.BTF: types, &report.Kallsyms: names} {
		if wipe {
			m.Write(table.Addr, make([]byte, table.Size))
		}
	}
	return m
}

// TestLayoutInstead: with the layout of the very build, a node that has lost its types, its
// symbols or both is read as before, and says where from.
func TestLayoutInstead(t *testing.T) {
	t.Parallel()
	n := openBundled(t)
	want, _ := walk(t, n.k)
	for name, test := range map[string]struct {
		types, names bool
		from         string
	}{
		"types":   {types: true, from: "from the known layout of 6.1.0-56-cloud-amd64"},
		"symbols": {names: true, from: "from the known layout of 6.1.0-56-cloud-amd64"},
		"both":    {types: true, names: true, from: "from the known layout of 6.1.0-56-cloud-amd64"},
	} {
		if name != "both" && !testimages.Thorough() {
			continue // each takes a second
		}
		k, err := Open(t.Context(), wiped(t, test.types, test.names), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(k.Info().Symbols, test.from) || !strings.HasSuffix(k.Info().Symbols, "which is the same build") {
			t.Errorf("%s: symbols are from %q", name, k.Info().Symbols)
		}
		if !borrowed(k) || len(k.Symbols().Origins()) == 0 {
			t.Errorf("%s: it is not told what was lost: %v", name, k.Symbols().Lost())
		}
		got, gaps := walk(t, k)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Task{})); diff != "" || len(gaps) > 0 {
			t.Errorf("%s: gaps %v; processes (-want +got):\n%s", name, gaps, diff)
		}
	}
}

// TestLayoutWithoutInitTask: where init_task is lost with the types, other objects tell that the
// layout is right.
func TestLayoutWithoutInitTask(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	n := openBundled(t)
	m := wiped(t, true, false)
	page := n.phys(t, n.k.Object("init_task").At("comm").Addr()) &^ (vmem.PageSize - 1)
	m.Write(page, make([]byte, vmem.PageSize))
	if k, err := Open(t.Context(), m, nil); err != nil || !borrowed(k) {
		t.Error(k, err)
	}
}

// TestLayoutOfLostName: where types have lost a member that nothing can add, for the name of its
// structure is lost, too, the layout of the build is taken as a whole.
func TestLayoutOfLostName(t *testing.T) {
	t.Parallel()
	n := openBundled(t)
	want, _ := walk(t, n.k)
	c := contents(small(t, n.symbols))
	const lost = "unnamed_struct_99"
	node := isf.UserType{Name: lost, Kind: isf.KindStruct, Size: 16}
	for i := range c.Types {
		u := &c.Types[i]
		if u.Name == "hlist_node" {
			for _, f := range u.Fields {
				if f.Name == "next" {
					node.Fields = append(node.Fields, f)
				}
			}
		}
		for j := range u.Fields {
			if f := &u.Fields[j]; u.Name == "task_struct" && f.Name == "pid_links" {
				f.Type = &isf.Type{Kind: isf.KindArray, Count: f.Type.Count, Elem: &isf.Type{Kind: isf.KindStruct, Name: lost}}
			}
		}
	}
	c.Types = append(c.Types, node)
	f, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(t.Context(), n.mem, &Options{Symbols: f.WithLost(errors.New("a page"))})
	if err != nil {
		t.Fatal(err)
	}
	got, gaps := walk(t, k)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Task{})); diff != "" || len(gaps) > 0 || !borrowed(k) {
		t.Errorf("gaps %v; processes (-want +got):\n%.3000s", gaps, diff)
	}
}

// borrowed reports whether a kernel says that it is read with what is not its own.
func borrowed(k *Kernel) bool {
	return errors.Is(errors.Join(k.Symbols().Lost()...), ErrBorrowed)
}

// TestForeignLayout: another kernel's layout is not believed, whatever it says of itself.
func TestForeignLayout(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	report, err := bundledOwn()
	if err != nil {
		t.Fatal(err)
	}
	f, err := layouts.Known().ByRelease("6.12.0")[0].File()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, layouts.FileName(report.BuildID, "6.1.0-56-cloud-amd64"))
	if err := disguised(t, f, openBundled(t).symbols.Banner()).WriteFile(name); err != nil {
		t.Fatal(err)
	}
	set, err := layouts.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(t.Context(), wiped(t, true, false), &Options{Layouts: set})
	if err != nil || strings.Contains(k.Info().Symbols, "known layout") || !borrowed(k) {
		t.Fatalf("%+v, %v", k, err)
	}
	checkInferred(t, k)
}

// TestInferredLayout: a node that has lost its types, and of which no layout is known, has all its
// processes all the same; and says what they were read with.
func TestInferredLayout(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	none, err := layouts.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(t.Context(), wiped(t, true, false), &Options{Layouts: none})
	if err != nil {
		t.Fatal(err)
	}
	if from := k.Info().Symbols; !strings.Contains(from, "the layout of tasks from 148 processes in memory") || !borrowed(k) {
		t.Errorf("symbols from %q, lost %v", from, k.Symbols().Lost())
	}
	checkInferred(t, k)
}

// checkInferred compares the processes of the bundled node, read with a layout that was inferred,
// with what they are.
func checkInferred(t *testing.T, k *Kernel) {
	t.Helper()
	want, _ := walk(t, openBundled(t).k)
	got, gaps := walk(t, k)
	for pid, task := range got {
		whole := want[pid]
		if whole == nil {
			continue
		}
		have, err := task.Cred()
		if is, _ := whole.Cred(); err != nil || have != is {
			t.Errorf("%v: %+v, %v; want %+v", task, have, err, is)
		}
		short := task.Comm != whole.Comm && task.KernelThread && strings.HasPrefix(whole.Comm, task.Comm)
		if short && naming(gaps, pid) { // the rest is in structures that are not inferred
			task.Comm = whole.Comm
		}
	}
	// The clock and the IDR are not inferred.
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Task{}), cmpopts.IgnoreFields(Task{}, "StartTime", "Sources")); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if len(gaps) == 0 {
		t.Error("there are no gaps: that names are not whole is not told")
	}
}

// disguised returns a layout that says it is of the kernel with that banner.
func disguised(t *testing.T, f *isf.File, banner string) *isf.File {
	t.Helper()
	c := contents(f)
	for i := range c.Symbols {
		if c.Symbols[i].Name == "linux_banner" {
			c.Symbols[i].ConstantData = append([]byte(banner), 0)
		}
	}
	g, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestVerifyLayout: what is not the kernel's own is held against the tasks: a layout that finds
// the kernel, but has the list of tasks elsewhere, is refused.
func TestVerifyLayout(t *testing.T) {
	t.Parallel()
	for path, by := range map[string]uint64{"tasks": 16, "pid": 8, "real_parent": 16} {
		f := changed(t, small(t, openBundled(t).symbols), func(u *isf.UserType) {
			for i := range u.Fields {
				if u.Fields[i].Name == path {
					u.Fields[i].Offset += by
				}
			}
		}, "task_struct")
		empty, err := isf.New(isf.Contents{})
		if err != nil {
			t.Fatal(err)
		}
		foreign, _ := empty.Complete(f, &isf.CompleteOptions{From: "a test", Symbols: true})
		if _, err := Open(t.Context(), openBundled(t).mem, &Options{Symbols: foreign}); !errors.Is(err, ErrNoKernel) {
			t.Errorf("task_struct.%s moved: %v", path, err)
		}
	}
}

// TestVerifyBrokenList: types that are of the same build are believed where the list is broken on both sides of
// init_task, for other tasks bear them out; those that have the list elsewhere are not.
func TestVerifyBrokenList(t *testing.T) {
	t.Parallel()
	n := openBundled(t)
	head := n.k.views.core.list.Of(n.k.initTask)
	m := smeartest.New(n.mem)
	for _, side := range []vmem.VirtAddr{listNext, listPrev} {
		next := vmem.VirtAddr(n.word(t, head+side))
		n.put(t, m, next, 0)
		n.put(t, m, next+8, 0)
	}
	for moved, want := range map[uint64]error{0: nil, 16: ErrNoKernel} {
		f := changed(t, small(t, n.symbols), func(u *isf.UserType) {
			for i := range u.Fields {
				if u.Fields[i].Name == "tasks" {
					u.Fields[i].Offset += moved
				}
			}
		}, "task_struct")
		empty, err := isf.New(isf.Contents{})
		if err != nil {
			t.Fatal(err)
		}
		borrowed, _ := empty.Complete(f, &isf.CompleteOptions{From: "a test", Symbols: true})
		if _, err := Open(t.Context(), m, &Options{Symbols: borrowed}); !errors.Is(err, want) {
			t.Errorf("the list %d bytes on: %v", moved, err)
		}
	}
}

// small returns what of symbols is needed.
func small(t *testing.T, f *isf.File) *isf.File {
	t.Helper()
	s, err := layouts.Extract(f, Needs(f))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLayoutHasNeeds: the layout of the bundled node has all that this package looks up, so
// that layouts are to be made anew where a view was added. See layouts/data/README.md.
func TestLayoutHasNeeds(t *testing.T) {
	t.Parallel()
	own := openBundled(t).symbols
	report, err := bundledOwn()
	if err != nil {
		t.Fatal(err)
	}
	known := layouts.Known().ByBuildID(report.BuildID)
	if len(known) != 1 {
		t.Fatal("no layout of the bundled node")
	}
	f, err := known[0].File()
	if err != nil {
		t.Fatal(err)
	}
	want, got := Needs(own), Needs(f)
	for _, typ := range want.Types() {
		if diff := cmp.Diff(want.Fields(typ), got.Fields(typ)); diff != "" {
			t.Errorf("%s: fields (-needed +in the layout):\n%s", typ, diff)
		}
	}
	if diff := cmp.Diff(want.Enums(), got.Enums()); diff != "" {
		t.Errorf("enumerations (-needed +in the layout):\n%s", diff)
	}
	if diff := cmp.Diff(want.Symbols(), got.Symbols()); diff != "" {
		t.Errorf("symbols (-needed +in the layout):\n%s", diff)
	}
}

// TestComplete: what own types lack comes from another build only if the others agree.
func TestComplete(t *testing.T) {
	t.Parallel()
	whole := openBundled(t).symbols
	own := symbolSet{file: without(t, small(t, whole), "cred"), from: "the image"}
	for _, test := range []struct {
		release string
		exact   bool
		want    string
	}{
		{"6.1.0-56", true, "the known layout of 6.1.0-56"},
		{"6.1.0-57", false, "the known layout of 6.1.0-57"},
		{"5.10.0-32", false, ""}, {"6.12.118", false, ""}, {"7.2.13", false, ""},
	} {
		l := layouts.Known().ByRelease(test.release + "-cloud-amd64")[0]
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		s, ok := complete(own, layoutCandidate{l, f, test.exact})
		if ok != (test.want != "") || !strings.Contains(s.from, test.want) {
			t.Errorf("%s: %v, %q", test.release, ok, s.from)
		}
		if ok && !s.file.HasField("cred", "uid.val") {
			t.Errorf("%s: struct cred is still missing", test.release)
		}
	}
}

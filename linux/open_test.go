package linux

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Symbols without types are said to be without, rather than to lack one after another.
func TestOpenWithoutTypes(t *testing.T) {
	n := openBundled(t)
	empty, err := isf.New(isf.Contents{Symbols: []isf.Symbol{{Name: "init_task", Address: 0xffffffff82000000}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"Open":  func() error { _, err := Open(t.Context(), n.mem, &Options{Symbols: empty}); return err },
		"Place": func() error { _, err := Place(t.Context(), n.mem, &Options{Symbols: empty}); return err },
	} {
		if err := open(); !errors.Is(err, kstruct.ErrUnsupported) || !strings.Contains(err.Error(), "reduced debug information") || len(err.Error()) > 300 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A kernel is found without the member by which one is placed, and placing says what is missing.
func TestOpenWithoutLeader(t *testing.T) {
	n := openBundled(t)
	symbols := changed(t, n.symbols, func(u *isf.UserType) { drop(u, "group_leader") }, "task_struct")
	if _, err := Open(t.Context(), n.mem, &Options{Symbols: symbols}); err != nil {
		t.Error(err)
	}
	if _, err := Place(t.Context(), n.mem, &Options{Symbols: symbols}); !errors.Is(err, kstruct.ErrUnsupported) || !strings.Contains(err.Error(), "group_leader") {
		t.Errorf("Place: %v", err)
	}
}

// Tasks of a kernel whose boot time is not known have no start time that could be taken for one.
func TestStartTimeUnknown(t *testing.T) {
	n := openBundled(t)
	k, err := Open(t.Context(), n.mem, &Options{Symbols: without(t, n.symbols, "timekeeper")})
	if err != nil {
		t.Fatal(err)
	}
	tasks, _ := walk(t, k)
	if len(tasks) < 10 {
		t.Fatalf("%d tasks", len(tasks))
	}
	for _, task := range tasks {
		if !task.StartTime.IsZero() || task.SinceBoot < 0 {
			t.Errorf("%v started at %v", task, task.StartTime)
		}
	}
}

// Memory full of what looks like VMCOREINFO does not make an error of it all.
func TestManyVMCoreInfos(t *testing.T) {
	n := openBundled(t)
	m := n.eraseSigns(t)
	for _, page := range n.vmcoreInfoPages(t) {
		m.Write(page, make([]byte, vmem.PageSize))
	}
	for i := range 100 {
		m.Write(vmem.PhysAddr(0x10000+i*vmem.PageSize), fmt.Appendf(nil, "OSRELEASE=1.%d\n\x00", i))
	}
	_, err := n.open(m)
	if !errors.Is(err, ErrNoKernel) || strings.Count(err.Error(), "VMCOREINFO at") != maxTried {
		t.Errorf("got %v", err)
	}
}

// liveMemory is that of a machine that runs.
type liveMemory struct{ vmem.Memory }

func (liveMemory) Live() bool { return true }

// Of a machine that runs, what is asked twice is read twice.
func TestReadAnew(t *testing.T) {
	n := openBundled(t)
	m := smeartest.New(n.mem)
	k, err := n.open(liveMemory{m})
	if err != nil {
		t.Fatal(err)
	}
	before, err := k.Clock()
	if err != nil {
		t.Fatal(err)
	}
	if resources, gaps := iomem(t, k); len(resources) == 0 || len(gaps) > 0 {
		t.Fatalf("%d resources, gaps %v", len(resources), gaps)
	}
	if name, err := k.Hostname(); name == "" || err != nil {
		t.Fatalf("host name %q, %v", name, err)
	}

	n.put(t, m, k.Object("init_uts_ns").At("name.nodename").Addr(), 'x')
	if name, err := k.Hostname(); name != "x" || err != nil {
		t.Errorf("host name %q, %v", name, err)
	}
	at, err := k.timekeeper()
	if err != nil {
		t.Fatal(err)
	}
	n.put(t, m, k.Struct("timekeeper", at).At("xtime_sec").Addr(), uint64(before.Unix()+60))
	if after, err := k.Clock(); after.Unix() != before.Unix()+60 || err != nil {
		t.Errorf("clock %v, %v, before %v", after, err, before)
	}
	n.put(t, m, k.Object("iomem_resource").At("child").Addr(), 0)
	if resources, gaps := iomem(t, k); len(resources) > 0 || len(gaps) > 0 {
		t.Errorf("%d resources, gaps %v", len(resources), gaps)
	}
}

// Lists of what can't be read, as long as memory is, do not make as many losses.
func TestLossesBounded(t *testing.T) {
	k := newTestKernel(t)
	const nodes, from, step = 1500, 64 << 10, 0x400
	for i := range uint64(nodes) { // beyond what is captured: the links alone are
		k.put(from+i*step, at(from+(i+1)%nodes*step), at(from+(i+nodes-1)%nodes*step))
	}
	k.reopen()
	k.initTask = k.views.core.list.Container(base + from)
	tasks, gaps := k.union(t.Context(), false)
	const others = 3 // that of the list, of the IDR of PIDs, and that memory was not searched
	if n := len(gaps); len(tasks) > 0 || n > maxStrangers+others || !slices.ContainsFunc(gaps, func(g vmem.Gap) bool { return errors.Is(g, kstruct.ErrTooMany) }) {
		t.Errorf("%d tasks, %d losses: %v", len(tasks), n, gaps)
	}
}

// Where the types lack what leads to a user namespace, the loss names it.
func TestNoUserNamespaces(t *testing.T) {
	n := openBundled(t)
	k := newTestKernelOf(t, changed(t, n.symbols, func(u *isf.UserType) { drop(u, "user_ns") }, "cred"))
	k.set(0x1000, "task_struct", "real_cred", at(0x4000))
	task := &Task{Addr: base + 0x1000, k: k.Kernel, PID: 7}
	if _, err := task.Namespaces(); !errors.Is(err, kstruct.ErrUnsupported) || !strings.Contains(err.Error(), "cred.user_ns") {
		t.Errorf("got %v", err)
	}
}

package kstruct_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A node is the image of a real node, with what its /proc said.
type machineNode struct {
	*kstruct.Space
	t     *testing.T
	dir   string // of the truth
	truth *truth.Node

	smeared bool // the node ran on while it was captured, so that walks may lose something
}

// eachNode runs a test on the bundled image and on all others there are.
func eachNode(t *testing.T, run func(t *testing.T, n *machineNode)) {
	bundled, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	images := []testimages.Image{bundled}
	if !testing.Short() {
		t.Run("others", func(t *testing.T) { images = append(images, testimages.All(t)...) })
	}
	for _, img := range images {
		t.Run(img.Name, func(t *testing.T) { run(t, openTruth(t, img)) })
	}
}

// kernels are the images that were opened, by path, and truths what is known of them.
var kernels, truths sync.Map

// openTruth opens an image, once for all tests.
func openTruth(t *testing.T, img testimages.Image) *machineNode {
	t.Helper()
	if img.Truth == "" {
		t.Skip("no truth about this image")
	}
	open := func() (*linux.Kernel, error) { return openKernel(img) }
	if img.Name == "node" {
		open = bundled // shared with the other tests
	}
	once, _ := kernels.LoadOrStore(img.Path, sync.OnceValues(open))
	k, err := once.(func() (*linux.Kernel, error))()
	if err != nil {
		t.Fatal(err)
	}
	read, _ := truths.LoadOrStore(img.Truth, sync.OnceValues(func() (*truth.Node, error) { return truth.Read(img.Truth) }))
	want, err := read.(func() (*truth.Node, error))()
	if err != nil {
		t.Fatal(err)
	}
	n := &machineNode{kstruct.NewSpace(k.Space(), k.Symbols(), k.Info().KASLRShift), t, img.Truth, want, false}
	n.smeared = slices.Contains(n.modules(), "lime")
	return n
}

func openKernel(img testimages.Image) (*linux.Kernel, error) {
	mem, err := openImage(img.Path)
	if err != nil {
		return nil, err
	}
	var symbols *isf.File
	if img.ISF != "" {
		if symbols, err = isf.Open(img.ISF); err != nil {
			return nil, err
		}
	}
	return linux.Open(context.Background(), mem, &linux.Options{Symbols: symbols})
}

func openImage(path string) (vmem.Memory, error) {
	if strings.HasSuffix(path, ".elf") {
		return kcore.Open(path)
	}
	return lime.Open(path)
}

// symbol returns the address of a symbol.
func (n *machineNode) symbol(name string) vmem.VirtAddr {
	n.t.Helper()
	a, _, err := n.Symbol(name)
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}

// off returns the offset of a member.
func (n *machineNode) off(typ, path string) vmem.VirtAddr {
	n.t.Helper()
	f, err := n.Types().Field(typ, path)
	if err != nil {
		n.t.Fatal(err)
	}
	return vmem.VirtAddr(f.Offset)
}

// word reads a word that has to be there.
func (n *machineNode) word(a vmem.VirtAddr) uint64 {
	n.t.Helper()
	v, err := n.Memory().Uint64(a)
	if err != nil {
		n.t.Fatal(err)
	}
	return v
}

func (n *machineNode) u32(a vmem.VirtAddr) uint32 { return uint32(n.word(a)) }

func (n *machineNode) text(a vmem.VirtAddr) string {
	n.t.Helper()
	s, err := n.Memory().CString(a, 4096)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// read returns a file of the truth.
func (n *machineNode) read(name ...string) string {
	n.t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{n.dir}, name...)...))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b)
}

// lost notes what a walk lost, which only that over a smeared image may.
func (n *machineNode) lost(err error) {
	n.t.Helper()
	if n.t.Log(err); !n.smeared {
		n.t.Fail()
	}
}

func (n *machineNode) walk() *kstruct.Walk { return n.Walk(context.Background(), nil) }

// tasks returns the task_struct of each process by its PID.
func (n *machineNode) tasks() map[int32]vmem.VirtAddr {
	n.t.Helper()
	tasks := map[int32]vmem.VirtAddr{}
	w := n.walk()
	head := n.symbol("init_task") + n.off("task_struct", "tasks")
	for task, err := range w.Entries(w.List(head), "task_struct", "tasks") {
		if err != nil {
			n.lost(err)
			continue
		}
		tasks[int32(n.u32(task+n.off("task_struct", "pid")))] = task
	}
	return tasks
}

// Every process that /proc showed is in the task list and in the PID IDR.
func TestTasks(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		tasks := n.tasks()
		for _, p := range n.truth.Processes {
			if tasks[p.PID] == 0 && !strings.HasPrefix(p.Comm, "kworker/") { // those come and go
				n.lost(fmt.Errorf("process %d (%s) is not in the task list", p.PID, p.Comm))
			}
		}
		ids := map[int32]bool{}
		for e, err := range n.walk().IDR(n.symbol("init_pid_ns") + n.off("pid_namespace", "idr")) {
			if err != nil {
				n.lost(err)
				continue
			}
			if nr := uint64(n.u32(e.Ptr + n.off("pid", "numbers[0].nr"))); nr != e.First || e.Last != e.First {
				n.lost(fmt.Errorf("entries %d to %d of the PID IDR are PID %d", e.First, e.Last, nr))
			}
			ids[int32(e.First)] = true
		}
		for pid := range tasks {
			if !ids[pid] {
				n.lost(fmt.Errorf("process %d is not in the PID IDR", pid))
			}
		}
	})
}

// The mappings of each process are those that its /proc/PID/maps showed, in the maple tree
// that they are in since 6.1, and in the red-black tree and the chain of before.
func TestVMAs(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		compared := 0
		for pid, task := range n.tasks() {
			mm := vmem.VirtAddr(n.word(task + n.off("task_struct", "mm")))
			if mm == 0 {
				continue
			}
			got := n.vmas(mm)
			if count := int(n.u32(mm + n.off("mm_struct", "map_count"))); len(got) != count {
				n.lost(fmt.Errorf("process %d has %d VMAs, map_count says %d", pid, len(got), count))
			}
			maps, err := os.ReadFile(filepath.Join(n.dir, "pid", fmt.Sprint(pid), "maps"))
			if err != nil || len(maps) == 0 {
				continue
			}
			var want []string
			for line := range strings.Lines(string(maps)) {
				if r, rest, _ := strings.Cut(line, " "); !strings.Contains(rest, "[vsyscall]") {
					want = append(want, r)
				}
			}
			if cmp.Equal(want, got) {
				compared++
				continue
			}
			t.Logf("process %d ran on (-/proc +got):\n%s", pid, cmp.Diff(want, got))
		}
		if t.Log(compared, "processes have just the mappings that /proc showed"); compared < 20 {
			t.Fail()
		}
	})
}

// vmas returns the ranges of the VMAs of a process.
func (n *machineNode) vmas(mm vmem.VirtAddr) (ranges []string) {
	n.t.Helper()
	w := n.walk()
	add := func(vma vmem.VirtAddr) (start, end uint64) {
		start, end = n.word(vma+n.off("vm_area_struct", "vm_start")), n.word(vma+n.off("vm_area_struct", "vm_end"))
		ranges = append(ranges, fmt.Sprintf("%08x-%08x", start, end))
		return start, end
	}
	if n.Types().HasField("mm_struct", "mm_mt") {
		each(n, w.Maple(mm+n.off("mm_struct", "mm_mt")), func(e kstruct.Entry) {
			if start, end := add(e.Ptr); start != e.First || end != e.Last+1 {
				n.t.Errorf("VMA from %#x to %#x under %#x to %#x", start, end, e.First, e.Last)
			}
		})
		return ranges
	}
	each(n, w.Entries(w.RBTree(mm+n.off("mm_struct", "mm_rb")), "vm_area_struct", "vm_rb"), func(a vmem.VirtAddr) { add(a) })
	tree := ranges
	ranges = nil
	first := vmem.VirtAddr(n.word(mm + n.off("mm_struct", "mmap")))
	each(n, w.Chain(first, uint64(n.off("vm_area_struct", "vm_next"))), func(a vmem.VirtAddr) { add(a) })
	if d := cmp.Diff(tree, ranges); d != "" {
		n.t.Errorf("VMAs (-tree +chain):\n%s", d)
	}
	return ranges
}

// modules returns the names of the kernel's modules.
func (n *machineNode) modules() []string {
	n.t.Helper()
	var names []string
	w := n.walk()
	for m, err := range w.Entries(w.List(n.symbol("modules")), "module", "list") {
		if err != nil {
			n.t.Fatal(err)
		}
		names = append(names, n.text(m+n.off("module", "name")))
	}
	return names
}

// The list of modules is /proc/modules.
func TestModules(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		var want []string
		for line := range strings.Lines(n.read("proc", "modules")) {
			want = append(want, strings.Fields(line)[0])
		}
		got := n.modules()
		if n.smeared {
			got = got[1:] // the module that captured it
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("modules (-/proc +got):\n%s", d)
		}
	})
}

package bpf

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A node is a booted node, and what it said of itself.
type node struct {
	name  string
	mem   vmem.Memory
	k     *linux.Kernel
	tasks []*linux.Task
	set   *Set
	truth string
}

// bundled is the bundled node with the symbols that it gives itself, opened once for all tests.
var bundled = sync.OnceValues(func() (*node, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	return openNode(img)
})

// openNode opens the image of a node, with the symbols that it gives itself.
func openNode(img testimages.Image) (*node, error) {
	var mem vmem.Memory
	var err error
	if filepath.Ext(img.Path) == ".elf" {
		mem, err = kcore.Open(img.Path)
	} else {
		mem, err = lime.Open(img.Path)
	}
	if err != nil {
		return nil, err
	}
	n := &node{name: img.Name, mem: mem, truth: img.Truth}
	if n.k, err = linux.Open(context.Background(), mem, nil); err != nil {
		return nil, err
	}
	for t, err := range n.k.Processes(context.Background()) {
		if err == nil {
			n.tasks = append(n.tasks, t)
		}
	}
	n.set, err = Open(context.Background(), n.k, &Options{Tasks: n.tasks})
	return n, err
}

// eachNode tests the bundled node, and all others where NODELENS_IMAGES says where they are.
func eachNode(t *testing.T, test func(*testing.T, *node)) {
	t.Run("bundled", func(t *testing.T) { test(t, nodeOf(t, bundled)) })
	if os.Getenv("NODELENS_IMAGES") == "" {
		return
	}
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) { test(t, nodeOf(t, func() (*node, error) { return openOnce(img) })) })
	}
}

var (
	openMu sync.Mutex
	opened = map[string]*node{}
)

// openOnce opens an image once for all tests.
func openOnce(img testimages.Image) (n *node, err error) {
	openMu.Lock()
	defer openMu.Unlock()
	if n = opened[img.Name]; n == nil {
		n, err = openNode(img)
		opened[img.Name] = n
	}
	return n, err
}

func nodeOf(t testing.TB, open func() (*node, error)) *node {
	t.Helper()
	n, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// read returns a file of the truth. It skips t where there is none.
func (n *node) read(t testing.TB, name ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{n.truth}, name...)...))
	if os.IsNotExist(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestKallsyms compares all code with what /proc/kallsyms had.
func TestKallsyms(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, n *node) {
		var want, got []string
		for line := range strings.Lines(string(n.read(t, "proc", "kallsyms"))) {
			if f := strings.Fields(line); len(f) == 4 && f[3] == "[bpf]" {
				want = append(want, f[0]+" "+f[2])
			}
		}
		for _, i := range n.set.Images() {
			got = append(got, fmt.Sprintf("%016x %s", uint64(i.Range.Start), i.Name))
			if i.Kind == ProgramImage && i.Program == 0 {
				t.Errorf("%s is of no program", i.Name)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%d in truth, %d found (-truth +found)\n%s", len(want), len(got), diff)
		}
		for _, gap := range n.set.Gaps() {
			t.Error(gap)
		}
	})
}

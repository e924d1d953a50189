package pagecache

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

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
	n, err := openNode(img)
	if err == nil {
		n.name = "bundled"
	}
	return n, err
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

func openBundled(t testing.TB) *node {
	t.Helper()
	n, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fs returns the files that a process sees.
func (n *node) fs(t testing.TB, pid int32) *FS {
	t.Helper()
	for _, task := range n.tasks {
		if task.PID != pid {
			continue
		}
		f, err := n.set.FS(context.Background(), task)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Fatalf("%s: no process %d", n.name, pid)
	return nil
}

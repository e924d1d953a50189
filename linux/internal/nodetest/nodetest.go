// Package nodetest opens booted nodes for tests that compare what is read of a kernel with what the node said of itself.
package nodetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Node is a booted node, and what it said of itself.
type Node struct {
	testimages.Image
	Mem   vmem.Memory
	K     *linux.Kernel // with the symbols that the image has itself
	Tasks []*linux.Task
}

// open opens the image of a node.
func open(img testimages.Image) (n *Node, err error) {
	n = &Node{Image: img}
	if filepath.Ext(img.Path) == ".elf" {
		n.Mem, err = kcore.Open(img.Path)
	} else {
		n.Mem, err = lime.Open(img.Path)
	}
	if err != nil {
		return nil, err
	}
	return n, n.On(n.Mem, nil)
}

// On opens the kernel of the node in memory, which may be damaged.
func (n *Node) On(mem vmem.Memory, opts *linux.Options) (err error) {
	ctx := context.Background()
	n.Mem, n.Tasks = mem, nil
	if n.K, err = linux.Open(ctx, mem, opts); err != nil {
		return err
	}
	for t, err := range n.K.Processes(ctx) {
		if err == nil { // what is lost of processes is for the tests of package linux
			n.Tasks = append(n.Tasks, t)
		}
	}
	return nil
}

// Read returns a file of the truth, and whether there is one.
func (n *Node) Read(t testing.TB, name ...string) (string, bool) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{n.Truth}, name...)...))
	if os.IsNotExist(err) {
		return "", false
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data), true
}

// Lost is an error where the machine stood still: else memory changes while it is copied.
func (n *Node) Lost(t *testing.T, err error) {
	t.Helper()
	if n.Paused() {
		t.Error(err)
	} else {
		t.Log(err)
	}
}

// A Set is all nodes as the tests of a package have them. Each is opened once.
type Set[T any] struct {
	// Make reads of a node what the tests are about.
	Make func(*Node) (T, error)

	mu     sync.Mutex // guards opened
	opened map[string]result[T]
}

type result[T any] struct {
	node T
	err  error
}

// Bundled returns the bundled node.
func (s *Set[T]) Bundled(t testing.TB) T {
	t.Helper()
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	return s.Open(t, img)
}

// Open returns the node of an image.
func (s *Set[T]) Open(t testing.TB, img testimages.Image) T {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.opened[img.Path]
	if !ok {
		var n *Node
		if n, r.err = open(img); r.err == nil {
			r.node, r.err = s.Make(n)
		}
		if s.opened == nil {
			s.opened = map[string]result[T]{}
		}
		s.opened[img.Path] = r
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.node
}

// Each tests the bundled node, and all others where NODELENS_IMAGES says where they are.
func (s *Set[T]) Each(t *testing.T, test func(*testing.T, T)) {
	t.Helper()
	t.Run("bundled", func(t *testing.T) { test(t, s.Bundled(t)) })
	if !testimages.Have() {
		return
	}
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) { test(t, s.Open(t, img)) })
	}
}

package network

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A node is an image that is open, with its tasks.
type node struct {
	img   testimages.Image
	mem   vmem.Memory
	k     *linux.Kernel
	tasks []*linux.Task
	truth *truth.Node
	read  []*Configuration // once it was
	set   *module.Set
	poor  bool // its modules carry no types
}

// openNode opens an image, which ends with the test's process.
func openNode(img testimages.Image) (*node, error) {
	mem, err := openMemory(img.Path)
	if err != nil {
		return nil, err
	}
	var symbols *isf.File
	if img.ISF != "" {
		if symbols, err = isf.Open(img.ISF); err != nil {
			return nil, err
		}
	}
	n := &node{img: img, mem: mem}
	if n.k, err = linux.Open(context.Background(), mem, &linux.Options{Symbols: symbols}); err != nil {
		return nil, err
	}
	n.tasks = processes(n.k)
	if n.set, err = module.Open(context.Background(), n.k, nil); err != nil {
		return nil, err
	}
	_, lacks := n.set.Types("veth")
	n.poor = lacks != nil
	n.truth, err = truth.Read(img.Truth)
	return n, err
}

func openMemory(path string) (vmem.Memory, error) {
	mem, err := lime.Open(path)
	if err == nil {
		return mem, nil
	}
	core, other := kcore.Open(path)
	if other != nil {
		return nil, errors.Join(err, other)
	}
	return core, nil
}

func processes(k *linux.Kernel) (tasks []*linux.Task) {
	for t, err := range k.Processes(context.Background()) {
		if err == nil {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

var bundled = sync.OnceValues(func() (*node, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	img.ISF = "" // those that it has itself serve for its modules, too, and need not be converted
	return openNode(img)
})

func openBundled(t testing.TB) *node {
	t.Helper()
	n, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eachNode runs a test on the bundled node and on shared images, on these with the symbols that
// the image has and with those of its symbol file.
func eachNode(t *testing.T, test func(*testing.T, *node)) {
	t.Run("bundled", func(t *testing.T) { test(t, openBundled(t)) })
	t.Run("images", func(t *testing.T) {
		for _, img := range testimages.All(t) {
			t.Run(img.Name, func(t *testing.T) {
				img.EachSymbols(t, func(t *testing.T, isf string) {
					of := img
					of.ISF = isf
					n, err := shared(of)
					if err != nil {
						t.Fatal(err)
					}
					test(t, n)
				})
			})
		}
	})
}

// opened are the shared images that are open, by image and symbol file.
var opened = map[testimages.Image]*node{}

func shared(img testimages.Image) (*node, error) {
	if n := opened[img]; n != nil {
		return n, nil
	}
	n, err := openNode(img)
	if err == nil {
		opened[img] = n
	}
	return n, err
}

// all returns what a walk yields, which must have no errors.
func all[T any](t *testing.T, walk func(func(T, error) bool)) (found []T) {
	t.Helper()
	for v, err := range walk {
		if err != nil {
			t.Error(err)
			continue
		}
		found = append(found, v)
	}
	return found
}

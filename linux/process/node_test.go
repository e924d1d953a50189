package process

import (
	"context"
	"os"
	"path/filepath"
	"strings"
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
	k     *linux.Kernel
	r     *Reader
	tasks []*linux.Task
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
	n := &node{name: img.Name, truth: img.Truth}
	if n.k, err = linux.Open(context.Background(), mem, nil); err != nil {
		return nil, err
	}
	n.r = New(n.k)
	for t, err := range n.k.Processes(context.Background()) {
		if err == nil {
			n.tasks = append(n.tasks, t)
		}
	}
	return n, nil
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
		if n, err = openNode(img); err == nil {
			opened[img.Name] = n
		}
	}
	return n, err
}

// eachNode tests the bundled node, and all others where NODELENS_IMAGES says where they are.
func eachNode(t *testing.T, test func(*testing.T, *node)) {
	t.Helper()
	t.Run("bundled", func(t *testing.T) { test(t, nodeOf(t, bundled)) })
	if os.Getenv("NODELENS_IMAGES") == "" {
		return
	}
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			if !img.Paused() {
				t.Skip("what /proc said is not of the time of the image")
			}
			test(t, nodeOf(t, func() (*node, error) { return openOnce(img) }))
		})
	}
}

func nodeOf(t testing.TB, open func() (*node, error)) *node {
	t.Helper()
	n, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// read returns a file of the truth, and whether there is one.
func (n *node) read(t testing.TB, name ...string) (string, bool) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{n.truth}, name...)...))
	if os.IsNotExist(err) {
		return "", false
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data), true
}

// fields returns the lines of /proc/PID/status, by their names.
func fields(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		all[name] = strings.TrimPrefix(value, "\t")
	}
	return all
}

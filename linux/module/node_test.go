package module

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A node is a booted node, and what it said of itself.
type node struct {
	mem   vmem.Memory
	k     *linux.Kernel
	set   *Set
	truth string
}

// bundled is the bundled node with the symbols that it gives itself, opened once for all tests.
var bundled = sync.OnceValues(func() (*node, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	return openNode(img, false)
})

// openNode opens the image of a node, with the symbols of its vmlinux or those that it gives
// itself.
func openNode(img testimages.Image, vmlinux bool) (*node, error) {
	mem, err := openImage(img.Path)
	if err != nil {
		return nil, err
	}
	var opts linux.Options
	if vmlinux {
		if opts.Symbols, err = isf.Open(img.ISF); err != nil {
			return nil, err
		}
	}
	n := &node{mem: mem, truth: img.Truth}
	if n.k, err = linux.Open(context.Background(), mem, &opts); err != nil {
		return nil, err
	}
	n.set, err = Open(context.Background(), n.k, nil)
	return n, err
}

func openImage(name string) (vmem.Memory, error) {
	if filepath.Ext(name) == ".elf" {
		return kcore.Open(name)
	}
	return lime.Open(name)
}

// eachNode tests the bundled node, and all others where NODELENS_IMAGES says where they are.
func eachNode(t *testing.T, test func(*testing.T, *node)) {
	t.Run("bundled", func(t *testing.T) { test(t, nodeOf(t, bundled)) })
	if os.Getenv("NODELENS_IMAGES") == "" {
		return
	}
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			n := nodeOf(t, func() (*node, error) { return openOnce(img) })
			if n.set.Find("lime") != nil {
				t.Skip("captured by a module that was loaded after the truth was taken")
			}
			test(t, n)
		})
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
		n, err = openNode(img, false)
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

// lines yields the words of each line of a file of the truth.
func (n *node) lines(t testing.TB, name ...string) (lines [][]string) {
	t.Helper()
	f, err := os.Open(filepath.Join(append([]string{n.truth}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		lines = append(lines, strings.Fields(s.Text()))
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return lines
}

func address64(a uint64) vmem.VirtAddr { return vmem.VirtAddr(a) }

func address(t testing.TB, hex string) vmem.VirtAddr {
	t.Helper()
	a, err := strconv.ParseUint(strings.TrimPrefix(hex, "0x"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return vmem.VirtAddr(a)
}

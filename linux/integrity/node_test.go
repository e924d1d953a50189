package integrity

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A node is a booted node, what it said of itself, and what was found.
type node struct {
	name  string
	truth string
	isf   string
	still bool // the machine was paused
	mem   vmem.Memory
	k     *linux.Kernel
	c     *Checker
	hooks []Hook
	gaps  []error
}

var (
	openMu sync.Mutex
	opened = map[string]*node{}
)

// openNode opens an image with the symbols that it gives itself, once for all tests.
func openNode(t testing.TB, img testimages.Image) *node {
	t.Helper()
	openMu.Lock()
	defer openMu.Unlock()
	if n := opened[img.Name]; n != nil {
		return n
	}
	mem, err := image.Open(context.Background(), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{name: img.Name, truth: img.Truth, isf: img.ISF, still: img.Paused(), mem: mem}
	if n.k, err = linux.Open(context.Background(), mem, nil); err != nil {
		t.Fatal(err)
	}
	if n.c, err = Open(context.Background(), n.k, nil); err != nil {
		t.Fatal(err)
	}
	n.hooks, n.gaps = all(t, n.c)
	opened[img.Name] = n
	return n
}

// all returns all hooks, and what was lost.
func all(t testing.TB, c *Checker) (hooks []Hook, gaps []error) {
	t.Helper()
	for h, err := range c.Hooks(t.Context()) {
		if err != nil {
			gaps = append(gaps, err)
		} else {
			hooks = append(hooks, h)
		}
	}
	return hooks, gaps
}

func bundled(t testing.TB) *node {
	t.Helper()
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	return openNode(t, img)
}

// eachNode tests the bundled node, and all others where NODELENS_IMAGES says where they are.
func eachNode(t *testing.T, test func(*testing.T, *node)) {
	t.Run("bundled", func(t *testing.T) { test(t, bundled(t)) })
	if os.Getenv("NODELENS_IMAGES") == "" {
		return
	}
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) { test(t, openNode(t, img)) })
	}
}

// lines returns the lines of a file of the truth; it skips the test where the node has none.
func (n *node) lines(t testing.TB, name ...string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{n.truth}, name...)...))
	if err != nil {
		t.Skip(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// of returns the hooks of a table.
func (n *node) of(table string) (hooks []Hook) {
	for _, h := range n.hooks {
		if h.Table == table {
			hooks = append(hooks, h)
		}
	}
	return hooks
}

// clean reports whether nothing was put into the kernel of a node that does not belong there.
func (n *node) clean() bool { return !strings.Contains(n.name, "-root") }

// TestClean: in a node in which nobody put anything, all belongs, and nothing is lost.
func TestClean(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		if !n.clean() {
			t.Skip("it is not")
		}
		for _, h := range n.hooks {
			if h.Suspect || h.Verdict.Kind == Unknown {
				t.Error(h)
			}
		}
		_, noData := n.k.Symbol("sys_call_table")
		for _, err := range append(n.gaps, gapErrors(n.c.Gaps())...) {
			if noData == nil || !errors.Is(err, kstruct.ErrUnsupported) { // of variables that nothing else names
				n.lost(t, err)
			}
		}
		if len(n.hooks) == 0 {
			t.Error("no hooks")
		}
	})
}

// lost is an error where the machine stood still: else lists change while they are copied.
func (n *node) lost(t *testing.T, err error) {
	t.Helper()
	if n.still {
		t.Error(err)
	} else {
		t.Log(err)
	}
}

func gapErrors(gaps []vmem.Gap) (errs []error) {
	for _, g := range gaps {
		errs = append(errs, g)
	}
	return errs
}

// Package nftest opens images of nodes with all cases of the network, for the tests of what
// reads netfilter.
//
// They are those of [testimages.Network], with net/INUM/FILE of the truth what a program said in
// the network namespace of that number. Where there are none, tests are skipped.
package nftest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// A Node is an image that is open.
type Node struct {
	Name       string
	truth      string
	Mem        vmem.Memory
	K          *linux.Kernel
	Mods       *module.Set
	Namespaces []*network.Namespace
	Lost       int // of the namespaces
}

var (
	mu    sync.Mutex
	nodes = map[testimages.Image]*Node{} // opened once; they end with the process
)

// Each runs a test for each node there is, with the symbols that the image has and with those of
// its symbol file.
func Each(t *testing.T, run func(t *testing.T, n *Node)) {
	t.Helper()
	each(t, func(t *testing.T, img testimages.Image) {
		img.EachSymbols(t, func(t *testing.T, isf string) { run(t, openNode(t, img, isf)) })
	})
}

// EachOnce is Each with the symbols that the image has alone, for what does not depend on where
// these are from.
func EachOnce(t *testing.T, run func(t *testing.T, n *Node)) {
	t.Helper()
	each(t, func(t *testing.T, img testimages.Image) { run(t, openNode(t, img, "")) })
}

func each(t *testing.T, run func(t *testing.T, img testimages.Image)) {
	t.Helper()
	for _, img := range testimages.Network(t) {
		t.Run(img.Name, func(t *testing.T) { run(t, img) })
	}
}

func openNode(t *testing.T, img testimages.Image, file string) *Node {
	t.Helper()
	var symbols *isf.File
	var err error
	if file != "" {
		if symbols, err = isf.Open(file); err != nil {
			t.Fatal(err)
		}
	}
	img.ISF = file
	n, err := open(img, func() (vmem.Memory, error) { return kcore.Open(img.Path) }, symbols)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// FuzzWalk fuzzes a walk over the first node there is, as [nodetest.FuzzWalk] does over the bundled one, which has next to nothing of this.
// Modules, which have a target of their own, are those of the undamaged node.
func FuzzWalk(f *testing.F, walk func(ctx context.Context, n *Node)) {
	f.Helper()
	img := testimages.Network(f)[0]
	img.ISF = ""
	n, err := open(img, func() (vmem.Memory, error) { return kcore.Open(img.Path) }, nil)
	if err != nil {
		f.Fatal(err)
	}
	nodetest.FuzzWalkOf(f, n.Mem, n.K, func(m vmem.Memory) (*Node, error) {
		c := &Node{Name: n.Name, truth: n.truth, Mem: m, Mods: n.Mods}
		return c, c.read(m, n.K.Symbols())
	}, walk)
}

// Needs skips a test where the node's kernel has nothing of a subsystem: the function symbol, in a module or built in.
func (n *Node) Needs(t testing.TB, mod, symbol string) {
	t.Helper()
	if _, err := n.Mods.Symbol(mod, symbol); err != nil {
		t.Skipf("the kernel has no %s: %v", mod, err)
	}
}

// Bundled returns the node that is in the repository.
func Bundled(t testing.TB) *Node {
	t.Helper()
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := isf.Open(img.ISF)
	if err != nil {
		t.Fatal(err)
	}
	n, err := open(img, func() (vmem.Memory, error) { return lime.Open(img.Path) }, symbols)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func open(img testimages.Image, mem func() (vmem.Memory, error), symbols *isf.File) (*Node, error) {
	mu.Lock()
	defer mu.Unlock()
	if n := nodes[img]; n != nil {
		return n, nil
	}
	n := &Node{Name: img.Name, truth: img.Truth}
	var err error
	if n.Mem, err = mem(); err != nil {
		return nil, err
	}
	if err := n.read(n.Mem, symbols); err != nil {
		return nil, err
	}
	nodes[img] = n
	return n, nil
}

// On returns the node over other memory, such as one with damage.
func (n *Node) On(mem vmem.Memory) (*Node, error) {
	c := &Node{Name: n.Name, truth: n.truth, Mem: mem}
	return c, c.read(mem, n.K.Symbols())
}

func (n *Node) read(mem vmem.Memory, symbols *isf.File) (err error) {
	ctx := context.Background()
	if n.K, err = linux.Open(ctx, mem, &linux.Options{Symbols: symbols}); err != nil {
		return err
	}
	if n.Mods == nil {
		if n.Mods, err = module.Open(ctx, n.K, nil); err != nil {
			return err
		}
	}
	for ns, err := range network.Namespaces(ctx, n.K, nil) {
		if err != nil {
			n.Lost++
			continue
		}
		n.Namespaces = append(n.Namespaces, ns)
	}
	if len(n.Namespaces) == 0 {
		return errors.New("no network namespace was found")
	}
	return nil
}

// Typed reports whether the types of a module are known, if it is loaded.
func (n *Node) Typed(mod string) bool {
	_, err := n.Mods.Types(mod)
	return err == nil
}

// Truth returns what a program said in a namespace, and false where it said nothing.
func (n *Node) Truth(t testing.TB, inum uint32, file string) (string, bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(n.truth, "net", strconv.FormatUint(uint64(inum), 10), file))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b), len(b) > 0
}

package module

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// A node is a booted node, what it said of itself, and its modules.
type node struct {
	*nodetest.Node
	set *Set
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) {
	set, err := Open(context.Background(), n.K, nil)
	return &node{n, set}, err
}}

// eachNode tests the bundled node, and all others whose truth has all modules.
func eachNode(t *testing.T, test func(*testing.T, *node)) {
	t.Helper()
	nodes.Each(t, func(t *testing.T, n *node) {
		if n.set.Find("lime") != nil {
			t.Skip("captured by a module that was loaded after the truth was taken")
		}
		test(t, n)
	})
}

// lines yields the words of each line of a file of the truth.
func (n *node) lines(t testing.TB, name ...string) (lines [][]string) {
	t.Helper()
	f, err := os.Open(filepath.Join(append([]string{n.Truth}, name...)...))
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

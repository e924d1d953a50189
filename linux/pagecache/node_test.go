package pagecache

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// A node is a booted node, and what it said of itself.
type node struct {
	*nodetest.Node
	set *Set
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) {
	set, err := Open(context.Background(), n.K, &Options{Tasks: n.Tasks})
	return &node{n, set}, err
}}

// fs returns the files that a process sees.
func (n *node) fs(t testing.TB, pid int32) *FS {
	t.Helper()
	for _, task := range n.Tasks {
		if task.PID != pid {
			continue
		}
		f, err := n.set.FS(context.Background(), task)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Fatalf("%s: no process %d", n.Name, pid)
	return nil
}

package memory

import "github.com/nodelens/nodelens/linux/internal/nodetest"

// A node is a booted node, and what it said of itself.
type node struct {
	*nodetest.Node
	r *Reader
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) { return &node{n, New(n.K, nil)}, nil }}

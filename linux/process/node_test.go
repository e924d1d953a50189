package process

import (
	"strings"
	"testing"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// A node is a booted node, and what it said of itself.
type node struct {
	*nodetest.Node
	r *Reader
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) { return &node{n, New(n.K)}, nil }}

// eachNode tests the bundled node, and all others whose truth is of the time of the image.
func eachNode(t *testing.T, test func(*testing.T, *node)) {
	t.Helper()
	nodes.Each(t, func(t *testing.T, n *node) {
		if !n.Paused() {
			t.Skip("what /proc said is not of the time of the image")
		}
		test(t, n)
	})
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

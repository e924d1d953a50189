package integrity

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// A node is a booted node, what it said of itself, and what was found.
type node struct {
	*nodetest.Node
	c     *Checker
	hooks []Hook
	gaps  []error
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) {
	c, err := Open(context.Background(), n.K, nil)
	if err != nil {
		return nil, err
	}
	hooks, gaps := all(context.Background(), c)
	return &node{n, c, hooks, gaps}, nil
}}

// all returns all hooks, and what was lost.
func all(ctx context.Context, c *Checker) (hooks []Hook, gaps []error) {
	for h, err := range c.Hooks(ctx) {
		if err != nil {
			gaps = append(gaps, err)
		} else {
			hooks = append(hooks, h)
		}
	}
	return hooks, gaps
}

// lines returns the lines of a file of the truth; it skips the test where the node has none.
func (n *node) lines(t testing.TB, name ...string) []string {
	t.Helper()
	text, ok := n.Read(t, name...)
	if !ok {
		t.Skipf("the truth has no %s", filepath.Join(name...))
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
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
func (n *node) clean() bool { return !strings.Contains(n.Name, "-root") }

// TestClean: in a node in which nobody put anything, all belongs, and nothing is lost.
func TestClean(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		if !n.clean() {
			t.Skip("it is not")
		}
		for _, h := range n.hooks {
			if h.Suspect || h.Verdict.Kind == Unknown {
				t.Error(h)
			}
		}
		_, noData := n.K.Symbol("sys_call_table")
		for _, err := range append(n.gaps, gapErrors(n.c.Gaps())...) {
			if noData == nil || !errors.Is(err, kstruct.ErrUnsupported) { // of variables that nothing else names
				n.Lost(t, err)
			}
		}
		if len(n.hooks) == 0 {
			t.Error("no hooks")
		}
	})
}

func gapErrors(gaps []vmem.Gap) (errs []error) {
	for _, g := range gaps {
		errs = append(errs, g)
	}
	return errs
}

package bpf

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

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

// read returns a file of the truth. It skips t where there is none.
func (n *node) read(t testing.TB, name ...string) []byte {
	t.Helper()
	data, ok := n.Read(t, name...)
	if !ok {
		t.Skip("no truth: ", path.Join(name...))
	}
	return []byte(data)
}

// TestKallsyms compares all code with what /proc/kallsyms had.
func TestKallsyms(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		var want, got []string
		for line := range strings.Lines(string(n.read(t, "proc", "kallsyms"))) {
			if f := strings.Fields(line); len(f) == 4 && f[3] == "[bpf]" {
				want = append(want, f[0]+" "+f[2])
			}
		}
		for _, i := range n.set.Images() {
			got = append(got, fmt.Sprintf("%016x %s", uint64(i.Range.Start), i.Name))
			if i.Kind == ProgramImage && i.Program == 0 {
				t.Errorf("%s is of no program", i.Name)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%d in truth, %d found (-truth +found)\n%s", len(want), len(got), diff)
		}
		for _, gap := range n.set.Gaps() {
			t.Error(gap)
		}
	})
}

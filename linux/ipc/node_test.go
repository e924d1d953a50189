package ipc

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// A node is a booted node, and what it said of itself.
type node struct {
	*nodetest.Node
	spaces []*Namespace
	errs   []error
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) {
	all := &node{Node: n}
	for ns, err := range New(n.K).Namespaces(context.Background(), n.Tasks) {
		if err != nil {
			all.errs = append(all.errs, err)
			continue
		}
		all.spaces = append(all.spaces, ns)
	}
	return all, nil
}}

// initial returns the namespace of the node itself, that of init.
func (n *node) initial(t *testing.T) *Namespace {
	t.Helper()
	i := slices.IndexFunc(n.spaces, func(ns *Namespace) bool { return slices.Contains(ns.PIDs, 1) })
	if i < 0 {
		t.Fatal("no namespace of init")
	}
	return n.spaces[i]
}

func words(line string) string { return strings.Join(strings.Fields(line), " ") }

// TestSysV compares what is in the node's own namespace with /proc/sysvipc.
func TestSysV(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		for _, err := range n.errs {
			n.Lost(t, err)
		}
		ns := n.initial(t)
		for _, kind := range []struct {
			name string
			got  func() []string
		}{
			{"shm", func() (l []string) {
				for i := range ns.Shm {
					l = append(l, words(ns.Shm[i].String()))
				}
				return l
			}},
			{"sem", func() (l []string) {
				for i := range ns.Sem {
					l = append(l, words(ns.Sem[i].String()))
				}
				return l
			}},
			{"msg", func() (l []string) {
				for i := range ns.Msg {
					l = append(l, words(ns.Msg[i].String()))
				}
				return l
			}},
		} {
			text, ok := n.Read(t, "proc", "sysvipc", kind.name)
			if !ok {
				t.Logf("no /proc/sysvipc/%s", kind.name)
				continue
			}
			var want []string
			for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
				if i > 0 {
					want = append(want, resident(kind.name, words(line)))
				}
			}
			got := kind.got()
			slices.Sort(want)
			slices.Sort(got)
			t.Logf("%s: %d", kind.name, len(got))
			if diff := gocmp.Diff(want, got); diff != "" {
				n.Lost(t, fmt.Errorf("%s (-proc +found):\n%s", kind.name, diff))
			}
		}
	})
}

// resident mends what 7.2 says of huge pages in shared memory: it counts pages of 4 KiB there, and multiplies that by how many are in a huge one once more
// (shm_add_rss_swap of ipc/shm.c). A segment has no more in memory than its size.
func resident(kind, line string) string {
	const size, rss = 3, 14
	w := strings.Fields(line)
	if kind != "shm" || len(w) <= rss {
		return line
	}
	all, _ := strconv.ParseUint(w[size], 10, 64)
	if in, _ := strconv.ParseUint(w[rss], 10, 64); in == 512*all && all%(2<<20) == 0 {
		w[rss] = w[size]
	}
	return strings.Join(w, " ")
}

// TestContent: shared memory holds what the lab's case wrote into it.
func TestContent(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	var found []string
	r := New(n.K)
	for _, ns := range n.spaces {
		for i := range ns.Shm {
			for e, err := range r.Content(t.Context(), &ns.Shm[i]) {
				if err != nil {
					t.Error(err)
					continue
				}
				text, _, _ := strings.Cut(string(e.Data), "\x00")
				found = append(found, fmt.Sprintf("%d %d %s", ns.Shm[i].ID, e.Offset, text))
			}
		}
	}
	if diff := gocmp.Diff([]string{"0 0 EDGE-SYSV"}, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNamespaces: each process is in the namespace that /proc/PID/ns said.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		compared := 0
		for _, ns := range n.spaces {
			for _, pid := range ns.PIDs {
				text, ok := n.Read(t, "pid", fmt.Sprint(pid), "ns")
				if !ok || text == "" {
					continue
				}
				compared++
				if want := fmt.Sprintf("ipc ipc:[%d]\n", ns.Inum); !strings.Contains(text, want) {
					t.Errorf("process %d: not in %s but %s", pid, want, text)
				}
			}
		}
		t.Logf("%d namespaces, %d processes", len(n.spaces), compared)
		if compared < 20 {
			t.Errorf("only %d processes", compared)
		}
	})
}

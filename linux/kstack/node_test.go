package kstack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/process"
)

// A node is a booted node, and what it said of itself.
type node struct {
	*nodetest.Node
	r       *Reader
	process *process.Reader
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) {
	ctx := context.Background()
	set, err := module.Open(ctx, n.K, nil)
	if err != nil {
		return nil, err
	}
	r, err := New(ctx, n.K, set)
	return &node{n, r, process.New(n.K)}, err
}}

// waits reports whether a thread does since the truth was taken: it did not run meanwhile.
func waits(t *testing.T, n *node, p, thread *linux.Task) bool {
	t.Helper()
	text, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "task", fmt.Sprint(thread.PID), "status")
	if !ok && thread.Leader() {
		text, ok = n.Read(t, "pid", fmt.Sprint(p.PID), "status")
	}
	times, err := n.process.ThreadTimes(thread)
	return ok && err == nil && thread.State != linux.Running &&
		strings.Contains(text, fmt.Sprintf("\nvoluntary_ctxt_switches:\t%d\nnonvoluntary_ctxt_switches:\t%d\n", times.Voluntary, times.Involuntary))
}

// TestWChan compares where tasks wait with what /proc/PID/wchan said.
func TestWChan(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		compared, functions := 0, map[string]int{}
		for _, p := range n.Tasks {
			want, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "wchan")
			if !ok || !waits(t, n, p, p) {
				continue
			}
			want = strings.TrimSuffix(want, "\n")
			got, err := n.r.WChan(p)
			if err != nil {
				n.Lost(t, err)
				continue
			}
			if compared++; got != want && n.K.Symbols().HasField("task_struct", "__state") { // before, /proc followed frame pointers that there are not
				t.Errorf("%v: waits in %s, by /proc in %s", p, got, want)
			}
			functions[got]++
		}
		t.Logf("%d tasks: %v", compared, functions)
		if compared == 0 {
			t.Skip("no wchan")
		}
		if compared < 30 || len(functions) < 5 {
			t.Errorf("only %d in %d functions", compared, len(functions))
		}
	})
}

// TestStack compares stacks with what /proc/PID/stack said, and has all of them end where the kernel is entered.
func TestStack(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		compared, ended := 0, map[string]int{}
		for _, p := range n.Tasks {
			for thread, err := range p.Threads(t.Context()) {
				if err != nil || thread.State == linux.Zombie || thread.State == linux.Running {
					continue
				}
				frames, err := n.r.Stack(thread)
				if errors.Is(err, ErrRunning) {
					continue
				}
				if err != nil {
					n.Lost(t, fmt.Errorf("%w after\n%s", err, Text(frames)))
					continue
				}
				if len(frames) == 0 {
					t.Errorf("%v: no frames", thread)
					continue
				}
				ended[frames[len(frames)-1].Location.Symbol]++
				want, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "task", fmt.Sprint(thread.PID), "stack")
				if !ok && thread.Leader() {
					want, ok = n.Read(t, "pid", fmt.Sprint(p.PID), "stack")
				}
				if !ok || !waits(t, n, p, thread) {
					continue
				}
				compared++
				if diff := gocmp.Diff(strings.Split(want, "\n"), strings.Split(Text(frames), "\n")); diff != "" {
					t.Errorf("%v (-proc +found):\n%s", thread, diff)
				}
			}
		}
		t.Logf("%d compared; end in %v", compared, ended)
		for name := range ended {
			if !slices.ContainsFunc([]string{"entry_SYSCALL_64", "ret_from_fork", "asm_", "error_entry", "entry_"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
				t.Errorf("stacks end in %s", name)
			}
		}
	})
}

// TestSearch: the table that is found by what it is is the one that the symbols lead to.
func TestSearch(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	want, err := kernelTable(n.K)
	if err != nil {
		t.Fatal(err)
	}
	got, err := searchTable(n.K)
	if err != nil {
		t.Fatal(err)
	}
	if got.base != want.base || got.len() != want.len() || string(got.entries) != string(want.entries) {
		t.Errorf("%d entries at %v, of %d at %v", got.len(), got.base, want.len(), want.base)
	}
	if _, err := n.K.Symbol("__start_orc_unwind_ip"); err != nil {
		t.Error("the node has no symbols to compare with")
	}
}

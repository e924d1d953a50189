package consistency

import (
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/linux"
)

// checker returns what Check works with, for the node's kernel in other memory.
func (n *node) checker(t *testing.T, m *smeartest.Memory) *checker {
	t.Helper()
	k := n.over(t, m)
	var leaders []*linux.Task
	for p, err := range k.Processes(t.Context()) {
		if err == nil {
			leaders = append(leaders, p)
		}
	}
	c := newChecker(t.Context(), k)
	c.collect(leaders)
	return c
}

// What a list of threads leads through without being of the group is no task, whose files and
// memory would be checked.
func TestStrangers(t *testing.T) {
	t.Parallel()
	n := openBundled(t)
	var kthreads []*linux.Task
	for p, err := range n.k.Processes(t.Context()) {
		if err == nil && p.PPID == 2 {
			kthreads = append(kthreads, p)
		}
	}
	// The lists of two threads of the kernel become one.
	m := smeartest.New(n.mem)
	heads := [2]uint64{}
	nodes := [2]uint64{}
	for i, p := range kthreads[:2] {
		of := n.k.Struct("task_struct", p.Addr)
		heads[i], nodes[i] = uint64(of.At("signal->thread_head").Addr()), uint64(of.At("thread_node").Addr())
	}
	for i := range 2 {
		next := [2]uint64{nodes[1], heads[0]}[i]
		prev := [2]uint64{heads[0], nodes[0]}[i]
		of := n.k.Struct("task_struct", kthreads[i].Addr)
		n.put(t, m, of.At("thread_node.next").Addr(), next, 8)
		n.put(t, m, of.At("thread_node.prev").Addr(), prev, 8)
	}
	signal := n.k.Struct("task_struct", kthreads[0].Addr)
	n.put(t, m, signal.At("signal->thread_head.prev").Addr(), nodes[1], 8)
	c := n.checker(t, m)
	whole := len(n.checker(t, smeartest.New(n.mem)).tasks)
	if got := c.invariants[threadGroups]; got.Broken != 1 || len(c.tasks) != whole {
		t.Errorf("%+v, %d tasks of %d", got, len(c.tasks), whole)
	}
}

// What there is too much of breaks an invariant, in words that say so.
func TestBudget(t *testing.T) {
	t.Parallel()
	n := openBundled(t)
	for part, test := range map[string]struct {
		left  func(*budget) *int
		check func(*checker)
		of    id
	}{
		"nodes":       {func(b *budget) *int { return &b.nodes }, (*checker).checkTasks, childLists},
		"sets":        {func(b *budget) *int { return &b.nodes }, (*checker).checkCgroups, cgroupCounts},
		"descriptors": {func(b *budget) *int { return &b.descriptors }, (*checker).checkFiles, descriptors},
		"mounts":      {func(b *budget) *int { return &b.mounts }, (*checker).checkMounts, mountCounts},
		"areas":       {func(b *budget) *int { return &b.areas }, func(c *checker) { c.checkMemory(false) }, mappings},
	} {
		c := n.checker(t, smeartest.New(n.mem))
		*test.left(&c.left) = 10
		test.check(c)
		if got := c.invariants[test.of]; got.Broken == 0 || !strings.Contains(got.First, "not looked at") {
			t.Errorf("%s: %+v", part, got)
		}
	}
}

// Memory has room for so many objects, within bounds.
func TestBudgetFor(t *testing.T) {
	t.Parallel()
	for size, want := range map[uint64]budget{
		0:        {minBudget, minBudget, minBudget, minBudget, minBudget},
		1 << 30:  {1 << 18, maxBudget, maxBudget, 1 << 21, maxBudget},
		64 << 30: {maxBudget, maxBudget, maxBudget, maxBudget, maxBudget},
	} {
		if got := budgetFor(size); got != want {
			t.Errorf("%d: %+v, want %+v", size, got, want)
		}
	}
}

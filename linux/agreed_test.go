package linux

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/vmem"
)

// unlink takes the node of a list_head out of its list.
func (n *node) unlink(t *testing.T, m *smeartest.Memory, at vmem.VirtAddr) {
	t.Helper()
	next, prev := n.word(t, at), n.word(t, at+8)
	n.put(t, m, vmem.VirtAddr(prev), next)
	n.put(t, m, vmem.VirtAddr(next)+8, prev)
}

// hide takes a process without children and other threads out of the task list and the IDR, and
// out of all counts of the kernel.
func (n *node) hide(t *testing.T, m *smeartest.Memory, victim *Task) {
	t.Helper()
	n.unlink(t, m, n.k.views.core.list.Of(victim.Addr))
	n.put(t, m, n.slot(t, victim.PID), 0)
	for at, less := range map[vmem.VirtAddr]uint64{
		n.k.Object("init_pid_ns").At("pid_allocated").Addr(): 1,
		n.k.Object("nr_threads").Addr():                      1,
		n.processCount(t):                                    1,
	} {
		n.put(t, m, at, n.word(t, at)-less)
	}
}

func (n *node) processCount(t *testing.T) vmem.VirtAddr {
	t.Helper()
	at, _, err := n.k.objects.PerCPU("process_counts", 0)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Whoever takes a process out of the main views and out of the counts of the kernel is found
// by a census as long as one link to the process is left.
func TestCensusFindsHidden(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	i := slices.IndexFunc(pids(whole), func(pid int32) bool {
		v := n.k.Struct("task_struct", whole[pid].Addr)
		return pid > 2 && len(whole[pid].group) == 0 && vmem.VirtAddr(n.word(t, v.At("children").Addr())) == v.At("children").Addr()
	})
	victim := whole[pids(whole)[i]]
	v, links := &n.k.views.core, &n.k.views.links
	m := smeartest.New(n.mem)
	n.hide(t, m, victim)
	for _, unlink := range []func(){
		func() {},
		func() { n.unlink(t, m, v.sibling.Of(victim.Addr)) },
		func() { n.unlink(t, m, links.setNode.Of(victim.Addr)) },
	} {
		unlink()
		k := n.over(t, m)
		found := map[int32]*Task{}
		var gaps []error
		for task, err := range k.Census(t.Context()) {
			if err != nil {
				gaps = append(gaps, err)
				continue
			}
			found[task.PID] = task
		}
		if d := cmp.Diff(pids(whole), pids(found)); d != "" {
			t.Errorf("PIDs (-whole +got):\n%s", d)
		}
		if !slices.ContainsFunc(gaps, func(err error) bool { return errors.Is(err, ErrHidden) }) {
			t.Errorf("gaps: %v", gaps)
		}
	}
}

// A node that nobody touched needs no census, which gives what the main views do.
func TestAgreed(t *testing.T) {
	n := openBundled(t)
	c := n.k.newCensus(t.Context())
	c.taskList()
	c.pidIDR()
	c.closure()
	want, gaps := c.result(c.countGaps())
	if len(gaps) > 0 {
		t.Errorf("gaps: %v", gaps)
	}
	for _, thorough := range []bool{false, true} {
		got, ok := n.k.agreed(t.Context(), thorough)
		if !ok {
			t.Errorf("thorough %v: the bundled node contradicts itself", thorough)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(Task{}), cmp.Comparer(func(a, b *Kernel) bool { return a == b })); d != "" {
			t.Errorf("thorough %v (-census +agreed):\n%s", thorough, d)
		}
	}
}

// A tracer that is none of the tasks, and counts that are lost, leave it to a census.
func TestNotAgreed(t *testing.T) {
	n := openBundled(t)
	all, _ := walk(t, n.k)
	task := all[1].Addr
	m := smeartest.New(n.mem)
	m.PutUint64(n.phys(t, n.k.Struct("task_struct", task).At("parent").Addr()), uint64(n.k.initPIDNS))
	k := n.over(t, m)
	if _, ok := k.agreed(t.Context(), false); !ok {
		t.Error("the main views do not agree")
	}
	if _, ok := k.agreed(t.Context(), true); ok {
		t.Error("a tracer that is no task is not noticed")
	}
	a := &agreement{k: n.k}
	if a.counted(nil) {
		t.Error("what is not counted agrees")
	}
}

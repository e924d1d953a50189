package linux

import "github.com/nodelens/nodelens/vmem"

// pidAdding is PIDNS_ADDING of include/linux/pid_namespace.h, a bit of pid_allocated.
const pidAdding = 1 << 31

// A taskCount is what the kernel counts of its tasks, and what has it.
type taskCount struct {
	name string
	kind countKind
	n    uint64
}

// A countKind is what a taskCount counts.
type countKind int

const (
	countPIDs      countKind = iota // struct pids of the initial namespace
	countThreads                    // all tasks but for the idle ones
	countProcesses                  // leaders of thread groups
)

// taskCounts returns what the kernel counts of its tasks, as far as the symbols have it and
// it can be read.
func (k *Kernel) taskCounts() []taskCount {
	var all []taskCount
	if k.pidNSErr == nil && k.views.pid.count.Ok() {
		if n, err := k.views.pid.count.Load(k.space, k.initPIDNS); err == nil {
			all = append(all, taskCount{name: "init_pid_ns.pid_allocated", kind: countPIDs, n: uint64(n &^ pidAdding)})
		}
	}
	if at, err := k.Symbol("nr_threads"); err == nil {
		if n, err := k.space.Uint32(at); err == nil {
			all = append(all, taskCount{name: "nr_threads", kind: countThreads, n: uint64(n)})
		}
	}
	if n, err := k.processCounts(); err == nil {
		all = append(all, taskCount{name: "process_counts", kind: countProcesses, n: n})
	}
	return all
}

// processCounts follows nr_processes of kernel/fork.c: parts may be below zero.
func (k *Kernel) processCounts() (sum uint64, err error) {
	cpus, err := k.objects.CPUs()
	if err != nil {
		return 0, err
	}
	for _, cpu := range cpus {
		at, _, err := k.objects.PerCPU("process_counts", cpu)
		if err != nil {
			return 0, err
		}
		n, err := k.space.Uint64(at)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// countGaps returns a Gap for each of the kernel's counts that what was found does not fit.
// On a running machine they are of other times than what was found.
func (c *census) countGaps() []vmem.Gap {
	if c.k.phys.Live() {
		return nil
	}
	var found [3]uint64
	found[countPIDs] = uint64(len(c.pids))
	found[countThreads] = uint64(len(c.tasks))
	for _, t := range c.tasks {
		if t.core.PID == t.core.TGID {
			found[countProcesses]++
		}
	}
	whats := [...]string{countPIDs: "PIDs", countThreads: "tasks", countProcesses: "processes"}
	var gaps []vmem.Gap
	for _, n := range c.k.taskCounts() {
		if n.n != found[n.kind] {
			gaps = append(gaps, gapf("count of "+whats[n.kind], 0, ErrDisagree, "%d %s by %s, %d found", n.n, whats[n.kind], n.name, found[n.kind]))
		}
	}
	return append(gaps, c.setGaps()...)
}

const cgroupTasks = "tasks of a cgroup"

// setGaps does the like for the tasks of each css_set. Tasks that end are not counted
// (cgroup_exit of kernel/cgroup/cgroup.c).
func (c *census) setGaps() []vmem.Gap {
	found := map[vmem.VirtAddr]int32{}
	for _, t := range c.tasks {
		if t.core.ExitState == 0 {
			found[t.set]++
		}
	}
	var gaps []vmem.Gap
	lost := c.k.losses()
	for _, addr := range sortedKeys(c.sets) {
		n := c.sets[addr].NrTasks
		if n == found[addr] {
			continue
		}
		if g := gapf(cgroupTasks, addr, ErrDisagree, "%d tasks by css_set.nr_tasks, %d found", n, found[addr]); lost.tell(g) {
			gaps = append(gaps, g)
		}
	}
	return append(gaps, lost.rest(cgroupTasks)...)
}

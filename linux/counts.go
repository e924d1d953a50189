package linux

import "github.com/nodelens/nodelens/vmem"

// Walks visit nodes in proportion to what the kernel itself counts, and some more, for
// counts may be lost. A walk over a container that was overwritten ends there.
const (
	// minTaskNodes and maxTaskNodes bound walks over tasks and PIDs: those of a node that
	// is loaded, and twice the number of PIDs that a kernel can have.
	minTaskNodes, maxTaskNodes = 1 << 16, 2 * pidMax
	// minMountNodes and maxMountNodes bound walks over mounts, of which a namespace has
	// 100,000 at most by default (sysctl fs.mount-max).
	minMountNodes, maxMountNodes = 1 << 12, 1 << 18
	// minAreaNodes and maxAreaNodes bound walks over mappings, of which a process has
	// 65,530 at most by default (sysctl vm.max_map_count).
	minAreaNodes, maxAreaNodes = 1 << 12, 1 << 20
)

// proportion returns how many nodes a walk may visit over what the kernel says it has so
// many of. Inner nodes of trees count too, and what is just being added.
func proportion(count, least, most uint64) int { return int(min(least+4*count, most)) }

// taskNodes is for walks over tasks, and over the PIDs of the initial namespace.
func (k *Kernel) taskNodes() int {
	if k.phys.Live() {
		return k.countedTasks(k.taskCounts())
	}
	return k.taskBudget()
}

// countedTasks is taskNodes by what the kernel counts.
func (k *Kernel) countedTasks(counts []taskCount) int {
	count := uint64(0)
	for _, c := range counts {
		count = max(count, c.n)
	}
	return proportion(min(count, maxTaskNodes), minTaskNodes, maxTaskNodes)
}

// mountNodes is for the mounts of a namespace.
func (k *Kernel) mountNodes(ns vmem.VirtAddr) int {
	n, _ := k.views.mount.count.Load(k.space, ns) // none, where it is not known
	return proportion(uint64(n), minMountNodes, maxMountNodes)
}

// areaNodes is for the mappings of a process, whose map_count is given.
func areaNodes(count int32) int {
	return proportion(uint64(max(count, 0)), minAreaNodes, maxAreaNodes)
}

package consistency

// A budget is how much is still looked at, of all objects of a kind together. An image is written by
// whoever had the machine: one table of descriptors can be that of every task, one tree of
// mappings that of every address space, and a list can lead through all of memory. But a
// kernel has no more objects than there is room for in its memory.
type budget struct {
	tasks, nodes, descriptors, mounts, areas int
}

// The least that an object takes of memory, or its share of one that others have too.
const (
	taskRoom       = 4096 // task_struct, and its stack
	nodeRoom       = 64   // of a list of tasks: a task is in four
	descriptorRoom = 64   // a pointer to a file, which tables share that were copied
	mountRoom      = 512  // struct mount, and its name in an allocator's class
	areaRoom       = 128  // vm_area_struct
)

// minBudget is what is looked at of each kind in any case, maxBudget what is at most: twice the number
// of PIDs that there can be, and more than a second's worth of any.
const minBudget, maxBudget = 1 << 16, 8 << 20

// maxStrangers is how many of the first objects of a container may be broken. It was overwritten then,
// and what follows is as likely none.
const maxStrangers = 64

// budgetFor returns the budget for memory of a size.
func budgetFor(size uint64) budget {
	of := func(room uint64) int { return int(min(max(size/room, minBudget), maxBudget)) }
	return budget{
		tasks: of(taskRoom), nodes: of(nodeRoom), descriptors: of(descriptorRoom), mounts: of(mountRoom), areas: of(areaRoom),
	}
}

// spend takes one from a part of a budget and reports whether it was there.
func spend(left *int) bool {
	*left--
	return *left >= 0
}

// unread says that the rest is not looked at.
func unread(what string, at any) *fault {
	return torn("%s at %v: there are more than memory has room for, and the rest is not looked at", what, at)
}

package taskshape

import (
	"context"
	"maps"
	"slices"

	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A sample is a process, with the bytes of its task_struct.
type sample struct {
	va uint64
	b  []byte
}

// A node is the memory of a kernel of which only init_task is known, and what of it is read by
// arithmetic: its image and the direct map of memory.
type node struct {
	mem   vmem.Memory
	init  initTask
	base  uint64 // of the direct map
	idle  sample // init_task
	tasks []sample
	known map[uint64]bool // addresses of tasks
}

// alignBase is what the direct map begins at a multiple of (kernel_randomize_memory of
// arch/x86/mm/kaslr.c).
const alignBase = 1 << 30

// findLeaders finds the processes, and where the direct map is: each points to itself as the
// leader of its group, and is linked with its siblings.
func (n *node) findLeaders(ctx context.Context) error {
	found := map[uint64][]uint64{} // the physical addresses of tasks by the direct map that they tell
	err := scan(ctx, n.mem, func(b []byte, limit int, pa uint64) bool {
		for i := 0; i < limit && i+kinSize <= len(b); i += 8 {
			k := b[i : i+kinSize]
			leader, at := word(k, offLeader), pa+uint64(i)-n.init.kin
			if leader%taskAlign == 0 && at%taskAlign == 0 && (leader-at)%alignBase == 0 && leader < x86.StartKernelMap &&
				plausible(leader) && plausible(word(k, 0)) && plausible(word(k, offSibling)) && plausible(word(k, offSibling+8)) {
				found[leader-at] = append(found[leader-at], at)
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, base := range slices.Sorted(maps.Keys(found)) {
		if len(found[base]) > len(found[n.base]) {
			n.base = base
		}
	}
	n.idle = sample{n.init.va, n.read(n.init.va, taskWindow)}
	n.known = map[uint64]bool{n.init.va: true}
	for _, at := range found[n.base] {
		t := sample{va: n.base + at}
		if t.b = n.read(t.va, taskWindow); len(t.b) == taskWindow && n.lives(t) && len(n.tasks) < maxTasks {
			n.tasks = append(n.tasks, t)
			n.known[t.va] = true
		}
	}
	return nil
}

// lives reports whether the neighbours in the list of a task's siblings point back to it.
func (n *node) lives(t sample) bool {
	at := t.va + n.init.kin + offSibling
	return n.word(word(t.b, n.init.kin+offSibling)+8) == at || n.word(word(t.b, n.init.kin+offSibling+8)) == at
}

// read returns what is at an address of the kernel's image or of the direct map, as far as it
// was captured.
func (n *node) read(va uint64, size int) []byte {
	pa := va - n.base
	if va >= x86.StartKernelMap {
		pa = va - n.init.va + n.init.pa
	}
	b := make([]byte, size)
	if pa > 1<<52 {
		return nil
	}
	got, _ := n.mem.ReadAt(b, int64(pa))
	return b[:got]
}

// word returns the word at an address, or 0.
func (n *node) word(va uint64) uint64 {
	if b := n.read(va, 8); plausible(va) && len(b) == 8 {
		return word(b, 0)
	}
	return 0
}

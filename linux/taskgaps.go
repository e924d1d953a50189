package linux

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// isProcess reports whether a task is to be listed as a process: it leads its thread group, or
// a view of those that do has it.
func (t *counted) isProcess() bool {
	return t.core.PID == t.core.TGID || t.sources&InTaskList != 0
}

// shownSources returns the views that have a task, of one that the two main views have no others.
func (t *counted) shownSources() TaskSources {
	switch {
	case t.sources&LeaderSources == LeaderSources:
		return LeaderSources
	case t.sources&InTaskList != 0:
		return t.sources &^ InListPiece
	}
	return t.sources
}

// settleTwins decides which of several tasks with one PID is right: the one that the struct
// pid leads to, which has one task only. The others are gaps.
func (c *census) settleTwins() {
	byPID := map[int32][]*counted{}
	for _, addr := range sortedKeys(c.tasks) {
		t := c.tasks[addr]
		byPID[t.core.PID] = append(byPID[t.core.PID], t)
	}
	for _, twins := range byPID {
		if len(twins) < 2 {
			continue
		}
		slices.SortStableFunc(twins, func(a, b *counted) int { return -cmp.Compare(c.rank(a), c.rank(b)) })
		for _, t := range twins[1:] {
			delete(c.tasks, t.addr)
			c.lost[t.addr] = &lostTask{addr: t.addr, by: t.sources, pid: t.core.PID, err: fmt.Errorf(
				"%w: another task_struct, at %v, has the same PID and more that leads to it", kstruct.ErrCorrupt, twins[0].addr)}
		}
	}
}

// rank says how much leads to a task, by what can't lead to two of one PID first.
func (c *census) rank(t *counted) int {
	rank := 0
	for _, proof := range []proof{proofThread, proofList, proofSibling, proofLeader, proofPID, proofLink} {
		rank <<= 1
		if t.proof&proof != 0 {
			rank |= 1
		}
	}
	return rank
}

// lostGaps returns a Gap for each task that is lost: by its PID, where anything tells that.
func (c *census) lostGaps() []vmem.Gap {
	found := map[int32]bool{}
	for _, t := range c.tasks {
		found[t.core.PID] = true
	}
	var all []*lostTask
	for _, addr := range sortedKeys(c.lost) {
		all = append(all, c.lost[addr])
	}
	slices.SortStableFunc(all, func(a, b *lostTask) int { return cmp.Compare(a.pid, b.pid) })
	var gaps []vmem.Gap
	told := c.k.losses()
	for _, l := range all {
		var g vmem.Gap
		switch {
		case l.pid != 0 && !found[l.pid]:
			g = newGap("task "+strconv.Itoa(int(l.pid)), l.addr, fmt.Errorf("%w (found by the %v)", l.err, l.by))
		case l.pid != 0 || l.by&InTaskList != 0:
			g = newGap("task list", l.addr, fmt.Errorf("%w (found by the %v)", l.err, l.by))
		default:
			continue
		}
		if told.tell(g) {
			gaps = append(gaps, g)
		}
	}
	return append(gaps, told.rest("tasks")...)
}

// disagreements returns a Gap for each process that a view lacks which should have it.
func (c *census) disagreements(tasks []*Task) []vmem.Gap {
	var gaps []vmem.Gap
	for _, t := range tasks {
		if lacks := t.Expected() &^ t.Sources; lacks != 0 {
			gaps = append(gaps, newGap(t.String(), t.Addr, c.disagreement(c.tasks[t.Addr], lacks)))
		}
	}
	for _, addr := range sortedKeys(c.tasks) {
		t := c.tasks[addr]
		if !t.isProcess() && t.sources&InPIDIDR == 0 && !c.damaged(t, InPIDIDR) {
			gaps = append(gaps, gapf(fmt.Sprintf("task %d, thread of task %d", t.core.PID, t.core.TGID), addr, ErrHidden,
				"the PID IDR is whole around it; only in the %v", t.sources))
		}
	}
	return gaps
}

// disagreement says where a task was found that views lack, and how these are around it.
func (c *census) disagreement(t *counted, lacks TaskSources) error {
	damaged := TaskSources(0)
	for _, view := range []TaskSources{InTaskList, InPIDIDR} {
		if lacks&view != 0 && c.damaged(t, view) {
			damaged |= view
		}
	}
	whole := lacks &^ damaged
	switch {
	case damaged != 0:
		return fmt.Errorf("%w: only in the %v; damaged near it: %v", ErrDisagree, t.shownSources(), damaged)
	case whole == LeaderSources:
		return fmt.Errorf("%w: only in the %v; whole around it, and without it: %v", ErrHidden, t.shownSources(), whole)
	}
	return fmt.Errorf("%w: only in the %v; whole around it, and without it: %v", ErrDisagree, t.shownSources(), whole)
}

// damaged reports whether a view that lacks a task is damaged near it, so that it may have
// had it.
func (c *census) damaged(t *counted, view TaskSources) bool {
	if view == InTaskList {
		return c.list.broken && !c.unlinked(t)
	}
	pid := t.core.PID
	return c.idr.bad[pid] || c.idr.broken && !c.idr.leaves[pid>>6]
}

// unlinked reports whether a task was taken out of the task list: its neighbours are linked
// to each other, it is linked to itself, or it is in a ring without init_task.
func (c *census) unlinked(t *counted) bool {
	v := &c.k.views.core
	at, node := v.list.Of(t.addr), t.core.List
	if node.Next == at || c.k.leadsTo(node.Next+v.prev, node.Prev) && c.k.leadsTo(node.Prev+v.next, node.Next) {
		return true
	}
	for range len(c.tasks) {
		next := c.tasks[v.list.Container(node.Next)]
		if next == nil || next.core.List.Prev != at {
			return false
		}
		if next == t {
			return true
		}
		at, node = v.list.Of(next.addr), next.core.List
	}
	return false
}

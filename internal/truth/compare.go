package truth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A Result is the outcome of a comparison.
type Result struct {
	// Differences has one text for each process that is missing, invented or
	// different. None means that what was found is what /proc said.
	Differences []string
	// Compared is the number of processes that were compared in full.
	Compared int
	// Excused lists the processes that only one side has, and may.
	Excused []string
}

// Compare compares the processes of the truth with those found in the image, which
// must be by ascending PID, in all their fields but the mounts.
//
// Between the collection and the image the node ran on, and the image has the
// collector itself in another state. So these may differ, and no others:
//
//   - the collector, which must be there but is not compared
//   - its children that started after the collection did, and theirs
//   - kernel workers that are on one side only; of the others, what follows the pool
//     in the name: the work they did last
//   - the state, inside its StateClass
//   - names of threads, where the truth doesn't have them
func Compare(want *Node, got []Process) Result {
	var r Result
	index := map[int32]Process{}
	for _, p := range got {
		if _, twice := index[p.PID]; twice {
			r.Differences = append(r.Differences, fmt.Sprintf("found twice: %s", name(p)))
		}
		index[p.PID] = p
	}
	for _, p := range want.Processes {
		q, ok := index[p.PID]
		delete(index, p.PID)
		switch {
		case ok && p.PID == want.Collector:
		case ok:
			r.Compared++
			if diff := want.diff(p, q); diff != "" {
				r.Differences = append(r.Differences, fmt.Sprintf("%s (-truth +found):\n%s", name(p), diff))
			}
		case want.passing(p, want.Processes):
			r.Excused = append(r.Excused, "gone: "+name(p))
		default:
			r.Differences = append(r.Differences, fmt.Sprintf("missing: %s", name(p)))
		}
	}
	for _, p := range got {
		switch _, left := index[p.PID]; {
		case !left:
		case want.passing(p, got):
			r.Excused = append(r.Excused, "came: "+name(p))
		default:
			r.Differences = append(r.Differences, fmt.Sprintf("invented: %s", name(p)))
		}
	}
	return r
}

func name(p Process) string {
	return fmt.Sprintf("process %d %q, child of %d, args %.80q", p.PID, p.Comm, p.PPID, strings.Join(p.Args, " "))
}

func (n *Node) diff(want, got Process) string {
	want.Comm, got.Comm = poolOf(want), poolOf(got)
	if len(want.Threads) == len(got.Threads) {
		want.Threads, got.Threads = slices.Clone(want.Threads), slices.Clone(got.Threads)
		for i, t := range want.Threads {
			switch {
			case t.Comm == "":
				got.Threads[i].Comm = ""
			case want.KernelThread:
				want.Threads[i].Comm, got.Threads[i].Comm = want.Comm, got.Comm
			}
		}
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Process{}, "Mounts"))
}

// worker matches the name of a kernel worker: its pool, and what it does or did last
// (wq_worker_comm of kernel/workqueue.c).
var worker = regexp.MustCompile(`^(kworker/(?:\d+|u\d+):\d+H?)[-+].*$`)

// poolOf returns the name of the process; of a kernel worker, without what it does.
func poolOf(p Process) string {
	if !p.KernelThread {
		return p.Comm
	}
	return worker.ReplaceAllString(p.Comm, "$1")
}

// passing reports whether p, which is one of all, may be on one side only.
func (n *Node) passing(p Process, all []Process) bool {
	if p.KernelThread {
		return strings.HasPrefix(p.Comm, "kworker/")
	}
	for range all { // no chain of parents is longer
		if p.PPID == n.Collector {
			return p.StartTicks >= n.Began
		}
		i, ok := slices.BinarySearchFunc(all, p.PPID, func(p Process, pid int32) int { return int(p.PID - pid) })
		if !ok {
			return false
		}
		p = all[i]
	}
	return false
}

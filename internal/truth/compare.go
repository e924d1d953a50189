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
	// Came and Gone are the processes that are on one side only, and may be.
	Came, Gone []Process
}

// Compare compares the processes of the truth with those found in the image, which
// must be by ascending PID, in all their fields but the mounts.
//
// The node runs on until the image is taken, and the image may have the collector in
// another state. So these may differ, and no others:
//
//   - the collector, which is not compared and may have ended
//   - processes and threads that started after Until, and may be on one side only;
//     so may a pidfd in the process that started one of those
//   - kernel workers that are on one side only; of the others, what follows the pool
//     in the name: the work they did last
//   - a sleep that has ended, if the shell that it was started by does so in a loop
//   - the state, inside its StateClass
//   - names and start times of threads, and files with a path longer than a page, where
//     the truth doesn't have them
func Compare(want *Node, got []Process) Result {
	var r Result
	left := map[int32]bool{}
	children := map[int32]int{} // of each process, those that came
	for i, p := range got {
		if i > 0 && got[i-1].PID >= p.PID {
			r.differ("found twice, or out of order: %s", p)
		}
		if _, ok := want.Process(p.PID); !ok {
			children[p.PPID]++
		}
		left[p.PID] = true
	}
	for _, p := range want.Processes {
		q, ok := find(got, p.PID)
		delete(left, p.PID)
		switch {
		case p.PID == want.Collector:
		case ok:
			r.Compared++
			if diff := want.diff(p, q, children[p.PID]); diff != "" {
				r.Differences = append(r.Differences, fmt.Sprintf("%s (-truth +found):\n%s", p, diff))
			}
		case want.passing(p) || want.loops(p):
			r.Gone = append(r.Gone, p)
		default:
			r.differ("missing: %s", p)
		}
	}
	for _, p := range got {
		switch {
		case !left[p.PID]:
		case want.passing(p):
			r.Came = append(r.Came, p)
		default:
			r.differ("invented: %s", p)
		}
	}
	return r
}

func (r *Result) differ(format string, p Process) {
	r.Differences = append(r.Differences, fmt.Sprintf(format, p))
}

// String says which process it is.
func (p Process) String() string {
	return fmt.Sprintf("process %d %q, child of %d, args %.80q", p.PID, p.Comm, p.PPID, strings.Join(p.Args, " "))
}

// find returns the process with that PID out of all, which ascend.
func find(all []Process, pid int32) (Process, bool) {
	i, ok := slices.BinarySearchFunc(all, pid, func(p Process, pid int32) int { return int(p.PID - pid) })
	if !ok {
		return Process{}, false
	}
	return all[i], true
}

// passing reports whether p may be on one side only.
func (n *Node) passing(p Process) bool {
	return p.StartTicks >= n.Until || p.KernelThread && strings.HasPrefix(p.Comm, "kworker/")
}

// loops reports whether p, of the truth, is a sleep that its parent starts again and
// again.
func (n *Node) loops(p Process) bool {
	parent, ok := n.Process(p.PPID)
	return ok && p.Comm == "sleep" && strings.Contains(strings.Join(parent.Args, " "), "sleep")
}

// diff compares two processes that should be the same. The one found has started so
// many children that the truth doesn't have.
func (n *Node) diff(want, got Process, children int) string {
	want.Comm, got.Comm = poolOf(want), poolOf(got)
	want.Threads, got.Threads = n.threads(want, got)
	got.FDs = files(want.FDs, got.FDs, children)
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Process{}, "Mounts"))
}

// threads returns the threads of both as far as they can be compared.
func (n *Node) threads(want, got Process) (w, g []Thread) {
	known := map[int32]Thread{}
	for _, t := range want.Threads {
		known[t.TID] = t
	}
	for _, t := range got.Threads {
		k, ok := known[t.TID]
		if !ok && t.StartTicks >= n.Until {
			continue
		}
		if ok && k.Comm == "" {
			t.Comm = ""
		}
		if ok && k.StartTicks == 0 {
			t.StartTicks = 0
		}
		g = append(g, t)
	}
	if !want.KernelThread {
		return want.Threads, g
	}
	w = slices.Clone(want.Threads)
	for _, all := range [][]Thread{w, g} {
		for i := range all {
			all[i].Comm = worker.ReplaceAllString(all[i].Comm, "$1")
		}
	}
	return w, g
}

// files returns the files found as far as they can be compared: without as many pidfds
// as there are children that came, and without paths that the kernel could not tell.
func files(want, got []FD, children int) []FD {
	known := map[int]string{}
	for _, f := range want {
		known[f.FD] = f.Path
	}
	const page = 4096
	var all []FD
	for _, f := range got {
		path, ok := known[f.FD]
		if !ok && strings.Contains(f.Path, "pidfd") && children > 0 {
			children--
			continue
		}
		if ok && path == "" && len(f.Path)+1 >= page {
			f.Path = ""
		}
		all = append(all, f)
	}
	return all
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

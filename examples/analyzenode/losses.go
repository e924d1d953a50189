package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A loss is how often things of one kind were lost, for one reason.
type loss struct {
	what, why string
	n         int
}

// maxLosses is how many kinds of losses are told.
const maxLosses = 12

// printLosses says in a few lines what a report lacks.
func printLosses(w io.Writer, r *cos.NodeReport) {
	fmt.Fprintf(w, "NOT WHOLE: %s; -v and -json tell each\n", counted(len(r.Gaps), "loss", "losses"))
	if missing := missingMemory(r.Gaps); missing > 0 {
		fmt.Fprintf(w, "  %s of memory is missing in the image\n", size(missing))
	}
	losses := summary(r)
	for i, l := range losses {
		if i == maxLosses {
			fmt.Fprintf(w, "  and %d other kinds\n", len(losses)-i)
			return
		}
		fmt.Fprintf(w, "  %s: %d, %s\n", l.what, l.n, l.why)
	}
}

// missingMemory returns how many bytes of memory the image says it has and has not.
func missingMemory(gaps []vmem.Gap) (sum uint64) {
	for _, g := range gaps {
		if g.Object == "image" && g.Place.Kind == vmem.InPhysical {
			sum += g.Place.Size
		}
	}
	return sum
}

// summary counts the losses by kind and reason, those of the image first and then by number.
func summary(r *cos.NodeReport) []loss {
	broken := viewsOf(r)
	counts := map[loss]int{}
	for _, g := range r.Gaps {
		counts[loss{what: kindOf(g), why: broken.whyOf(g)}]++
	}
	var all []loss
	for l, n := range counts {
		l.n = n
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b loss) int {
		return cmp.Or(-compareBool(a.what == ofImage, b.what == ofImage), -cmp.Compare(a.n, b.n), cmp.Compare(a.what, b.what), cmp.Compare(a.why, b.why))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

const ofImage = "parts of the image"

// kinds are the words for what gaps lose, by the words of the gap before a number or the
// task that it is of.
var kinds = map[string]string{
	"image":                  ofImage,
	"task list":              "entries of the list of processes",
	"PID IDR":                "entries of the table of PIDs",
	"PID IDR entry":          "entries of the table of PIDs",
	"task":                   "processes",
	"open file":              "open files",
	"args":                   "command lines",
	"env":                    "environments",
	"mm":                     "maps of a process's memory",
	"mappings":               "maps of a process's memory",
	"mounts":                 "mounts",
	"mount":                  "mounts",
	"program":                "programs",
	"working directory":      "working directories",
	"thread":                 "threads",
	"threads":                "threads",
	"parent":                 "parents",
	"full name":              "names",
	"name":                   "names",
	"state and flags":        "states of processes",
	"start time":             "start times",
	"count of PIDs":          "counts of the kernel",
	"count of tasks":         "counts of the kernel",
	"count of processes":     "counts of the kernel",
	"tasks of a cgroup":      "counts of the kernel",
	"tasks":                  "processes",
	"PIDs":                   "PIDs in namespaces",
	"UTS name":               "host names of containers",
	"pod":                    "facts about a pod",
	"container":              "facts about a container",
	"database of containerd": "databases of containerd",
	"connection tracking":    "tracked connections",
	"nftables":               "rules of nf_tables",
	"iptables":               "rules of iptables",
	"ipset":                  "sets of ipset",
	"IPVS":                   "services of IPVS",
}

// kindOf returns what a gap loses, in the plural.
func kindOf(g vmem.Gap) string {
	switch reason := g.Reason(); {
	case !strings.HasPrefix(g.Object, "task "):
	case reason == hidden && strings.Contains(g.Object, ", thread of task "):
		return "hidden threads"
	case reason == hidden:
		return "hidden processes"
	case reason == disagree:
		return "processes that not both lists have"
	}
	what, _, _ := strings.Cut(g.Object, " of task ")
	what, _, _ = strings.Cut(what, ", in task ")
	what, _, _ = strings.Cut(what, " of net:[")
	if i := strings.IndexAny(what, "0123456789"); i > 0 {
		what = strings.TrimRight(what[:i], " ")
	}
	for _, named := range []string{"pod", "container"} {
		if strings.HasPrefix(what, named+" ") {
			what = named
		}
	}
	if words, ok := kinds[what]; ok {
		return words
	}
	return text.Printable(what)
}

// The reasons of a process that not both lists have, or neither.
const (
	disagree = vmem.Reason("disagree")
	hidden   = vmem.Reason("hidden")
)

// reasons are the words for why something is lost; where there are none it is the code.
var reasons = map[vmem.Reason]string{
	"not-captured": "not in the image",
	"not-present":  "not in memory",
	"swapped":      "swapped out",
	"migrating":    "on the move to another page",
	"corrupt":      "damaged, or changed during the capture",
	"cycle":        "damaged, or changed during the capture",
	"bad-entry":    "damaged, or changed during the capture",
	"too-long":     "too long",
	"unsupported":  "not described by the symbols",
	disagree:       "the kernel's own counts disagree",
	hidden:         "the lists are whole around them, and without them",
	"conflict":     "sources disagree",
	"ambiguous":    "not known which is which",
	"ended":        "ended while it was read",
	"truncated":    "the file ends early",
	"short":        "cut off, and more follows",
	"damaged":      "damaged",
	"input-output": "can't be read",
}

// views says of which of the kernel's lists of processes parts could not be read: what they
// then lack is not hidden from them.
type views struct {
	list, table bool
	entries     map[string]bool // of the table
	near        map[int32]bool  // processes that lists lack which are damaged near them
	late        map[int32]bool  // processes that were started after the kernel's clock was captured
}

func viewsOf(r *cos.NodeReport) views {
	v := views{entries: map[string]bool{}, near: map[int32]bool{}, late: map[int32]bool{}}
	for i := range r.Processes {
		p := &r.Processes[i]
		v.late[p.PID] = r.Provenance.CapturedFrom == cos.CapturedByClock && p.StartTime.After(r.Provenance.Captured)
	}
	for _, g := range r.Gaps {
		switch reason := g.Reason(); {
		case reason == disagree && strings.HasPrefix(g.Object, "task "):
			v.near[pidOf(g)] = strings.Contains(g.Err.Error(), "damaged near it")
		case reason == "corrupt" || reason == "cycle" || reason == disagree:
			// The list goes on behind a wrong link: who hides a process may leave one.
			if entry, ok := strings.CutPrefix(g.Object, "PID IDR entry "); ok {
				v.entries[entry] = true
			}
		case g.Object == "task list":
			v.list = true
		case strings.HasPrefix(g.Object, "PID IDR"):
			v.table = true
		}
	}
	return v
}

// explain reports whether what the lists lost is why they don't all have a process.
func (v views) explain(pid int32, in linux.TaskSources) bool {
	if v.near[pid] {
		return true
	}
	switch in & linux.LeaderSources {
	case linux.InPIDIDR:
		return v.list
	case linux.InTaskList:
		return v.table || v.entries[fmt.Sprint(pid)]
	}
	return false
}

// pidOf returns the PID of the task that a gap is about.
func pidOf(g vmem.Gap) (pid int32) {
	_, _ = fmt.Sscanf(g.Object, "task %d ", &pid)
	return pid
}

// whyOf returns why a gap is one.
func (v views) whyOf(g vmem.Gap) string {
	reason := g.Reason()
	if reason == disagree && strings.HasPrefix(g.Object, "task ") {
		pid := pidOf(g)
		in := linux.InTaskList
		if strings.Contains(g.Err.Error(), "only in the "+linux.InPIDIDR.String()) {
			in = linux.InPIDIDR
		}
		switch {
		case v.explain(pid, in):
			return "the other could not be read whole"
		case v.late[pid]:
			return "started during the capture"
		}
		return "changed during the capture, or hidden"
	}
	if words, ok := reasons[reason]; ok {
		return words
	}
	return text.Printable(string(reason))
}

// counted returns a number and a noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// size returns a number of bytes in words.
func size[N int64 | uint64](n N) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}

// explain says on stderr that a report is not whole: why, if the report was printed as JSON,
// and each loss if the user wants it.
func (s *settings) explain(stderr io.Writer, r *cos.NodeReport) {
	var b bytes.Buffer
	switch {
	case s.verbose:
		fmt.Fprintf(&b, "the report is not whole: %s\n", counted(len(r.Gaps), "loss", "losses"))
		for _, g := range r.Gaps {
			fmt.Fprintf(&b, "  %s\n", text.Message(g))
		}
	case s.json:
		b.WriteString("the report is ")
		printLosses(&b, r)
	default:
		b.WriteString("the report is not whole: it begins with what is missing\n")
	}
	fmt.Fprintf(stderr, "analyzenode: %s", &b)
}

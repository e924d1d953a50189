package cos

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/vmem"
)

// A Loss is how often things of one kind were lost, for one reason. The words of both may change.
type Loss struct {
	What  string `json:"what"` // in the plural, such as "open files"
	Why   string `json:"why"`
	Count int    `json:"count"`
}

// Losses counts the Gaps by what was lost and why: those of the image itself first, and then by number.
func (r *NodeReport) Losses() []Loss {
	broken := r.Views()
	counts := map[Loss]int{}
	for _, g := range r.Gaps {
		counts[Loss{What: kindOf(g), Why: broken.whyOf(g)}]++
	}
	all := make([]Loss, 0, len(counts))
	for l, n := range counts {
		l.Count = n
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Loss) int {
		return cmp.Or(-compareBool(a.What == ofImage, b.What == ofImage), -cmp.Compare(a.Count, b.Count), cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why))
	})
	return all
}

// MissingMemory returns how many bytes of memory the image says that it has, and has not.
func (r *NodeReport) MissingMemory() (sum uint64) {
	for _, g := range r.Gaps {
		if g.Object == "image" && g.Place.Kind == vmem.InPhysical {
			sum += g.Place.Size
		}
	}
	return sum
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
	case reason == reasonHidden && strings.Contains(g.Object, ", thread of task "):
		return "hidden threads"
	case reason == reasonHidden:
		return "hidden processes"
	case reason == reasonDisagree:
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
	reasonDisagree = vmem.Reason("disagree")
	reasonHidden   = vmem.Reason("hidden")
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
	reasonDisagree: "the kernel's own counts disagree",
	reasonHidden:   "the lists are whole around them, and without them",
	"conflict":     "sources disagree",
	"ambiguous":    "not known which is which",
	"ended":        "ended while it was read",
	"truncated":    "the file ends early",
	"short":        "cut off, and more follows",
	"damaged":      "damaged",
	"overlap":      "there twice",
	"input-output": "can't be read",
}

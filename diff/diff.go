package diff

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/vmem"
)

// Schema names the form of a result's JSON.
const Schema = "nodelens/diff/v1"

// A What is what became of an object.
type What string

// What becomes of objects.
const (
	Came    What = "came"
	Went    What = "went"
	Changed What = "changed"
)

// A Kind is a kind of object.
type Kind string

// The kinds, in the order in which a pod's changes are told.
const (
	Pods       Kind = "pod"
	Containers Kind = "container"
	Processes  Kind = "process"
	Listeners  Kind = "listener"   // sockets that can be connected to
	Flows      Kind = "connection" // of one boot alone
	Devices    Kind = "device"     // of networks
	Modules    Kind = "module"
	Programs   Kind = "bpf program"
	Hooks      Kind = "hook"
	Settings   Kind = "setting"
	Deleted    Kind = "deleted file" // files without a name that processes hold, of one boot alone
)

var kinds = []Kind{Pods, Containers, Processes, Listeners, Flows, Devices, Modules, Programs, Hooks, Settings, Deleted}

// A Result says in what two reports differ.
type Result struct {
	SameNode bool      `json:"sameNode"` // the hosts have one name
	SameBoot bool      `json:"sameBoot"` // and the boot is the same
	Changes  []Change  `json:"changes"`  // of the node first, then pod by pod; kind by kind
	Unknown  []Unknown `json:"unknown"`  // what could not be compared
}

// A Change is what became of one object, or of several of one name.
type Change struct {
	What      What          `json:"what"`
	Kind      Kind          `json:"kind"`
	Pod       Pod           `json:"pod"` // zero: of the node
	Container string        `json:"container" jsonx:"null"`
	Object    string        `json:"object"`
	Fields    []Field       `json:"fields"`               // of what changed
	Before    vmem.VirtAddr `json:"before" jsonx:"null"`  // the object in the first image's memory
	After     vmem.VirtAddr `json:"after" jsonx:"null"`   // and in the second's
	Sure      bool          `json:"sure"`                 // nothing was lost that the object could be among
	Notable   string        `json:"notable" jsonx:"null"` // why it should not have changed so; empty for most
}

// A Pod is whose a change is.
type Pod struct {
	UID       string `json:"uid" jsonx:"null"` // in the second report, or else in the first
	Namespace string `json:"namespace" jsonx:"null"`
	Name      string `json:"name" jsonx:"null"`
}

// String returns NAMESPACE/NAME, the UID where the name is not known, or node.
func (p Pod) String() string {
	switch {
	case p.Name != "":
		return p.Namespace + "/" + p.Name
	case p.UID != "":
		return "pod " + p.UID
	}
	return "node"
}

// A Field is a value that changed.
type Field struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// An Unknown is a kind that could not be compared, or not as a whole.
type Unknown struct {
	Kind   Kind   `json:"kind"`
	Reason string `json:"reason"`
	Losses int    `json:"losses"` // how many gaps of both reports concern it; 0 where it is no loss
}

// resultJSON is a Result in JSON.
type resultJSON struct {
	Schema string `json:"schema"`
	resultFields
}

type resultFields Result

var _ = jsonx.Describe[Result, resultJSON]()

// MarshalJSON returns the result in the form that [Schema] names, in the way of [cos.NodeReport].
func (r Result) MarshalJSON() ([]byte, error) {
	return jsonx.Marshal(resultJSON{Schema, resultFields(r)})
}

// A side is one of the reports.
type side struct {
	*cos.NodeReport
	index *findings.Node
}

// A differ compares two reports.
type differ struct {
	before, after side
	boot          bool // both are of one boot
	out           *Result
}

// bootSlack is how far the boot times of two images of one boot may be apart: the kernel's clock is set anew while it runs.
const bootSlack = 10 * time.Second

// Compare says in what two reports differ.
func Compare(before, after *cos.NodeReport) *Result {
	d := &differ{before: side{before, findings.NewNode(before, nil)}, after: side{after, findings.NewNode(after, nil)}, out: &Result{Changes: []Change{}, Unknown: []Unknown{}}}
	d.out.SameNode = before.Hostname != "" && before.Hostname == after.Hostname
	apart := after.BootTime.Sub(before.BootTime)
	d.boot = d.out.SameNode && !before.BootTime.IsZero() && !after.BootTime.IsZero() && apart.Abs() <= bootSlack && before.Kernel.Banner == after.Kernel.Banner &&
		before.Kernel.KASLRShift == after.Kernel.KASLRShift
	d.out.SameBoot = d.boot
	for _, compare := range []func(*differ){
		comparePods, compareContainers, compareProcesses, compareSockets, compareDevices, compareModules, comparePrograms, compareHooks, compareSettings, compareDeleted,
	} {
		compare(d)
	}
	slices.SortStableFunc(d.out.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Pod.Namespace, b.Pod.Namespace), cmp.Compare(a.Pod.Name, b.Pod.Name), cmp.Compare(a.Pod.UID, b.Pod.UID),
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.What, b.What), cmp.Compare(a.Object, b.Object))
	})
	return d.out
}

// pod returns a pod by its UID, as one of the reports knows it.
func (s side) pod(uid string) Pod {
	if uid == "" {
		return Pod{}
	}
	subject := s.index.OfPod(uid)
	return Pod{uid, subject.Namespace, subject.Pod}
}

// An object is one of what is compared.
type object struct {
	key       string // objects of one key are the same
	pod       Pod
	container string
	name      string
	fields    []Field // Before is the value
	addr      vmem.VirtAddr
}

// A comparison is how objects of a kind are compared.
type comparison struct {
	kind    Kind
	needs   findings.Needs
	of      func(s side) []object
	notable func(f Field) string // why a change of a field is notable; nil: none is
	counted bool                 // how many there are of a key says something
}

// compare compares objects of a kind.
func (d *differ) compare(c comparison) {
	for _, s := range []struct {
		which string
		side  side
	}{{"first", d.before}, {"second", d.after}} {
		if lack := c.needs.Sections &^ s.side.index.Sections(); lack != 0 {
			d.out.Unknown = append(d.out.Unknown, Unknown{Kind: c.kind, Reason: "the " + s.which + " report lacks " + lack.String()})
			return
		}
	}
	lostBefore, lostAfter := len(d.before.index.Lost(c.needs)), len(d.after.index.Lost(c.needs))
	if lost := lostBefore + lostAfter; lost > 0 {
		d.out.Unknown = append(d.out.Unknown, Unknown{c.kind, "some of it was lost", lost})
	}
	before, after := grouped(c.of(d.before)), grouped(c.of(d.after))
	for _, key := range sortedKeys(before, after) {
		d.match(c, before[key], after[key], lostBefore == 0, lostAfter == 0)
	}
}

func grouped(all []object) map[string][]object {
	groups := map[string][]object{}
	for _, o := range all {
		groups[o.key] = append(groups[o.key], o)
	}
	return groups
}

func sortedKeys(a, b map[string][]object) []string {
	keys := []string{}
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// match compares the objects of one key. What came may have been lost in the first report, and what went in the second.
func (d *differ) match(c comparison, before, after []object, beforeWhole, afterWhole bool) {
	both := min(len(before), len(after))
	for i := range both {
		if fields := changes(before[i].fields, after[i].fields); len(fields) > 0 {
			d.add(c, Changed, &after[i], fields, before[i].addr, after[i].addr, true)
		}
	}
	if !c.counted && both > 0 {
		return
	}
	for i := both; i < len(before); i++ {
		d.add(c, Went, &before[i], nil, before[i].addr, 0, afterWhole)
	}
	for i := both; i < len(after); i++ {
		d.add(c, Came, &after[i], nil, 0, after[i].addr, beforeWhole)
	}
}

func (d *differ) add(c comparison, what What, o *object, fields []Field, before, after vmem.VirtAddr, sure bool) {
	change := Change{What: what, Kind: c.kind, Pod: o.pod, Container: o.container, Object: o.name, Fields: fields, Before: before, After: after, Sure: sure}
	if c.notable != nil {
		for _, f := range fields {
			change.Notable = cmp.Or(change.Notable, c.notable(f))
		}
	}
	d.out.Changes = append(d.out.Changes, change)
}

// changes are the fields that differ. One that is not known on a side is no difference.
func changes(before, after []Field) (all []Field) {
	for i := range before {
		a, b := before[i].Before, after[i].Before
		if a != b && a != "" && b != "" {
			all = append(all, Field{before[i].Name, a, b})
		}
	}
	return all
}

// key joins what makes an object.
func key(parts ...string) string { return strings.Join(parts, "\x00") }

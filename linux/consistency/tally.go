package consistency

import (
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// An id is the number of an invariant.
type id int

// The invariants, by the parts that they are of.
const (
	taskList id = iota
	childLists
	parents
	threadList
	threadCounts
	threadGroups
	pidLinks
	pidCount
	cgroupLists
	cgroupCounts
	mappings
	mappingCounts
	tables
	tableParents
	tablesOfMappings
	pagesOfMappings
	descriptors
	mountCounts
	mountNamespaces
	mountParents
	invariants // how many there are
)

// A partID is the number of a part.
type partID int

// The parts.
const (
	tasksPart partID = iota
	threadsPart
	pidsPart
	cgroupsPart
	mapsPart
	tablesPart
	filesPart
	mountsPart
	parts // how many there are
)

var partNames = [parts]Part{
	{Name: "tasks", Of: "tasks"},
	{Name: "threads", Of: "processes"},
	{Name: "PIDs", Of: "tasks"},
	{Name: "cgroups", Of: "sets"},
	{Name: "memory maps", Of: "address spaces"},
	{Name: "page tables", Of: "address spaces"},
	{Name: "open files", Of: "tables"},
	{Name: "mounts", Of: "namespaces"},
}

var invariantNames = [invariants]struct {
	part partID
	name string
}{
	taskList:         {tasksPart, "list of tasks"},
	childLists:       {tasksPart, "children, siblings"},
	parents:          {tasksPart, "parents"},
	threadList:       {threadsPart, "list of threads"},
	threadCounts:     {threadsPart, "thread counts"},
	threadGroups:     {threadsPart, "thread groups"},
	pidLinks:         {pidsPart, "PID links"},
	pidCount:         {pidsPart, "PID count"},
	cgroupLists:      {cgroupsPart, "css_set members"},
	cgroupCounts:     {cgroupsPart, "css_set counts"},
	mappings:         {mapsPart, "mappings"},
	mappingCounts:    {mapsPart, "mapping counts"},
	tables:           {tablesPart, "tables"},
	tableParents:     {tablesPart, "table parents"},
	tablesOfMappings: {tablesPart, "tables of mappings"},
	pagesOfMappings:  {tablesPart, "pages of mappings"},
	descriptors:      {filesPart, "descriptors"},
	mountCounts:      {mountsPart, "mount counts"},
	mountNamespaces:  {mountsPart, "mount namespaces"},
	mountParents:     {mountsPart, "mount parents"},
}

// A tally counts.
type tally struct {
	invariants [invariants]Invariant
	objects    [parts]map[vmem.VirtAddr]bool // by address, whether torn
	last       [parts]vmem.VirtAddr          // the object that was counted last: it is among them
}

func newTally() *tally {
	t := new(tally)
	for i := range t.invariants {
		n := invariantNames[i]
		t.invariants[i] = Invariant{Name: n.name, Part: partNames[n.part].Name}
	}
	for i := range t.objects {
		t.objects[i] = map[vmem.VirtAddr]bool{}
	}
	return t
}

// A fault is what is wrong with an instance of an invariant. Nil: it holds.
type fault struct {
	impossible bool
	format     string
	args       []any
}

// String returns the fault in words. Of most faults nobody asks for them.
func (f *fault) String() string { return fmt.Sprintf(f.format, f.args...) }

// torn says that two sides, each of which can be, do not agree.
func torn(format string, args ...any) *fault { return &fault{format: format, args: args} }

// impossible says what a running kernel has at no moment.
func impossible(format string, args ...any) *fault {
	return &fault{impossible: true, format: format, args: args}
}

// count counts an instance of an invariant, of the object at an address.
func (t *tally) count(i id, object vmem.VirtAddr, f *fault) {
	inv, part := &t.invariants[i], invariantNames[i].part
	inv.Checked++
	torn := t.objects[part]
	if f == nil {
		if object == t.last[part] && object != 0 {
			return
		}
		t.last[part] = object
		if _, known := torn[object]; !known {
			torn[object] = false
		}
		return
	}
	torn[object] = true
	inv.Broken++
	if f.impossible {
		inv.Impossible++
	}
	if inv.First == "" {
		inv.First = f.String()
	}
}

// report sums up.
func (t *tally) report() *Report {
	r := &Report{Invariants: t.invariants[:]}
	for _, inv := range r.Invariants {
		r.Checked += inv.Checked
		r.Broken += inv.Broken
		r.Impossible += inv.Impossible
	}
	for i, p := range partNames {
		p.Objects = len(t.objects[i])
		for _, torn := range t.objects[i] {
			if torn {
				p.Torn++
			}
		}
		r.Parts = append(r.Parts, p)
	}
	return r
}

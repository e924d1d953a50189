package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/vmem"
)

// An Event is something of which a report knows when it was.
type Event struct {
	Time time.Time
	Kind EventKind
	Text string // what happened to what, with names as they are in the image

	PID         int32  // of the process that it is about; 0 for none
	PodUID      string // of the pod; empty for the node
	ContainerID string
	Address     vmem.VirtAddr // of the kernel object that the time is of; 0 for none
	Clock       Clock
}

// An EventKind says what happened, as Timesketch calls it: object and kind of time.
type EventKind string

// What happens.
const (
	NodeBooted     EventKind = "node:boot"
	ImageCaptured  EventKind = "image:capture"
	ClockEarliest  EventKind = "image:clock-earliest"
	ClockLatest    EventKind = "image:clock-latest"
	ProcessStarted EventKind = "process:start"
	ThreadStarted  EventKind = "thread:start"
	FileAccessed   EventKind = "file:atime"
	FileModified   EventKind = "file:mtime"
	FileChanged    EventKind = "file:ctime"
	FileCreated    EventKind = "file:btime"
	FlowStarted    EventKind = "connection:start"
	FlowStopped    EventKind = "connection:stop"
	BPFLoaded      EventKind = "bpf:load"
	ContainerMade  EventKind = "container:create"
	ContainerBegun EventKind = "container:start"
	ContainerEnded EventKind = "container:end"
	KernelLogged   EventKind = "log:kernel"
)

// A Clock says how a time was told.
type Clock string

// The clocks.
const (
	// WallClock is the node's own clock, as it stood.
	WallClock Clock = "wall"
	// SinceBoot was counted from the boot, and put to the boot's time by the wall clock at the capture: where the clock was set
	// meanwhile, it is off by that.
	SinceBoot Clock = "since-boot"
	// Recorded was written down by whoever captured the image, by the clock of that machine.
	Recorded Clock = "recorded"
)

// Timeline returns every time that a report knows, the earliest first. Of files, the report has those without a name: the
// section [cos.SectionFiles].
func Timeline(node *cos.NodeReport) []Event {
	t := timeline{node: node}
	t.ofNode()
	for i := range node.Processes {
		t.ofProcess(&node.Processes[i])
	}
	t.ofFiles()
	t.ofNetwork()
	t.ofBPF()
	t.ofContainers()
	t.ofLog()
	slices.SortStableFunc(t.events, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Address, b.Address))
	})
	return t.events
}

type timeline struct {
	node   *cos.NodeReport
	events []Event
}

// add adds an event, unless its time is not known. Files of file systems without times have those of the epoch.
func (t *timeline) add(e Event) {
	if !e.Time.IsZero() && e.Time.Unix() != 0 {
		t.events = append(t.events, e)
	}
}

func (t *timeline) ofNode() {
	t.add(Event{Time: t.node.BootTime, Kind: NodeBooted, Text: "the node booted", Clock: SinceBoot})
	clock := WallClock
	if t.node.Provenance.CapturedFrom == cos.CapturedByManifest {
		clock = Recorded
	}
	t.add(Event{Time: t.node.Provenance.Captured, Kind: ImageCaptured, Text: "the image was captured", Clock: clock})
	if c := t.node.Consistency; c != nil {
		t.add(Event{Time: c.Earliest, Kind: ClockEarliest, Text: "the earliest clock in the image", Clock: WallClock})
		t.add(Event{Time: c.Latest, Kind: ClockLatest, Text: "the latest clock in the image", Clock: WallClock})
	}
}

func (t *timeline) ofProcess(p *cos.Process) {
	e := Event{Time: p.StartTime, Kind: ProcessStarted, Text: p.Comm + " started", Clock: SinceBoot,
		PID: p.PID, PodUID: p.PodUID, ContainerID: p.ContainerID, Address: p.Address}
	t.add(e)
	for _, thread := range p.Threads {
		if thread.TID != p.PID {
			e.Time, e.Kind, e.Text, e.Address = thread.StartTime, ThreadStarted, "thread "+thread.Comm+" of "+p.Comm+" started", 0
			t.add(e)
		}
	}
}

func (t *timeline) ofFiles() {
	if t.node.Files == nil {
		return
	}
	for i := range t.node.Files.Nameless {
		f := &t.node.Files.Nameless[i]
		name := f.Path
		if name == "" {
			name = "a file without a name on " + f.FSType
		}
		e := Event{PodUID: f.PodUID, ContainerID: f.ContainerID, Address: f.Addr, Clock: WallClock}
		if len(f.Holders) > 0 {
			e.PID = f.Holders[0].PID
		}
		for _, at := range []struct {
			kind EventKind
			time time.Time
			what string
		}{{FileCreated, f.Btime, " was made"}, {FileModified, f.Mtime, " was written to"}, {FileChanged, f.Ctime, " was changed"}, {FileAccessed, f.Atime, " was read"}} {
			e.Kind, e.Time, e.Text = at.kind, at.time, name+at.what
			t.add(e)
		}
	}
}

func (t *timeline) ofNetwork() {
	if t.node.Network == nil {
		return
	}
	for i := range t.node.Network.Conntrack {
		c := &t.node.Network.Conntrack[i]
		e := Event{PodUID: c.SourcePodUID, Clock: WallClock, Address: c.Addr}
		what := c.Protocol + " " + endpoint(c.Original.Source.String(), uint32(c.Original.SourcePort)) + " to " +
			endpoint(c.Original.Destination.String(), uint32(c.Original.DestinationPort))
		e.Kind, e.Time, e.Text = FlowStarted, c.Started, what+" began"
		t.add(e)
		e.Kind, e.Time, e.Text = FlowStopped, c.Stopped, what+" ended"
		t.add(e)
	}
}

func (t *timeline) ofBPF() {
	if t.node.BPF == nil {
		return
	}
	for i := range t.node.BPF.Programs {
		p := &t.node.BPF.Programs[i]
		e := Event{Time: p.LoadTime, Kind: BPFLoaded, Text: "BPF program " + p.FullName + " of type " + p.Type.String() + " was loaded", Clock: SinceBoot,
			PodUID: p.PodUID, ContainerID: p.ContainerID, Address: p.Address}
		if len(p.Owners) > 0 {
			e.PID = p.Owners[0].PID
		}
		t.add(e)
	}
}

// ofContainers are the times that the runtime wrote down of containers, also of those that are no more.
func (t *timeline) ofContainers() {
	for i := range t.node.Containers {
		c := &t.node.Containers[i]
		l := c.Lifecycle
		if l == nil {
			continue
		}
		what := "container " + c.Name
		if c.Sandbox {
			what = "sandbox"
		}
		if c.Pod != "" {
			what += " of " + c.Namespace + "/" + c.Pod
		}
		e := Event{PID: c.InitPID, PodUID: c.PodUID, ContainerID: c.ID, Clock: WallClock}
		e.Kind, e.Time, e.Text = ContainerMade, l.Created, what+" was made"
		t.add(e)
		e.Kind, e.Time, e.Text = ContainerBegun, l.Started, what+" was started"
		t.add(e)
		e.Kind, e.Time, e.Text = ContainerEnded, l.Finished, what+" ended"
		if l.ExitCode != nil {
			e.Text += fmt.Sprintf(" with %d", *l.ExitCode)
		}
		if l.Reason != "" {
			e.Text += " (" + l.Reason + ")"
		}
		t.add(e)
	}
}

func (t *timeline) ofLog() {
	if t.node.BootTime.IsZero() {
		return
	}
	for i := range t.node.Log {
		r := &t.node.Log[i]
		t.add(Event{Time: t.node.BootTime.Add(time.Duration(r.Time)), Kind: KernelLogged, Text: r.Text, Clock: SinceBoot})
	}
}

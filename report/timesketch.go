package report

import (
	"bufio"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/text"
)

// A sketchEvent is a line of Timesketch's JSONL. The first four members are those that it asks for.
type sketchEvent struct {
	Message       string `json:"message"`
	Datetime      string `json:"datetime"`
	Timestamp     int64  `json:"timestamp"` // microseconds since 1970
	TimestampDesc string `json:"timestamp_desc"`

	DataType    string   `json:"data_type"`
	Hostname    string   `json:"hostname,omitempty"`
	PID         int32    `json:"pid,omitempty"`
	Process     string   `json:"process_name,omitempty"`
	Command     string   `json:"command_line,omitempty"`
	Executable  string   `json:"executable,omitempty"`
	Namespace   string   `json:"kubernetes_namespace,omitempty"`
	Pod         string   `json:"kubernetes_pod,omitempty"`
	PodUID      string   `json:"kubernetes_pod_uid,omitempty"`
	ContainerID string   `json:"container_id,omitempty"`
	Address     string   `json:"address,omitempty"`
	Clock       string   `json:"clock"`
	Findings    []string `json:"findings,omitempty"`
	Tag         []string `json:"tag,omitempty"`
}

// descriptions are what the times of events are, in Timesketch's words where it has them.
var descriptions = map[EventKind]string{
	NodeBooted: "System Boot Time", ImageCaptured: "Capture Time", ClockEarliest: "Clock", ClockLatest: "Clock",
	ProcessStarted: "Process Start Time", ThreadStarted: "Thread Start Time", FileAccessed: "Last Access Time", FileModified: "Content Modification Time",
	FileChanged: "Metadata Modification Time", FileCreated: "Creation Time", FlowStarted: "Connection Start Time", FlowStopped: "Connection End Time",
	BPFLoaded: "Load Time", KernelLogged: "Log Time", ContainerMade: "Creation Time", ContainerBegun: "Start Time", ContainerEnded: "End Time",
}

// maxMessage is how long a text may be for Timesketch to search it, in bytes.
const maxMessage = 32_766

// WriteTimesketch writes the timeline of a report as JSONL that Timesketch imports; the file's name must end in .jsonl. Events of
// processes that rules found something about have the rules, and the tag "finding". result may be nil.
func WriteTimesketch(w io.Writer, node *cos.NodeReport, result *findings.Result, opts *Options) error {
	l := lines{out: bufio.NewWriterSize(w, 1<<16)}
	m := newMasker(opts)
	processes := map[int32]*cos.Process{}
	for i := range node.Processes {
		processes[node.Processes[i].PID] = &node.Processes[i]
	}
	pods := map[string]*cos.Pod{}
	for i := range node.Pods {
		pods[node.Pods[i].UID] = &node.Pods[i]
	}
	rules := rulesOfPIDs(result)
	for _, e := range Timeline(node) {
		at := e.Time.UTC()
		one := sketchEvent{Message: cutBytes(m.shapes(e.Text), maxMessage), Datetime: at.Format("2006-01-02T15:04:05.000000+00:00"), Timestamp: at.UnixMicro(),
			TimestampDesc: descriptions[e.Kind], DataType: "nodelens:" + string(e.Kind), Hostname: node.Hostname, PID: e.PID, PodUID: e.PodUID,
			ContainerID: e.ContainerID, Address: address(e.Address), Clock: string(e.Clock)}
		if p := processes[e.PID]; p != nil && e.PID != 0 {
			one.Process, one.Executable = p.Comm, p.Exe
			one.Command = cutBytes(text.Words(m.arguments(p.Args), maxArgs), maxMessage)
		}
		if p := pods[e.PodUID]; p != nil {
			one.Namespace, one.Pod = p.Namespace, p.Name
		}
		if one.Findings = slices.Clone(rules[e.PID]); len(one.Findings) > 0 {
			one.Tag = []string{"finding"}
		}
		l.line(&one)
	}
	return l.end()
}

// rulesOfPIDs returns which rules found something about a process.
func rulesOfPIDs(result *findings.Result) map[int32][]string {
	rules := map[int32][]string{}
	if result == nil {
		return rules
	}
	for i := range result.Findings {
		f := &result.Findings[i]
		if pid := f.Subject.PID; pid != 0 && f.Accepted == nil {
			if !slices.Contains(rules[pid], f.Rule) {
				rules[pid] = append(rules[pid], f.Rule)
			}
		}
	}
	return rules
}

// cutBytes cuts a text to so many bytes.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

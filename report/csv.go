package report

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/text"
)

// A Table is one of a report's tables.
type Table string

// The tables that [WriteCSV] writes.
const (
	TableFindings  Table = "findings"
	TablePods      Table = "pods"
	TableProcesses Table = "processes"
	TableSockets   Table = "sockets"
	TableFiles     Table = "files" // those without a name
	TableTimeline  Table = "timeline"
	TableGaps      Table = "gaps"
)

// Tables are all of them.
var Tables = []Table{TableFindings, TablePods, TableProcesses, TableSockets, TableFiles, TableTimeline, TableGaps}

// ErrTable is the reason for which WriteCSV writes nothing.
var ErrTable = errors.New("not a table of a report")

// WriteCSV writes a table as CSV (RFC 4180) with a head. Cells are printable: what a terminal would obey is escaped. One that a
// spreadsheet would take for a formula begins with an apostrophe. The error wraps ErrTable where there is no such table. result may
// be nil.
func WriteCSV(w io.Writer, node *cos.NodeReport, result *findings.Result, table Table, opts *Options) error {
	t := tables{node: node, result: result, masker: newMasker(opts), pods: map[string]string{}}
	for i := range node.Pods {
		t.pods[node.Pods[i].UID] = node.Pods[i].Namespace + "/" + node.Pods[i].Name
	}
	rows := map[Table]func(func(...any)){TableFindings: t.findings, TablePods: t.podRows, TableProcesses: t.processes, TableSockets: t.sockets,
		TableFiles: t.files, TableTimeline: t.timeline, TableGaps: t.gaps}[table]
	if rows == nil {
		return fmt.Errorf("report: %w: %q; there are: %v", ErrTable, string(table), Tables)
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	var failed error
	rows(func(cells ...any) {
		if failed == nil {
			failed = out.Write(asCells(cells))
		}
	})
	out.Flush()
	return errors.Join(failed, out.Error())
}

// timeLayout is how times are written: RFC 3339 in UTC with nanoseconds.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

func asCells(values []any) []string {
	cells := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case string:
			cells[i] = guarded(text.Printable(v))
		case time.Time:
			if !v.IsZero() {
				cells[i] = v.UTC().Format(timeLayout)
			}
		default:
			cells[i] = fmt.Sprint(v)
		}
	}
	return cells
}

// guarded returns a cell that no spreadsheet takes for a formula.
func guarded(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r|%", rune(s[0])) {
		return "'" + s
	}
	return s
}

// tables makes the rows of tables, the head first.
type tables struct {
	*masker
	node   *cos.NodeReport
	result *findings.Result
	pods   map[string]string // names by UID
}

func (t *tables) findings(row func(...any)) {
	row("severity", "confidence", "rule", "title", "summary", "namespace", "pod", "podUID", "container", "containerID", "image", "pid", "comm", "object", "techniques", "evidence", "next", "accepted", "key")
	if t.result == nil {
		return
	}
	for i := range t.result.Findings {
		f := &t.result.Findings[i]
		var evidence, techniques []string
		for _, e := range f.Evidence {
			evidence = append(evidence, strings.TrimSpace(e.Type+" "+address(e.Addr)+" "+e.Field)+" = "+t.shapes(e.Value))
		}
		for _, x := range f.Techniques {
			techniques = append(techniques, string(x))
		}
		accepted := ""
		if f.Accepted != nil {
			accepted = f.Accepted.Reason
		}
		s := &f.Subject
		row(f.Severity.String(), f.Confidence.String(), f.Rule, f.Title, t.shapes(f.Summary), s.Namespace, s.Pod, s.PodUID, s.Container, s.ContainerID, s.Image, number(s.PID), s.Comm, f.Object,
			strings.Join(techniques, " "), strings.Join(evidence, "; "), f.Next, accepted, f.Key)
	}
}

// number is a PID that is empty where there is none.
func number(pid int32) string {
	if pid == 0 {
		return ""
	}
	return strconv.Itoa(int(pid))
}

func (t *tables) podRows(row func(...any)) {
	row("namespace", "name", "uid", "qos", "sandboxID", "container", "containerID", "image", "processes")
	for i := range t.node.Pods {
		p := &t.node.Pods[i]
		for _, c := range p.Containers {
			row(p.Namespace, p.Name, p.UID, string(p.QoS), p.SandboxID, c.Name, c.ID, c.Image, len(c.PIDs))
		}
		if len(p.Containers) == 0 {
			row(p.Namespace, p.Name, p.UID, string(p.QoS), p.SandboxID, "", "", "", 0)
		}
	}
}

func (t *tables) processes(row func(...any)) {
	row("pid", "ppid", "comm", "command", "exe", "cwd", "state", "kernelThread", "uid", "euid", "startTime", "pod", "podUID", "containerID", "cgroup", "sources", "address")
	for i := range t.node.Processes {
		p := &t.node.Processes[i]
		uid, euid := "", ""
		if p.Cred != nil {
			uid, euid = fmt.Sprint(p.Cred.UID), fmt.Sprint(p.Cred.EUID)
		}
		row(p.PID, p.PPID, p.Comm, rawCell(text.Words(t.arguments(p.Args), maxArgs)), p.Exe, p.Cwd, p.State.String(), p.KernelThread, uid, euid, p.StartTime, t.pods[p.PodUID], p.PodUID, p.ContainerID, p.Cgroup,
			p.Sources.String(), p.Address)
	}
}

// A rawCell is printable already.
type rawCell string

func (c rawCell) String() string { return guarded(string(c)) }

func (t *tables) sockets(row func(...any)) {
	row("family", "protocol", "state", "localAddress", "localPort", "remoteAddress", "remotePort", "path", "pids", "pod", "podUID", "containerID", "peerPod", "peerPodUID", "netns", "inode", "address")
	if t.node.Network == nil {
		return
	}
	for i := range t.node.Network.Sockets {
		s := &t.node.Network.Sockets[i]
		var pids []string
		for _, o := range s.Owners {
			pids = append(pids, fmt.Sprint(o.PID))
		}
		row(s.Family.String(), s.Protocol, s.State.String(), s.LocalAddress.String(), s.LocalPort, s.RemoteAddress.String(), s.RemotePort, s.Path, strings.Join(pids, " "), t.pods[s.PodUID], s.PodUID, s.ContainerID,
			t.pods[s.PeerPodUID], s.PeerPodUID, s.NetNS, s.Inode, s.Addr)
	}
}

func (t *tables) files(row func(...any)) {
	row("path", "fsType", "device", "inode", "mode", "size", "cached", "uid", "gid", "atime", "mtime", "ctime", "btime", "holders", "pod", "podUID", "containerID", "address")
	if t.node.Files == nil {
		return
	}
	for i := range t.node.Files.Nameless {
		f := &t.node.Files.Nameless[i]
		var holders []string
		for _, h := range f.Holders {
			holders = append(holders, fmt.Sprintf("%d:%s", h.PID, h.How))
		}
		row(f.Path, f.FSType, fmt.Sprint(f.Device), f.Number, mode(f.Mode), f.Size, sum(f.Cached), f.UID, f.GID, f.Atime, f.Mtime, f.Ctime, f.Btime, strings.Join(holders, " "), t.pods[f.PodUID], f.PodUID, f.ContainerID, f.Addr)
	}
}

func (t *tables) timeline(row func(...any)) {
	row("time", "kind", "what", "pid", "pod", "podUID", "containerID", "clock", "address")
	for _, e := range Timeline(t.node) {
		row(e.Time, string(e.Kind), t.shapes(e.Text), number(e.PID), t.pods[e.PodUID], e.PodUID, e.ContainerID, string(e.Clock), address(e.Address))
	}
}

func (t *tables) gaps(row func(...any)) {
	row("object", "place", "reason", "error")
	for _, g := range t.node.Gaps {
		message := ""
		if g.Err != nil {
			message = text.Message(g.Err)
		}
		row(g.Object, g.Place.String(), string(g.Reason()), rawCell(message))
	}
}

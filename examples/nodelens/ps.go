package main

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A processRow is a process. Rows are trees, by pod and container.
type processRow struct {
	PID         int32         `json:"pid" col:"PID"`
	PPID        int32         `json:"ppid" jsonx:"null=-1" col:"PPID"`
	UID         *uint32       `json:"uid" col:"UID"`
	State       linux.State   `json:"state" col:"STATE,wide"`
	Threads     int           `json:"threads" col:"THREADS,wide"`
	Started     time.Time     `json:"started" col:"STARTED"`
	Age         table.Age     `json:"age" col:"AGE"`
	Comm        string        `json:"comm" col:"NAME,tree"`
	Args        []string      `json:"args" col:"COMMAND,words,flex"`
	Exe         string        `json:"exe" jsonx:"null" col:"PROGRAM,wide"`
	Cwd         string        `json:"cwd" jsonx:"null" col:"CWD,wide"`
	Remarks     []string      `json:"remarks" col:"REMARKS,line,flex"`
	Namespace   string        `json:"namespace" jsonx:"null"`
	Pod         string        `json:"pod" jsonx:"null"`
	PodUID      string        `json:"podUID" jsonx:"null"`
	Container   string        `json:"container" jsonx:"null"`
	ContainerID string        `json:"containerID" jsonx:"null"`
	Kernel      bool          `json:"kernelThread"`
	Address     vmem.VirtAddr `json:"address" col:"TASK,wide"` // of its task_struct

	depth int
	group string
}

// Depth implements [table.Deep].
func (r processRow) Depth() int { return r.depth }

// Group implements [table.Grouped].
func (r processRow) Group() string { return r.group }

// Mark implements [table.Marked].
func (r processRow) Mark() table.Mark {
	switch {
	case slices.ContainsFunc(r.Remarks, func(s string) bool { return strings.HasPrefix(s, "HIDDEN") || strings.HasPrefix(s, "runs /memfd:") }):
		return table.Alert
	case len(r.Remarks) > 0:
		return table.Notice
	case r.Kernel:
		return table.Faint
	}
	return table.Plain
}

// ps returns the command that lists processes.
func (a *app) ps() *cobra.Command {
	threads := false
	q := question[processRow]{
		name: "ps", short: "List processes as trees, by pod and container",
		long: "PIDs are those of the node. A process that runs another program than its arguments say has it among the REMARKS, and so has one\n" +
			"that not all of the kernel's lists have. Kernel threads of the node are only counted in a table, unless they are asked for.",
		examples: []string{"nodelens ps node.lime", "nodelens ps node.lime --pod image-resizer -o wide", "nodelens ps node.lime --sort -started", "nodelens ps node.lime -o jsonl | jq 'select(.uid == 0)'"},
		filtered: true,
		flags: func(c *cobra.Command) {
			c.Flags().BoolVar(&threads, "kernel-threads", false, "list kernel threads in the table, too")
		},
	}
	folded := 0
	q.rows = func(v *view) ([]processRow, error) {
		rows := processRows(v)
		if threads || v.machine {
			return rows, nil
		}
		kept := slices.DeleteFunc(slices.Clone(rows), func(r processRow) bool { return r.Kernel && len(r.Remarks) == 0 && v.chosen.pids == nil })
		folded = len(rows) - len(kept)
		return kept, nil
	}
	q.after = func(*view) string {
		if folded == 0 {
			return ""
		}
		return text.Count(folded, "kernel thread", "kernel threads") + " without a remark: --kernel-threads lists them"
	}
	return q.command(a)
}

// processRows returns the processes that were asked for: those of pods by pod and container, the node's last.
func processRows(v *view) []processRow {
	groups := map[string][]*cos.Process{}
	var names []string
	for _, p := range v.processes() {
		g := v.group(p)
		if groups[g] == nil {
			names = append(names, g)
		}
		groups[g] = append(groups[g], p)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Or(compareBool(a == ofNode, b == ofNode), strings.Compare(a, b)) })
	views := v.report.Views()
	var rows []processRow
	for _, g := range names {
		for p, depth := range trees(groups[g]) {
			row := v.processRow(p, views)
			row.depth, row.group = depth, g
			rows = append(rows, row)
		}
	}
	return rows
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

const ofNode = "node"

// group says of which pod and container a process is.
func (v *view) group(p *cos.Process) string {
	if p.PodUID == "" && p.ContainerID == "" {
		return ofNode
	}
	name := "no pod"
	if p.PodUID != "" {
		name = "pod " + text.Word(v.podName(p.PodUID))
	}
	switch {
	case p.ContainerID == "":
		return name + ", no container"
	case v.index.Sandbox(p.PodUID, p.ContainerID):
		return name + ", sandbox"
	}
	return name + ", container " + text.Word(v.containerName(p.PodUID, p.ContainerID))
}

func (v *view) processRow(p *cos.Process, views *cos.Views) processRow {
	s := v.index.OfProcess(p)
	row := processRow{
		PID: p.PID, PPID: p.PPID, State: p.State, Threads: len(p.Threads), Started: p.StartTime, Age: v.age(p.StartTime), Comm: p.Comm, Args: p.Args, Exe: p.Exe, Cwd: p.Cwd,
		Remarks: remarks(p, views), Namespace: s.Namespace, Pod: s.Pod, PodUID: p.PodUID, Container: s.Container, ContainerID: p.ContainerID, Kernel: p.KernelThread, Address: p.Address,
	}
	if p.Cred != nil {
		row.UID = &p.Cred.UID
	}
	return row
}

// remarks say what of a process one should not overlook.
func remarks(p *cos.Process, views *cos.Views) []string {
	listed := views.Listed(p)
	if p.KernelThread {
		return listed
	}
	var all []string
	if p.Exe != "" && (len(p.Args) == 0 || path.Base(strings.TrimPrefix(p.Args[0], "-")) != path.Base(p.Exe)) {
		all = append(all, "runs "+p.Exe)
	}
	if p.Cred != nil && p.Cred.EUID != p.Cred.UID {
		all = append(all, fmt.Sprintf("euid %d", p.Cred.EUID))
	}
	if !slices.Contains([]linux.State{linux.Running, linux.Sleeping, linux.Idle}, p.State) {
		all = append(all, p.State.String())
	}
	return append(all, listed...)
}

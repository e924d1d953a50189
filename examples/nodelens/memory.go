package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/vmem"
)

// A mappingRow is a mapping of a process.
type mappingRow struct {
	PID     int32         `json:"pid"`
	Start   vmem.VirtAddr `json:"start" col:"START"`
	End     vmem.VirtAddr `json:"end" col:"END"` // exclusive
	Size    uint64        `json:"size" col:"SIZE,size"`
	RSS     uint64        `json:"rss" col:"RSS,size,wide"` // of it in memory
	Perms   string        `json:"perms" col:"PERMS,line"`
	Offset  uint64        `json:"offset" col:"OFFSET,wide"`
	Path    string        `json:"path" jsonx:"null" col:"PATH,line,flex"`
	Remark  string        `json:"remark" jsonx:"null" col:"REMARK,line"`
	Address vmem.VirtAddr `json:"address" col:"VMA,wide"` // of its vm_area_struct

	group string
}

// Group implements [table.Grouped].
func (r mappingRow) Group() string { return r.group }

// Mark implements [table.Marked].
func (r mappingRow) Mark() table.Mark {
	if r.Remark != "" {
		return table.Alert
	}
	return table.Plain
}

var mappings = question[mappingRow]{
	name: "maps", short: "List what processes have mapped", sections: cos.SectionMaps, filtered: true, rows: mappingRows,
	long:     "As /proc/PID/maps has it, with a remark on what can be written and executed, and on programs without a file.",
	examples: []string{"nodelens maps node.lime --pid 748", "nodelens maps node.lime --pod image-resizer -o jsonl"},
}

func mappingRows(v *view) ([]mappingRow, error) {
	var rows []mappingRow
	for _, p := range v.report.Maps {
		if !v.chosen.has(p.PodUID, p.ContainerID, p.PID) {
			continue
		}
		group := v.title(v.index.Process(p.PID))
		for i := range p.Mappings {
			m := &p.Mappings[i]
			rows = append(rows, mappingRow{
				PID: p.PID, Start: m.Start, End: m.End, Size: uint64(m.End - m.Start), RSS: m.Usage.RSS, Perms: m.Flags, Offset: m.Offset,
				Path: m.Path, Remark: mappingRemark(m), Address: m.Address, group: group,
			})
		}
	}
	return rows, v.ctx.Err()
}

// mappingRemark says what of a mapping one should not overlook.
func mappingRemark(m *cos.Mapping) string {
	switch exec, write := strings.Contains(m.Flags, "x"), strings.Contains(m.Flags, "w"); {
	case exec && write && m.Path == "":
		return "written and executed, without a file"
	case exec && write:
		return "written and executed"
	case exec && (strings.HasSuffix(m.Path, " (deleted)") || strings.HasPrefix(m.Path, "/memfd:")):
		return "executed from a file without a name"
	}
	return ""
}

// title names a process above what it has.
func (v *view) title(p *cos.Process) string {
	s := text.Word(p.Comm)
	if p.PodUID != "" {
		s += ", " + v.group(p)
	}
	return "process " + strconv.Itoa(int(p.PID)) + " " + s
}

// A fileRow is an open file.
type fileRow struct {
	PID         int32         `json:"pid" col:"PID"`
	Comm        string        `json:"comm" col:"NAME"`
	FD          int           `json:"fd" col:"FD"`
	Path        string        `json:"path" jsonx:"null" col:"PATH,flex"`
	Pod         string        `json:"pod" jsonx:"null" col:"POD,flex"`
	ContainerID string        `json:"containerID" jsonx:"null"`
	Address     vmem.VirtAddr `json:"address" col:"FILE,wide"` // of its struct file
}

// Mark implements [table.Marked].
func (r fileRow) Mark() table.Mark {
	if strings.HasSuffix(r.Path, " (deleted)") {
		return table.Notice
	}
	return table.Plain
}

var files = question[fileRow]{
	name: "files", short: "List open files", filtered: true,
	long:     "Descriptors of processes, as lsof and /proc/PID/fd show them.",
	examples: []string{"nodelens files node.lime --pid 748", "nodelens files node.lime --pod cache-0", "nodelens files node.lime -o jsonl | grep deleted"},
	rows: func(v *view) ([]fileRow, error) {
		var rows []fileRow
		for _, p := range v.processes() {
			for _, f := range p.FDs {
				rows = append(rows, fileRow{PID: p.PID, Comm: p.Comm, FD: f.FD, Path: f.Path, Pod: v.podName(p.PodUID), ContainerID: p.ContainerID, Address: f.Addr})
			}
		}
		return rows, nil
	},
}

// A mountRow is a mount that a process sees.
type mountRow struct {
	PID        int32         `json:"pid"` // of the process
	ID         int32         `json:"id" col:"ID"`
	ParentID   int32         `json:"parentID" col:"PARENT"`
	MountPoint string        `json:"mountPoint" col:"MOUNTPOINT,flex"`
	FSType     string        `json:"fsType" col:"TYPE"`
	Source     string        `json:"source" jsonx:"null" col:"SOURCE"`
	Root       string        `json:"root" col:"ROOT,flex"` // what of the file system is mounted
	Address    vmem.VirtAddr `json:"address" col:"MOUNT,wide"`

	group string
}

// Group implements [table.Grouped].
func (r mountRow) Group() string { return r.group }

var mounts = question[mountRow]{
	name: "mounts", short: "List mounts, of the node or as a container sees them", opened: true, filtered: true,
	long:     "As /proc/PID/mountinfo has them, by their IDs, and those that the root of the process hides, once for each mount namespace. Without a filter those of process 1, the node's.",
	examples: []string{"nodelens mounts node.lime", "nodelens mounts node.lime --pod checkout --container metrics", "nodelens mounts node.lime --pid 748 -o json"},
	rows:     mountRows,
}

func mountRows(v *view) ([]mountRow, error) {
	var rows []mountRow
	seen := map[uint32]bool{}
	for _, p := range v.processes() {
		if v.chosen.all && p.PID != 1 || p.Namespaces.Mnt == 0 || seen[p.Namespaces.Mnt] || p.KernelThread {
			continue
		}
		seen[p.Namespaces.Mnt] = true
		t := v.task(p)
		if t == nil {
			continue
		}
		for m, err := range t.Mounts(v.ctx) {
			if err != nil {
				v.lose(err)
				continue
			}
			rows = append(rows, mountRow{PID: p.PID, ID: m.ID, ParentID: m.ParentID, MountPoint: m.MountPoint, FSType: m.FSType, Source: m.Source, Root: m.Root, Address: m.Addr, group: v.title(p)})
		}
	}
	return rows, v.ctx.Err()
}

// A variableRow is a variable of the environment of a process.
type variableRow struct {
	PID    int32   `json:"pid" col:"PID"`
	Comm   string  `json:"comm" col:"PROCESS"`
	Name   string  `json:"name" jsonx:"null" col:"NAME"`
	Length int     `json:"length" col:"LENGTH"`                   // of the value, in bytes
	Digest string  `json:"digest" jsonx:"null" col:"DIGEST,wide"` // equal values have equal ones
	Value  *string `json:"value" col:"VALUE,flex"`                // nil where it is hidden
	Pod    string  `json:"pod" jsonx:"null" col:"POD,flex"`
}

var env = question[variableRow]{
	name: "env", short: "List variables of environments", filtered: true,
	long:     "As they were when the programs were started, or as these have changed them. Values that may be secrets are hidden:\n--show-secrets shows them. Equal values have equal digests.",
	examples: []string{"nodelens env node.lime --pid 748", "nodelens env node.lime --pod image-resizer --show-secrets"},
	rows: func(v *view) ([]variableRow, error) {
		var rows []variableRow
		for _, p := range v.processes() {
			for _, s := range p.Env {
				rows = append(rows, variableRow{PID: p.PID, Comm: p.Comm, Name: s.Name, Length: s.Length, Digest: s.Digest, Value: s.Value, Pod: v.podName(p.PodUID)})
			}
		}
		return rows, nil
	},
}

// timeOf returns when something was that is counted from boot.
func (v *view) timeOf(sinceBoot uint64) time.Time {
	if v.report.BootTime.IsZero() {
		return time.Time{}
	}
	return v.report.BootTime.Add(time.Duration(sinceBoot))
}

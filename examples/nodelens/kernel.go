package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/linux/bpf"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/vmem"
)

// A moduleRow is a module of the kernel.
type moduleRow struct {
	Name       string        `json:"name" col:"NAME"`
	Size       uint64        `json:"size" col:"SIZE,size"`
	References int           `json:"references" col:"REFS"`
	UsedBy     []string      `json:"usedBy" col:"USED-BY,flex"`
	State      module.State  `json:"state" col:"STATE"`
	Taints     module.Taints `json:"taints" col:"TAINTS,line"`
	Hidden     bool          `json:"hidden" col:"HIDDEN"`
	MissingIn  []string      `json:"missingIn" col:"MISSING-IN,line"` // views that should have it
	Base       vmem.VirtAddr `json:"base" col:"BASE,wide"`
	Args       string        `json:"args" jsonx:"null" col:"ARGS,wide"`
	SrcVersion string        `json:"srcversion" jsonx:"null" col:"SRCVERSION,wide"`
	Address    vmem.VirtAddr `json:"address" col:"MODULE,wide"`
}

// Mark implements [table.Marked].
func (r moduleRow) Mark() table.Mark {
	switch {
	case r.Hidden:
		return table.Alert
	case r.Taints != 0:
		return table.Notice
	}
	return table.Plain
}

var modules = question[moduleRow]{
	name: "modules", short: "List modules of the kernel, also hidden ones", sections: cos.SectionModules,
	long:     "By every view that the kernel has of them. One that some view lacks though that is whole is HIDDEN.",
	examples: []string{"nodelens modules node.lime", "nodelens modules node.lime --sort -size -o wide"},
	rows: func(v *view) ([]moduleRow, error) {
		var rows []moduleRow
		for i := range v.report.Modules {
			m := &v.report.Modules[i]
			rows = append(rows, moduleRow{
				Name: m.Name, Size: m.Size, References: m.References, UsedBy: m.UsedBy, State: m.State, Taints: m.Taints, Hidden: m.Hidden(), MissingIn: m.Missing.Names(),
				Base: m.Base, Args: m.Args, SrcVersion: m.SrcVersion, Address: m.Address,
			})
		}
		return rows, nil
	},
}

// A programRow is a BPF program.
type programRow struct {
	ID       uint32          `json:"id" jsonx:"null" col:"ID"`
	Type     bpf.ProgramType `json:"type" col:"TYPE"`
	Name     string          `json:"name" col:"NAME"`
	Loaded   time.Time       `json:"loaded" col:"LOADED"`
	Age      table.Age       `json:"age" col:"AGE"`
	UID      int64           `json:"uid" jsonx:"null=-1" col:"UID"`
	PIDs     []int32         `json:"pids" col:"PIDS"` // that have it open
	Attached []string        `json:"attached" col:"ATTACHED,line,flex"`
	Pod      string          `json:"pod" jsonx:"null" col:"POD,flex"`
	Hidden   bool            `json:"hidden" col:"HIDDEN"`
	Tag      string          `json:"tag" col:"TAG,wide"`
	Pins     []string        `json:"pins" col:"PINS,wide"`
	Maps     []uint32        `json:"maps" col:"MAPS,wide"`
	Address  vmem.VirtAddr   `json:"address" col:"PROG,wide"`
}

// Mark implements [table.Marked].
func (r programRow) Mark() table.Mark {
	if r.Hidden {
		return table.Alert
	}
	return table.Plain
}

// bpf returns the command that lists BPF programs.
func (a *app) bpf() *cobra.Command {
	q := question[programRow]{
		name: "bpf", short: "List BPF programs, what they are attached to, and who has them", sections: cos.SectionBPF, filtered: true,
		long:     "By all that leads to them. One that is alive and that the kernel's table of IDs lacks is HIDDEN.",
		examples: []string{"nodelens bpf node.lime", "nodelens bpf node.lime --sort -loaded -o wide"},
		rows:     programRows,
	}
	return q.command(a)
}

func programRows(v *view) ([]programRow, error) {
	var rows []programRow
	for i := range v.report.BPF.Programs {
		p := &v.report.BPF.Programs[i]
		row := programRow{
			ID: p.ID, Type: p.Type, Name: p.FullName, Loaded: p.LoadTime, Age: v.age(p.LoadTime), UID: p.UID, Pod: v.podName(p.PodUID), Hidden: p.Hidden, Tag: p.Tag,
			Pins: p.Pins, Maps: p.Maps, Address: p.Address,
		}
		chosen := v.chosen.pids == nil && v.chosen.has(p.PodUID, p.ContainerID, 0)
		for _, o := range p.Owners {
			chosen = chosen || v.chosen.has(p.PodUID, p.ContainerID, o.PID)
			row.PIDs = append(row.PIDs, o.PID)
		}
		for _, at := range p.Attachments {
			row.Attached = append(row.Attached, fmt.Sprintf("%s %s", at.Kind, at.Target))
		}
		if chosen {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// A recordRow is a record of the kernel log.
type recordRow struct {
	Time     time.Time       `json:"time" col:"TIME"`
	Uptime   printk.Time     `json:"seconds"` // since boot
	Level    printk.Level    `json:"level" col:"LEVEL"`
	Facility printk.Facility `json:"facility" col:"FACILITY,wide"`
	Caller   printk.Caller   `json:"caller" col:"CALLER,wide"`
	Text     string          `json:"text" col:"TEXT,line"`
}

// Mark implements [table.Marked].
func (r recordRow) Mark() table.Mark {
	switch {
	case r.Level <= 3: // err
		return table.Alert
	case r.Level == 4: // warning
		return table.Notice
	}
	return table.Plain
}

var dmesg = question[recordRow]{
	name: "dmesg", short: "Print the log of the kernel", sections: cos.SectionLog,
	long:     "TIME is the boot's time and what the kernel counts from it, in UTC.",
	examples: []string{"nodelens dmesg node.lime", "nodelens dmesg node.lime --sort level", "nodelens dmesg node.lime -o jsonl | jq -r .text"},
	rows: func(v *view) ([]recordRow, error) {
		var rows []recordRow
		for i := range v.report.Log {
			r := &v.report.Log[i]
			rows = append(rows, recordRow{v.timeOf(uint64(r.Time)), r.Time, r.Level, r.Facility, r.Caller, r.Text})
		}
		return rows, nil
	},
}

// A gapRow is a loss.
type gapRow struct {
	Object string      `json:"object" col:"OBJECT,line"`
	Place  string      `json:"place" jsonx:"null" col:"PLACE,line"`
	Reason vmem.Reason `json:"reason" col:"REASON"`
	Error  string      `json:"error" col:"ERROR,line"`
}

var gaps = question[gapRow]{
	name: "gaps", short: "List each loss of the image", sections: cos.AllSections,
	long:     "What should be in the image and could not be read, or contradicts what surrounds it, with all that the image was asked about.",
	examples: []string{"nodelens gaps node.lime", "nodelens gaps node.lime -o json"},
	rows: func(v *view) ([]gapRow, error) {
		var rows []gapRow
		for _, g := range v.report.Gaps {
			row := gapRow{Object: g.Object, Reason: g.Reason(), Error: g.Err.Error()}
			if g.Place != (vmem.Place{}) {
				row.Place = g.Place.String()
			}
			rows = append(rows, row)
		}
		return rows, nil
	},
}

package main

import (
	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/report"
)

var timeline = question[eventRow]{
	name: "timeline", short: "Print all that has a time, the earliest first", sections: timed, filtered: true,
	long: "Starts of processes and threads, times of files without a name, tracked connections, BPF programs, the kernel log, and the capture, in UTC.\n" +
		"CLOCK says by which clock: what is counted from the boot is off where the node's clock was set meanwhile.",
	examples: []string{"nodelens timeline node.lime --pod image-resizer", "nodelens timeline node.lime -o csv > timeline.csv"},
	rows: func(v *view) ([]eventRow, error) {
		var rows []eventRow
		for _, e := range report.Timeline(v.report) {
			if v.chosen.has(e.PodUID, e.ContainerID, e.PID) {
				rows = append(rows, eventRow{Time: e.Time, Kind: string(e.Kind), PID: e.PID, Pod: v.podName(e.PodUID), Text: e.Text, Clock: string(e.Clock), ContainerID: e.ContainerID})
			}
		}
		return rows, nil
	},
}

// timed are the sections that have times.
const timed = cos.SectionNetwork | cos.SectionBPF | cos.SectionLog | cos.SectionFiles | cos.SectionContainers

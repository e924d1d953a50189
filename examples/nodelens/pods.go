package main

import (
	"slices"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/table"
)

// A podRow is a pod.
type podRow struct {
	Namespace  string    `json:"namespace" jsonx:"null" col:"NAMESPACE"`
	Name       string    `json:"name" jsonx:"null" col:"NAME"`
	QoS        cos.QoS   `json:"qos" jsonx:"null" col:"QOS"`
	Containers []string  `json:"containers" col:"CONTAINERS,flex"`
	Processes  int       `json:"processes" col:"PROCESSES"` // without those of the sandbox
	Started    time.Time `json:"started" col:"STARTED"`     // its first process
	Age        table.Age `json:"age" col:"AGE"`             // when memory was captured, in seconds
	UID        string    `json:"uid" col:"UID,wide"`
	SandboxID  string    `json:"sandboxID" jsonx:"null" col:"SANDBOX,wide"`
	Images     []string  `json:"images" col:"IMAGES,wide"`
	Exited     []string  `json:"withoutProcesses" col:"WITHOUT-PROCESSES,wide"` // containers that have exited, or were never started
}

var pods = question[podRow]{
	name: "pods", short: "List the pods of the node",
	long:     "STARTED is the start of a pod's first process, in UTC, and AGE how old that was when memory was captured.",
	examples: []string{"nodelens pods node.lime", "nodelens pods node.lime --sort started -o wide", "nodelens pods node.lime -o json | jq -r '.pods[].uid'"},
	filtered: true, rows: podRows,
}

func podRows(v *view) ([]podRow, error) {
	first := map[string]time.Time{}
	count := map[string]int{}
	for _, p := range v.processes() {
		if at, ok := first[p.PodUID]; !p.StartTime.IsZero() && (!ok || p.StartTime.Before(at)) {
			first[p.PodUID] = p.StartTime
		}
		if !v.index.Sandbox(p.PodUID, p.ContainerID) {
			count[p.PodUID]++
		}
	}
	var rows []podRow
	for i := range v.report.Pods {
		p := &v.report.Pods[i]
		if _, ok := first[p.UID]; !ok && !v.chosen.has(p.UID, "", 0) {
			continue
		}
		row := podRow{Namespace: p.Namespace, Name: p.Name, QoS: p.QoS, Processes: count[p.UID], Started: first[p.UID], Age: v.age(first[p.UID]), UID: p.UID, SandboxID: p.SandboxID}
		for _, c := range p.Containers {
			name := v.containerName(p.UID, c.ID)
			if c.Name != "" {
				name = c.Name
			}
			row.Containers = append(row.Containers, name)
			if len(c.PIDs) == 0 {
				row.Exited = append(row.Exited, name)
			}
			if c.Image != "" && !slices.Contains(row.Images, c.Image) {
				row.Images = append(row.Images, c.Image)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

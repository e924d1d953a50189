package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/table"
)

// A findingRow is a finding.
type findingRow struct {
	Severity   findings.Severity   `json:"severity" col:"SEVERITY"`
	Confidence findings.Confidence `json:"confidence" col:"CONFIDENCE"`
	Rule       string              `json:"rule" col:"RULE"`
	Subject    string              `json:"subject" col:"SUBJECT,line,flex"`
	Summary    string              `json:"summary" col:"SUMMARY,line,flex"`
	Next       string              `json:"next" col:"NEXT,line,wide"`
	Key        string              `json:"key" col:"KEY,wide"`
	Finding    findings.Finding    `json:"finding"`
}

// Mark implements [table.Marked].
func (r findingRow) Mark() table.Mark { return markOf(r.Severity) }

// markOf returns how much a finding stands out.
func markOf(s findings.Severity) table.Mark {
	switch {
	case s >= findings.High:
		return table.Alert
	case s == findings.Medium:
		return table.Notice
	}
	return table.Plain
}

// A rating is how the command line says how bad findings are to be.
type rating struct{ least findings.Severity }

func (r *rating) register(c *cobra.Command, least findings.Severity) {
	r.least = least
	c.Flags().TextVar(&r.least, "severity", least, "only findings of a `SEVERITY` and above: info, low, medium, high or critical")
}

// findings returns the command that lists what is wrong.
func (a *app) findings() *cobra.Command {
	var r rating
	q := question[findingRow]{
		name: "findings", short: "List what is wrong, the worst first", sections: cos.AllSections, filtered: true,
		long: "By rules over all that the image tells. SEVERITY is how bad it is if it is true, CONFIDENCE how sure it is that it is.\n" +
			"JSON has with each finding its evidence, what would explain it without harm, and what to ask next.",
		examples: []string{"nodelens findings node.lime", "nodelens findings node.lime --severity high -o wide", "nodelens findings node.lime --pod image-resizer -o json"},
		flags:    func(c *cobra.Command) { r.register(c, findings.Low) },
	}
	q.rows = func(v *view) ([]findingRow, error) {
		result, err := findings.Run(v.ctx, v.index, nil)
		if err != nil {
			return nil, err
		}
		var rows []findingRow
		for _, f := range result.Findings {
			if f.Severity >= r.least && v.chosen.has(f.Subject.PodUID, f.Subject.ContainerID, f.Subject.PID) {
				rows = append(rows, findingRow{f.Severity, f.Confidence, f.Rule, f.Subject.String(), f.Summary, f.Next, f.Key, f})
			}
		}
		return rows, nil
	}
	return q.command(a)
}

// An eventRow is something of which it is known when it was.
type eventRow struct {
	Time time.Time `json:"time" col:"TIME"`
	Kind string    `json:"kind" col:"KIND"`
	PID  int32     `json:"pid" jsonx:"null" col:"PID"`
	Pod  string    `json:"pod" jsonx:"null" col:"POD,flex"`
	Text string    `json:"text" col:"WHAT,line,flex"`

	Clock       string `json:"clock" col:"CLOCK,wide"`
	ContainerID string `json:"containerID" jsonx:"null"`
}

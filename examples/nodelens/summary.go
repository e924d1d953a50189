package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/internal/text"
)

// summary prints what is wrong, and what there is.
func (a *app) summary(ctx context.Context, name string) error {
	return a.ask(ctx, name, cos.AllSections, func(v *view) error {
		result, err := findings.Run(ctx, v.index, nil)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(v.stdout)
		p := &page{view: v, image: text.Word(name), w: w, width: command.Width(v.stdout)}
		p.head()
		v.whole(w)
		p.wrong(result)
		p.pods(result)
		p.rest()
		return w.Flush()
	})
}

// A page is the summary.
type page struct {
	*view
	image string // its name, as a word of a command line
	w     *bufio.Writer
	width int // of lines; 0: any
}

// line prints a line of the page, cut to the width of the terminal.
func (p *page) line(m table.Mark, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if p.width > 0 {
		s = text.Short(s, p.width)
	}
	fmt.Fprintln(p.w, p.paint(s, m))
}

// uncut prints a line that is copied, such as a command, whatever the width of the terminal.
func (p *page) uncut(m table.Mark, format string, args ...any) {
	fmt.Fprintln(p.w, p.paint(fmt.Sprintf(format, args...), m))
}

func utc(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return t.UTC().Format(time.DateTime) + " UTC"
}

// orUnknown returns a name out of the image. None can pass for the words that stand for none.
func orUnknown(s string) string {
	if s == "" {
		return "(unknown)"
	}
	return text.Word(s)
}

// head prints which node it is, and of which image.
func (p *page) head() {
	r := p.report
	p.line(table.Heading, "node %s, Linux %s, booted %s", orUnknown(r.Hostname), text.Word(r.Kernel.Release), utc(r.BootTime))
	i := &r.Provenance
	s := fmt.Sprintf("image %s: %s", text.Word(i.Image), text.Line(i.Format))
	if i.Compression != "" {
		s += " in " + text.Line(i.Compression)
	}
	if i.Size > 0 {
		s += ", " + text.Size(i.Size)
	}
	if !i.Captured.IsZero() {
		s += ", captured " + utc(i.Captured)
	}
	if r.Whole() {
		s += ", whole"
	}
	p.line(table.Plain, "%s", s)
	in, kernel := 0, 0
	for k := range r.Processes {
		switch q := &r.Processes[k]; {
		case q.KernelThread:
			kernel++
		case q.PodUID != "":
			in++
		}
	}
	p.line(table.Plain, "%s; %d processes in them, %d on the node, %s", text.Count(len(r.Pods), "pod", "pods"), in, len(r.Processes)-in-kernel, text.Count(kernel, "kernel thread", "kernel threads"))
}

// maxShown is how many findings the summary shows, and maxEvidence how much each rests on.
const (
	maxShown    = 20
	maxEvidence = 4
	maxValue    = 100 // characters of a value
)

// wrong prints the findings that are to be looked at, and how many others there are.
func (p *page) wrong(result *findings.Result) {
	least := findings.Medium
	shown, below, accepted := 0, 0, 0
	for i := range result.Findings {
		switch f := &result.Findings[i]; {
		case f.Accepted != nil:
			accepted++
		case f.Severity < least || shown == maxShown:
			below++
		default:
			if shown == 0 {
				fmt.Fprintln(p.w)
				p.line(table.Heading, "LOOK AT FIRST")
			}
			shown++
			p.finding(f)
		}
	}
	if shown == 0 {
		fmt.Fprintln(p.w)
		p.line(table.Plain, "nothing that is %v or worse was found", least)
	}
	s := ""
	if below > 0 {
		s = fmt.Sprintf("%s more: nodelens findings", text.Count(below, "finding", "findings"))
	}
	if accepted > 0 {
		s += fmt.Sprintf(" (%d accepted)", accepted)
	}
	if n := len(result.NotChecked); n > 0 {
		s = strings.TrimPrefix(s+"; not checked as the image lacks what it takes: "+text.Count(n, "rule", "rules"), "; ")
	}
	if s != "" {
		p.line(table.Faint, "  %s", s)
	}
}

// finding prints a finding, what it rests on and what to ask next.
func (p *page) finding(f *findings.Finding) {
	p.line(markOf(f.Severity), " %-8v %s", f.Severity, text.Line(f.Subject.String()))
	p.line(table.Plain, "          %s (%s, %v)", text.Line(f.Summary), text.Line(f.Rule), f.Confidence)
	var facts []string
	for i, e := range f.Evidence {
		if i == maxEvidence {
			facts = append(facts, fmt.Sprintf("and %d more", len(f.Evidence)-i))
			break
		}
		facts = append(facts, text.Line(e.Field)+" "+text.Short(text.Word(e.Value), maxValue))
	}
	if len(facts) > 0 {
		p.line(table.Faint, "          %s", strings.Join(facts, "; "))
	}
	if f.Next != "" {
		p.uncut(table.Faint, "          next: %s", text.Line(strings.Replace(f.Next, " IMAGE", " "+p.image, 1)))
	}
}

// pods prints a line for each pod; those of the system are folded into one.
func (p *page) pods(result *findings.Result) {
	worst := map[string]findings.Severity{}
	count := map[string]int{}
	for i := range result.Findings {
		if f := &result.Findings[i]; f.Subject.PodUID != "" && f.Accepted == nil && f.Severity >= findings.Medium {
			count[f.Subject.PodUID]++
			worst[f.Subject.PodUID] = max(worst[f.Subject.PodUID], f.Severity)
		}
	}
	rows, _ := podRows(p.view)
	var system []string
	var shown []summaryRow
	for _, r := range rows {
		if findings.System(r.Namespace) && count[r.UID] == 0 {
			system = append(system, text.Word(r.Name))
			continue
		}
		row := summaryRow{Pod: r.Namespace + "/" + r.Name, Containers: r.Containers, Processes: r.Processes, Started: r.Started, Age: r.Age, mark: markOf(worst[r.UID])}
		if n := count[r.UID]; n > 0 {
			row.Findings = fmt.Sprintf("%d, worst %v", n, worst[r.UID])
		}
		shown = append(shown, row)
	}
	fmt.Fprintln(p.w)
	if len(shown) > 0 {
		_ = table.Print(p.w, shown, &table.Options{Width: p.width, Color: p.colors()}) // w remembers what failed
	}
	if len(system) > 0 {
		p.line(table.Faint, "of the system, without findings: %s", strings.Join(system, ", "))
	}
}

// A summaryRow is a pod in the summary.
type summaryRow struct {
	Pod        string    `json:"pod" col:"POD,flex"`
	Containers []string  `json:"containers" col:"CONTAINERS,flex"`
	Processes  int       `json:"processes" col:"PROCESSES"`
	Started    time.Time `json:"started" col:"STARTED"`
	Age        table.Age `json:"age" col:"AGE"`
	Findings   string    `json:"findings" col:"FINDINGS,line"`

	mark table.Mark
}

// Mark implements [table.Marked].
func (r summaryRow) Mark() table.Mark { return r.mark }

// rest prints what else there is to know.
func (p *page) rest() {
	for i, note := range p.report.Notes {
		if i == 0 {
			fmt.Fprintln(p.w)
		}
		p.line(table.Faint, "note: %s", text.Line(note))
	}
}

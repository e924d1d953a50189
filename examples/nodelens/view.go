package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
)

// A view is a node that is looked at for one answer.
type view struct {
	*app
	ctx     context.Context //nolint:containedctx // it lives as long as one answer
	node    *cos.Node       // nil where the report is enough
	report  *cos.NodeReport
	index   *findings.Node
	chosen  selection
	machine bool    // the answer is for programs, not for people
	lost    []error // beside the gaps of the report
}

// options returns how an image is opened for an answer, and begins to show progress.
func (a *app) options(sections cos.Sections) *cos.Options {
	a.meter = command.NewMeter(a.stderr, a.quiet)
	opts := a.flags.Options(a.args, a.meter.Show)
	opts.Sections = sections
	return opts
}

// openNode opens an image, and gives the node to answer.
func (a *app) openNode(ctx context.Context, name string, answer func(v *view) error) (err error) {
	n, closeNode, err := a.images.open(ctx, name, a.options(0))
	a.meter.Clear()
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, closeNode()) }()
	return answer(&view{app: a, ctx: ctx, node: n})
}

// ask gives the report of an image with some sections to answer.
func (a *app) ask(ctx context.Context, name string, sections cos.Sections, answer func(v *view) error) error {
	r, err := a.images.report(ctx, name, a.options(sections))
	if err != nil {
		return err
	}
	v := &view{app: a, ctx: ctx}
	if err := v.look(r); err != nil {
		return err
	}
	return answer(v)
}

// askNode opens an image, and gives the node and its report without sections to answer.
func (a *app) askNode(ctx context.Context, name string, answer func(v *view) error) error {
	return a.openNode(ctx, name, func(v *view) error {
		r, err := v.node.Report(ctx)
		if err != nil {
			return err
		}
		if err := v.look(r); err != nil {
			return err
		}
		return answer(v)
	})
}

// look makes the view one of a report, as far as was asked for.
func (v *view) look(r *cos.NodeReport) (err error) {
	v.meter.Clear()
	v.report, v.index = r, findings.NewNode(r, v.node)
	v.chosen, err = v.filter.choose(r)
	return err
}

// now returns when memory was captured, which ages are counted to.
func (v *view) now() time.Time { return v.report.Provenance.Captured }

// age returns how old something is.
func (v *view) age(since time.Time) table.Age { return table.NewAge(since, v.now()) }

// podName returns NAMESPACE/NAME of a pod, or what is known of that; it is empty for the node.
func (v *view) podName(uid string) string {
	if uid == "" {
		return ""
	}
	p := v.index.Pod(uid)
	if p == nil || p.Name == "" {
		return "pod " + uid
	}
	return p.Namespace + "/" + p.Name
}

// containerName returns the name of a container, or the beginning of its ID.
func (v *view) containerName(podUID, id string) string {
	switch s := v.index.OfContainer(podUID, id); {
	case id == "":
		return ""
	case v.index.Sandbox(podUID, id):
		return "(sandbox)"
	case s.Container != "":
		return s.Container
	}
	return id[:min(len(id), 13)]
}

// processes returns the processes that were asked for.
func (v *view) processes() []*cos.Process {
	var all []*cos.Process
	for i := range v.report.Processes {
		p := &v.report.Processes[i]
		if v.chosen.has(p.PodUID, p.ContainerID, p.PID) {
			all = append(all, p)
		}
	}
	return all
}

// task returns the task of a process; nil where it can't be read, which is told.
func (v *view) task(p *cos.Process) *linux.Task {
	t, err := v.node.Process(v.ctx, p.PID)
	if err != nil {
		v.lose(err)
		return nil
	}
	return t
}

// lose remembers a loss of the answer that the report does not have.
func (v *view) lose(err error) { v.lost = append(v.lost, err) }

// maxLosses is how many kinds of losses are told.
const maxLosses = 8

// whole says on w what was lost, if anything was, and sets the exit status.
func (v *view) whole(w io.Writer) {
	if v.report.Whole() && len(v.lost) == 0 {
		return
	}
	v.status = exitNotWhole
	losses := v.report.Losses()
	for _, err := range v.lost {
		losses = append(losses, cos.Loss{What: text.Message(err), Why: "", Count: 1})
	}
	fmt.Fprintln(w, v.paint(fmt.Sprintf("NOT WHOLE: %s; nodelens gaps tells each", text.Count(len(v.report.Gaps)+len(v.lost), "loss", "losses")), table.Notice))
	if missing := v.report.MissingMemory(); missing > 0 {
		fmt.Fprintf(w, "  %s of memory is missing in the image\n", text.Size(missing))
	}
	for i, l := range losses {
		switch {
		case i == maxLosses:
			fmt.Fprintf(w, "  and %d other kinds\n", len(losses)-i)
			return
		case l.Why == "":
			fmt.Fprintf(w, "  %s\n", l.What)
		default:
			fmt.Fprintf(w, "  %s: %d, %s\n", l.What, l.Count, l.Why)
		}
	}
}

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
	node    *cos.Node
	report  *cos.NodeReport
	index   *findings.Node
	chosen  selection
	machine bool    // the answer is for programs, not for people
	lost    []error // beside the gaps of the report
}

// openKernel opens an image, and gives its kernel to answer.
func (a *app) openKernel(ctx context.Context, name string, answer func(v *view, k *linux.Kernel) error) (err error) {
	n, closeNode, err := a.openNode(ctx, name, 0)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, closeNode()) }()
	return answer(&view{app: a, ctx: ctx, node: n}, n.Kernel())
}

// openNode opens an image.
func (a *app) openNode(ctx context.Context, name string, sections cos.Sections) (*cos.Node, func() error, error) {
	a.meter = command.NewMeter(a.stderr, a.quiet)
	opts := a.flags.Options(a.args, a.meter.Show)
	opts.Sections = sections
	n, closeNode, err := a.open(ctx, name, opts)
	a.meter.Clear()
	return n, closeNode, err
}

// ask opens an image, reads the report with some sections, and gives them to answer.
func (a *app) ask(ctx context.Context, name string, sections cos.Sections, answer func(v *view) error) (err error) {
	n, closeNode, err := a.openNode(ctx, name, sections)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, closeNode()) }()
	v := &view{app: a, ctx: ctx, node: n}
	if v.report, err = n.Report(ctx); err != nil {
		return err
	}
	a.meter.Clear()
	v.index = findings.NewNode(v.report, n)
	if v.chosen, err = a.filter.choose(v.report); err != nil {
		return err
	}
	return answer(v)
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

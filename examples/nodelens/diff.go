package main

import (
	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/diff"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/vmem"
)

// A changeRow is something that one image has and another has not, or a value of it that is another.
type changeRow struct {
	Change    diff.What     `json:"change" col:"CHANGE"`
	Kind      diff.Kind     `json:"kind" col:"KIND"`
	Pod       string        `json:"pod" jsonx:"null" col:"POD,flex"`
	Container string        `json:"container" jsonx:"null" col:"CONTAINER,wide"`
	Object    string        `json:"object" col:"OBJECT,line,flex"`
	Field     string        `json:"field" jsonx:"null" col:"VALUE"`
	Was       string        `json:"was" jsonx:"null" col:"WAS,line,flex"`
	Is        string        `json:"is" jsonx:"null" col:"IS,line,flex"`
	Remark    string        `json:"remark" jsonx:"null" col:"REMARK,line"`
	Before    vmem.VirtAddr `json:"before" jsonx:"null" col:"BEFORE,wide"` // the object in the first image's memory
	After     vmem.VirtAddr `json:"after" jsonx:"null" col:"AFTER,wide"`
	Sure      bool          `json:"sure"` // nothing was lost that the object could be among

	notable bool
}

// Mark implements [table.Marked].
func (r changeRow) Mark() table.Mark {
	switch {
	case r.notable:
		return table.Alert
	case r.Change == diff.Came:
		return table.Notice
	}
	return table.Plain
}

// compared are the sections that are compared.
const compared = cos.SectionNetwork | cos.SectionModules | cos.SectionBPF | cos.SectionHooks | cos.SectionKernel | cos.SectionFiles

// diff returns the command that compares two images.
func (a *app) diff() *cobra.Command {
	var f format
	c := &cobra.Command{
		Use: "diff IMAGE IMAGE", Short: "Compare two images of a node, or of two nodes: what came, went and changed",
		Long: "Compare two images of a node, or of two nodes: what came, went and changed.\n\nOf two images of one boot the kernel's own numbers say what is the same; of others names do, and how many there are of each.\n" +
			"What could not be compared is told. What came or went where something was lost may have been lost: it is marked.",
		Example: examples("nodelens diff monday.lime tuesday.lime", "nodelens diff node-a.lime node-b.lime -o json"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("name two images")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			opts, err := f.options(a)
			if err != nil {
				return err
			}
			if err := table.Check[changeRow](opts); err != nil {
				return usageError{err}
			}
			return a.ask(c.Context(), args[0], compared, func(was *view) error {
				return a.ask(c.Context(), args[1], compared, func(is *view) error { return is.compare(was, opts) })
			})
		},
	}
	f.register(c)
	return c
}

// A diffHead stands before the rows in JSON.
type diffHead struct {
	head
	SameNode bool           `json:"sameNode"`
	SameBoot bool           `json:"sameBoot"`
	Unknown  []diff.Unknown `json:"unknown"` // what could not be compared, or not as a whole
}

// compare prints what differs.
func (v *view) compare(was *view, opts *table.Options) error {
	v.machine = opts.Format != table.Table && opts.Format != table.Wide
	w := v.stdout
	if v.machine {
		w = v.stderr
	}
	was.whole(w)
	v.whole(w)
	result := diff.Compare(was.report, v.report)
	for _, u := range result.Unknown {
		_, _ = w.Write([]byte(v.paint("not all compared: "+string(u.Kind)+": "+text.Line(u.Reason), table.Faint) + "\n"))
	}
	p := &v.report.Provenance
	opts.Items = "diff"
	opts.Head = diffHead{
		head{headSchema("diff"), p.Image, v.report.Hostname, p.Captured, v.status == command.OK, append(was.report.Losses(), v.report.Losses()...)},
		result.SameNode, result.SameBoot, result.Unknown,
	}
	return table.Print(v.stdout, changeRows(result.Changes), opts)
}

// changeRows returns a row for each change, and for each value of what changed.
func changeRows(changes []diff.Change) []changeRow {
	var rows []changeRow
	for i := range changes {
		c := &changes[i]
		row := changeRow{Change: c.What, Kind: c.Kind, Container: c.Container, Object: c.Object, Remark: c.Notable, Before: c.Before, After: c.After, Sure: c.Sure, notable: c.Notable != ""}
		if c.Pod != (diff.Pod{}) {
			row.Pod = c.Pod.String()
		}
		if !c.Sure {
			row.Remark = "or lost"
		}
		if len(c.Fields) == 0 {
			rows = append(rows, row)
		}
		for _, f := range c.Fields {
			row.Field, row.Was, row.Is = f.Name, f.Before, f.After
			rows = append(rows, row)
		}
	}
	return rows
}

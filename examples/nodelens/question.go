package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/internal/table"
)

// A question is a command that answers with a table of rows of type T.
type question[T any] struct {
	name, short, long string
	examples          []string
	sections          cos.Sections
	opened            bool // the node itself is asked, and no section of its report
	filtered          bool // it takes the flags that choose pods and processes
	flags             func(c *cobra.Command)
	rows              func(v *view) ([]T, error)
	after             func(v *view) string // a line behind the table; nil: none
}

// A format is how an answer is printed.
type format struct {
	name string
	sort string
}

// A head stands before the rows of an answer in JSON.
type head struct {
	Schema   string     `json:"schema"`
	Image    string     `json:"image" jsonx:"null"`
	Hostname string     `json:"hostname" jsonx:"null"`
	Captured time.Time  `json:"captured"`
	Whole    bool       `json:"whole"`
	Losses   []cos.Loss `json:"losses"`
}

// headSchema names the form of an answer in JSON. What the library writes has names of its own: nodelens/findings/v1 is the JSON of
// [findings.Result], and no table.
func headSchema(question string) string { return "nodelens/table/" + question + "/v1" }

// An answer is what a question prints as JSON: the head, and the rows in a member that is called as the question is.
type answer[T any] struct {
	head
	Rows []T `json:"rows"` // rowsMember
}

// rowsMember is what the rows are called in an answer before they are called as the question is.
const rowsMember = "rows"

// schema returns the JSON Schema of an answer.
func (q *question[T]) schema() (*jsonx.Schema, error) {
	s, err := jsonx.SchemaOf[answer[T]]()
	if err != nil {
		return nil, err
	}
	name := headSchema(q.name)
	s.Title = q.short + ": what nodelens " + q.name + " -o json prints. With jsonl each line is one of " + q.name
	s.Property("schema").Type, s.Property("schema").Const = nil, name
	for i := range s.Properties {
		if s.Properties[i].Name == rowsMember {
			s.Properties[i].Name = q.name
		}
	}
	for i := range s.Required {
		if s.Required[i] == rowsMember {
			s.Required[i] = q.name
		}
	}
	return s, nil
}

// command returns the command of a question.
func (q *question[T]) command(a *app) *cobra.Command {
	a.tables[headSchema(q.name)] = q.schema
	var f format
	c := &cobra.Command{
		Use: q.name + " IMAGE", Short: q.short, Long: strings.TrimSpace(q.short + ".\n\n" + q.long), Example: examples(q.examples...), Args: oneImage,
		RunE: func(c *cobra.Command, args []string) error {
			opts, err := f.options(a)
			if err != nil {
				return err
			}
			if err := table.Check[T](opts); err != nil {
				return usageError{err}
			}
			answer := func(v *view) error { return q.answer(v, opts) }
			if q.opened {
				return a.askNode(c.Context(), args[0], answer)
			}
			return a.ask(c.Context(), args[0], q.sections, answer)
		},
	}
	f.register(c)
	if q.filtered {
		a.filter.register(c)
	}
	if q.flags != nil {
		q.flags(c)
	}
	return c
}

// answer prints the rows.
func (q *question[T]) answer(v *view, opts *table.Options) error {
	v.machine = opts.Format != table.Table && opts.Format != table.Wide
	rows, err := q.rows(v)
	if err != nil {
		return err
	}
	w := v.stdout
	if v.machine {
		w = v.stderr
	}
	v.whole(w)
	p := &v.report.Provenance
	opts.Items = q.name
	opts.Head = head{headSchema(q.name), p.Image, v.report.Hostname, p.Captured, v.status == command.OK, v.report.Losses()}
	if err := table.Print(v.stdout, rows, opts); err != nil {
		return err
	}
	if !v.machine && q.after != nil {
		if line := q.after(v); line != "" {
			_, err = v.stdout.Write([]byte(v.paint(line, table.Faint) + "\n"))
		}
	}
	return err
}

// register adds the flags to those of a command.
func (f *format) register(c *cobra.Command) {
	var names []string
	for _, n := range table.Formats {
		names = append(names, string(n))
	}
	c.Flags().StringVarP(&f.name, "output", "o", string(table.Table), "print as `FORMAT`: "+strings.Join(names, ", "))
	c.Flags().StringVar(&f.sort, "sort", "", "sort by a `COLUMN`, by its heading or its name in JSON; with - before it the other way round")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // fails where there is no such flag
}

// options returns how to print.
func (f *format) options(a *app) (*table.Options, error) {
	if !slices.Contains(table.Formats, table.Format(f.name)) {
		return nil, usage("-o %q is none of %v", f.name, table.Formats)
	}
	return &table.Options{Format: table.Format(f.name), Sort: f.sort, Width: command.Width(a.stdout), Color: a.colors()}, nil
}

// questions returns the commands that answer with a table.
func (a *app) questions() []*cobra.Command {
	return []*cobra.Command{
		a.findings(), pods.command(a), a.ps(), a.ss(), files.command(a), mappings.command(a), env.command(a), mounts.command(a), modules.command(a), a.bpf(), dmesg.command(a),
		timeline.command(a), a.diff(), a.search(), a.object(), gaps.command(a),
	}
}
